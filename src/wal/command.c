// SPDX-License-Identifier: Apache-2.0
/* What control/prune says of archives, and does. The words were understood by prune_command() before. */
#include "wal_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/name.h>
#include <keepfs/wal/keep.h>

#include <stdlib.h>
#include <string.h>

struct keep_request {
	struct command_line line;
	bool applies, is_json, is_of_others; /* it is about pages, simulations, or the clock */
	size_t scopes;
};

static void cleanup_keep_request(struct keep_request *r)
{
	command_line_finish(&r->line);
}

static bool is_keep_scope(const char *word)
{
	return !str_equal(word, "apply") && !str_equal(word, "json") && !str_equal(word, "all") &&
	       !str_equal(word, "now");
}

static int parse_keep_request(const char *text, struct keep_request *r, struct error *err)
{
	int result = command_line_parse(text, &r->line, err);

	for (size_t i = 0; result == 0 && i < r->line.word_count; i++) {
		r->applies |= str_equal(r->line.words[i], "apply");
		r->is_json |= str_equal(r->line.words[i], "json");
		r->scopes += is_keep_scope(r->line.words[i]);
	}
	for (size_t i = 0; result == 0 && i < r->line.pair_count; i++) {
		bool confirms = str_equal(r->line.pairs[i].key, "confirm");

		r->applies |= confirms;
		r->is_of_others |= !confirms;
	}
	return result;
}

static bool is_in_scope(const struct keep_request *r, const char *job)
{
	_cleanup(free) char *path = tree_path(job);

	for (size_t i = 0; i < r->line.word_count; i++) {
		_cleanup(free) char *scope = tree_path(r->line.words[i]);

		if (is_keep_scope(r->line.words[i]) && str_equal(scope, path))
			return true;
	}
	return r->scopes == 0;
}

static int answer_of_archive(const struct prune *p, const struct conf_job *job, const char *by, bool applies,
                             struct str *answer, struct error *err)
{
	_cleanup(free) char *who = mem_printf("retention, %s", by);
	const struct wal_keep_order order = {.by = who};
	_cleanup(wal_survey) struct wal_survey survey = {0};
	struct wal_keep_outcome o;
	size_t before = answer->len;
	int r;

	if (!applies) {
		r = wal_survey(p, job, &survey, err);
		if (r < 0)
			return r;
		wal_survey_append(&survey, answer);
		str_append_char(answer, '\n');
		return 0;
	}
	r = wal_keep_carry_out(p, job, &order, &o, err);
	if (r < 0)
		return r;
	if (o.files || o.why[0])
		str_appendf(answer, "wal/%s: ", job->name);
	wal_keep_append_outcome(&o, answer);
	if (answer->len > before)
		str_append_char(answer, '\n');
	return 0;
}

/* As JSON. */

static struct json *object_of_survey(const struct wal_survey *s)
{
	struct json *j = json_object_new();

	json_set_string(j, "job", s->job->name);
	json_set_int(j, "files", (int64_t)s->files);
	json_set_int(j, "stored_bytes", (int64_t)s->stored_bytes);
	json_set_int(j, "due_files", (int64_t)s->goes.files);
	json_set_int(j, "due_bytes", (int64_t)s->goes.stored_bytes);
	json_set_string(j, "due_first", s->goes.files ? s->goes.first : NULL);
	json_set_string(j, "due_last", s->goes.files ? s->goes.last : NULL);
	json_set_int(j, "locked_files", (int64_t)s->locked);
	json_set_string(j, "base", s->base[0] ? s->base : NULL);
	json_set_time(j, "since", s->since_us);
	json_set_string(j, "why", s->why[0] ? s->why : NULL);
	return j;
}

static int list_archives(const struct prune *p, const struct keep_request *request, struct json *list,
                         struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->conf->job_count; i++) {
		const struct conf_job *job = &p->conf->jobs[i];
		_cleanup(wal_survey) struct wal_survey survey = {0};

		if (!wal_is_archived(job) || !is_in_scope(request, job->name))
			continue;
		r = wal_survey(p, job, &survey, err);
		if (r == 0)
			json_append(list, object_of_survey(&survey));
	}
	return r;
}

/* What prune_command() has answered gets one more member, where there are archives. */
static int answer_json(const struct prune *p, const struct keep_request *request, struct str *answer,
                       struct error *err)
{
	_cleanup(json) struct json *whole = NULL, *list = json_array_new();
	int r = list_archives(p, request, list, err);

	if (r < 0 || json_count(list) == 0)
		return r;
	whole = json_parse(str_text(answer), answer->len, NULL);
	if (!whole)
		return 0;
	json_set(whole, "wal", take_ptr(&list));
	str_clear(answer);
	json_write(whole, 0, answer);
	str_append_char(answer, '\n');
	return 0;
}

int wal_keep_command(const struct prune *p, const char *text, const char *by, struct str *answer,
                     struct error *err)
{
	_cleanup(keep_request) struct keep_request request = {0};
	int r = parse_keep_request(text, &request, err);

	if (r < 0 || request.is_of_others || (request.is_json && request.applies))
		return r;
	if (request.is_json)
		return answer_json(p, &request, answer, err);
	for (size_t i = 0; r == 0 && i < p->conf->job_count; i++) {
		const struct conf_job *job = &p->conf->jobs[i];

		if (wal_is_archived(job) && is_in_scope(&request, job->name))
			r = answer_of_archive(p, job, by, request.applies, answer, err);
	}
	return r;
}
