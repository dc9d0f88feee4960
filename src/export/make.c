// SPDX-License-Identifier: Apache-2.0
/* One export, step by step: keepfs/export.h's make(). */
#include "exporting.h"

#include <keepfs/base/workers.h>
#include <keepfs/proc.h>

#include <string.h>

struct lowered_read {
	struct exporting *exporting;
	int result;
	struct error error;
};

static void *read_tenant_lowered(void *arg)
{
	struct lowered_read *read = arg;
	const struct conf_job *job = read->exporting->order->job;

	proc_lower_thread((int)job->nice, job->ionice);
	read->result = exporting_read(read->exporting, &read->error);
	return NULL;
}

/* On a thread of its own, so that it alone gives way to others. */
static int read_tenant_on_a_thread(struct exporting *e, struct error *err)
{
	struct lowered_read read = {.exporting = e};
	pthread_t thread;
	int r = thread_start(&thread, "export-read", read_tenant_lowered, &read);

	if (r < 0)
		return error_system(err, -r, "a thread for reading cannot be started");
	pthread_join(thread, NULL);
	if (read.result < 0 && err)
		*err = read.error;
	return read.result;
}

static int write_export(struct exporting *e, struct manifest *ret, struct error *err)
{
	int r = exporting_open(e, err);

	if (r == 0)
		r = read_tenant_on_a_thread(e, err);
	if (r == 0)
		r = exporting_close(e, err);
	return r == 0 ? exporting_publish(e, ret, err) : r;
}

/* A database cannot be dropped while this has a session there. */
static int delete_exported(struct exporting *e, struct error *err)
{
	if (!e->leaving)
		return 0;
	if (e->database)
		export_shared_disconnect(e->shared);
	return leaving_delete(e->leaving, err);
}

static void finish_exporting(struct exporting *e, int r)
{
	leaving_free(e->leaving);
	export_writer_free(e->writer);
	press_free(e->press);
	stream_object_free(e->object);
	draft_free(e->draft);
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
	        .format = export_format_of(order->job->export.format),
	        .compression = compression_resolve(&order->job->compression, false),
	};
	int r = exporting_prepare(&e, err);

	if (r == 0)
		r = write_export(&e, ret, err);
	if (r == 0)
		r = delete_exported(&e, err);
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
