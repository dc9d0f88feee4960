// SPDX-License-Identifier: Apache-2.0
/* What all formats have in common: their table, and counting. */
#include "writer.h"

#include <string.h>

const struct export_format *export_format_of(int format)
{
	static const struct export_format *const formats[] = {
	        [CONF_EXPORT_JSON] = &export_format_json,     [CONF_EXPORT_NDJSON] = &export_format_ndjson,
	        [CONF_EXPORT_CSV] = &export_format_csv,       [CONF_EXPORT_SQL] = &export_format_sql,
	        [CONF_EXPORT_SQLITE] = &export_format_sqlite,
	};

	return formats[format];
}

struct export_writer *export_writer_new(const struct export_format *format,
                                        const struct export_writer_options *options)
{
	struct export_writer *w = format->ops->new ();

	w->format = format;
	w->options = *options;
	return w;
}

struct export_writer *export_writer_free(struct export_writer *w)
{
	if (w)
		w->format->ops->free(w);
	return NULL;
}

int export_writer_put(struct export_writer *w, const void *data, size_t len, struct error *err)
{
	w->bytes += len;
	return len > 0 ? w->options.write(w->options.arg, data, len, err) : 0;
}

int export_writer_level(const struct export_writer *w)
{
	const struct compression *c = &w->options.compression;

	return c->level == COMPRESSION_ISAL ? 1 : c->level;
}

int export_writer_begin(struct export_writer *w, const struct document_head *head, struct error *err)
{
	return w->format->ops->begin(w, head, err);
}

int export_writer_table(struct export_writer *w, const struct export_table *table, struct error *err)
{
	w->tables++;
	w->table_rows = 0;
	return w->format->ops->table(w, table, err);
}

int export_writer_take_rows(struct export_writer *w, const void *bytes, size_t len, uint64_t rows,
                            struct error *err)
{
	int r = w->format->ops->take_rows(w, bytes, len, rows, err);

	w->table_rows += rows;
	w->rows += rows;
	return r;
}

bool export_writer_passes(const struct export_format *format)
{
	return format->is_pressed && format->ops->pass_rows;
}

int export_writer_pass_rows(struct export_writer *w, uint64_t len, uint64_t rows, struct error *err)
{
	int r = w->format->ops->pass_rows(w, len, rows, err);

	w->bytes += len;
	w->table_rows += rows;
	w->rows += rows;
	return r;
}

int export_writer_table_end(struct export_writer *w, struct error *err)
{
	return w->format->ops->table_end(w, err);
}

int export_writer_end(struct export_writer *w, struct error *err)
{
	return w->format->ops->end(w, err);
}

bool export_writer_check(struct export_writer *w, struct draft_check *ret)
{
	return w->format->ops->check && w->format->ops->check(w, ret);
}
