// SPDX-License-Identifier: Apache-2.0
/* A plan for people: a line for each table, in columns. */
#include "names.h"

#include <keepfs/policy/redaction.h>

#define GAP        2
#define WIDEST_MAX 80 /* what is longer moves its own line only */

enum explained { EXPLAINED_TABLE, EXPLAINED_VERDICT, EXPLAINED_WHY, EXPLAINED_REDACTED, EXPLAINED_COLUMNS };

struct explaining {
	const struct tenancy_model *model;
	const struct tenancy_plan *plan;
	const struct redaction_plan *redaction; /* NULL: not decided */
	size_t widths[EXPLAINED_COLUMNS];
	struct str *out;
};

static const char *verdict_word(enum tenancy_verdict verdict)
{
	static const char *const words[] = {[TENANCY_EXPORTED] = "exported",
	                                    [TENANCY_EXCLUDED] = "left out",
	                                    [TENANCY_UNDECIDED] = "UNDECIDED"};

	return words[verdict];
}

static void append_redacted_path(struct str *s, const struct redaction_path *p)
{
	for (size_t i = 0; i < p->key_count; i++) {
		str_append(s, "->");
		policy_append_word(s, p->keys[i]);
	}
	str_appendf(s, " (%s)", redaction_how_name(p->how));
}

static void append_redacted_column(struct str *s, const char *name, const struct redaction_column *c)
{
	if (c->how != REDACTION_NONE) {
		str_append(s, s->len ? ", " : "");
		policy_append_word(s, name);
		str_appendf(s, " (%s)", redaction_how_name(c->how));
	}
	for (size_t i = 0; i < c->path_count; i++) {
		str_append(s, s->len ? ", " : "");
		policy_append_word(s, name);
		append_redacted_path(s, &c->paths[i]);
	}
}

static void append_redactions(const struct explaining *e, size_t at, struct str *s)
{
	const struct tenancy_table *t = &e->model->tables[e->plan->decisions[at].table];
	const struct redaction_column *columns = e->redaction ? e->redaction->columns[at] : NULL;

	for (size_t i = 0; columns && i < t->column_count; i++)
		append_redacted_column(s, t->columns[i].name, &columns[i]);
}

/* The text of one cell; "-" of an empty one. */
static void append_explained(const struct explaining *e, size_t at, enum explained column, struct str *s)
{
	const struct tenancy_decision *d = &e->plan->decisions[at];

	switch (column) {
	case EXPLAINED_TABLE:
		policy_append_table(s, &e->model->tables[d->table]);
		break;
	case EXPLAINED_VERDICT:
		str_append(s, verdict_word(d->verdict));
		break;
	case EXPLAINED_WHY:
		str_append_line(s, d->reason);
		str_append(s, d->may_be_nobodys ? " (a row may be nobody's)" : "");
		break;
	default:
		append_redactions(e, at, s);
	}
	str_append(s, s->len ? "" : "-");
}

static size_t characters_of(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += (*text & 0xc0) != 0x80;
	return count;
}

static void widen_explained(struct explaining *e, enum explained column, const char *text)
{
	size_t width = characters_of(text);

	if (width > e->widths[column])
		e->widths[column] = width < WIDEST_MAX ? width : WIDEST_MAX;
}

static void append_padded(struct explaining *e, enum explained column, const char *text)
{
	str_append(e->out, text);
	if (column == EXPLAINED_COLUMNS - 1) {
		str_append_char(e->out, '\n');
		return;
	}
	for (size_t n = characters_of(text); n < e->widths[column] + GAP; n++)
		str_append_char(e->out, ' ');
	if (characters_of(text) >= e->widths[column] + GAP)
		str_append(e->out, "  ");
}

static void each_cell(struct explaining *e,
                      void (*take)(struct explaining *e, enum explained column, const char *text))
{
	static const char *const heads[] = {"TABLE", "VERDICT", "WHY", "REDACTED"};

	for (size_t c = 0; c < EXPLAINED_COLUMNS; c++)
		take(e, (enum explained)c, heads[c]);
	for (size_t i = 0; i < e->plan->count; i++) {
		for (size_t c = 0; c < EXPLAINED_COLUMNS; c++) {
			_cleanup(str) struct str cell = {0};

			append_explained(e, i, (enum explained)c, &cell);
			take(e, (enum explained)c, str_text(&cell));
		}
	}
}

static void append_suspicions_of_table(const struct explaining *e, size_t at)
{
	const struct tenancy_table *t = &e->model->tables[e->plan->decisions[at].table];
	const struct redaction_column *columns = e->redaction->columns[at];

	for (size_t i = 0; columns && i < t->column_count; i++) {
		if (!columns[i].suspicion)
			continue;
		str_append(e->out, "  ");
		policy_append_table(e->out, t);
		str_append_char(e->out, '.');
		policy_append_word(e->out, t->columns[i].name);
		str_appendf(e->out, ": %s\n", columns[i].suspicion);
	}
}

static void append_suspicions(const struct explaining *e)
{
	if (!e->redaction || e->redaction->suspicious == 0)
		return;
	str_append(
	        e->out,
	        "\nThese columns look like secrets, and nothing says what is to be done with them (redact, allow_secrets):\n");
	for (size_t i = 0; i < e->plan->count; i++)
		append_suspicions_of_table(e, i);
}

static void append_plan_warnings(struct str *out, char *const *warnings, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		str_append(out, "  ");
		str_append_line(out, warnings[i]);
		str_append_char(out, '\n');
	}
}

static void append_all_warnings(const struct explaining *e)
{
	size_t count = e->plan->warning_count + (e->redaction ? e->redaction->warning_count : 0);

	if (count == 0)
		return;
	str_append(e->out, "\nWarnings:\n");
	append_plan_warnings(e->out, e->plan->warnings, e->plan->warning_count);
	if (e->redaction)
		append_plan_warnings(e->out, e->redaction->warnings, e->redaction->warning_count);
}

void tenancy_explain(const struct tenancy_model *model, const struct tenancy_plan *plan,
                     const struct redaction_plan *redaction, struct str *out)
{
	struct explaining e = {.model = model, .plan = plan, .redaction = redaction, .out = out};

	str_appendf(out, "%zu tables: %zu exported, %zu left out, %zu undecided\n\n", plan->count,
	            plan->exported, plan->excluded, plan->undecided);
	each_cell(&e, widen_explained);
	each_cell(&e, append_padded);
	append_suspicions(&e);
	append_all_warnings(&e);
}
