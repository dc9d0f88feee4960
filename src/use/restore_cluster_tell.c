// SPDX-License-Identifier: Apache-2.0
/* The plan of a restore of a cluster, for people. */
#include "restore_cluster.h"

#include <keepfs/base/clock.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/wal_name.h>

#include <inttypes.h>

static void tell_base(const struct restore_cluster *c, const struct cluster_back *back)
{
	const struct base_facts *f = cluster_back_facts(back);
	const struct manifest *m = cluster_back_manifest(back);
	char start[WAL_LSN_BYTES], stop[WAL_LSN_BYTES], at[CLOCK_ISO_BYTES];
	int64_t version = 0;

	if (m->facts)
		(void)json_get_int(m->facts, "server_version", &version);
	make_say(c->order,
	         "the base is %s: PostgreSQL %" PRId64 ".%" PRId64
	         ", timeline %u, %s to %s, consistent since %s",
	         m->path, version / 10000, version % 10000, (unsigned)f->timeline,
	         wal_lsn_format(f->start_lsn, start), wal_lsn_format(f->stop_lsn, stop),
	         clock_format_iso(f->stopped_us, at));
}

static void tell_directory(const struct restore_cluster *c, const struct cluster_back_plan *p)
{
	char fetched[16], there[16];

	make_say(c->order, "%s %s", c->wanted->to,
	         !p->is_there     ? "is not there, and is made"
	         : p->is_going_on ? "has what an earlier restore of this cluster has left, which goes on"
	         : p->fetched == p->files && p->removed == 0 ? "is empty"
	                                                     : "was held against the base");
	make_say(c->order,
	         "%" PRIu64 " files (%s) are fetched, %" PRIu64 " of them in the place of others; %" PRIu64
	         " (%s) are there already",
	         p->fetched, str_format_bytes(fetched, sizeof(fetched), p->fetched_bytes), p->replaced,
	         p->files - p->fetched, str_format_bytes(there, sizeof(there), p->bytes - p->fetched_bytes));
	if (p->removed > 0)
		make_say(c->order,
		         "%" PRIu64 " files or directories are not in the base, and are removed: %s%s",
		         p->removed, str_text(&p->first_removed), p->removed > 5 ? ", …" : "");
	if (p->kept_links.len > 0)
		make_say(c->order, "these are links, which stay, and what they lead to is of the cluster: %s",
		         str_text(&p->kept_links));
}

static void tell_spaces(const struct restore_cluster *c, const struct restore_cluster_words *words,
                        const struct cluster_back *back)
{
	const char *listed = manifest_fact(cluster_back_manifest(back), "tablespaces");

	for (size_t i = 0; i < words->space_count; i++)
		make_say(c->order, "tablespace %s goes to %s", words->spaces[i].oid,
		         words->spaces[i].directory);
	if (listed && *listed && words->space_count == 0 && !words->delta)
		make_say(
		        c->order,
		        "tablespaces become directories below %s/pg_tblspc, where a server wants links: move them, and make links, or start it with allow_in_place_tablespaces = on; they were: %s",
		        c->wanted->to, listed);
}

static void tell_goal(const struct restore_cluster *c, const struct restore_cluster_words *words,
                      const struct restore_reach *reach)
{
	_cleanup(str) struct str goal = {0};
	char number[24];

	recovery_goal_format(&words->goal, &goal);
	snprintf(number, sizeof(number), " (%u)", (unsigned)reach->timeline);
	make_say(c->order, "the target is %s, on timeline %s%s; there: %s", str_text(&goal), words->timeline,
	         reach->timeline && !words->timeline_number ? number : "", words->action);
}

static void tell_replayed_wal(const struct restore_cluster *c, const struct restore_reach *reach)
{
	char size[16], at[CLOCK_ISO_BYTES];

	if (reach->segments > 0)
		make_say(c->order, "WAL that is replayed: %" PRIu64 " segments (%s), %s to %s",
		         reach->segments,
		         str_format_bytes(size, sizeof(size), reach->segments * reach->segment_bytes),
		         str_or_empty(reach->first), str_or_empty(reach->last));
	if (reach->latest_us > 0)
		make_say(c->order, "the last commit in these is of %s",
		         clock_format_iso(reach->latest_us, at));
	if (reach->is_unsure)
		make_say(
		        c->order,
		        "not all of these were looked into: whether the target is in them the recovery finds out");
	if (reach->gap)
		make_warn(
		        c->order,
		        "%s is missing in the archive: what comes behind it cannot be reached, and the recovery ends before it",
		        reach->gap);
}

void restore_cluster_tell(const struct restore_cluster *c, const struct restore_cluster_words *words,
                          const struct cluster_back *back, const struct cluster_back_plan *plan,
                          const struct restore_reach *reach)
{
	tell_base(c, back);
	tell_goal(c, words, reach);
	tell_replayed_wal(c, reach);
	tell_directory(c, plan);
	tell_spaces(c, words, back);
	if (words->config)
		make_say(c->order, "the server is started with %s", words->config);
	else if (!plan->has_configuration)
		make_say(
		        c->order,
		        "the base has no postgresql.conf, as on Debian, where that is in /etc/postgresql: a server needs it, and pg_hba.conf, from elsewhere: config=FILE says where");
	if (!words->archive_off)
		make_say(
		        c->order,
		        "a server that is promoted there archives as its configuration says: where the old one still lives, write archive=off");
}
