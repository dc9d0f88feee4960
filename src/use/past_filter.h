// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Which rows of a dump an export of one tenant needs, told by their texts and by the keys of rows that came before. One thread.
 *
 * The condition in SQL (policy/tenancy.h) is what decides at last. What is let through here is all that it says "ours" of, and all that its proof looks at,
 * and as little else as can be told without a server:
 *
 *   past_filter_new()
 *   for each table, from 0 on:          past_filter_entry(), past_filter_row() of each of its rows, in each place that has some
 *   for each table, from the last one:  the same once more with PAST_OTHERS, if past_filter_has_others()
 *
 * The first time come the tenant's own rows. A table comes behind those that tell it whose its rows are, so that their keys are known. Where a row
 * refers to several, it is proven that none of them is another tenant's; so those that are not the tenant's come the second time, with what they refer to.
 */
#include "past_keys.h"
#include "past_value.h"

#include <keepfs/codec/copy_text.h>

struct past_filter_options { /* borrowed, as long as the filter is there */
	const struct tenancy_model *model;
	const struct tenancy_plan *plan;
	const char *tenant; /* its id */
	uint64_t memory_bytes;
	/* is_unlike() - as struct past_side has it; the place of a table, and of its column. NULL: no column is. */
	bool (*is_unlike)(void *arg, uint32_t table, uint32_t column);
	/* value() - append a text as COPY writes a value of @type (pg_hollow_value()). */
	int (*value)(void *arg, const char *text, const char *type, struct str *ret, struct error *err);
	void *arg;
};

enum past_pass { PAST_OWN, PAST_OTHERS };

struct past_filter;
/** past_filter_new() - -ENOTSUP (ERROR_USAGE): it cannot be told by texts, @err says of which column; or what value() returned. */
int past_filter_new(const struct past_filter_options *options, struct past_filter **ret, struct error *err);
struct past_filter *past_filter_free(struct past_filter *f); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(past_filter, struct past_filter *, past_filter_free)

/** past_filter_count() - how many tables are read; past_filter_table() - the one of that number: its place in the model. */
size_t past_filter_count(const struct past_filter *f);
uint32_t past_filter_table(const struct past_filter *f, size_t number);
/** past_filter_takes_all() - each of its rows is wanted, and nothing is learnt from them: they need not be looked at. */
bool past_filter_takes_all(const struct past_filter *f, size_t number);
/** past_filter_has_others() - is there a row of it that is wanted beside the tenant's own? */
bool past_filter_has_others(const struct past_filter *f, size_t number);

/**
 * past_filter_entry() - rows of table @number follow, with @columns in this order
 * Return: 0; -EBADMSG (ERROR_CORRUPT): one that is needed is not among them.
 */
int past_filter_entry(struct past_filter *f, size_t number, enum past_pass pass,
                      const struct copy_columns *columns, struct error *err);
/**
 * past_filter_row() - is this row wanted?
 * @row: without its line feed
 * Return: 1; 0; -EBADMSG (ERROR_CORRUPT): it has too few fields, or JSON that is none; -E2BIG (past_keys.h).
 */
int past_filter_row(struct past_filter *f, const char *row, size_t len, struct error *err);
