// SPDX-License-Identifier: Apache-2.0
/* The artifact: a draft, the file in it, and how both become a listed export. */
#include "exporting.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/stores.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define FEEDING_LEAST (2 * SQUEEZE_BUFFERS)

static int put_into_object(struct exporting *e, const struct segment *s, const void *data, struct error *err)
{
	return segment_file_add(&e->file, s, data, err);
}

/* What was written here, and waits to become a segment, comes before the next one. */
static int flush_squeeze(struct exporting *e, struct error *err)
{
	struct squeeze *q = &e->squeeze;
	struct segment s;
	int r = q->len > 0 ? squeeze_run(q, q->raw, q->len, &s, err) : 0;

	if (r == 0 && q->len > 0)
		r = e->put(e, &s, q->out, err);
	q->len = 0;
	return r;
}

int exporting_write_squeezed(void *arg, const void *data, size_t len, struct error *err)
{
	struct exporting *e = arg;
	int r = 0;

	while (r == 0 && len > 0) {
		size_t n = squeeze_gather(&e->squeeze, data, len);

		data = (const char *)data + n;
		len -= n;
		if (len > 0)
			r = flush_squeeze(e, err);
	}
	return r;
}

static int write_to_object(void *arg, const void *data, size_t len, struct error *err)
{
	return stream_object_write(((struct exporting *)arg)->object, data, len, err);
}

int exporting_put_segment(struct exporting *e, const struct segment *s, const void *data, struct error *err)
{
	int r = flush_squeeze(e, err);

	return r < 0 ? r : e->put(e, s, data, err);
}

static int open_draft(struct exporting *e, struct error *err)
{
	_cleanup(free) char *suffix =
	        mem_printf("%s%s", e->order->partial ? ".partial" : "", e->format->suffix);
	const struct draft_options options = {.ctx = e->ctx,
	                                      .order = e->order,
	                                      .kind = export_kind.name,
	                                      .suffix = suffix,
	                                      .started_at_us = make_now_us(e->ctx),
	                                      .store = e->store};

	return draft_new(&options, &e->draft, err);
}

/* The part of the memory for what the data comes through: all of it at once, and before the object's (keepfs/make.h). */
int exporting_reserve(struct exporting *e, struct error *err)
{
	size_t buffers = make_turns_buffers(e->ctx) / (e->order->at_once > 0 ? e->order->at_once : 1);
	int r;

	if (buffers < FEEDING_LEAST)
		buffers = FEEDING_LEAST;
	r = pool_reserve(e->ctx->pool, buffers, e->order->cancel);
	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled while waiting for memory");
	if (r < 0)
		return error_set(
		        err, ERROR_USAGE, -r,
		        "an export holds %zu MiB in memory, and there are %zu MiB: raise memory in [keepfs]",
		        buffers, pool_buffers(e->ctx->pool));
	e->feeding_buffers = buffers;
	return 0;
}

void exporting_open_writer(struct exporting *e,
                           int (*write)(void *arg, const void *data, size_t len, struct error *err))
{
	const struct export_writer_options options = {
	        .write = write,
	        .arg = e,
	        .state_dir = e->ctx->conf->state_dir,
	        .space_bytes = e->conf->space_bytes,
	        .compression = e->compression,
	};

	e->writer = export_writer_new(e->format, &options);
}

int exporting_open(struct exporting *e, struct error *err)
{
	int r;

	if (e->shared->copy && e->shared->copy->path)
		return exporting_open_local(e, err);
	r = open_draft(e, err);
	if (r == 0)
		r = exporting_reserve(e, err);
	if (r == 0)
		r = draft_open(e->draft, NULL, 0, &e->object, err);
	if (r < 0)
		return r;
	if (e->format->is_pressed) {
		squeeze_init(&e->squeeze, e->ctx->pool, &e->compression);
		e->put = put_into_object;
		r = segment_file_begin(&e->file, e->object, true, err);
	}
	if (r == 0)
		exporting_open_writer(e, e->format->is_pressed ? exporting_write_squeezed : write_to_object);
	return r;
}

void exporting_give_back(struct exporting *e)
{
	e->object = stream_object_free(e->object);
	squeeze_finish(&e->squeeze);
	pool_unreserve(e->ctx->pool, e->feeding_buffers);
	e->feeding_buffers = 0;
}

/* Others may have the memory while this one is read back. */
int exporting_close(struct exporting *e, struct error *err)
{
	int r = e->format->is_pressed ? flush_squeeze(e, err) : 0;

	if (r == 0 && e->local) {
		r = exporting_close_local(e, err);
	} else if (r == 0) {
		r = e->format->is_pressed ? segment_file_end(&e->file, err) : 0;
		if (r == 0)
			r = draft_finish(e->draft, NULL, e->object, NULL, err);
	}
	exporting_give_back(e);
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
	if (e->shared->copy)
		manifest_set_fact(m, "from", e->shared->copy->from);
	make_describe_selection(e->order->job, m);
	manifest_set_fact_int(m, "rows", (int64_t)e->writer->rows);
	manifest_set_fact_int(m, "tables", (int64_t)e->writer->tables);
	manifest_set_fact_int(m, "raw_bytes",
	                      (int64_t)(e->format->is_deflated ? e->writer->raw_bytes : e->writer->bytes));
	manifest_set_fact_int(m, "redacted", (int64_t)redacted);
	manifest_set_fact_int(m, "left_out", (int64_t)d->plan.excluded);
	manifest_set_fact_int(m, "undecided", (int64_t)d->plan.undecided);
}

static void warn_of_suspects(const struct exporting *e)
{
	_cleanup(str) struct str names = {0};

	for (size_t i = 0; i < e->suspect_count && i < EXPORT_NAMES_SHOWN; i++)
		str_appendf(&names, "%s%s (%s)", i > 0 ? ", " : "", e->suspects[i].column,
		            e->suspects[i].why);
	make_warn(e->order, "%s: values of %zu columns look like secrets, and are exported: %s%s",
	          e->tenant->slug, e->suspect_count, str_text(&names),
	          e->suspect_count > EXPORT_NAMES_SHOWN ? ", …" : "");
}

/* Somebody should look. */
static void warn_of_rows(struct exporting *e)
{
	if (e->suspect_count > 0)
		warn_of_suspects(e);
	if (e->tenant_rows == 0)
		make_warn(e->order, "%s: no table has a row of this tenant", e->tenant->slug);
}

/* What was decided for many tenants is told with the first, before anything is published: a rule that matches nothing may be one with a typo. */
static void warn_of_decisions(struct exporting *e)
{
	const struct decided *d = e->decided;

	if (!e->tells_tables)
		return;
	e->has_told_tables = true;
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
	int r = 0;

	warn_of_decisions(e);
	if (e->shared->counts)
		*e->shared->counts = (struct export_counts){e->writer->rows, e->writer->tables};
	if (e->draft)
		describe_export(e);
	make_say(e->order, "%s: %" PRIu64 " rows of %" PRIu64 " tables", e->tenant->slug, e->writer->rows,
	         e->writer->tables);
	is_looked_at = export_writer_check(e->writer, &check);
	if (e->draft)
		r = draft_publish(e->draft, is_looked_at ? &check : NULL, ret, err);
	if (r == 0 && e->draft && e->store != CATALOG_MAIN_STORE)
		catalog_set_store_trouble(e->ctx->repository->catalog, e->store, NULL, NULL);
	if (r == 0)
		warn_of_rows(e);
	return r;
}
