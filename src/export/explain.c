// SPDX-License-Identifier: Apache-2.0
/* What would be exported, for people: the verdicts, and where it is asked for how many rows there are. */
#include "looked.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/pg.h>

#include <inttypes.h>

static void append_heading(const struct make_context *ctx, const struct looked *l, const struct conf_job *job,
                           struct str *out)
{
	_cleanup(free) char *database =
	        l->database ? mem_strdup(l->database) : pg_conninfo_database(job->export.database);
	char at[CLOCK_ISO_BYTES];

	str_append(out, "What an export of ");
	str_append_line(out, l->tenant->slug);
	str_append(out, " (id ");
	str_append_line(out, l->tenant->id);
	str_append(out, ") has of the database ");
	str_append_line(out, database);
	if (l->schema) {
		str_append(out, ", schema ");
		str_append_line(out, l->schema);
	}
	str_appendf(out, ", at %s:\n\n", clock_format_iso(make_now_us(ctx), at));
}

static void append_verdict(const struct looked *l, const struct conf_job *job, struct str *out)
{
	struct error why = {0};

	if (decided_refusal(l->lane->decided, &job->export, &why) < 0) {
		str_append(out, "\nAn export fails as it is: ");
		str_append_line(out, why.message);
		str_append_char(out, '\n');
	}
}

static void append_explained_name(const struct looked *l, size_t number, struct str *out)
{
	const struct decided *d = l->lane->decided;
	const struct tenancy_table *t = &d->model.tables[d->plan.decisions[number].table];
	_cleanup(free) char *name = mem_printf("%s.%s", t->schema, t->name);

	str_append_line(out, name);
}

static int append_counts(const struct looked *l, const struct conf_job *job, struct str *out,
                         struct error *err)
{
	const struct rows_order order = looked_rows(l, job);
	const struct tenancy_plan *plan = &l->lane->decided->plan;
	uint64_t total = 0;
	int r = 0;

	str_append(out, "\nRows:\n");
	for (size_t i = 0; r == 0 && i < plan->count; i++) {
		uint64_t rows = 0;

		if (plan->decisions[i].verdict != TENANCY_EXPORTED)
			continue;
		r = rows_count(&order, l->lane->session, i, &rows, err);
		if (r < 0)
			break;
		str_appendf(out, "%12" PRIu64 "  ", rows);
		append_explained_name(l, i, out);
		str_append_char(out, '\n');
		total += rows;
	}
	str_appendf(out, "%12" PRIu64 "  in all\n", total);
	return r;
}

/* Rows that no export has, though their table is exported. */
static int append_nobodys(const struct looked *l, const struct conf_job *job, struct str *out,
                          struct error *err)
{
	const struct rows_order order = looked_rows(l, job);
	const struct tenancy_plan *plan = &l->lane->decided->plan;
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->count; i++) {
		uint64_t rows = 0;

		if (plan->decisions[i].verdict != TENANCY_EXPORTED || !plan->decisions[i].may_be_nobodys)
			continue;
		r = rows_nobodys(&order, l->lane->session, i, &rows, err);
		if (r < 0 || rows == 0)
			continue;
		str_appendf(out, "%12" PRIu64 "  of ", rows);
		append_explained_name(l, i, out);
		str_append(out, " are no tenant's, and in no export\n");
	}
	return r;
}

int export_explain(const struct make_context *ctx, const struct conf_job *job,
                   const struct export_question *question, struct str *out, struct error *err)
{
	struct looked l;
	const struct decided *d;
	int r = looked_open(ctx, job, question->tenant, question->cancel, &l, err);

	if (r == 0) {
		d = l.lane->decided;
		append_heading(ctx, &l, job, out);
		tenancy_explain(&d->model, &d->plan, &d->redaction, out);
		append_verdict(&l, job, out);
		if (question->counts)
			r = append_counts(&l, job, out, err);
		if (r == 0 && question->counts)
			r = append_nobodys(&l, job, out, err);
	}
	looked_close(&l);
	return r;
}
