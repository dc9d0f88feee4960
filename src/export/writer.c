// SPDX-License-Identifier: Apache-2.0
/* What all formats have in common: their table, and counting. */
#include "writer.h"

#include <string.h>

static const struct export_format *const export_formats[] = {&export_format_json};

const struct export_format *export_format_find(const char *name)
{
	for (size_t i = 0; i < sizeof(export_formats) / sizeof(*export_formats); i++)
		if (strcmp(export_formats[i]->name, name) == 0)
			return export_formats[i];
	return NULL;
}

struct export_writer *export_writer_new(const struct export_format *format,
                                        int (*write)(void *arg, const void *data, size_t len,
                                                     struct error *err),
                                        void *arg, const char *state_dir)
{
	struct export_writer *w = format->ops->new ();

	w->format = format;
	w->write = write;
	w->arg = arg;
	w->state_dir = state_dir;
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
	return len > 0 ? w->write(w->arg, data, len, err) : 0;
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
