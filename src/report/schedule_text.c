// SPDX-License-Identifier: Apache-2.0
/* status/schedule, a table for people, and status/schedule.json, which docs/formats.md promises. */
#include "line.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/report/schedule.h>
#include <keepfs/report/status.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	JOB,
	CLASS,
	DATABASES,
	SCHEDULE,
	ZONE,
	NEXT,
	NEXT_UTC,
	LAST_DUE,
	LAST_SUCCESS,
	LAST_RESULT,
	STATE,
	COLUMNS
};

static const char *const headers[COLUMNS] = {
        "JOB",      "CLASS",        "DATABASES",   "SCHEDULE", "TIME ZONE", "NEXT RUN", "NEXT RUN (UTC)",
        "LAST DUE", "LAST SUCCESS", "LAST RESULT", "STATE",
};

struct row {
	char *cells[COLUMNS];
};

struct rows {
	struct row *items;
	size_t count;
};

static void cleanup_rows(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		for (int c = 0; c < COLUMNS; c++)
			free(rows->items[i].cells[c]);
	free(rows->items);
}

/* Of the unit's own time zone. */
static char *local_time(const struct timetable_unit *u, int64_t at_us)
{
	char at[ZONE_TEXT_BYTES];

	return mem_strdup(at_us ? zone_format(u->rules.zone, at_us / US_PER_S, at) : "-");
}

static char *utc_time(int64_t at_us)
{
	char at[32];

	return mem_strdup(line_time(at_us, "-", at));
}

static char *number_or_dash(uint64_t number)
{
	return number ? mem_printf("%" PRIu64, number) : mem_strdup("-");
}

static void append_switch(const struct timetable_unit *u, const struct catalog_switch *s, struct str *out)
{
	char at[ZONE_TEXT_BYTES];

	str_appendf(out, "%s since %s", *s->job ? "off" : "off, as all jobs are,",
	            zone_format(u->rules.zone, s->at_us / US_PER_S, at));
	if (s->until_us)
		str_appendf(out, " until %s", zone_format(u->rules.zone, s->until_us / US_PER_S, at));
	str_appendf(out, " by %s", s->by);
	if (*s->note)
		str_appendf(out, " (%s)", s->note);
}

static char *state_text(const struct schedule_status *s)
{
	struct str out = {0};
	char at[ZONE_TEXT_BYTES];

	switch (s->state) {
	case SCHEDULE_STATE_NONE:
		str_append(&out, "no schedule: nothing is made by itself");
		break;
	case SCHEDULE_STATE_OFF:
		append_switch(s->unit, s->unit->off, &out);
		break;
	case SCHEDULE_STATE_WAITING:
		str_appendf(&out, "due, waits for the end of run %" PRId64, s->last_run);
		break;
	case SCHEDULE_STATE_DUE:
		str_append(&out, "due");
		break;
	default:
		str_append(&out, "on");
		break;
	}
	if (s->next_is_missed)
		str_appendf(&out, "; makes up for %s",
		            zone_format(s->unit->rules.zone, s->next_due_us / US_PER_S, at));
	return str_take(&out);
}

static void fill_row(const struct schedule_status *s, struct row *row)
{
	const struct timetable_unit *u = s->unit;

	row->cells[JOB] = mem_strdup(u->job->name);
	row->cells[CLASS] = mem_strdup(*u->class ? u->class : "-");
	row->cells[DATABASES] = number_or_dash(u->databases);
	row->cells[SCHEDULE] = mem_strdup(schedule_is_off(&u->schedule) ? "disabled" : u->policy.schedule);
	row->cells[ZONE] = mem_strdup(u->zone_name);
	row->cells[NEXT] = local_time(u, s->next_us);
	row->cells[NEXT_UTC] = utc_time(s->next_us);
	row->cells[LAST_DUE] = local_time(u, s->last_due_us);
	row->cells[LAST_SUCCESS] = local_time(u, s->last_success_us);
	row->cells[LAST_RESULT] = s->last_run ? mem_printf("run %" PRId64 " %s", s->last_run,
	                                                   run_state_name((enum run_state)s->last_result))
	                                      : mem_strdup("-");
	row->cells[STATE] = state_text(s);
}

static size_t shown_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void append_cells(char *const cells[COLUMNS], const size_t widths[COLUMNS], struct spool *out)
{
	_cleanup(str) struct str line = {0};

	for (int c = 0; c < COLUMNS; c++) {
		str_append_line(&line, cells[c]);
		for (size_t pad = shown_width(cells[c]); c < STATE && pad < widths[c] + 2; pad++)
			str_append_char(&line, ' ');
	}
	str_append_char(&line, '\n');
	spool_append(out, str_text(&line), line.len);
}

static void append_table(const struct rows *rows, struct spool *out)
{
	size_t widths[COLUMNS];
	char *titles[COLUMNS];

	for (int c = 0; c < COLUMNS; c++) {
		titles[c] = (char *)headers[c];
		widths[c] = strlen(headers[c]);
		for (size_t i = 0; i < rows->count; i++)
			if (shown_width(rows->items[i].cells[c]) > widths[c])
				widths[c] = shown_width(rows->items[i].cells[c]);
	}
	append_cells(titles, widths, out);
	for (size_t i = 0; i < rows->count; i++)
		append_cells(rows->items[i].cells, widths, out);
}

int report_schedule(const struct report_sources *from, struct spool *out)
{
	_cleanup(schedule_statuses) struct schedule_statuses all = {0};
	_cleanup(rows) struct rows rows = {0};
	int r = schedule_gather(from, &all);

	if (r < 0)
		return r;
	rows = (struct rows){.items = mem_array(all.count, sizeof(*rows.items)), .count = all.count};
	for (size_t i = 0; i < all.count; i++)
		fill_row(&all.items[i], &rows.items[i]);
	append_table(&rows, out);
	return spool_error(out);
}

/* JSON. */

static struct json *switch_object(const struct catalog_switch *s)
{
	struct json *j = json_object_new();

	json_set_time(j, "since", s->at_us);
	json_set_time(j, "until", s->until_us);
	json_set_string(j, "by", s->by);
	json_set_string(j, "note", *s->note ? s->note : NULL);
	json_set_bool(j, "all", !*s->job);
	return j;
}

static struct json *status_object(const struct schedule_status *s)
{
	const struct timetable_unit *u = s->unit;
	bool is_enabled = !schedule_is_off(&u->schedule);
	struct json *j = json_object_new();

	json_set_string(j, "job", u->job->name);
	json_set_string(j, "class", *u->class ? u->class : NULL);
	if (*u->class)
		json_set_int(j, "databases", (int64_t)u->databases);
	else
		json_set_string(j, "databases", NULL);
	json_set_string(j, "schedule", is_enabled ? u->policy.schedule : NULL);
	json_set_string(j, "timezone", u->zone_name);
	json_set_string(j, "state", schedule_state_name(s->state));
	json_set_time(j, "next", s->next_us);
	json_set_time(j, "next_due", s->next_due_us);
	json_set_bool(j, "next_is_missed", s->next_is_missed);
	json_set_time(j, "last_due", s->last_due_us);
	json_set_time(j, "last_success", s->last_success_us);
	if (s->last_run)
		json_set_int(j, "last_run", s->last_run);
	else
		json_set_string(j, "last_run", NULL);
	json_set_string(j, "last_result",
	                s->last_run ? run_state_name((enum run_state)s->last_result) : NULL);
	if (s->interval_s)
		json_set_int(j, "interval_s", s->interval_s);
	else
		json_set_string(j, "interval_s", NULL);
	if (u->off && is_enabled)
		json_set(j, "off", switch_object(u->off));
	else
		json_set_string(j, "off", NULL);
	return j;
}

int report_schedule_json(const struct report_sources *from, struct spool *out)
{
	_cleanup(schedule_statuses) struct schedule_statuses all = {0};
	_cleanup(json) struct json *object = json_object_new();
	_cleanup(str) struct str text = {0};
	const struct catalog_switch *master;
	int r = schedule_gather(from, &all);

	if (r < 0)
		return r;
	master = timetable_master(all.timetable, from->now_us);
	json_set_bool(object, "on", !master);
	if (master)
		json_set(object, "off", switch_object(master));
	else
		json_set_string(object, "off", NULL);
	json_write_open(object, &text);
	json_list_open("schedules", &text);
	for (size_t i = 0; i < all.count; i++)
		json_list_add(status_object(&all.items[i]), i == 0, &text);
	json_list_close(&text);
	json_write_close(&text);
	spool_append(out, str_text(&text), text.len);
	return spool_error(out);
}
