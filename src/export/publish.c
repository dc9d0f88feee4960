// SPDX-License-Identifier: Apache-2.0
/* The artifact: a draft, the file in it, and how both become a listed export. */
#include "exporting.h"

#include <keepfs/base/mem.h>

#include <inttypes.h>
#include <stdio.h>

static int write_to_press(void *arg, const void *data, size_t len, struct error *err)
{
	return press_write(((struct exporting *)arg)->press, data, len, err);
}

static int write_to_object(void *arg, const void *data, size_t len, struct error *err)
{
	return stream_object_write(((struct exporting *)arg)->object, data, len, err);
}

static int take_export_segment(void *arg, const struct segment *s, const void *data, struct error *err)
{
	return segment_file_add(&((struct exporting *)arg)->file, s, data, err);
}

static int open_draft(struct exporting *e, struct error *err)
{
	_cleanup(free) char *suffix =
	        mem_printf("%s%s", e->order->partial ? ".partial" : "", e->format->suffix);
	const struct draft_options options = {.ctx = e->ctx,
	                                      .order = e->order,
	                                      .kind = export_kind.name,
	                                      .suffix = suffix,
	                                      .started_at_us = make_now_us(e->ctx)};

	return draft_new(&options, &e->draft, err);
}

static int open_press(struct exporting *e, struct error *err)
{
	const struct press_options press = {
	        .compression = e->compression,
	        .check = SEGMENT_CHECK_CRC32,
	        .threads = make_press_threads(e->ctx),
	        .pool = e->ctx->pool,
	        .cancel = e->order->cancel,
	        .out = {.segment = take_export_segment, .arg = e},
	};

	return e->format->is_pressed ? press_new(&press, &e->press, err) : 0;
}

static void open_writer(struct exporting *e)
{
	const struct export_writer_options options = {
	        .write = e->press ? write_to_press : write_to_object,
	        .arg = e,
	        .state_dir = e->ctx->conf->state_dir,
	        .space_bytes = e->conf->space_bytes,
	        .compression = e->compression,
	};

	e->writer = export_writer_new(e->format, &options);
}

int exporting_open(struct exporting *e, struct error *err)
{
	int r = open_draft(e, err);

	if (r == 0)
		r = open_press(e, err);
	if (r == 0)
		r = draft_open(e->draft, NULL, 0, &e->object, err);
	if (r == 0 && e->press)
		r = segment_file_begin(&e->file, e->object, true, err);
	if (r == 0)
		open_writer(e);
	return r;
}

/* Others may have the memory while this one is read back. */
int exporting_close(struct exporting *e, struct error *err)
{
	int r = e->press ? press_finish(e->press, err) : 0;

	if (r == 0 && e->press)
		r = segment_file_end(&e->file, err);
	if (r == 0)
		r = draft_finish(e->draft, NULL, e->object, NULL, err);
	e->object = stream_object_free(e->object);
	e->press = press_free(e->press);
	return r;
}

static void describe_compression(const struct exporting *e, struct manifest *m)
{
	char text[32];

	if (e->format->is_pressed)
		compression_format(&e->compression, text);
	else if (e->format->is_deflated)
		snprintf(text, sizeof(text), "deflate:%d", export_writer_level(e->writer));
	else
		str_copy(text, sizeof(text), "none");
	manifest_set_fact(m, "compression", text);
}

static void describe_export(const struct exporting *e)
{
	struct manifest *m = draft_manifest(e->draft);
	const struct decided *d = e->decided;
	size_t redacted = 0;

	for (size_t i = 0; i < d->plan.count; i++) {
		const struct redaction_column *columns = d->redaction.columns[i];
		size_t count = columns ? d->model.tables[d->plan.decisions[i].table].column_count : 0;

		for (size_t c = 0; c < count; c++)
			redacted += columns[c].how != REDACTION_NONE || columns[c].path_count > 0;
	}
	manifest_set_fact(m, "tenant", e->tenant->slug);
	manifest_set_fact(m, "tenant_id", e->tenant->id);
	manifest_set_fact(m, "final", e->order->target->is_final ? "yes" : NULL);
	manifest_set_fact(m, "database", e->database_label);
	manifest_set_fact(m, "tenancy", e->schema ? "schema" : e->database ? "database" : "column");
	manifest_set_fact(m, "format", e->format->name);
	describe_compression(e, m);
	make_describe_selection(e->order->job, m);
	manifest_set_fact_int(m, "rows", (int64_t)e->writer->rows);
	manifest_set_fact_int(m, "tables", (int64_t)e->writer->tables);
	manifest_set_fact_int(m, "raw_bytes",
	                      (int64_t)(e->format->is_deflated ? e->writer->raw_bytes : e->writer->bytes));
	manifest_set_fact_int(m, "redacted", (int64_t)redacted);
	manifest_set_fact_int(m, "left_out", (int64_t)d->plan.excluded);
	manifest_set_fact_int(m, "undecided", (int64_t)d->plan.undecided);
}

/* Somebody should look. */
static void warn_of_rows(struct exporting *e)
{
	if (e->suspect_count > 0)
		make_warn(e->order, "%s: values of %zu columns look like secrets, and are exported: %s%s",
		          e->tenant->slug, e->suspect_count, str_text(&e->suspects),
		          e->suspect_count > EXPORT_NAMES_SHOWN ? ", …" : "");
	if (e->tenant_rows == 0)
		make_warn(e->order, "%s: no table has a row of this tenant", e->tenant->slug);
}

/* What was decided for many tenants is told with the first, before anything is published: a rule that matches nothing may be one with a typo. */
static void warn_of_decisions(struct exporting *e)
{
	struct decided *d = &e->shared->decided;

	if (d->is_told)
		return;
	d->is_told = true;
	if (d->plan.undecided > 0)
		make_warn(
		        e->order,
		        "%zu undecided tables are left out of the exports: keepfs export --explain says which",
		        d->plan.undecided);
	if (d->redaction.suspicious > 0)
		make_warn(
		        e->order,
		        "%zu columns look like secrets by their names, or are generated where something is redacted, and are exported: keepfs export --explain says which",
		        d->redaction.suspicious);
	if (e->nobodys_count > 0)
		make_warn(
		        e->order,
		        "rows of %zu tables are no tenant's, and in no export (keepfs export --explain TENANT counts them): %s%s",
		        e->nobodys_count, str_text(&e->nobodys),
		        e->nobodys_count > EXPORT_NAMES_SHOWN ? ", …" : "");
	for (size_t i = 0; i < d->plan.warning_count; i++)
		make_warn(e->order, "%s", d->plan.warnings[i]);
	for (size_t i = 0; i < d->redaction.warning_count; i++)
		make_warn(e->order, "%s", d->redaction.warnings[i]);
}

int exporting_publish(struct exporting *e, struct manifest *ret, struct error *err)
{
	struct draft_check check;
	bool is_looked_at;
	int r;

	warn_of_decisions(e);
	describe_export(e);
	make_say(e->order, "%s: %" PRIu64 " rows of %" PRIu64 " tables", e->tenant->slug, e->writer->rows,
	         e->writer->tables);
	is_looked_at = export_writer_check(e->writer, &check);
	r = draft_publish(e->draft, is_looked_at ? &check : NULL, ret, err);
	if (r == 0)
		warn_of_rows(e);
	return r;
}
