// SPDX-License-Identifier: Apache-2.0
/* From the text of a trigger to a job that can be run. Everything that can be wrong with a trigger is found
 * here, while whoever wrote it still waits for an answer. */
#include "request.h"

#include "command.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

#define JOBS_SHOWN 30

void request_finish(struct request *r)
{
	conf_job_free(r->job);
	free(r->note);
	free(r->options);
	*r = (struct request){0};
}

/* "now, full, tenants": what may be triggered. */
static void list_allowed(const struct conf *conf, struct str *out)
{
	str_append(out, "now");
	for (size_t i = 0; i < conf->job_count && i < JOBS_SHOWN; i++)
		str_appendf(out, ", %s", conf->jobs[i].name);
	if (conf->job_count > JOBS_SHOWN)
		str_appendf(out, " and %zu more", conf->job_count - JOBS_SHOWN);
}

static int refuse(const struct conf *conf, struct error *err, const char *what, const char *which)
{
	_cleanup(str) struct str allowed = {0};

	list_allowed(conf, &allowed);
	return error_set(err, ERROR_USAGE, EINVAL, "%s%s%.100s%s; write one of: %s", what, which ? " '" : "",
	                 which ? which : "", which ? "'" : "", str_text(&allowed));
}

static const struct conf_job *job_of_word(const struct conf *conf, const char *word)
{
	return str_equal(word, "now") ? &conf->jobs[0] : conf_find_job(conf, word);
}

/* A second word: mostly a pair that is written otherwise. */
static int refuse_words(const struct conf *conf, const struct command *c, struct error *err)
{
	_cleanup(str) struct str keys = {0};
	const struct conf_job *job = job_of_word(conf, c->words[0]);
	size_t i = 1;

	while (i < c->word_count && !strchr(c->words[i], '='))
		i++;
	if (i == c->word_count)
		return refuse(conf, err, "one job is triggered at a time, but behind it there is",
		              c->words[1]);
	conf_list_trigger_keys(job ? job : &conf->jobs[0], &keys);
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "'%.100s' is not written as key=value, without spaces around '=' and with the key in lower case; keys: %s",
	        c->words[i], str_text(&keys));
}

static int find_job(const struct conf *conf, const struct command *c, const struct conf_job **ret_job,
                    struct error *err)
{
	if (conf->job_count == 0)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "no backup is configured: add a section [backup NAME] to the configuration");
	if (c->word_count == 0)
		return refuse(conf, err,
		              c->option_count > 0 ? "the command names no job" : "the command is empty",
		              NULL);
	if (c->word_count > 1)
		return refuse_words(conf, c, err);
	*ret_job = job_of_word(conf, c->words[0]);
	return *ret_job ? 0 : refuse(conf, err, "there is no job", c->words[0]);
}

/* That it is text was seen to by command_parse(). An empty one is none. */
static int take_note(const struct command *c, struct request *r, struct error *err)
{
	for (size_t i = 0; i < c->option_count; i++) {
		const char *note = c->options[i].value;

		if (!str_equal(c->options[i].key, "note") || !*note)
			continue;
		if (strlen(note) > NOTE_MAX_BYTES)
			return error_set(err, ERROR_USAGE, EINVAL, "note: has %zu bytes; allowed: at most %d",
			                 strlen(note), NOTE_MAX_BYTES);
		r->note = mem_strdup(note);
	}
	return 0;
}

static void write_options(const struct command *c, struct request *r)
{
	struct str text = {0};

	for (size_t i = 0; i < c->option_count; i++) {
		_cleanup(str) struct str pair = {0};

		if (str_equal(c->options[i].key, "note"))
			continue;
		str_appendf(&pair, "%s=", c->options[i].key);
		conf_job_format(r->job, c->options[i].key, &pair);
		command_append(&text, str_text(&pair));
	}
	if (text.len > 0)
		r->options = str_take(&text);
	str_finish(&text);
}

static int change_job(const struct conf_job *job, const struct command *c, struct request *r,
                      struct error *err)
{
	_cleanup(free) const char **keys = mem_array(c->option_count + 1, sizeof(*keys));
	_cleanup(free) const char **values = mem_array(c->option_count + 1, sizeof(*values));

	for (size_t i = 0; i < c->option_count; i++) {
		keys[i] = c->options[i].key;
		values[i] = c->options[i].value;
	}
	return conf_job_override(job, keys, values, c->option_count, &r->job, &r->partial, err);
}

int request_parse(const struct conf *conf, const char *text, struct request *ret, struct error *err)
{
	_cleanup(request) struct request request = {0};
	_cleanup(command) struct command c = {0};
	const struct conf_job *job;
	int r = command_parse(text, &c, err);

	if (r == 0)
		r = find_job(conf, &c, &job, err);
	if (r == 0)
		r = change_job(job, &c, &request, err);
	if (r == 0)
		r = take_note(&c, &request, err);
	if (r < 0)
		return r;
	write_options(&c, &request);
	*ret = request;
	request = (struct request){0};
	return 0;
}
