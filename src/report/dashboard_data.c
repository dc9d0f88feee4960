// SPDX-License-Identifier: Apache-2.0
/*
 * The facts of the page as JSON, for its script and for other programs. It stands in a script element, which ends at the
 * first "</script" whatever the JSON thinks: none of its characters is left (each may be written as an escape in a JSON
 * string, and they stand nowhere else).
 */
#include "dashboard.h"

#include <keepfs/base/clock.h>
#include <keepfs/codec/json.h>

#include <string.h>

static struct json *points_of(const struct series *s)
{
	struct json *points = json_array_new();

	for (size_t i = 0; i < s->count; i++) {
		const struct series_point *at = &s->points[i];
		struct json *point = json_object_new();

		json_set_int(point, "run", at->run_id);
		json_set_int(point, "at", at->at_us / US_PER_S);
		json_set_int(point, "size", (int64_t)at->size_bytes);
		if (at->duration_us >= 0)
			json_set_real(point, "duration", (double)(at->duration_us / 1000) / 1000);
		if (at->rows >= 0)
			json_set_int(point, "rows", at->rows);
		json_append(points, point);
	}
	return points;
}

static struct json *job_data(const struct dash_job *job, bool drawn)
{
	struct json *j = json_object_new();

	json_set_string(j, "job", job->conf->name);
	json_set_string(j, "state", standing_id(job->standing));
	json_set_int(j, "backups", (int64_t)job->artifacts);
	json_set_int(j, "stored_bytes", (int64_t)job->stored_bytes);
	json_set_time(j, "last_success", job->last_success_us);
	json_set_time(j, "next_run", job->next_run_us);
	if (drawn)
		json_set(j, "points", points_of(&job->series));
	return j;
}

static void append_within_script(struct str *out, const char *json)
{
	for (; *json; json++) {
		if (*json == '<' || *json == '>' || *json == '&') {
			str_appendf(out, "\\u%04x", (unsigned)*json);
		} else if (strncmp(json, "\xe2\x80\xa8", 3) == 0 || strncmp(json, "\xe2\x80\xa9", 3) == 0) {
			str_append(out, json[2] == '\xa8' ? "\\u2028" : "\\u2029");
			json += 2;
		} else {
			str_append_char(out, *json);
		}
	}
}

void dashboard_data(struct page *p)
{
	_cleanup(json) struct json *j = json_object_new();
	_cleanup(str) struct str text = {0}, safe = {0};
	struct json *jobs = json_array_new();
	size_t drawn = 0;

	json_set_time(j, "made", p->from->now_us);
	json_set_string(j, "health", health_level_name(health_worst(&p->health)));
	for (size_t i = 0; i < p->job_count && i < LINES_SHOWN; i++) {
		bool draws = p->jobs[i].series.count > 1 && drawn < JOBS_DRAWN;

		drawn += draws;
		json_append(jobs, job_data(&p->jobs[i], draws));
	}
	json_set(j, "jobs", jobs);
	json_write(j, 0, &text);
	append_within_script(&safe, str_text(&text));
	page_put(p, str_text(&safe));
}
