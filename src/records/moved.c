// SPDX-License-Identifier: Apache-2.0
/*
 * What was moved already. A catalog that was made from an older copy of itself has rows again that left it since; they would
 * leave it a second time. A record tells of each row by its number and its time, which are together no other row's.
 */
#include "records_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/copy.h>
#include <keepfs/catalog/runs.h>

#include <errno.h>
#include <string.h>

#define LIST_PAGE 1000

struct moved {
	const struct records_context *ctx;
	const struct records_moved *io;
	enum record_kind kind;
	int64_t first_audit, last_audit; /* that the catalog has */
	int64_t largest_run;
	struct catalog_recorded *rows; /* of one object */
	size_t count;
};

static bool read_row(const struct moved *m, const struct json *line, int64_t number,
                     struct catalog_recorded *ret)
{
	if (m->kind == RECORD_AUDIT) {
		ret->id = number;
		return json_get_time(line, "at", &ret->at_us);
	}
	return json_get_int(line, "run", &ret->id) && json_get_time(line, "queued", &ret->at_us);
}

static int read_rows(struct moved *m, const char *key, const struct str *text, struct error *err)
{
	int64_t number = 0;
	size_t len, cap = 0;

	m->count = 0;
	if (!record_first_number(key, &number))
		return error_set(err, ERROR_CORRUPT, EBADMSG, "its name has no number");
	for (const char *line = str_text(text); *line; line += len + 1) {
		_cleanup(json) struct json *row = NULL;

		len = strcspn(line, "\n");
		if (m->count == cap) {
			cap = cap ? 2 * cap : 1024;
			m->rows = mem_resize(m->rows, cap, sizeof(*m->rows));
		}
		row = json_parse(line, len, err);
		if (!row)
			return -EBADMSG;
		if (!read_row(m, row, number++, &m->rows[m->count++]))
			return error_set(err, ERROR_CORRUPT, EBADMSG, "line %zu has no number or no time",
			                 m->count);
		if (line[len] == '\0')
			break;
	}
	return 0;
}

static int drop_moved_rows(struct moved *m, struct error *err)
{
	for (size_t i = 0; m->kind == RECORD_HISTORY && i < m->count; i++)
		if (m->rows[i].id > m->largest_run)
			m->largest_run = m->rows[i].id;
	return catalog_drop_recorded(m->ctx->catalog, m->kind, m->rows, m->count, err);
}

/* Lines of the audit are moved in the order of their numbers. Runs are not: any record may tell of any. */
static bool can_hold_row(const struct moved *m, const char *key)
{
	int64_t first;

	if (m->kind != RECORD_AUDIT || !record_first_number(key, &first))
		return true;
	return first <= m->last_audit && first + PACK_ROWS_MAX > m->first_audit;
}

/* A record that cannot be read is named; its rows may be told of twice. */
static int look_at_record(struct moved *m, const struct store_call *call, const struct store_object *object,
                          struct error *err)
{
	_cleanup(str) struct str text = {0};
	struct error why = {0};
	int r;

	if (!can_hold_row(m, object->key))
		return 0;
	r = record_read(m->ctx, call, object->key, &text, &why);
	if (r == 0)
		r = read_rows(m, object->key, &text, &why);
	if (r == -EBADMSG || r == -EFBIG || r == -ENOENT) {
		_cleanup(free) char *problem = mem_printf("%s cannot be read: %s", object->key, why.message);

		m->io->problem(m->io->arg, problem);
		return 0;
	}
	if (r < 0) {
		if (err)
			*err = why;
		return r;
	}
	return drop_moved_rows(m, err);
}

static int look_at_records(struct moved *m, const struct store_call *call, struct error *err)
{
	_cleanup(free) char *prefix = mem_printf(RECORDS_PREFIX "%s/", record_directory(m->kind));
	char last[STORE_KEY_BYTES] = "";
	bool more = true;
	int r = 0;

	while (r == 0 && more) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;

		r = store_list(m->ctx->store, call, prefix, *last ? last : NULL, LIST_PAGE, &objects, &count,
		               &more, err);
		for (size_t i = 0; r == 0 && i < count; i++)
			r = look_at_record(m, call, &objects[i], err);
		if (r == 0 && count > 0)
			str_copy(last, sizeof(last), objects[count - 1].key);
		more = more && count > 0;
	}
	return r;
}

int records_drop_moved(const struct records_context *ctx, const struct records_moved *io,
                       const struct store_call *call, struct error *err)
{
	struct moved m = {.ctx = ctx, .io = io};
	int r = catalog_audit_span(ctx->catalog, &m.first_audit, &m.last_audit);

	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the audit cannot be read from the catalog");
	r = 0;
	for (int kind = 0; r == 0 && kind < RECORD_KINDS; kind++) {
		m.kind = (enum record_kind)kind;
		r = look_at_records(&m, call, err);
	}
	free(m.rows);
	return r < 0 ? r : catalog_raise_run_number(ctx->catalog, m.largest_run, err);
}
