// SPDX-License-Identifier: Apache-2.0
/* What can be recovered of a cluster: gathered, and as text for people. */
#include "cluster_recovery.h"
#include "line.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>
#include <keepfs/wal.h>
#include <keepfs/wal/recovery.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int cluster_recovery_gather(const struct report_sources *from, const char *job, struct cluster_recovery *ret)
{
	int r;

	*ret = (struct cluster_recovery){0};
	r = wal_recovery_load(from->catalog, job, &ret->facts, NULL);
	if (r == 0)
		r = recovery_look(&ret->facts, &ret->view);
	if (r == 0)
		r = catalog_wal_totals(from->catalog, job, &ret->files, &ret->stored_bytes);
	if (r == 0) {
		r = catalog_wal_last(from->catalog, job, &ret->last);
		r = r == -ENOENT ? 0 : r;
	}
	if (r < 0)
		return r;
	ret->newest = recovery_newest(&ret->facts, &ret->view);
	ret->oldest = ret->view.window_count ? &ret->view.windows[0] : NULL;
	return 0;
}

void cluster_recovery_finish(struct cluster_recovery *c)
{
	recovery_view_finish(&c->view);
	recovery_facts_finish(&c->facts);
}

const char *cluster_base_name(const struct recovery_base *b)
{
	const char *slash = strrchr(b->path, '/');

	return slash ? slash + 1 : b->path;
}

bool cluster_behind(const struct cluster_recovery *c, const struct wal_server_state *server,
                    uint64_t *ret_bytes)
{
	uint64_t end = 0;

	for (size_t i = 0; i < c->facts.range_count; i++)
		if (c->facts.ranges[i].timeline == server->timeline)
			end = (c->facts.ranges[i].last + 1) * c->facts.segment_bytes;
	*ret_bytes = server->lsn > end ? server->lsn - end : 0;
	return end > 0;
}

struct telling {
	const struct report_sources *from;
	const struct cluster_recovery *c;
	struct spool *out;
	unsigned count;
};

static void tell_newest_point(const struct telling *t)
{
	const struct recovery_window *w = t->c->newest;
	char at[32], age[32], lsn[WAL_LSN_BYTES];

	if (!w) {
		spool_appendf(t->out, "  newest point       NONE: %s\n",
		              t->c->facts.base_count ? "no base backup has all WAL that it needs"
		                                     : "there is no base backup");
		return;
	}
	spool_appendf(t->out, "  newest point       %s, timeline %" PRIu32,
	              w->to_lsn ? wal_lsn_format(w->to_lsn, lsn) : "the end of the base", w->timeline);
	if (w->to_us)
		spool_appendf(t->out, ": the last commit is of %s, %s ago\n", line_time(w->to_us, "-", at),
		              line_age(t->from->now_us - w->to_us, age));
	else
		spool_appendf(t->out, ": no commit since the base of %s\n", line_time(w->from_us, "-", at));
}

static void tell_server_place(const struct telling *t, const char *job)
{
	struct wal_server_state state;
	char size[16], lsn[WAL_LSN_BYTES], at[32];
	uint64_t bytes;

	if (!t->from->wal || !wal_server_state(t->from->wal, job, &state))
		return;
	spool_appendf(t->out, "  the server is at   %s, timeline %" PRIu32 ", at %s",
	              wal_lsn_format(state.lsn, lsn), state.timeline, line_time(state.asked_us, "-", at));
	if (cluster_behind(t->c, &state, &bytes))
		spool_appendf(t->out, ": %s have not come", str_format_bytes(size, sizeof(size), bytes));
	if (state.waiting)
		spool_appendf(t->out, ", %" PRIu64 " whole segments among them", state.waiting);
	if (state.silent_since_us)
		spool_appendf(t->out, "; it has not answered since %s",
		              line_time(state.silent_since_us, "-", at));
	spool_append(t->out, "\n", 1);
}

static void tell_windows(const struct telling *t)
{
	for (size_t i = 0; i < t->c->view.window_count; i++) {
		const struct recovery_window *w = &t->c->view.windows[i];
		char from[32], to[32];

		spool_appendf(t->out, "  any time from      %s to %s, timeline %" PRIu32 ", %zu base%s\n",
		              line_time(w->from_us, "-", from),
		              line_time(w->to_us > w->from_us ? w->to_us : w->from_us, "-", to), w->timeline,
		              w->bases, w->bases == 1 ? "" : "s");
		if (w->unknown)
			spool_appendf(t->out,
			              "  not read yet       %" PRIu64
			              " segments of these: there may be later commits in them\n",
			              w->unknown);
	}
}

static int tell_gap(void *arg, const struct recovery_gap *g)
{
	struct telling *t = arg;
	char first[WAL_NAME_BYTES], last[WAL_NAME_BYTES];

	if (t->count++ == CLUSTER_GAPS) {
		spool_appendf(t->out, "  missing            … and further ones\n");
		return 1;
	}
	wal_name_format(&g->first_name, first);
	wal_name_format(&g->last_name, last);
	spool_appendf(
	        t->out, "  %s %s%s%s (%" PRIu64 ")%s\n",
	        g->is_cut ? "removed           " : "missing           ", first,
	        g->first == g->last ? "" : " to ", g->first == g->last ? "" : last, g->last - g->first + 1,
	        g->blocks_newest ? ": what came later cannot be recovered before there is a new base backup"
	                         : "");
	return 0;
}

static void tell_base_state(const struct telling *t, size_t i)
{
	const struct recovery_base_reach *reach = &t->c->view.reaches[i];
	char missing[WAL_NAME_BYTES];

	if (t->c->facts.bases[i].is_unusable)
		spool_appendf(t->out, ", removed or damaged");
	if (!reach->is_whole) {
		wal_name_format(&reach->missing, missing);
		spool_appendf(t->out, ", CANNOT BE RECOVERED: %s is missing", missing);
	}
	spool_append(t->out, "\n", 1);
}

static void tell_bases(const struct telling *t)
{
	for (size_t i = t->c->facts.base_count; i-- > 0;) {
		const struct recovery_base *b = &t->c->facts.bases[i];
		char at[32], size[16], start[WAL_LSN_BYTES], stop[WAL_LSN_BYTES];

		spool_appendf(t->out, "  base               %s, %s to %s, timeline %" PRIu32 ", %s, %s",
		              line_time(b->stopped_us, "-", at), wal_lsn_format(b->start_lsn, start),
		              wal_lsn_format(b->stop_lsn, stop), b->timeline,
		              str_format_bytes(size, sizeof(size), b->bytes), cluster_base_name(b));
		tell_base_state(t, i);
	}
}

static int tell_point(void *arg, const struct recovery_point *p)
{
	const struct telling *t = arg;
	char at[32], lsn[WAL_LSN_BYTES];
	_cleanup(str) struct str name = {0};

	str_append_line(&name, p->name);
	spool_appendf(t->out, "  restore point      %s, %s, %s\n", line_time(p->at_us, "-", at),
	              wal_lsn_format(p->lsn, lsn), str_text(&name));
	return 0;
}

static void tell_wal_totals(const struct telling *t)
{
	char size[16], at[32];

	spool_appendf(t->out, "  WAL                %" PRIu64 " files, %s", t->c->files,
	              str_format_bytes(size, sizeof(size), t->c->stored_bytes));
	if (t->c->last.id)
		spool_appendf(t->out, "; %s came last, at %s", t->c->last.name,
		              line_time(t->c->last.arrived_us, "-", at));
	spool_append(t->out, "\n", 1);
}

int report_cluster_recovery(const struct report_sources *from, const struct conf_job *job, struct spool *out)
{
	_cleanup(cluster_recovery) struct cluster_recovery c = {0};
	struct telling t = {.from = from, .c = &c, .out = out};
	int r = cluster_recovery_gather(from, job->name, &c);

	if (r < 0)
		return r;
	spool_appendf(out, "%s\n", job->name);
	tell_newest_point(&t);
	tell_server_place(&t, job->name);
	tell_windows(&t);
	recovery_each_gap(&c.facts, tell_gap, &t);
	tell_wal_totals(&t);
	tell_bases(&t);
	return catalog_wal_each_point(from->catalog, job->name, NULL, CLUSTER_POINTS, tell_point, &t);
}
