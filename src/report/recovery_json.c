// SPDX-License-Identifier: Apache-2.0
/* status/recovery.json: what can be recovered of clusters, for programs. docs/formats.md says what is in it. */
#include "cluster_recovery.h"
#include "line.h"

#include <keepfs/codec/json.h>
#include <keepfs/wal.h>

static void set_lsn_or_none(struct json *j, const char *key, uint64_t lsn)
{
	char text[WAL_LSN_BYTES];

	json_set_string(j, key, lsn ? wal_lsn_format(lsn, text) : NULL);
}

static void set_segment(struct json *j, const char *key, const struct wal_name *name)
{
	char text[WAL_NAME_BYTES];

	wal_name_format(name, text);
	json_set_string(j, key, text);
}

static struct json *moment(int64_t at_us, uint64_t lsn, uint32_t timeline)
{
	struct json *j = json_object_new();

	json_set_time(j, "at", at_us);
	set_lsn_or_none(j, "lsn", lsn);
	json_set_int(j, "timeline", timeline);
	return j;
}

static struct json *json_windows(const struct cluster_recovery *c)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < c->view.window_count; i++) {
		const struct recovery_window *w = &c->view.windows[i];
		struct json *j = json_object_new();

		json_set(j, "from", moment(w->from_us, w->from_lsn, c->facts.bases[w->base].timeline));
		json_set(j, "to", moment(w->to_us, w->to_lsn, w->timeline));
		json_set_int(j, "bases", (int64_t)w->bases);
		json_set_int(j, "unread", (int64_t)w->unknown);
		json_append(list, j);
	}
	return list;
}

static int append_gap(void *arg, const struct recovery_gap *g)
{
	struct json *list = arg, *j = json_object_new();

	json_set_int(j, "timeline", g->timeline);
	set_segment(j, "first", &g->first_name);
	set_segment(j, "last", &g->last_name);
	json_set_int(j, "segments", (int64_t)(g->last - g->first + 1));
	json_set_bool(j, "removed", g->is_cut);
	json_set_bool(j, "blocks_newest", g->blocks_newest);
	json_append(list, j);
	return json_count(list) < CLUSTER_GAPS ? 0 : 1;
}

static struct json *json_gaps(const struct cluster_recovery *c)
{
	struct json *list = json_array_new();

	(void)recovery_each_gap(&c->facts, append_gap, list);
	return list;
}

static struct json *json_bases(const struct cluster_recovery *c)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < c->facts.base_count; i++) {
		const struct recovery_base *b = &c->facts.bases[i];
		const struct recovery_base_reach *reach = &c->view.reaches[i];
		struct json *j = json_object_new();

		json_set_string(j, "path", b->path);
		json_set_time(j, "at", b->stopped_us);
		json_set_int(j, "timeline", b->timeline);
		set_lsn_or_none(j, "start_lsn", b->start_lsn);
		set_lsn_or_none(j, "stop_lsn", b->stop_lsn);
		json_set_int(j, "bytes", (int64_t)b->bytes);
		json_set_bool(j, "usable", !b->is_unusable);
		json_set_bool(j, "whole", reach->is_whole);
		if (reach->is_whole)
			json_set_string(j, "missing", NULL);
		else
			set_segment(j, "missing", &reach->missing);
		json_append(list, j);
	}
	return list;
}

static int append_point(void *arg, const struct recovery_point *p)
{
	struct json *j = moment(p->at_us, p->lsn, p->timeline);

	json_set_string(j, "name", p->name);
	json_append(arg, j);
	return 0;
}

static void set_server_place(struct json *j, const struct report_sources *from, const char *job,
                             const struct cluster_recovery *c)
{
	struct wal_server_state state;
	struct json *server;
	uint64_t bytes;

	if (!from->wal || !wal_server_state(from->wal, job, &state)) {
		json_set_string(j, "server", NULL);
		return;
	}
	server = moment(state.asked_us, state.lsn, state.timeline);
	if (cluster_behind(c, &state, &bytes))
		json_set_int(server, "behind_bytes", (int64_t)bytes);
	else
		json_set_string(server, "behind_bytes", NULL);
	json_set_int(server, "waiting_segments", (int64_t)state.waiting);
	json_set_time(server, "waiting_since", state.waiting_since_us);
	json_set_time(server, "silent_since", state.silent_since_us);
	json_set(j, "server", server);
}

static int append_cluster(const struct report_sources *from, const char *job, struct json *list)
{
	_cleanup(cluster_recovery) struct cluster_recovery c = {0};
	struct json *j, *points;
	int r = cluster_recovery_gather(from, job, &c);

	if (r < 0)
		return r;
	j = json_object_new();
	points = json_array_new();
	json_append(list, j);
	json_set_string(j, "cluster", job);
	if (c.newest)
		json_set(j, "newest", moment(c.newest->to_us, c.newest->to_lsn, c.newest->timeline));
	else
		json_set_string(j, "newest", NULL);
	if (c.oldest)
		json_set(j, "oldest",
		         moment(c.oldest->from_us, c.oldest->from_lsn,
		                c.facts.bases[c.oldest->base].timeline));
	else
		json_set_string(j, "oldest", NULL);
	set_server_place(j, from, job, &c);
	json_set(j, "windows", json_windows(&c));
	json_set(j, "gaps", json_gaps(&c));
	json_set(j, "bases", json_bases(&c));
	r = catalog_wal_each_point(from->catalog, job, NULL, CLUSTER_POINTS, append_point, points);
	json_set(j, "restore_points", points);
	json_set_int(j, "wal_files", (int64_t)c.files);
	json_set_int(j, "wal_stored_bytes", (int64_t)c.stored_bytes);
	json_set_string(j, "wal_last", c.last.id ? c.last.name : NULL);
	json_set_time(j, "wal_last_at", c.last.arrived_us);
	return r;
}

int report_recovery_json(const struct report_sources *from, struct spool *out)
{
	struct json *list = json_array_new();
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->conf->job_count; i++)
		if (from->conf->jobs[i].kind == CONF_JOB_CLUSTER)
			r = append_cluster(from, from->conf->jobs[i].name, list);
	line_json(out, list);
	return r < 0 ? r : spool_error(out);
}
