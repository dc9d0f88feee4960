// SPDX-License-Identifier: Apache-2.0
/* The report of a drill, for people: made from the one for programs, so that both say the same. */
#include "line.h"

#include <keepfs/base/mem.h>
#include <keepfs/report/drills.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static void put_line(struct str *text, const char *name, const char *value)
{
	if (!value)
		return;
	str_appendf(text, "%-16s", name);
	str_append_line(text, value);
	str_append_char(text, '\n');
}

static void put_value(struct str *text, const char *name, const struct json *value)
{
	_cleanup(str) struct str shown = {0};

	if (value && json_scalar_text(value, &shown))
		put_line(text, name, str_text(&shown));
}

static void put_size_line(struct str *text, const char *name, const struct json *report, const char *key)
{
	int64_t bytes = 0;
	char shown[16];

	if (json_get_int(report, key, &bytes) && bytes > 0)
		put_line(text, name, str_format_bytes(shown, sizeof(shown), (unsigned long long)bytes));
}

/* "12.3 s", "12.3 s of 3600 s: met" */
static void put_goal(struct str *text, const char *name, const struct json *goal)
{
	_cleanup(str) struct str shown = {0};
	const struct json *limit = goal ? json_get(goal, "goal_seconds") : NULL;
	bool met = false;

	if (!goal || !json_scalar_text(json_get(goal, "seconds"), &shown))
		return;
	str_append(&shown, " s");
	if (limit) {
		str_append(&shown, " of ");
		(void)json_scalar_text(limit, &shown);
		str_appendf(&shown, " s: %s", json_get_bool(goal, "met", &met) && met ? "met" : "NOT met");
	}
	put_line(text, name, str_text(&shown));
}

static void put_phases(struct str *text, const struct json *phases)
{
	for (size_t i = 0; i < json_count(phases); i++) {
		const struct json *one = json_item(phases, i);
		_cleanup(str) struct str line = {0};

		str_append(&line, str_or_empty(json_get_string(one, "name")));
		str_append(&line, " ");
		(void)json_scalar_text(json_get(one, "seconds"), &line);
		str_append(&line, " s");
		put_line(text, i == 0 ? "phases" : "", str_text(&line));
	}
}

/* "database.dump passed: restored, level 4, 3.1 s", "config.tar.zst failed: …" */
static void put_parts(struct str *text, const struct json *parts)
{
	for (size_t i = 0; i < json_count(parts); i++) {
		const struct json *one = json_item(parts, i);
		const char *error = json_get_string(one, "error"), *how = json_get_string(one, "how");
		_cleanup(str) struct str line = {0};
		int64_t count = 0;

		str_appendf(&line, "%s %s: ", str_or_empty(json_get_string(one, "name")),
		            str_or_empty(json_get_string(one, "result")));
		if (error)
			str_append(&line, error);
		else
			str_append(&line, how ? how : "nothing was tried");
		if (!error && json_get_int(one, "count", &count))
			str_appendf(&line, ", %" PRId64 " %s", count,
			            str_equal(json_get_string(one, "kind"), "mirror") ? "objects" : "files");
		str_append(&line, ", level ");
		(void)json_scalar_text(json_get(one, "level"), &line);
		str_append(&line, ", ");
		(void)json_scalar_text(json_get(one, "seconds"), &line);
		str_append(&line, " s");
		put_line(text, "part", str_text(&line));
	}
}

static void put_list(struct str *text, const char *name, const struct json *list)
{
	for (size_t i = 0; i < json_count(list); i++)
		put_line(text, name, json_text(json_item(list, i)));
}

static void put_objects(struct str *text, const struct json *objects)
{
	for (const char *kind = objects ? json_first_key(objects) : NULL; kind;
	     kind = json_next_key(objects, kind)) {
		int64_t expected = 0, found = 0;

		json_get_int(json_get(objects, kind), "in_backup", &expected);
		json_get_int(json_get(objects, kind), "restored", &found);
		str_appendf(text, "%-16s%s %" PRId64 "%s", "object", kind, found,
		            expected == found ? "\n" : "");
		if (expected != found)
			str_appendf(text, " of %" PRId64 "\n", expected);
	}
}

static void put_checks(struct str *text, const struct json *checks)
{
	for (size_t i = 0; i < json_count(checks); i++) {
		const struct json *one = json_item(checks, i);
		const char *error = json_get_string(one, "error"), *answer = json_get_string(one, "answer");
		_cleanup(free) char *line = mem_printf("%s: %s%s", str_or_empty(json_get_string(one, "name")),
		                                       error ? error : "ok", "");
		_cleanup(free) char *told =
		        !error && answer ? mem_printf("%s, the answer is %s", line, answer) : NULL;

		put_line(text, "check", told ? told : line);
	}
}

static void put_head(struct str *text, const struct json *report)
{
	static const char *const keys[] = {"result", "level", "wanted_level", "error",   "job",      "target",
	                                   "backup", "pick",  "data_of",      "started", "finished", "run",
	                                   "on"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		put_value(text, keys[i], json_get(report, keys[i]));
}

static void put_tables(struct str *text, const struct json *tables)
{
	int64_t compared = 0, rows = 0, bytes = 0;
	char shown[16];

	json_get_int(tables, "compared", &compared);
	json_get_int(tables, "rows", &rows);
	json_get_int(tables, "bytes", &bytes);
	str_appendf(text, "%-16s%" PRId64 " compared, %" PRId64 " rows, %s\n", "tables", compared, rows,
	            str_format_bytes(shown, sizeof(shown), (unsigned long long)bytes));
}

int report_drill_text(const char *report, struct spool *out)
{
	_cleanup(json) struct json *j = json_parse(report, strlen(report), NULL);
	_cleanup(str) struct str text = {0};
	const struct json *versions;

	if (!j)
		return -EBADMSG;
	put_head(&text, j);
	put_goal(&text, "restore took", json_get(j, "rto"));
	put_goal(&text, "data was of", json_get(j, "rpo"));
	put_size_line(&text, "database", j, "database_bytes");
	put_size_line(&text, "stored", j, "stored_bytes");
	put_size_line(&text, "peak disk", j, "peak_disk_bytes");
	put_phases(&text, json_get(j, "phases"));
	put_parts(&text, json_get(j, "parts"));
	put_tables(&text, json_get(j, "tables"));
	put_value(&text, "differences", json_get(j, "differences"));
	put_list(&text, "differs", json_get(j, "first_differences"));
	put_checks(&text, json_get(j, "checks"));
	put_list(&text, "note", json_get(j, "notes"));
	put_objects(&text, json_get(j, "objects"));
	versions = json_get(j, "versions");
	for (const char *key = versions ? json_first_key(versions) : NULL; key;
	     key = json_next_key(versions, key))
		put_value(&text, key, json_get(versions, key));
	spool_append(out, str_text(&text), text.len);
	return spool_error(out);
}
