// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include "readme.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/json.h>

static void add_readme(struct json *readme, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add_readme(struct json *readme, const char *fmt, ...)
{
	_cleanup(str) struct str line = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&line, fmt, args);
	va_end(args);
	json_append_string(readme, str_text(&line));
}

size_t readme_redacted(const struct decided *decided)
{
	size_t count = 0;

	for (size_t i = 0; i < decided->plan.count; i++) {
		const struct tenancy_table *t = &decided->model.tables[decided->plan.decisions[i].table];
		const struct redaction_column *columns = decided->redaction.columns[i];

		for (size_t c = 0; columns && c < t->column_count; c++)
			count += columns[c].how != REDACTION_NONE || columns[c].path_count > 0;
	}
	return count;
}

struct json *readme_json(const struct document_head *head)
{
	struct json *readme = json_array_new();
	const struct tenancy_plan *plan = &head->decided->plan;
	size_t redacted = readme_redacted(head->decided), left_out = plan->excluded + plan->undecided;
	char at[CLOCK_ISO_BYTES];

	add_readme(readme, "The data of %s (%s), as it was in the database %s at %s.",
	           head->tenant->name ? head->tenant->name : head->tenant->slug, head->tenant->slug,
	           head->database, clock_format_iso(head->taken_at_us, at));
	add_readme(readme, "Made by keepfs " KEEPFS_VERSION ", by its job %s, triggered by %s.", head->job,
	           head->triggered_by);
	add_readme(readme, "It holds %zu tables.", plan->exported);
	for (const char *const *line = head->reading; line && *line; line++)
		json_append_string(readme, *line);
	if (redacted > 0)
		add_readme(
		        readme,
		        "%zu columns are not as in the database: \"redacted\" lists them. Passwords, tokens and the like have to be set anew.",
		        redacted);
	if (left_out > 0)
		add_readme(readme, "%zu tables are not here: \"left_out\" says which, and why.", left_out);
	return readme;
}

/* As text. */

static void append_redacted_line(struct str *out, const struct tenancy_table *t,
                                 const struct tenancy_column *c, const struct redaction_path *path,
                                 const char *how)
{
	_cleanup(str) struct str name = {0};

	str_appendf(&name, "%s.%s.%s", t->schema, t->name, c->name);
	for (size_t i = 0; path && i < path->key_count; i++)
		str_appendf(&name, "->%s", path->keys[i]);
	str_append(out, "redacted: ");
	str_append_line(out, str_text(&name));
	str_appendf(out, " (%s)\n", how);
}

static void append_redacted_lines(struct str *out, const struct tenancy_table *t,
                                  const struct tenancy_column *c, const struct redaction_column *redaction)
{
	if (redaction->how != REDACTION_NONE)
		append_redacted_line(out, t, c, NULL, redaction_how_name(redaction->how));
	for (size_t i = 0; i < redaction->path_count; i++)
		append_redacted_line(out, t, c, &redaction->paths[i],
		                     redaction_how_name(redaction->paths[i].how));
}

static void append_redacted_list(struct str *out, const struct decided *decided)
{
	for (size_t i = 0; i < decided->plan.count; i++) {
		const struct tenancy_table *t = &decided->model.tables[decided->plan.decisions[i].table];
		const struct redaction_column *columns = decided->redaction.columns[i];

		for (size_t c = 0; columns && c < t->column_count; c++)
			append_redacted_lines(out, t, &t->columns[c], &columns[c]);
	}
}

static void append_left_out_list(struct str *out, const struct decided *decided)
{
	for (size_t i = 0; i < decided->plan.count; i++) {
		const struct tenancy_decision *decision = &decided->plan.decisions[i];
		const struct tenancy_table *t = &decided->model.tables[decision->table];
		_cleanup(free) char *line = NULL;

		if (decision->verdict == TENANCY_EXPORTED)
			continue;
		line = mem_printf("left out: %s.%s (%s)", t->schema, t->name, str_or_empty(decision->reason));
		str_append_line(out, line);
		str_append_char(out, '\n');
	}
}

void readme_append(const struct document_head *head, struct str *out)
{
	_cleanup(json) struct json *lines = readme_json(head);

	for (size_t i = 0; i < json_count(lines); i++) {
		_cleanup(str) struct str line = {0};

		json_scalar_text(json_item(lines, i), &line);
		str_append_line(out, str_text(&line));
		str_append_char(out, '\n');
	}
	append_redacted_list(out, head->decided);
	append_left_out_list(out, head->decided);
}
