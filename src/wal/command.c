// SPDX-License-Identifier: Apache-2.0
/* What control/prune says of archives, and does. The words were understood by prune_command() before. */
#include "wal_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/codec/name.h>
#include <keepfs/wal/keep.h>

#include <stdlib.h>
#include <string.h>

struct keep_request {
	struct command_line line;
	bool applies, is_of_others; /* it is about pages, simulations, or the clock */
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
		r->is_of_others |= str_equal(r->line.words[i], "json");
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

int wal_keep_command(const struct prune *p, const char *text, const char *by, struct str *answer,
                     struct error *err)
{
	_cleanup(keep_request) struct keep_request request = {0};
	int r = parse_keep_request(text, &request, err);

	if (r < 0 || request.is_of_others)
		return r;
	for (size_t i = 0; r == 0 && i < p->conf->job_count; i++) {
		const struct conf_job *job = &p->conf->jobs[i];

		if (wal_is_archived(job) && is_in_scope(&request, job->name))
			r = answer_of_archive(p, job, by, request.applies, answer, err);
	}
	return r;
}
