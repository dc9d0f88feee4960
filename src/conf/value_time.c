// SPDX-License-Identifier: Apache-2.0
/* The types of values that say when: schedules, time zones and blackouts. */
#include "value.h"
#include "value_ops.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/zone.h>
#include <keepfs/policy/blackout.h>
#include <keepfs/policy/schedule.h>

#include <errno.h>

static int set_checked_text(const struct conf_key *key, char **field, const char *text)
{
	conf_value_finish(key, (char *)field - key->offset);
	*field = mem_strdup(text);
	return 0;
}

static int parse_schedule_value(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	struct schedule ignored;
	struct error err = {0};

	if (schedule_parse(text, &ignored, &err) < 0)
		return conf_value_wrong(wrong, err.message);
	return set_checked_text(key, field, text);
}

static void allow_schedule(const struct conf_key *key, struct str *out)
{
	const char *const(*names)[2] = schedule_names();

	for (size_t i = 0; names[i][0]; i++)
		str_appendf(out, "%s, ", names[i][0]);
	str_append(
	        out,
	        "or five fields as cron takes them: minute, hour, day of the month, month, day of the week");
}

static int parse_timezone_value(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	_cleanup(zone) struct zone *zone = NULL;
	struct error err = {0};

	if (*text && zone_load(text, &zone, &err) < 0)
		return conf_value_wrong(wrong, err.message);
	return set_checked_text(key, field, text);
}

static void allow_timezone(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "a name of the time zone database, such as Europe/Berlin or UTC (see /usr/share/zoneinfo, package tzdata), or a rule as TZ takes it");
}

static int parse_blackout_value(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	_cleanup(blackout) struct blackout *ignored = NULL;
	struct error err = {0};

	if (blackout_parse(text, &ignored, &err) < 0)
		return conf_value_wrong(wrong, err.message);
	return set_checked_text(key, field, text);
}

static void allow_blackout(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "windows like 22:00-06:00 or mon-fri 08:00-18:00, with commas between them; nothing for none");
}

static void format_moment_text(const struct conf_key *key, const void *field, struct str *out)
{
	const char *text = *(char *const *)field;

	str_append(out, text ? text : "");
}

const struct value_ops conf_schedule_ops = {parse_schedule_value, allow_schedule, format_moment_text};
const struct value_ops conf_timezone_ops = {parse_timezone_value, allow_timezone, format_moment_text};
const struct value_ops conf_blackout_ops = {parse_blackout_value, allow_blackout, format_moment_text};
