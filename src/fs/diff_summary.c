// SPDX-License-Identifier: Apache-2.0
/* What summary.csv says: a line for each table that either dump has, out of what was counted of it, so that no rows are read. */
#include "comparisons.h"
#include "diff.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/table_name.h>

#include <errno.h>
#include <inttypes.h>

#define HEADING "schema,table,state,rows_a,rows_b,bytes_a,bytes_b,added,removed,reason\n"
#define UNKNOWN_REASON                                                                                       \
	"nobody has counted or hashed its rows in one of the two: reading the files compares them"

static void append_known_number(struct str *line, const struct inside_table *table, uint64_t value)
{
	str_append_char(line, ',');
	if (table && value != INSIDE_NOT_KNOWN)
		str_appendf(line, "%" PRIu64, value);
}

static void append_file_name(struct str *line, const struct diff_table *t, const char *suffix, bool is_there)
{
	char name[NAME_MAX_BYTES];

	str_append_char(line, ',');
	if (!is_there)
		return;
	table_name_format(t->schema, t->table, suffix, name);
	str_append_csv(line, name);
}

static void append_compared_table(struct str *line, const struct diff_table *t, const char *why_not)
{
	bool differs = t->state != DIFF_SAME && !*why_not;

	str_append_csv(line, t->schema);
	str_append_char(line, ',');
	str_append_csv(line, t->table);
	str_appendf(line, ",%s", diff_state_name(t->state));
	append_known_number(line, t->a, t->a ? t->a->rows : 0);
	append_known_number(line, t->b, t->b ? t->b->rows : 0);
	append_known_number(line, t->a, t->a ? t->a->bytes : 0);
	append_known_number(line, t->b, t->b ? t->b->bytes : 0);
	append_file_name(line, t, ADDED_SUFFIX, differs && t->state != DIFF_GONE);
	append_file_name(line, t, REMOVED_SUFFIX, differs && t->state != DIFF_NEW);
	str_append_char(line, ',');
	if (*why_not)
		str_append_csv(line, why_not);
	else if (t->state == DIFF_UNKNOWN)
		str_append_csv(line, UNKNOWN_REASON);
	str_append_char(line, '\n');
}

static int append_looked(struct diff *d, enum diff_side side, uint32_t number, struct str *line,
                         struct error *err)
{
	_cleanup(diff_looked) struct diff_looked t = {0};
	struct error why_not = {0};
	int r = diff_look(d, side, number, &t, &why_not);

	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		*err = why_not;
		return r;
	}
	/* Tables that both have were told with those of the second. */
	if (side == DIFF_A && t.table.b)
		return 0;
	if (r == 0 && t.table.state != DIFF_SAME)
		(void)diff_check_rows(d, &t.table, &why_not);
	append_compared_table(line, &t.table, why_not.message);
	return 0;
}

int comparison_append_tables(struct diff *d, struct spool *out, struct error *err)
{
	_cleanup(str) struct str line = {0};
	int r = spool_put(out, HEADING, strlen(HEADING), err);

	for (int i = 0; r == 0 && i < 2; i++) {
		enum diff_side side = i == 0 ? DIFF_B : DIFF_A;
		uint32_t count = inside_tables(diff_backup(d, side)->dump);

		for (uint32_t number = 1; r == 0 && number <= count; number++) {
			str_clear(&line);
			r = append_looked(d, side, number, &line, err);
			if (r == 0)
				r = spool_put(out, str_text(&line), line.len, err);
		}
	}
	return r;
}
