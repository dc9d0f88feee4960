// SPDX-License-Identifier: Apache-2.0
/* What a deletion would do, for people: nothing is changed, and no export is made. */
#include "leave_private.h"
#include "looked.h"

#include <keepfs/base/mem.h>

#include <inttypes.h>

static void append_order(const struct leaving *l, struct str *out)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct leaving_table *t = &l->tables[i];
		size_t group = l->sequence.groups[i];
		bool is_with_others = (i > 0 && l->sequence.groups[i - 1] == group) ||
		                      (i + 1 < l->count && l->sequence.groups[i + 1] == group);

		str_appendf(out, "%12" PRIu64 "  ", t->count);
		str_append_line(out, t->label);
		str_append(out, is_with_others && !l->of.schema && !l->of.database
		                        ? "  (in one step with those that it refers to in a circle)\n"
		                        : "\n");
	}
	str_appendf(out, "%12" PRIu64 "  in all\n", l->rows);
}

int leaving_look(struct leaving *l, struct str *out, struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(str) struct str why = {0};
	int r = leaving_open(l, &s, err);

	if (r == 0)
		r = leaving_check_before(l, s, &why, err);
	if (r < 0)
		return r;
	str_append(out, "Rows that would be deleted, in this order, once they are exported:\n");
	append_order(l, out);
	if (l->of.schema || l->of.database) {
		str_appendf(out, "\nIt is done by dropping the %s ", l->of.schema ? "schema" : "database");
		str_append_line(out, l->of.schema ? l->of.schema : l->of.database);
		str_append(out, l->of.schema
		                        ? " with all that is in it.\n"
		                        : ", after a last backup of it by a job of the configuration.\n");
	}
	if (why.len > 0) {
		str_append(out, "\nIt would be refused: ");
		str_append_line(out, str_text(&why));
		str_append_char(out, '\n');
	}
	return 0;
}

static int look_at_leaving(const struct make_context *ctx, const struct conf_job *job, const struct looked *l,
                           const struct export_question *question, struct str *out, struct error *err)
{
	const struct leaving_target of = {
	        .ctx = ctx,
	        .conf = &job->export,
	        .decided = l->lane->decided,
	        .tenant = l->tenant,
	        .database = l->database,
	        .schema = l->schema,
	        .cancel = question->cancel,
	};
	_cleanup(leaving) struct leaving *leaving = NULL;
	int r = decided_refusal(of.decided, of.conf, err);

	if (r < 0)
		return r;
	leaving = leaving_new(&of);
	r = leaving_collect(leaving, l->lane->session, NULL, err);
	return r < 0 ? r : leaving_look(leaving, out, err);
}

int export_look_at_deletion(const struct make_context *ctx, const struct conf_job *job,
                            const struct export_question *question, struct str *out, struct error *err)
{
	struct looked l;
	int r = looked_open(ctx, job, question->tenant, question->cancel, &l, err);

	if (r == 0)
		r = look_at_leaving(ctx, job, &l, question, out, err);
	looked_close(&l);
	return r;
}
