// SPDX-License-Identifier: Apache-2.0
#include <keepfs/inside/expected.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/tables_csv.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct stored_line { /* in the spool; the two texts follow, each with its NUL */
	struct rows rows;
	uint32_t schema_bytes, table_bytes;
	bool has_hash;
};

static int keep_line(void *arg, const struct tables_csv_line *line, struct error *err)
{
	struct spool *lines = arg;
	struct stored_line head;
	int r;

	memset(&head, 0, sizeof(head));
	head.rows = line->rows;
	head.has_hash = line->has_hash;
	head.schema_bytes = (uint32_t)strlen(line->schema) + 1;
	head.table_bytes = (uint32_t)strlen(line->table) + 1;
	r = spool_put(lines, &head, sizeof(head), err);
	if (r == 0)
		r = spool_put(lines, line->schema, head.schema_bytes, err);
	return r < 0 ? r : spool_put(lines, line->table, head.table_bytes, err);
}

static int feed_lines(void *arg, const void *data, size_t len, struct error *err)
{
	return tables_csv_feed(arg, data, len, err);
}

int expected_load(struct expected *x, struct backup *b, struct error *err)
{
	struct catalog_entry file;
	_cleanup(tables_csv) struct tables_csv *csv = NULL;
	struct backup_out out;
	int r = backup_find(b, "tables.csv", &file);

	*x = (struct expected){0};
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	x->lines = spool_new(b->ctx->conf->state_dir);
	csv = tables_csv_new(keep_line, x->lines);
	out = (struct backup_out){.write = feed_lines, .arg = csv};
	r = backup_read(b, &file, &out, err);
	return r < 0 ? r : tables_csv_end(csv, err);
}

void expected_finish(struct expected *x)
{
	x->lines = spool_free(x->lines);
}

int expected_next(struct expected *x, struct expected_line *ret, struct error *err)
{
	struct stored_line head;
	size_t bytes;
	int r;

	if (!x->lines || x->at == spool_size(x->lines))
		return 0;
	r = spool_get(x->lines, &head, sizeof(head), x->at, err);
	if (r < 0)
		return r;
	bytes = (size_t)head.schema_bytes + head.table_bytes;
	*ret = (struct expected_line){
	        .schema = mem_alloc(bytes), .rows = head.rows, .has_hash = head.has_hash};
	ret->table = ret->schema + head.schema_bytes;
	r = spool_get(x->lines, ret->schema, bytes, x->at + sizeof(head), err);
	x->at += sizeof(head) + bytes;
	return r < 0 ? r : 1;
}

int expected_check(struct expected *x, const struct rows *found, bool blobs, struct error *err)
{
	_cleanup(expected_line) struct expected_line line = {0};
	int r;

	if (!x->lines)
		return 0;
	r = expected_next(x, &line, err);
	if (r == 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the archive has data of more tables than were counted when it was made");
	if (r < 0)
		return r;
	if (line.rows.count == found->count && line.rows.bytes == found->bytes &&
	    (!line.has_hash || line.rows.hash == found->hash))
		return 0;
	return error_set(
	        err, ERROR_CORRUPT, EBADMSG,
	        "%s.%s holds %" PRIu64 " %s of %" PRIu64 " bytes%s, and %" PRIu64 " of %" PRIu64
	        " bytes were counted when the backup was made",
	        line.schema, line.table, found->count, blobs ? "large objects" : "rows", found->bytes,
	        line.rows.count == found->count && line.rows.bytes == found->bytes ? " with another hash"
	                                                                           : "",
	        line.rows.count, line.rows.bytes);
}

int expected_check_end(struct expected *x, struct error *err)
{
	_cleanup(expected_line) struct expected_line line = {0};
	int r = expected_next(x, &line, err);

	if (r <= 0)
		return r;
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "the archive has no data of %s.%s, of which %" PRIu64
	                 " rows were counted when it was made",
	                 line.schema, line.table, line.rows.count);
}
