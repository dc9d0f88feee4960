// SPDX-License-Identifier: Apache-2.0
/* The largest tables of each database, as they were counted in its newest backup, held against the one of a month before. */
#include "dashboard.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/json.h>

#include <inttypes.h>
#include <stdlib.h>

#define GROWTH_DAYS 30

struct table_size {
	const char *name; /* borrowed from the fact */
	int64_t rows, bytes;
};

static int64_t number_of_entry(const struct json *entry, size_t index)
{
	_cleanup(str) struct str text = {0};

	return json_scalar_text(json_item(entry, index), &text) ? strtoll(str_text(&text), NULL, 10) : -1;
}

/* What a manifest says is not ours to trust. */
static bool read_table_size(const struct json *list, size_t index, struct table_size *ret)
{
	const struct json *entry = json_item(list, index);

	*ret = (struct table_size){json_text(json_item(entry, 0)), number_of_entry(entry, 1),
	                           number_of_entry(entry, 2)};
	return ret->name && ret->rows >= 0 && ret->bytes >= 0;
}

static bool find_table(const struct json *list, const char *name, struct table_size *ret)
{
	for (size_t i = 0; i < json_count(list); i++)
		if (read_table_size(list, i, ret) && str_equal(ret->name, name))
			return true;
	return false;
}

/* Beyond what was there then; a table that was not among the largest is new here. */
static void put_growth(struct page *p, const struct table_size *now, const struct json *then, int64_t days)
{
	struct table_size before;
	int64_t grown;

	if (!then) {
		page_put(p, "<span class=\"muted\">not known yet</span>");
		return;
	}
	if (!find_table(then, now->name, &before)) {
		page_put(p, "was not among the largest");
		return;
	}
	grown = now->bytes - before.bytes;
	if (grown == 0) {
		page_put(p, "unchanged");
		return;
	}
	page_put(p, grown > 0 ? "+" : "&minus;");
	page_bytes(p, (uint64_t)(grown > 0 ? grown : -grown));
	page_putf(p, " in %" PRId64 " day%s", days, days == 1 ? "" : "s");
}

static void put_table(struct page *p, const struct table_size *t, const struct json *then, int64_t days)
{
	page_put(p, "<tr><th scope=\"row\">");
	page_name(p, t->name);
	page_put(p, "</th><td class=\"n\" data-label=\"Size of its rows\">");
	page_bytes(p, (uint64_t)t->bytes);
	page_put(p, "</td><td class=\"n\" data-label=\"Rows\">");
	page_number(p, (uint64_t)t->rows);
	page_put(p, "</td><td data-label=\"Growth\">");
	put_growth(p, t, then, days);
	page_put(p, "</td></tr>");
}

static void put_tables_of(struct page *p, const struct dash_job *job, const struct target *t,
                          const struct json *now, const struct json *then,
                          const struct catalog_fact_then *fact)
{
	int64_t days = (fact->now_us - fact->then_us + DAY_US / 2) / DAY_US;
	struct table_size table;

	page_put(p, "<section class=\"trend\"><h3>");
	page_name(p, job->conf->name);
	if (job->has_many) {
		page_put(p, " / ");
		page_name(p, t->label);
	}
	page_put(p, " <span class=\"muted\">");
	page_day(p, fact->now_us);
	if (then) {
		page_put(p, ", beside ");
		page_day(p, fact->then_us);
	}
	page_put(
	        p,
	        "</span></h3><table class=\"cards\"><caption class=\"sr\">The largest tables of this database</caption><thead><tr><th scope=\"col\">Table</th>"
	        "<th scope=\"col\" class=\"n\">Size of its rows</th><th scope=\"col\" class=\"n\">Rows</th>"
	        "<th scope=\"col\">Growth</th></tr></thead><tbody>");
	for (size_t i = 0; i < json_count(now); i++)
		if (read_table_size(now, i, &table))
			put_table(p, &table, then, days > 0 ? days : 1);
	page_put(p, "</tbody></table></section>");
}

static char *directory_of(const struct saved *newest)
{
	const char *slash = strrchr(newest->path, '/');

	return mem_printf("%.*s", (int)(slash - newest->path), newest->path);
}

static struct json *parse_tables(const char *text)
{
	return text ? json_parse(text, strlen(text), NULL) : NULL;
}

/* False: its newest backup does not say. */
static bool put_database_tables(struct page *p, const struct dash_job *job, const struct target *t)
{
	_cleanup(free) char *directory = directory_of(&t->newest);
	_cleanup(json) struct json *now = NULL, *then = NULL;
	struct catalog_fact_then fact;
	int r = catalog_fact_then(p->from->catalog, directory, "largest_tables",
	                          p->from->now_us - GROWTH_DAYS * DAY_US, &fact);
	bool is_known;

	dash_failed(p, r);
	now = parse_tables(fact.now);
	then = parse_tables(fact.then);
	is_known = json_count(now) > 0;
	if (is_known)
		put_tables_of(p, job, t, now, then, &fact);
	free(fact.now);
	free(fact.then);
	return is_known;
}

void dashboard_tables(struct page *p)
{
	size_t shown = 0, asked = 0, left = 0;

	for (size_t i = 0; i < p->job_count; i++) {
		const struct dash_job *job = &p->jobs[i];

		for (size_t k = 0; job->conf->kind == CONF_JOB_DUMP && k < job->target_count; k++) {
			if (!job->targets[k].newest.path)
				continue;
			if (asked == TABLES_OF_SHOWN) {
				left++;
				continue;
			}
			asked++;
			shown += put_database_tables(p, job, &job->targets[k]);
		}
	}
	if (!shown)
		page_put(
		        p,
		        "<p class=\"muted\">There is something to see here once a database with rows was backed up as an archive.</p>");
	if (left)
		page_putf(
		        p,
		        "<p class=\"more\">The tables of %zu more databases are not shown; <code>.tables.csv</code> "
		        "beside each backup has them all.</p>",
		        left);
}
