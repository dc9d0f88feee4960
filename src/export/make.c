// SPDX-License-Identifier: Apache-2.0
/*
 * One export. What can be known before is asked before anything is written: who the tenant is, what tables there are, whether all of them are
 * decided. Then the rows of each table come in one snapshot, and go as JSON through the press into the store. The snapshot, with its locks, is let go
 * before the object is read back.
 */
#include "key.h"
#include "rows.h"
#include "whole.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/pg.h>
#include <keepfs/proc.h>
#include <keepfs/stream/ordered.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LOCK_WAIT_MS  INT64_C(60000)
#define PACED_BYTES   ((uint64_t)64 << 10)
#define COLUMNS_SHOWN 10

struct exporting {
	const struct make_context *ctx;
	const struct make_order *order;
	const struct conf_export *conf;
	struct export_shared *shared;
	const struct export_tenant *tenant;
	const struct decided *decided;
	char *database, *schema; /* of the tenant; NULL */
	char *database_label;
	struct compression compression;
	unsigned char key[COPY_JSON_KEY_BYTES];
	bool has_key;
	struct export_context context;
	bool has_context;
	int64_t taken_at_us;
	struct draft *draft;
	struct press *press;
	struct segment_file file;
	struct document document;
	uint64_t unpaced_bytes;
	uint64_t tenant_rows; /* without those of shared tables */
	uint64_t *seen;       /* by the place in the plan: so many rows came */
	struct str suspects;
	size_t suspect_count;
	struct str nobodys; /* tables with rows that are no tenant's, when it was this export that looked */
	size_t nobodys_count;
	/* Of the thread that reads. */
	int result;
	struct error error;
};

/* Where the rows go. */

static int press_document(void *arg, const void *data, size_t len, struct error *err)
{
	return press_write(((struct exporting *)arg)->press, data, len, err);
}

static int take_export_segment(void *arg, const struct segment *s, const void *data, struct error *err)
{
	return segment_file_add(&((struct exporting *)arg)->file, s, data, err);
}

static int pace_rows(void *arg, uint64_t bytes, struct error *err)
{
	struct exporting *e = arg;

	e->unpaced_bytes += bytes;
	if (e->unpaced_bytes < PACED_BYTES)
		return 0;
	bytes = e->unpaced_bytes;
	e->unpaced_bytes = 0;
	return draft_pace(e->draft, bytes, err);
}

static void suspect(void *arg, const char *column, const char *why)
{
	struct exporting *e = arg;

	if (e->suspect_count++ < COLUMNS_SHOWN)
		str_appendf(&e->suspects, "%s%s (%s)", e->suspects.len > 0 ? ", " : "", column, why);
}

static struct rows_order rows_order_of(struct exporting *e)
{
	return (struct rows_order){
	        .session = e->shared->session,
	        .document = &e->document,
	        .decided = e->decided,
	        .tenant = e->tenant,
	        .conf = e->conf,
	        .key = e->has_key ? e->key : NULL,
	        .pace = pace_rows,
	        .suspect = suspect,
	        .arg = e,
	};
}

/* Before anything is written. */

static int find_tenant(struct exporting *e, struct error *err)
{
	e->tenant = e->shared ? export_shared_find(e->shared, e->order->target->name) : NULL;
	if (!e->tenant)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "the query of [export] tenants names no %s",
		                 e->order->target->name);
	if (e->conf->tenancy == TENANCY_SCHEMA)
		e->schema = mem_strdup(e->tenant->own);
	if (e->conf->tenancy == TENANCY_DATABASE)
		e->database = mem_strdup(e->tenant->own);
	e->database_label = e->database ? mem_strdup(e->database) : pg_conninfo_database(e->conf->database);
	e->has_context = export_context_of(e->conf, e->tenant, &e->context);
	return 0;
}

/* The connection of the tenant before may be gone by now. */
static int begin_snapshot(struct exporting *e, struct error *err)
{
	bool was_open = e->shared->session != NULL;
	_cleanup(free) char *snapshot = NULL;
	int r = export_shared_connect(e->shared, e->conf, e->database, e->order->cancel, err);

	if (r == 0)
		r = pg_tenant_export(e->shared->session, &snapshot, err);
	if (r < 0 && was_open && e->shared->session && !cancel_is_set(e->order->cancel)) {
		export_shared_disconnect(e->shared);
		r = export_shared_connect(e->shared, e->conf, e->database, e->order->cancel, err);
		if (r == 0)
			r = pg_tenant_export(e->shared->session, &snapshot, err);
	}
	e->taken_at_us = make_now_us(e->ctx);
	return r;
}

static int check_tables(const struct exporting *e, struct error *err)
{
	if (e->decided->plan.exported == 0)
		return error_set(
		        err, ERROR_NOT_FOUND, ENOENT,
		        "no table of the database %s is exported: keepfs export --explain says why of each",
		        e->database_label);
	return decided_refusal(e->decided, e->conf, err);
}

/* Those under row security, which has to be in force for the context to mean anything. */
static int enter_context(struct exporting *e, struct error *err)
{
	const struct decided *d = e->decided;
	_cleanup(free) uint32_t *oids = mem_array(d->plan.count + 1, sizeof(*oids));
	size_t count = 0;

	if (!e->has_context)
		return 0;
	for (size_t i = 0; i < d->plan.count; i++) {
		const struct tenancy_table *t = &d->model.tables[d->plan.decisions[i].table];

		if (d->plan.decisions[i].verdict == TENANCY_EXPORTED && t->has_row_security)
			oids[count++] = t->oid;
	}
	return pg_tenant_enter(e->shared->session, &e->context.context, oids, count, err);
}

static int read_redact_key(struct exporting *e, struct error *err)
{
	if (!*str_or_empty(e->conf->redact_key_file))
		return 0;
	e->has_key = true;
	return export_key_read(e->conf->redact_key_file, e->key, err);
}

/* Only a look from outside of the snapshot shows what was changed while its locks were waited for. */
static int lock_as_seen(struct exporting *e, struct error *err)
{
	const struct decided *d = e->decided;
	_cleanup(pg_session) struct pg_session *now = NULL;
	int r = pg_tenant_lock(e->shared->session, d->lockable, d->lockable_count, LOCK_WAIT_MS, err);

	if (r == 0)
		r = pg_session_open(e->conf->database, e->database, "keepfs export", e->order->cancel, &now,
		                    err);
	return r < 0 ? r : pg_tenant_check_form(e->shared->session, now, d->lockable, d->lockable_count, err);
}

/* No lock protects the name of a schema, and there is none for a materialized view: what it holds may be made anew at any time. */
static int check_still_the_same(const struct exporting *e, struct error *err)
{
	return pg_tables_check(e->shared->session, e->decided->lockable, e->decided->checked_count, err);
}

static int prepare_export(struct exporting *e, struct error *err)
{
	struct decided *d = &e->shared->decided;
	int r = begin_snapshot(e, err);

	if (r == 0)
		r = decided_refresh(d, e->shared->session, e->conf, e->database, e->schema, err);
	if (r < 0)
		return r;
	e->decided = d;
	e->seen = mem_array(d->plan.count + 1, sizeof(*e->seen));
	r = check_tables(e, err);
	if (r == 0)
		r = read_redact_key(e, err);
	if (r == 0)
		r = lock_as_seen(e, err);
	if (r == 0)
		r = check_still_the_same(e, err);
	return r < 0 ? r : enter_context(e, err);
}

/* The rows. */

static int refuse_missing_tenant(const struct exporting *e, const struct tenancy_table *t, struct error *err)
{
	return error_set(
	        err, ERROR_NOT_FOUND, ENOENT,
	        "the tenant %s (id %s) is not in %s.%s: it was deleted after the query of [export] tenants had named it, or the context does not show it",
	        e->tenant->slug, e->tenant->id, t->schema, t->name);
}

/* Of all tenants, though policies may show each of them other rows. */
static bool is_shared_table(const struct exporting *e, size_t number)
{
	return e->decided->plan.decisions[number].way == TENANCY_WHOLE && e->conf->tenancy == TENANCY_COLUMN;
}

static int export_table(struct exporting *e, size_t number, struct error *err)
{
	const struct tenancy_decision *of = &e->decided->plan.decisions[number];
	const struct rows_order order = rows_order_of(e);
	int r = document_table(&e->document, e->decided, number, err);

	if (r == 0)
		r = rows_export(&order, number, err);
	if (r < 0)
		return r;
	e->seen[number] = e->document.table_rows;
	if (!is_shared_table(e, number))
		e->tenant_rows += e->document.table_rows;
	if (e->seen[number] == 0 && of->way == TENANCY_BY_SELF)
		return refuse_missing_tenant(e, &e->decided->model.tables[of->table], err);
	return document_table_end(&e->document, err);
}

static int export_tables(struct exporting *e, struct error *err)
{
	const struct document_head head = {
	        .tenant = e->tenant,
	        .job = e->order->job->name,
	        .triggered_by = e->order->triggered_by,
	        .database = e->database_label,
	        .server_version = pg_tenant_version(e->shared->session),
	        .tenancy = (enum tenancy_kind)e->conf->tenancy,
	        .taken_at_us = e->taken_at_us,
	        .decided = e->decided,
	};
	int r = document_begin(&e->document, &head, err);

	for (size_t i = 0; r == 0 && i < e->decided->plan.count; i++)
		if (e->decided->plan.decisions[i].verdict == TENANCY_EXPORTED)
			r = export_table(e, i, err);
	return r == 0 ? document_end(&e->document, err) : r;
}

static int refuse_hidden(const struct exporting *e, size_t number, struct error *err)
{
	const struct tenancy_table *t = &e->decided->model.tables[e->decided->plan.decisions[number].table];

	return error_set(
	        err, ERROR_DENIED, EPERM,
	        "row security hides rows of %s.%s that are the tenant's: %" PRIu64
	        " were seen within the context, and there are more; are role and settings in [export] those with which the application reads, and do the policies let it see all rows of a tenant?",
	        t->schema, t->name, e->seen[number]);
}

static void warn_of_blindness(const struct exporting *e, const struct error *why)
{
	make_warn(
	        e->order,
	        "whether row security hides rows of some tables cannot be found out, since it applies to the connection's own role, too: %s",
	        why->message);
}

static int check_table_not_hidden(struct exporting *e, size_t number, bool *told, struct error *err)
{
	const struct rows_order order = rows_order_of(e);
	struct error why = {0};
	int r = rows_hidden(&order, number, e->seen[number], &why);

	if (r > 0)
		return refuse_hidden(e, number, err);
	if (r == -EACCES) {
		if (!*told)
			warn_of_blindness(e, &why);
		*told = true;
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

/* A context that is not the right one shows nothing, or too little, and says so to nobody. Conditions lead over other tables, so that row security of
 * one may hide rows of another. */
static int check_nothing_hidden(struct exporting *e, struct error *err)
{
	int r = e->has_context ? pg_tenant_leave(e->shared->session, err) : 0;
	bool told = false;

	for (size_t i = 0; e->has_context && r == 0 && i < e->decided->plan.count; i++)
		if (e->decided->plan.decisions[i].verdict == TENANCY_EXPORTED &&
		    (e->seen[i] == 0 || !is_shared_table(e, i)))
			r = check_table_not_hidden(e, i, &told, err);
	return r;
}

static void note_nobodys(struct exporting *e, size_t number)
{
	const struct tenancy_table *t = &e->decided->model.tables[e->decided->plan.decisions[number].table];

	if (e->nobodys_count++ < COLUMNS_SHOWN)
		str_appendf(&e->nobodys, "%s%s.%s", e->nobodys.len > 0 ? ", " : "", t->schema, t->name);
}

/* Rows that no export has, outside of the context. They are the same for all tenants of a run, so the first export that is made looks. */
static int look_for_nobodys(struct exporting *e, struct error *err)
{
	const struct rows_order order = rows_order_of(e);
	int r = 0;

	for (size_t i = 0; !e->decided->is_told && r >= 0 && i < e->decided->plan.count; i++) {
		const struct tenancy_decision *of = &e->decided->plan.decisions[i];
		struct error why = {0};

		if (of->verdict != TENANCY_EXPORTED || !of->may_be_nobodys)
			continue;
		r = rows_any_nobodys(&order, i, &why);
		if (r > 0)
			note_nobodys(e, i);
		if (r == -EACCES) /* row security: there is nobody to ask */
			r = 0;
		if (r < 0 && err)
			*err = why;
	}
	return r < 0 ? r : 0;
}

static int read_tenant(struct exporting *e, struct error *err)
{
	int r = export_tables(e, err);

	if (r == 0)
		r = check_nothing_hidden(e, err);
	if (r == 0)
		r = look_for_nobodys(e, err);
	if (r == 0)
		r = check_still_the_same(e, err);
	if (r == 0)
		r = pg_tenant_end(e->shared->session, err);
	return r == 0 ? press_finish(e->press, err) : r;
}

/* On a thread of its own, so that it alone gives way to others. */
static void *read_tenant_lowered(void *arg)
{
	struct exporting *e = arg;

	proc_lower_thread((int)e->order->job->nice, e->order->job->ionice);
	e->result = read_tenant(e, &e->error);
	return NULL;
}

static int read_tenant_on_a_thread(struct exporting *e, struct error *err)
{
	pthread_t thread;
	int r = thread_start(&thread, "export-read", read_tenant_lowered, e);

	if (r < 0)
		return error_system(err, -r, "a thread for reading cannot be started");
	pthread_join(thread, NULL);
	if (e->result < 0 && err)
		*err = e->error;
	return e->result;
}

/* The artifact. */

static int open_export(struct exporting *e, struct stream_object **ret_object, struct error *err)
{
	const struct draft_options options = {.ctx = e->ctx,
	                                      .order = e->order,
	                                      .kind = export_kind.name,
	                                      .suffix = e->order->partial ? ".partial.json.gz" : ".json.gz",
	                                      .started_at_us = make_now_us(e->ctx)};
	const struct press_options press = {
	        .compression = e->compression,
	        .check = SEGMENT_CHECK_CRC32,
	        .threads = make_press_threads(e->ctx),
	        .pool = e->ctx->pool,
	        .cancel = e->order->cancel,
	        .out = {.segment = take_export_segment, .arg = e},
	};
	int r = draft_new(&options, &e->draft, err);

	if (r == 0)
		r = press_new(&press, &e->press, err);
	if (r == 0)
		r = draft_open(e->draft, NULL, 0, ret_object, err);
	return r == 0 ? segment_file_begin(&e->file, *ret_object, true, err) : r;
}

static void describe_export(const struct exporting *e)
{
	struct manifest *m = draft_manifest(e->draft);
	const struct decided *d = e->decided;
	size_t redacted = 0;
	char compression[16];

	for (size_t i = 0; i < d->plan.count; i++) {
		const struct redaction_column *columns = d->redaction.columns[i];
		size_t count = columns ? d->model.tables[d->plan.decisions[i].table].column_count : 0;

		for (size_t c = 0; c < count; c++)
			redacted += columns[c].how != REDACTION_NONE || columns[c].path_count > 0;
	}
	manifest_set_fact(m, "tenant", e->tenant->slug);
	manifest_set_fact(m, "tenant_id", e->tenant->id);
	manifest_set_fact(m, "database", e->database_label);
	manifest_set_fact(m, "tenancy", e->schema ? "schema" : e->database ? "database" : "column");
	manifest_set_fact(m, "format", "json");
	manifest_set_fact(m, "compression", compression_format(&e->compression, compression));
	make_describe_selection(e->order->job, m);
	manifest_set_fact_int(m, "rows", (int64_t)e->document.rows);
	manifest_set_fact_int(m, "tables", (int64_t)e->document.tables);
	manifest_set_fact_int(m, "raw_bytes", (int64_t)e->document.bytes);
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
		          e->suspect_count > COLUMNS_SHOWN ? ", …" : "");
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
		        e->nobodys_count > COLUMNS_SHOWN ? ", …" : "");
	for (size_t i = 0; i < d->plan.warning_count; i++)
		make_warn(e->order, "%s", d->plan.warnings[i]);
	for (size_t i = 0; i < d->redaction.warning_count; i++)
		make_warn(e->order, "%s", d->redaction.warnings[i]);
}

static int publish_export(struct exporting *e, struct manifest *ret, struct error *err)
{
	struct whole whole;
	struct draft_check check;
	int r;

	warn_of_decisions(e);
	describe_export(e);
	make_say(e->order, "%s: %" PRIu64 " rows of %" PRIu64 " tables", e->tenant->slug, e->document.rows,
	         e->document.tables);
	whole_init(&whole, &e->document);
	check = whole_check(&whole);
	r = draft_publish(e->draft, &check, ret, err);
	whole_finish(&whole);
	if (r == 0)
		warn_of_rows(e);
	return r;
}

static int write_export(struct exporting *e, struct manifest *ret, struct error *err)
{
	struct stream_object *object = NULL;
	int r = open_export(e, &object, err);

	if (r == 0)
		r = read_tenant_on_a_thread(e, err);
	if (r == 0)
		r = segment_file_end(&e->file, err);
	if (r == 0)
		r = draft_finish(e->draft, NULL, object, NULL, err);
	stream_object_free(object);
	return r == 0 ? publish_export(e, ret, err) : r;
}

static void finish_exporting(struct exporting *e, int r)
{
	press_free(e->press);
	draft_free(e->draft);
	document_finish(&e->document);
	/* In whatever state its transaction is, nobody else shall find it. */
	if (r < 0 && e->shared)
		export_shared_disconnect(e->shared);
	export_context_finish(&e->context);
	explicit_bzero(e->key, sizeof(e->key));
	str_finish(&e->suspects);
	str_finish(&e->nobodys);
	free(e->seen);
	free(e->database);
	free(e->schema);
	free(e->database_label);
}

int export_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                struct error *err)
{
	struct exporting e = {
	        .ctx = ctx,
	        .order = order,
	        .conf = &order->job->export,
	        .shared = order->shared,
	        .compression = compression_resolve(&order->job->compression, false),
	};
	int r = find_tenant(&e, err);

	e.document.write = press_document;
	e.document.arg = &e;
	if (r == 0)
		r = prepare_export(&e, err);
	if (r == 0)
		r = write_export(&e, ret, err);
	finish_exporting(&e, r);
	return r;
}

const struct make_kind export_kind = {
        .name = "export",
        .targets_name = "tenants",
        .accepts = export_accepts,
        .targets = export_targets,
        .make = export_make,
        .look_around = export_look_around,
        .check = export_check,
        .rights = export_rights,
};
