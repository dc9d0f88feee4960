// SPDX-License-Identifier: Apache-2.0
/*
 * Deleting what was exported. Three things keep a row from being deleted that is in no export: each row is known by its place and its writer, which were read
 * in the export's snapshot; before the first row is deleted all of them are looked at, and everything that refers to them; and each batch looks again once
 * it has locked its rows, so that what happens meanwhile ends the deletion.
 */
#include "leave_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* What is to be deleted. */

static const struct tenancy_table *table_of_decision(const struct decided *d, size_t number)
{
	return &d->model.tables[d->plan.decisions[number].table];
}

/* Rows that are no one tenant's stay: look-up tables, and what rows of several tenants refer to. */
static bool is_tenants_own(const struct leaving_target *of, size_t number)
{
	const struct tenancy_decision *d = &of->decided->plan.decisions[number];
	const struct tenancy_table *t = table_of_decision(of->decided, number);

	/* Also what is excluded: the last backup has it, if it has not changed since. There is none of what is replaced. */
	if (of->database && !of->is_replaced)
		return t->kind == 'r' || t->kind == 'p';
	if (d->verdict != TENANCY_EXPORTED || t->kind == 'm')
		return false;
	if (of->database)
		return t->kind != 'f';
	if (of->schema)
		return t->kind != 'f' && str_equal(t->schema, of->schema);
	return d->way == TENANCY_BY_COLUMN || d->way == TENANCY_BY_SELF || d->way == TENANCY_BY_KEY;
}

static void init_leaving_table(struct leaving *l, size_t at)
{
	struct leaving_table *table = &l->tables[at];
	const struct decided *d = l->of.decided;
	size_t number = l->sequence.decisions[at];
	const struct tenancy_table *t = table_of_decision(d, number);
	const struct tenancy_decision *of = &d->plan.decisions[number];

	table->decision = number;
	table->label = mem_printf("%s.%s", t->schema, t->name);
	table->oid = l->oids[at] = t->oid;
	if (!l->of.schema && !l->of.database) {
		tenancy_append_condition(&d->model, &d->plan, of, "t", l->of.tenant->id, &table->condition);
		tenancy_append_proof(&d->model, &d->plan, of, "t", l->of.tenant->id, &table->proof);
	}
	table->rows = (struct pg_tenant_rows){.schema = t->schema,
	                                      .table = t->name,
	                                      .with_partitions = t->kind == 'p',
	                                      .condition = str_text(&table->condition),
	                                      .proof = str_text(&table->proof)};
}

struct leaving *leaving_new(const struct leaving_target *of)
{
	struct leaving *l = mem_alloc(sizeof(*l));
	size_t count = of->decided->plan.count;
	_cleanup(free) bool *is_left = mem_alloc(count + 1);

	for (size_t i = 0; i < count; i++)
		is_left[i] = is_tenants_own(of, i);
	l->of = *of;
	l->of.database = l->database = mem_strdup(of->database);
	l->of.schema = l->schema = mem_strdup(of->schema);
	leave_order_make(&of->decided->model, &of->decided->plan, is_left, &l->sequence);
	l->count = l->sequence.count;
	l->tables = mem_array(l->count + 1, sizeof(*l->tables));
	l->oids = mem_array(l->count + 1, sizeof(*l->oids));
	for (size_t i = 0; i < l->count; i++)
		init_leaving_table(l, i);
	l->places = spool_new(of->ctx->conf->state_dir);
	return l;
}

struct leaving *leaving_free(struct leaving *l)
{
	if (!l)
		return NULL;
	for (size_t i = 0; i < l->count; i++) {
		free(l->tables[i].label);
		str_finish(&l->tables[i].condition);
		str_finish(&l->tables[i].proof);
	}
	free(l->database);
	free(l->schema);
	free(l->tables);
	free(l->oids);
	leave_order_finish(&l->sequence);
	spool_free(l->places);
	free(l);
	return NULL;
}

void leaving_bind(struct leaving *l, const struct make_order *order)
{
	l->of.order = order;
	l->of.conf = &order->job->export;
}

/* Where the rows stand. */

struct collecting {
	struct leaving *leaving;
	struct leaving_table *table;
};

static int collect_place(void *arg, const struct pg_row_place *place, struct error *err)
{
	const struct collecting *c = arg;

	c->table->count++;
	return spool_put(c->leaving->places, place, sizeof(*place), err);
}

static int refuse_foreign_table(const struct leaving_table *t, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EPERM,
	        "%s is a foreign table: its rows are at another server, and cannot be deleted from here; exclude it, or delete without keepfs",
	        t->label);
}

/* Both were asked with the same conditions in the same snapshot. */
static int refuse_other_count(const struct leaving_table *t, uint64_t seen, struct error *err)
{
	return error_set(err, ERROR_INTERNAL, EPERM,
	                 "%s: the export has %" PRIu64 " rows of the tenant, but %" PRIu64
	                 " would be deleted: nothing is deleted",
	                 t->label, seen, t->count);
}

static bool is_exported(const struct leaving *l, const struct leaving_table *t)
{
	return l->of.decided->plan.decisions[t->decision].verdict == TENANCY_EXPORTED;
}

int leaving_collect(struct leaving *l, struct pg_session *s, const uint64_t *seen, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->count; i++) {
		struct leaving_table *t = &l->tables[i];
		struct collecting c = {l, t};

		if (table_of_decision(l->of.decided, t->decision)->kind == 'f')
			return refuse_foreign_table(t, err);
		t->first = l->rows;
		r = pg_row_places(s, &t->rows, collect_place, &c, err);
		if (r == 0 && seen && is_exported(l, t) && t->count != seen[t->decision])
			r = refuse_other_count(t, seen[t->decision], err);
		l->rows += t->count;
	}
	return r;
}

int leaving_list(struct leaving *l, struct pg_session *s, uint64_t begin, uint64_t end, struct error *err)
{
	_cleanup(free) struct pg_row_place *places = mem_array(LEAVE_BATCH_ROWS, sizeof(*places));
	int r = 0;

	for (uint64_t at = begin, n; r == 0 && at < end; at += n) {
		n = end - at < LEAVE_BATCH_ROWS ? end - at : LEAVE_BATCH_ROWS;
		r = spool_get(l->places, places, n * sizeof(*places), at * sizeof(*places), err);
		if (r == 0)
			r = pg_delete_add(s, places, n, err);
	}
	return r == 0 ? pg_delete_listed(s, err) : r;
}

/* Looking before anything is deleted. */

struct checking {
	struct str *why;
	const struct leaving *leaving;
};

static void add_reason(struct str *why, const char *text)
{
	str_appendf(why, "%s%s", why->len > 0 ? "; " : "", text);
}

static const char *consequence_of(char action)
{
	switch (action) {
	case 'c':
		return ", and would be deleted with them (ON DELETE CASCADE)";
	case 'n':
		return ", and would lose that reference for good (ON DELETE SET NULL)";
	case 'd':
		return ", and would lose that reference for good (ON DELETE SET DEFAULT)";
	default:
		return "";
	}
}

static int take_reference(void *arg, const struct pg_delete_reference *found, struct error *err)
{
	const struct checking *c = arg;
	_cleanup(free) char *text = NULL;

	/* What is replaced comes back, and what referred to it would not refer to it any more. */
	if (!c->leaving->of.is_replaced && (found->action == 'n' || found->action == 'd')) {
		if (c->leaving->of.order)
			make_say(c->leaving->of.order,
			         "rows of %s that refer to rows of %s lose that reference (%s, ON DELETE %s)",
			         found->from, found->to, found->constraint,
			         found->action == 'n' ? "SET NULL" : "SET DEFAULT");
		return 0;
	}
	text = mem_printf("rows of %s that are in no export refer to rows of %s by %s%s", found->from,
	                  found->to, found->constraint, consequence_of(found->action));
	add_reason(c->why, text);
	return 0;
}

/* Only a change is a reason; that it cannot be asked is a failure. */
static int note_changed_rows(int r, const struct error *said, struct str *why, struct error *err)
{
	if (r == -ESTALE) {
		add_reason(why, said->message);
		return 0;
	}
	if (r < 0 && err)
		*err = *said;
	return r;
}

static int check_leaving_table(const struct leaving_table *t, struct pg_session *s, struct str *why,
                               struct error *err)
{
	struct error said = {0};
	uint64_t others = 0;
	_cleanup(free) char *text = NULL;
	int r = note_changed_rows(pg_delete_unchanged(s, &t->rows, t->count, &said), &said, why, err);

	if (r == 0)
		r = pg_delete_others(s, &t->rows, &others, err);
	if (r < 0 || others == 0)
		return r;
	text = mem_printf("%" PRIu64 " rows of %s are the tenant's, and were written after the export",
	                  others, t->label);
	add_reason(why, text);
	return 0;
}

static int check_delete_rights(const struct leaving *l, struct pg_session *s, struct str *why,
                               struct error *err)
{
	_cleanup(free) char *lacking = NULL, *text = NULL;
	int r = pg_delete_rights(s, l->oids, l->count, &lacking, err);

	if (r < 0 || !lacking)
		return r;
	text = mem_printf("the role needs DELETE and UPDATE (to lock rows) on %s", lacking);
	add_reason(why, text);
	return 0;
}

int leaving_check(struct leaving *l, struct pg_session *s, struct str *why, struct error *err)
{
	struct checking c = {.why = why, .leaving = l};
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->count; i++)
		r = check_leaving_table(&l->tables[i], s, why, err);
	if (r == 0)
		r = pg_delete_references(s, l->oids, l->count, take_reference, &c, err);
	return r;
}

int leaving_check_before(struct leaving *l, struct pg_session *s, struct str *why, struct error *err)
{
	int r = pg_delete_begin(s, err);

	if (r == 0)
		r = leaving_list(l, s, 0, l->rows, err);
	if (r == 0)
		r = l->of.schema ? leaving_check_schema(l, s, why, err) : leaving_check(l, s, why, err);
	if (r == 0 && !l->of.schema && !l->of.database)
		r = check_delete_rights(l, s, why, err);
	pg_delete_roll_back(s);
	return r;
}

static int refuse_before(const struct str *why, struct error *err)
{
	return error_set(
	        err, ERROR_CONFLICT, EBUSY,
	        "the export is whole, but nothing is deleted: %s; mend that, or wait until nobody writes the tenant's data, and give the command again",
	        str_text(why));
}

/* Deleting. */

static int refuse_kept(const struct leaving_table *t, uint64_t kept, struct error *err)
{
	return error_set(
	        err, ERROR_CONFLICT, EPERM,
	        "%" PRIu64
	        " rows of %s were not deleted by the server: is there a trigger or a rule that keeps them?",
	        kept, t->label);
}

/* Tables @begin to @end of the sequence; @counts: how many of each are in the list. */
static int delete_listed(struct leaving *l, struct pg_session *s, size_t begin, size_t end,
                         const uint64_t *counts, struct error *err)
{
	_cleanup(free) struct pg_tenant_rows *rows = mem_array(end - begin, sizeof(*rows));
	_cleanup(free) uint64_t *deleted = mem_array(end - begin, sizeof(*deleted));
	int r;

	for (size_t i = begin; i < end; i++)
		rows[i - begin] = l->tables[i].rows;
	r = pg_delete_rows(s, rows, end - begin, deleted, err);
	for (size_t i = begin; r == 0 && i < end; i++)
		if (deleted[i - begin] != counts[i - begin])
			r = refuse_kept(&l->tables[i], counts[i - begin] - deleted[i - begin], err);
	return r;
}

/* Locked, they are looked at again: in what the server says now nobody else can change anything. */
static int check_held(struct leaving *l, struct pg_session *s, size_t begin, size_t end,
                      const uint64_t *counts, struct error *err)
{
	_cleanup(str) struct str why = {0};
	struct checking c = {.why = &why, .leaving = l};
	int r = 0;

	for (size_t i = begin; r == 0 && i < end; i++)
		r = pg_delete_hold(s, &l->tables[i].rows, counts[i - begin], err);
	if (r == 0)
		r = pg_delete_references(s, l->oids + begin, end - begin, take_reference, &c, err);
	return r == 0 && why.len > 0 ? error_set(err, ERROR_CONFLICT, EBUSY, "%s", str_text(&why)) : r;
}

/* Once the tenant itself is gone nobody finds what is left of it. */
static int check_nothing_else(struct leaving *l, struct pg_session *s, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->count; i++) {
		uint64_t others = 0;

		r = pg_delete_others(s, &l->tables[i].rows, &others, err);
		if (r == 0 && others > 0)
			r = error_set(err, ERROR_CONFLICT, EBUSY,
			              "%" PRIu64
			              " rows of %s are the tenant's, and were written after the export",
			              others, l->tables[i].label);
	}
	return r;
}

struct batch {
	size_t begin, end;    /* tables of the sequence */
	uint64_t first, last; /* places in the spool */
	const uint64_t *counts;
	bool is_last;
};

static int run_batch(struct leaving *l, struct pg_session *s, const struct batch *b, struct error *err)
{
	int r = pg_delete_begin(s, err);

	if (r == 0)
		r = leaving_list(l, s, b->first, b->last, err);
	if (r == 0)
		r = check_held(l, s, b->begin, b->end, b->counts, err);
	if (r == 0 && b->is_last)
		r = check_nothing_else(l, s, err);
	if (r == 0)
		r = delete_listed(l, s, b->begin, b->end, b->counts, err);
	if (r == 0)
		r = pg_delete_commit(s, err);
	if (r < 0)
		pg_delete_roll_back(s);
	for (size_t i = b->begin; r == 0 && i < b->end; i++) {
		l->tables[i].gone += b->counts[i - b->begin];
		l->gone += b->counts[i - b->begin];
		if (b->counts[i - b->begin] > 0)
			make_say(l->of.order, "deleted %" PRIu64 " of %" PRIu64 " rows of %s",
			         l->tables[i].gone, l->tables[i].count, l->tables[i].label);
	}
	return r;
}

static int delete_circle(struct leaving *l, struct pg_session *s, size_t begin, size_t end, struct error *err)
{
	_cleanup(free) uint64_t *counts = mem_array(end - begin, sizeof(*counts));
	const struct leaving_table *last = &l->tables[end - 1];
	struct batch b = {begin,          end, l->tables[begin].first, last->first + last->count, counts,
	                  end == l->count};

	for (size_t i = begin; i < end; i++)
		counts[i - begin] = l->tables[i].count;
	return run_batch(l, s, &b, err);
}

static int delete_table(struct leaving *l, struct pg_session *s, size_t at, struct error *err)
{
	const struct leaving_table *t = &l->tables[at];
	bool is_last_table = at + 1 == l->count;
	int r = 0;

	for (uint64_t done = 0, n; r == 0 && (done < t->count || (is_last_table && done == 0)); done += n) {
		struct batch b = {at, at + 1, t->first + done, 0, &n, false};

		n = t->count - done < LEAVE_BATCH_ROWS ? t->count - done : LEAVE_BATCH_ROWS;
		b.last = b.first + n;
		b.is_last = is_last_table && done + n == t->count;
		r = run_batch(l, s, &b, err);
		if (n == 0)
			break;
	}
	return r;
}

static int delete_groups(struct leaving *l, struct pg_session *s, struct error *err)
{
	int r = 0;

	for (size_t begin = 0, end; r == 0 && begin < l->count; begin = end) {
		size_t group = l->sequence.groups[begin];

		for (end = begin + 1; end < l->count && l->sequence.groups[end] == group;)
			end++;
		r = l->sequence.is_circle[group] ? delete_circle(l, s, begin, end, err)
		                                 : delete_table(l, s, begin, err);
	}
	return r;
}

void leaving_tell_gone(const struct leaving *l, struct str *out)
{
	size_t shown = 0, more = 0;

	for (size_t i = 0; i < l->count; i++) {
		const struct leaving_table *t = &l->tables[i];

		if (t->gone == 0)
			continue;
		if (shown++ >= LEAVE_NAMES_SHOWN)
			more++;
		else
			str_appendf(out, "%s%" PRIu64 " of %" PRIu64 " of %s", shown > 1 ? ", " : "", t->gone,
			            t->count, t->label);
	}
	if (more > 0)
		str_appendf(out, " and of %zu more tables", more);
}

/* A message is short, so that what is gone stands in the log as well. */
static void tell_where_it_ended(const struct leaving *l, int r, struct error *err)
{
	_cleanup(str) struct str gone = {0};
	bool is_known = r != -EINPROGRESS;

	if (l->gone == 0 && is_known) {
		error_prefix(err, "the export is whole, but nothing was deleted");
		return;
	}
	leaving_tell_gone(l, &gone);
	make_warn(
	        l->of.order,
	        "%s: the deletion has ended early: %" PRIu64 " of %" PRIu64
	        " rows are gone (%s), the others are there%s; all of them are in the export; give the command again to go on",
	        l->of.tenant->slug, l->gone, l->rows, str_text(&gone),
	        is_known ? "" : ", but perhaps for those of the last step");
	error_prefix(err,
	             "the export is whole, but of the tenant only %" PRIu64 " of %" PRIu64
	             " rows are deleted%s; give the command again to export and delete the others",
	             l->gone, l->rows, is_known ? "" : ", and perhaps those of the last step");
}

int leaving_open(struct leaving *l, struct pg_session **ret, struct error *err)
{
	return pg_delete_open(l->of.conf->database, l->of.database, l->of.cancel, ret, err);
}

static int delete_rows_of_tenant(struct leaving *l, struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(str) struct str why = {0};
	int r = leaving_open(l, &s, err);

	if (r == 0)
		r = leaving_check_before(l, s, &why, err);
	if (r == 0 && why.len > 0)
		return refuse_before(&why, err);
	if (r == 0) {
		/* Whatever becomes of the run, this stays in the history. */
		make_warn(
		        l->of.order,
		        "%s: %" PRIu64
		        " rows of %zu tables are being deleted; unless this run completes, its log says which are gone, and the same command goes on",
		        l->of.tenant->slug, l->rows, l->count);
		r = delete_groups(l, s, err);
	}
	if (r < 0)
		tell_where_it_ended(l, r, err);
	return r;
}

int leaving_delete(struct leaving *l, struct error *err)
{
	int r = l->of.schema || l->of.database ? leaving_drop(l, err) : delete_rows_of_tenant(l, err);

	if (r == 0)
		make_say(l->of.order, "%s: deleted: %" PRIu64 " rows of %zu tables%s%s", l->of.tenant->slug,
		         l->rows, l->count,
		         l->of.schema     ? ", with its schema "
		         : l->of.database ? ", with its database "
		                          : "",
		         l->of.schema ? l->of.schema : str_or_empty(l->of.database));
	return r;
}

/* Within the transaction of somebody else. */

static int check_within(struct leaving *l, struct pg_session *s, const uint64_t *counts, struct error *err)
{
	int r = check_held(l, s, 0, l->count, counts, err);

	return r < 0 ? r : check_nothing_else(l, s, err);
}

int leaving_delete_within(struct leaving *l, struct pg_session *s, struct error *err)
{
	_cleanup(free) uint64_t *counts = mem_array(l->count + 1, sizeof(*counts));
	int r = pg_delete_begin_within(s, err);

	for (size_t i = 0; i < l->count; i++)
		counts[i] = l->tables[i].count;
	if (r == 0)
		r = leaving_list(l, s, 0, l->rows, err);
	if (r == 0)
		r = check_within(l, s, counts, err);
	return r == 0 && l->count > 0 ? delete_listed(l, s, 0, l->count, counts, err) : r;
}
