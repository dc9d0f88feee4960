// SPDX-License-Identifier: Apache-2.0
/* Switches, from what a person writes to what the catalog keeps. */
#include "job_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/report/timetable.h>

#include <errno.h>
#include <string.h>

#define ALLOWED                                                                                              \
	"allowed: 'on', 'off' (of all jobs), 'JOB on', 'JOB off'; behind off until=2026-12-01 or until=2026-12-01T06:00; and note='why'"

/* The words: [JOB] on|off. */
static int take_switch_words(const struct conf *conf, const struct command_line *line,
                             struct catalog_switch *s, struct error *err)
{
	const char *word = line->word_count > 0 ? line->words[line->word_count - 1] : "";
	bool is_on = str_equal(word, "on");

	if ((!is_on && !str_equal(word, "off")) || line->word_count > 2)
		return error_set(err, ERROR_USAGE, EINVAL, "the command does not end in on or off; " ALLOWED);
	s->is_off = !is_on;
	if (line->word_count == 1)
		return 0;
	if (!conf_find_job(conf, line->words[0]))
		return error_set(err, ERROR_USAGE, EINVAL, "there is no job '%.100s'; " ALLOWED,
		                 line->words[0]);
	str_copy(s->job, sizeof(s->job), line->words[0]);
	return 0;
}

static int load_zone_of(const struct conf *conf, const char *job, struct zone **ret, struct error *err)
{
	const struct conf_job *found = conf_find_job(conf, job);
	const char *all = conf->timezone && *conf->timezone ? conf->timezone : NULL;

	return zone_load(found ? conf_zone_name(conf, found) : all, ret, err);
}

static int take_switch_until(const struct conf *conf, const char *value, int64_t now_us,
                             struct catalog_switch *s, struct error *err)
{
	_cleanup(zone) struct zone *zone = NULL;
	int64_t at_s;
	int r;

	if (!s->is_off)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "until: only what is switched off is so until then; " ALLOWED);
	r = load_zone_of(conf, s->job, &zone, err);
	if (r < 0)
		return r;
	if (zone_parse(zone, value, &at_s) < 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "until: '%.100s' is no date; allowed: 2026-12-01, 2026-12-01T06:00 (in the time zone of "
		        "the job), 2026-12-01T06:00Z",
		        value);
	if (at_s * US_PER_S <= now_us)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "until: '%.100s' is over; name a moment that is to come", value);
	s->until_us = at_s * US_PER_S;
	return 0;
}

static int take_switch_note(const char *value, struct catalog_switch *s, struct error *err)
{
	if (strlen(value) > JOBS_NOTE_MAX_BYTES || !request_is_line(value))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "note: allowed are at most %d bytes of UTF-8 text without control characters",
		        JOBS_NOTE_MAX_BYTES);
	str_copy(s->note, sizeof(s->note), value);
	return 0;
}

static int take_switch_pair(const struct conf *conf, const struct command_pair *pair, int64_t now_us,
                            struct catalog_switch *s, struct error *err)
{
	bool is_note = str_equal(pair->key, "note");

	if (!is_note && !str_equal(pair->key, "until"))
		return error_set(err, ERROR_USAGE, EINVAL, "there is no key '%.100s'; " ALLOWED, pair->key);
	if (is_note ? *s->note != '\0' : s->until_us != 0)
		return error_set(err, ERROR_USAGE, EINVAL, "%s: this key is given twice", pair->key);
	return is_note ? take_switch_note(pair->value, s, err)
	               : take_switch_until(conf, pair->value, now_us, s, err);
}

int jobs_switch_parse(const struct conf *conf, const char *text, int64_t now_us, struct catalog_switch *ret,
                      struct error *err)
{
	_cleanup(command_line) struct command_line line = {0};
	struct catalog_switch s = {.at_us = now_us};
	int r = command_line_parse(text, &line, err);

	if (r == 0)
		r = take_switch_words(conf, &line, &s, err);
	for (size_t i = 0; r == 0 && i < line.pair_count; i++)
		r = take_switch_pair(conf, &line.pairs[i], now_us, &s, err);
	if (r == 0)
		*ret = s;
	return r;
}

/* The one of the job, or of all, itself: does it switch off now? */
static bool is_off_itself(const struct timetable *t, const struct catalog_switch *s)
{
	const struct catalog_switch *last = timetable_switch(t, s->job);

	return last && last->is_off && (last->until_us == 0 || last->until_us > s->at_us);
}

static void answer_switch(const struct conf *conf, const struct timetable *t, const struct catalog_switch *s,
                          struct str *answer)
{
	_cleanup(zone) struct zone *zone = NULL;
	char at[ZONE_TEXT_BYTES];

	str_appendf(answer, "%s %s", *s->job ? s->job : "all jobs", s->is_off ? "off" : "on");
	if (s->until_us && load_zone_of(conf, s->job, &zone, NULL) == 0)
		str_appendf(answer, " until %s", zone_format(zone, s->until_us / US_PER_S, at));
	if (!s->is_off && *s->job && timetable_master(t, s->at_us))
		str_append(answer, ", but all jobs are off");
	str_append_char(answer, '\n');
}

int jobs_switch(struct jobs *j, const struct conf *conf, const struct catalog_switch *s, struct str *answer,
                struct error *err)
{
	struct catalog *catalog = j->options.ctx->repository->catalog;
	_cleanup(timetable) struct timetable *t = NULL;
	int r = timetable_new(conf, catalog, s->at_us, &t);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	/* What is on already has no time of being off behind it, in which nothing was due. */
	if (s->is_off || is_off_itself(t, s))
		r = catalog_set_switch(catalog, s, err);
	if (r < 0)
		return r;
	answer_switch(conf, t, s, answer);
	jobs_schedules_changed(j);
	return 0;
}
