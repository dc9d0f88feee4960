// SPDX-License-Identifier: Apache-2.0
/* The report of a drill: JSON, from which the text for people is made when somebody reads it (report/drills.c). */
#include "drill_cluster.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/scratch.h>

#include <config.h>
#include <inttypes.h>

#define US_REAL ((double)US_PER_S)

static struct json *seconds_against(int64_t found_us, int64_t goal_ms)
{
	struct json *one = json_object_new();

	json_set_real(one, "seconds", (double)found_us / US_REAL);
	if (goal_ms > 0) {
		json_set_real(one, "goal_seconds", (double)goal_ms / 1000.0);
		json_set_bool(one, "met", found_us <= goal_ms * 1000);
	}
	return one;
}

static void add_figures(const struct drill *d, struct json *out)
{
	const struct catalog_drill *row = &d->row;
	int64_t age_us = row->started_at_us - d->backup->m.started_at_us;

	if (row->restore_us > 0) {
		json_set(out, "rto", seconds_against(row->restore_us, d->job ? d->job->rto_ms : 0));
		json_set_real(out, "bytes_per_second",
		              (double)row->bytes / ((double)row->restore_us / US_REAL));
	}
	/* Of an older one the age says nothing about what would be lost. */
	json_set(out, "rpo",
	         seconds_against(age_us, d->job && str_equal(row->pick, "newest") ? d->job->rpo_ms : 0));
	json_set_int(out, "database_bytes", (int64_t)row->bytes);
	json_set_int(out, "stored_bytes", (int64_t)d->backup->m.size_bytes);
	if (d->scratch)
		json_set_int(out, "peak_disk_bytes", (int64_t)pg_scratch_peak_bytes(d->scratch));
}

/* Of a base it is a number, of a dump the server's words. */
static char *version_of_source(const struct drill *d)
{
	const char *text = manifest_fact(&d->backup->m, "server_version");
	int64_t number = 0;

	if (text || !d->backup->m.facts || !json_get_int(d->backup->m.facts, "server_version", &number))
		return mem_strdup(text);
	return mem_printf("%" PRId64 ".%" PRId64, number / 10000, number % 10000);
}

static void add_versions(const struct drill *d, struct json *out)
{
	_cleanup(free) char *source = version_of_source(d);
	struct json *versions = json_object_new();

	json_set_string(versions, "server", source);
	json_set_string(versions, "pg_dump", manifest_fact(&d->backup->m, "tool_version"));
	json_set_string(versions, "drill_server", d->server_version[0] ? d->server_version : NULL);
	json_set_string(versions, "keepfs", KEEPFS_VERSION);
	json_set(out, "versions", versions);
}

static void report_parts(struct drill *d, struct json *out)
{
	if (!d->parts)
		return;
	json_set_int(out, "parts_tried", (int64_t)d->parts_tried);
	json_set_int(out, "parts_failed", (int64_t)d->parts_failed);
	json_set(out, "parts", take_ptr(&d->parts));
}

static void report_found(struct drill *d, struct json *out)
{
	struct json *tables = json_object_new();

	json_set_int(tables, "compared", (int64_t)d->tables);
	json_set_int(tables, "rows", (int64_t)d->rows);
	json_set_int(tables, "bytes", (int64_t)d->bytes);
	json_set(out, "tables", tables);
	json_set(out, "objects", take_ptr(&d->objects));
	json_set(out, "checks", take_ptr(&d->checks));
	json_set_int(out, "differences", (int64_t)d->differences);
	json_set(out, "first_differences", take_ptr(&d->first));
	json_set(out, "notes", take_ptr(&d->told));
}

struct json *drill_part_report(struct drill *d)
{
	struct json *out = json_object_new();

	json_set_string(out, "on", d->scratch ? "a throw-away server" : d->server ? "another server" : NULL);
	json_set(out, "phases", take_ptr(&d->phases));
	add_figures(d, out);
	add_versions(d, out);
	report_found(d, out);
	return out;
}

static const char *tried_on(const struct drill *d)
{
	if (d->parts)
		return str_equal(d->backup->m.kind, "bundle") ? "scratch places, part by part"
		                                              : "a scratch directory";
	return d->scratch ? "a throw-away server" : d->server ? "another server" : NULL;
}

struct json *drill_report_moment(const struct drill_cluster *c)
{
	struct json *moment = json_object_new();

	json_set_string(moment, "target", c->target);
	json_set_time(moment, "at", c->has_marker ? c->marker.moment_us : 0);
	json_set_bool(moment, "is_proven", c->has_marker && c->seen.has_before && !c->seen.has_after);
	json_set_time(moment, "replayed_to", c->seen.replayed_us);
	json_set_string(moment, "first_wal", c->reach.first);
	json_set_string(moment, "last_wal", c->reach.last);
	json_set_int(moment, "wal_files", (int64_t)c->wal_files);
	return moment;
}

char *drill_report(struct drill *d)
{
	const struct catalog_drill *row = &d->row;
	_cleanup(json) struct json *out = json_object_new();
	struct str text = {0};

	json_set_int(out, "run", row->run_id);
	json_set_string(out, "job", row->job);
	json_set_string(out, "target", d->backup->m.target);
	json_set_string(out, "backup", row->path);
	json_set_string(out, "pick", row->pick);
	json_set_string(out, "result", drill_result_name(row->result));
	json_set_int(out, "level", row->level);
	json_set_int(out, "wanted_level", row->wanted);
	json_set_string(out, "error", row->error[0] ? row->error : NULL);
	json_set_time(out, "data_of", d->backup->m.started_at_us);
	json_set_time(out, "started", row->started_at_us);
	json_set_time(out, "finished", row->finished_at_us);
	json_set_string(out, "on", tried_on(d));
	json_set(out, "phases", take_ptr(&d->phases));
	report_parts(d, out);
	if (d->moment)
		json_set(out, "moment", take_ptr(&d->moment));
	add_figures(d, out);
	add_versions(d, out);
	report_found(d, out);
	json_write(out, 2, &text);
	str_append_char(&text, '\n');
	return str_take(&text);
}
