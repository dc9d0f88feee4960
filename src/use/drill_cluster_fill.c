// SPDX-License-Identifier: Apache-2.0
/* The files of the base, and a server on them: with settings of ours alone, which get its WAL by a pipe (drill_wal.h), promote it at the target, and archive nothing. */
#include "drill_cluster.h"

#include <keepfs/artifact.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/cluster/back.h>

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#define AUTO_CONF      "data/postgresql.auto.conf"
#define STANDBY_SIGNAL "standby.signal"

/* Besides the files: what a server of any size takes, and WAL that is not recycled yet. */
#define ROOM_OF_SERVER ((uint64_t)256 << 20)

struct cluster_filling {
	struct drill_cluster *c;
	const struct pg_scratch_filling *f;
	struct make_order order; /* that the end of the place ends, too */
};

/* Tablespaces lie in the place as well, whatever the base says of where they were. */
static void place_tablespaces(struct cluster_filling *g)
{
	struct restore_cluster_words *w = &g->c->words;
	const char *listed = manifest_fact(&g->c->d->backup->m, "tablespaces");

	for (; listed && *listed; listed += strcspn(listed, "\n"), listed += *listed == '\n') {
		size_t digits = strspn(listed, "0123456789");

		if (digits == 0)
			continue;
		w->spaces = mem_resize(w->spaces, w->space_count + 1, sizeof(*w->spaces));
		w->spaces[w->space_count++] = (struct cluster_back_space){
		        .oid = mem_printf("%.*s", (int)digits, listed),
		        .directory = mem_printf("%s/tablespace-%.*s", g->f->place, (int)digits, listed)};
	}
}

static int check_room_of_drill(const struct cluster_filling *g, const struct cluster_back_plan *plan,
                               struct error *err)
{
	uint64_t needed = plan->bytes + ROOM_OF_SERVER;
	char needs[16], may[16];

	str_format_bytes(needs, sizeof(needs), needed);
	str_format_bytes(may, sizeof(may), g->f->room_bytes);
	make_say(g->c->d->order, "it takes some %s in %s, and may take %s there", needs, g->f->place, may);
	if (needed <= g->f->room_bytes)
		return 0;
	return error_set(
	        err, ERROR_NO_SPACE, ENOSPC,
	        "the cluster needs %s for a drill, and may take %s in drill_dir (drill_disk, and a tenth of the file system is to stay free): raise [keepfs] drill_disk, or name a drill_dir with more room",
	        needs, may);
}

static struct recovery_settings settings_of_drill(const struct drill_cluster *c)
{
	return (struct recovery_settings){.target = c->words.goal,
	                                  .restore_command = DRILL_WAL_COMMAND,
	                                  .timeline = c->words.timeline,
	                                  .action = c->words.action,
	                                  .archive_off = true};
}

/* What the old server's ALTER SYSTEM has set, libraries and primaries among it, does not count here; nor is it a standby. */
static int replace_settings(const struct cluster_filling *g, const struct recovery_settings *settings,
                            struct error *err)
{
	_cleanup(free) char *standby = mem_printf("%s/" STANDBY_SIGNAL, g->f->data);
	_cleanup(str) struct str text = {0};

	if (unlink(standby) < 0 && errno != ENOENT)
		return error_system(err, errno, "%s", standby);
	recovery_settings_write(NULL, settings, &text);
	return pg_scratch_put(g->f, AUTO_CONF, str_text(&text), err);
}

static int bring_cluster_files(struct cluster_filling *g, struct error *err)
{
	struct drill_cluster *c = g->c;
	const struct cluster_back_options options = {.ctx = &c->reading,
	                                             .order = &g->order,
	                                             .path = c->d->backup->path,
	                                             .to = g->f->data,
	                                             .jobs = c->d->jobs,
	                                             .has_owner = geteuid() == 0,
	                                             .uid = g->f->uid,
	                                             .gid = g->f->gid,
	                                             .spaces = c->words.spaces,
	                                             .space_count = c->words.space_count};
	const struct recovery_settings settings = settings_of_drill(c);
	_cleanup(cluster_back_plan) struct cluster_back_plan plan = {0};
	struct cluster_back *back = NULL;
	int r = cluster_back_open(&options, &back, err);

	if (r == 0)
		r = cluster_back_plan(back, &plan, err);
	if (r == 0)
		r = check_room_of_drill(g, &plan, err);
	if (r == 0)
		r = cluster_back_run(back, &settings, err);
	cluster_back_free(back);
	c->bytes = plan.bytes;
	return r < 0 ? r : replace_settings(g, &settings, err);
}

static int serve_wal_of_drill(struct cluster_filling *g, struct error *err)
{
	const struct drill *d = g->c->d;
	const struct wal_get how = {.store = repository_store(g->c->reading.repository),
	                            .keyring = g->c->reading.repository->keyring,
	                            .pool = g->c->reading.pool,
	                            .patience_ms = d->job && d->job->kind == CONF_JOB_CLUSTER
	                                                   ? d->job->cluster.read_timeout_ms
	                                                   : 0};

	return drill_wal_new(g->f, &how, d->backup->m.job, &g->c->wal, err);
}

static int fill_cluster(void *arg, const struct pg_scratch_filling *f, struct error *err)
{
	struct drill_cluster *c = arg;
	struct cluster_filling g = {.c = c, .f = f, .order = *c->d->order};
	int64_t began_us = clock_mono_us();
	char size[16];
	int r;

	g.order.cancel = f->cancel;
	place_tablespaces(&g);
	r = bring_cluster_files(&g, err);
	if (r < 0)
		return r;
	c->restored_us = clock_mono_us() - began_us;
	make_say(
	        c->d->order,
	        "%s were written in %.1f s, each file compared with its CRC-32C; now a server recovers on them",
	        str_format_bytes(size, sizeof(size), c->bytes), (double)c->restored_us / (double)US_PER_S);
	return serve_wal_of_drill(&g, err);
}

/* Why WAL could not be had says more than that the server has ended. */
static int end_wal_of_drill(struct drill_cluster *c, int r, struct error *err)
{
	struct error why = {0};
	int served = c->wal ? drill_wal_end(c->wal, &c->wal_files, &why) : 0;

	if (served < 0 && r < 0 && r != -ECANCELED) {
		*err = why;
		return served;
	}
	return r;
}

static int take_server(struct drill *d, struct error *err)
{
	const struct drill_cluster *c = d->cluster;
	const char *const candidates[] = {c->marker.superuser, "postgres", c->user};
	int r = pg_scratch_take_role(d->scratch, candidates, ARRAY_SIZE(candidates), err);

	if (r < 0)
		return r;
	drill_take_scratch(d);
	make_say(d->order, "it has recovered, with %" PRIu64 " files of WAL, and was promoted", c->wal_files);
	return 0;
}

int drill_cluster_recover(struct drill_cluster *c, struct error *err)
{
	struct drill *d = c->d;
	_cleanup(free) char *directory = conf_drill_dir(d->conf);
	const struct pg_scratch_options options = {
	        .directory = directory,
	        .user = d->conf->drill_user,
	        .bindir = d->conf->drill_bindir,
	        .version_num = c->version_num / 10000 * 10000,
	        .memory_bytes = d->conf->drill_memory_bytes,
	        .connections = 2 * d->jobs,
	        .disk_bytes = d->conf->drill_disk_bytes,
	        .cancel = d->order->cancel,
	        .fill = fill_cluster,
	        .fill_arg = c,
	};
	int r = pg_scratch_new(&options, &d->scratch, err);

	r = end_wal_of_drill(c, r, err);
	return r < 0 ? r : take_server(d, err);
}
