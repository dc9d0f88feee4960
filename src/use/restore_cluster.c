// SPDX-License-Identifier: Apache-2.0
/*
 * The order of steps: which base, and can the target be reached; the plan; may the directory be changed; the files; a server on them. A directory that is not whole yet has no control file, and a mark by which the same order goes on.
 */
#include "restore_cluster.h"

#include "copied.h"
#include "restore_dump.h"
#include "restore_files.h"
#include "restore_hook.h"
#include "words.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/restores.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/listing.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct recovering {
	const struct restore_cluster *c;
	const struct make_context *reading;
	struct restore_cluster_words words;
	struct restore_reach reach;
	struct cluster_back *back;
	struct cluster_back_plan plan;
	struct recovery_settings settings;
	char *command; /* restore_command */
	bool has_owner;
	uid_t uid; /* whose the directory is, or becomes */
	gid_t gid;
	int64_t began_ms;
};

bool restore_cluster_is(const struct backup *b)
{
	return str_equal(b->m.kind, LISTING_KIND_BASE) && !b->is_part;
}

/* Whose it becomes. */

static int find_named_owner(struct recovering *g, struct error *err)
{
	_cleanup(free) char *user = mem_strdup(g->words.owner);
	char *group = strchr(user, ':'), buf[4096];
	struct passwd pw, *found = NULL;
	struct group gr, *of = NULL;

	if (group)
		*group++ = '\0';
	if (getpwnam_r(user, &pw, buf, sizeof(buf), &found) != 0 || !found)
		return error_set(err, ERROR_USAGE, EINVAL, "owner=%.80s: this host has no user of that name",
		                 g->words.owner);
	g->uid = found->pw_uid;
	g->gid = found->pw_gid;
	if (!group)
		return 0;
	if (getgrnam_r(group, &gr, buf, sizeof(buf), &of) != 0 || !of)
		return error_set(err, ERROR_USAGE, EINVAL, "owner=%.80s: this host has no group of that name",
		                 g->words.owner);
	g->gid = of->gr_gid;
	return 0;
}

/* That of the directory, or else of the one that it is made in. */
static int find_present_owner(struct recovering *g, struct error *err)
{
	const char *to = g->c->wanted->to, *slash = strrchr(to, '/');
	_cleanup(free) char *above =
	        slash == to ? mem_strdup("/") : mem_printf("%.*s", (int)(slash - to), to);
	struct stat st;

	if (stat(to, &st) < 0 && stat(above, &st) < 0)
		return error_system(err, errno, "%s", above);
	g->uid = st.st_uid;
	g->gid = st.st_gid;
	return 0;
}

static int find_owner(struct recovering *g, struct error *err)
{
	bool is_root = geteuid() == 0;
	int r;

	if (g->words.owner && !is_root)
		return error_set(err, ERROR_USAGE, EPERM,
		                 "owner= needs root: keepfs runs as another user, whose all of it becomes");
	g->has_owner = is_root;
	g->uid = geteuid();
	g->gid = getegid();
	if (!is_root)
		return 0;
	r = g->words.owner ? find_named_owner(g, err) : find_present_owner(g, err);
	if (r < 0 || g->uid != 0)
		return r;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s would belong to root, as whom PostgreSQL does not run: say whose it is to be, owner=postgres",
	        g->c->wanted->to);
}

/* Looking. */

static int check_cluster_directory(const struct restore_cluster *c, struct error *err)
{
	const char *to = c->wanted->to, *confirm = c->wanted->confirm;
	size_t len = confirm ? strlen(confirm) : 0;

	if (!to)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s is a base backup of a cluster: say with to=/DIRECTORY where its data directory is to be, and with until= up to which moment",
		        c->backup->path);
	while (len > 1 && confirm[len - 1] == '/')
		len--;
	if (confirm && (len != strlen(to) || strncmp(confirm, to, len) != 0))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "confirm=%.200s: it would be restored into %s, so nothing was done", confirm,
		                 to);
	return restore_files_check_place(c->ctx->conf, to, err);
}

/* "main/20261120T020000Z", and not "main" or "main/latest" */
static bool names_one_base(const struct restore_cluster *c, const char *word)
{
	_cleanup(free) char *path = words_path(word);

	return copied_is_word(word) || str_equal(path, c->backup->path);
}

/* heap: the base that was asked for; NULL: the best one */
static char *only_base(const struct restore_cluster *c, const struct restore_cluster_words *w,
                       const char *word)
{
	const char *slash = strrchr(c->backup->path, '/');

	if (w->base)
		return mem_printf("%.*s/%s", (int)(slash - c->backup->path), c->backup->path, w->base);
	return word && names_one_base(c, word) ? mem_strdup(c->backup->path) : NULL;
}

static void take_chosen_base(const struct restore_cluster *c, const struct restore_reach *reach,
                             struct make_target *target)
{
	if (str_equal(reach->base, c->backup->path))
		return;
	mem_replace_string(&target->name, reach->base);
	mem_replace_string(&target->label, reach->base);
	mem_replace_string(&target->directory, reach->base);
	target->stays_ino = ino_of_artifact(reach->base);
}

static int accept_listed(const struct restore_cluster *c, const struct restore_cluster_words *words,
                         struct make_target *target, struct error *err)
{
	const struct command_line *line = c->wanted->line;
	_cleanup(restore_reach) struct restore_reach reach = {0};
	_cleanup(free) char *only = only_base(c, words, line->word_count > 0 ? line->words[0] : NULL);
	int r = restore_cluster_learn(c->ctx, c->order->cancel, err);

	if (r == 0)
		r = restore_cluster_reach(c->ctx, c->backup->m.job, words, only, &reach, err);
	if (r == 0)
		take_chosen_base(c, &reach, target);
	return r;
}

int restore_cluster_accept(const struct restore_cluster *c, struct make_target *target, struct error *err)
{
	const struct conf *conf = make_conf_ref(c->ctx);
	_cleanup(restore_cluster_words) struct restore_cluster_words words = {0};
	int r = restore_cluster_read(conf, c->backup->m.job, c->wanted, &words, err);

	if (r == 0)
		r = check_cluster_directory(c, err);
	/* Of one that is read from a further store alone, this catalog knows nothing. */
	if (r == 0 && !c->copy)
		r = accept_listed(c, &words, target, err);
	if (r == 0 && !c->wanted->plan)
		target->claim = restore_files_claim(c->wanted->to);
	make_conf_unref(c->ctx, conf);
	return r;
}

/* What is kept of it while it is at work. */

static struct catalog_restore_which which_cluster(const struct recovering *g)
{
	return (struct catalog_restore_which){
	        .run_id = g->c->order->run_id, .target = g->c->wanted->to, .server = ""};
}

static int note_cluster_begin(const struct recovering *g, struct error *err)
{
	struct catalog_restore x = {.run_id = g->c->order->run_id,
	                            .phase = RESTORE_PHASE_CLUSTER,
	                            .begun_at_us = make_now_us(g->c->ctx)};

	str_copy(x.target, sizeof(x.target), g->c->wanted->to);
	str_cut(x.backup, sizeof(x.backup), g->c->copy ? g->c->order->target->name : g->c->backup->path);
	return catalog_set_restore(g->c->ctx->repository->catalog, &x, err);
}

static void note_cluster_end(const struct recovering *g, int r, const struct error *why)
{
	struct catalog *catalog = g->c->ctx->repository->catalog;
	struct catalog_restore_which which = which_cluster(g);
	struct error err = {0};
	uint64_t settled;

	if (r < 0)
		r = catalog_leave_restore(catalog, &which, why->message, &err);
	else if ((r = catalog_end_restore(catalog, &which, &err)) == 0) {
		which.run_id = 0;
		r = catalog_forget_restores(catalog, &which, &settled, &err);
	}
	if (r < 0)
		make_warn(g->c->order, "what became of the restore could not be kept: %s", err.message);
}

static void note_cluster_in_audit(const struct recovering *g, int result)
{
	const struct restore_cluster *c = g->c;
	struct catalog_audit entry = {.at_us = make_now_us(c->ctx),
	                              .uid = -1,
	                              .pid = -1,
	                              .command = "keepfs",
	                              .action = "cluster-back"};
	_cleanup(str) struct str goal = {0};
	_cleanup(free) char *detail = NULL;
	struct error err = {0};

	recovery_goal_format(&g->words.goal, &goal);
	detail = mem_printf("run %" PRId64 ": into %s, to %s: %" PRIu64 " files, %" PRIu64 " bytes",
	                    c->order->run_id, c->wanted->to, str_text(&goal), g->plan.fetched,
	                    g->plan.fetched_bytes);
	str_copy(entry.result, sizeof(entry.result), result == 0 ? "ok" : "failed");
	str_cut(entry.object, sizeof(entry.object), c->backup->path);
	str_cut(entry.detail, sizeof(entry.detail), detail);
	if (catalog_add_audit(c->ctx->repository->catalog, &entry, &err) < 0)
		make_warn(c->order, "the restore could not be noted in the audit: %s", err.message);
}

/* All of it came, each file compared with what was backed up. */
static void note_cluster_proof(const struct recovering *g)
{
	struct error err = {0};

	if (g->plan.fetched < g->plan.files || g->c->copy)
		return;
	if (backup_set_proof(g->c->backup, PROOF_RESTORED, make_now_us(g->c->ctx), g->c->order->run_id,
	                     &err) < 0)
		make_warn(g->c->order, "that %s can be restored could not be kept: %s", g->c->backup->path,
		          err.message);
}

/* Judging. */

static int check_cluster_room(const struct recovering *g, struct error *err)
{
	const char *to = g->c->wanted->to, *slash = strrchr(to, '/');
	_cleanup(free) char *above = mem_printf("%.*s/", (int)(slash - to), to);
	struct statvfs st;
	char needed[16], left[16];
	uint64_t there;

	if (g->c->wanted->any_room || g->words.space_count > 0 ||
	    statvfs(g->plan.is_there ? to : above, &st) < 0)
		return 0;
	there = (uint64_t)(geteuid() == 0 ? st.f_bfree : st.f_bavail) * st.f_frsize;
	if (g->plan.fetched_bytes <= there)
		return 0;
	return error_set(
	        err, ERROR_NO_SPACE, ENOSPC,
	        "nothing was changed: %s are needed in %s, and its disk has %s left (room=any tries it all the same)",
	        str_format_bytes(needed, sizeof(needed), g->plan.fetched_bytes), to,
	        str_format_bytes(left, sizeof(left), there));
}

static int judge_cluster(const struct recovering *g, struct error *err)
{
	const struct cluster_back_plan *p = &g->plan;

	if (p->replaced + p->removed > 0 && !p->is_going_on && !g->c->wanted->confirm)
		return error_set(
		        err, ERROR_CONFLICT, EEXIST,
		        "nothing was changed: %" PRIu64 " files of %s would be replaced, and %" PRIu64
		        " removed%s%s;%s%s%s to do that write confirm=%s",
		        p->replaced, g->c->wanted->to, p->removed, p->removed > 0 ? ": " : "",
		        str_text(&p->first_removed),
		        p->kept_links.len > 0 ? " also behind these links, which no other server may use: "
		                              : "",
		        str_text(&p->kept_links), p->kept_links.len > 0 ? ";" : "", g->c->wanted->to);
	return check_cluster_room(g, err);
}

static int check_start(const struct recovering *g, const struct restore_start *s, struct error *err)
{
	if (!g->words.start)
		return 0;
	if (!g->plan.has_configuration && !g->words.config)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "start=yes: the base has no postgresql.conf, without which no server starts on it (Debian keeps it in /etc/postgresql): say with config=/etc/postgresql/…/postgresql.conf which one it is to have, or leave start=yes out");
	return restore_start_check(s, err);
}

/* Whoever starts the server reads the configuration for its WAL. */
static void warn_of_rights(const struct recovering *g)
{
	const char *path = g->reading->conf->path;
	struct stat st;
	bool reads;

	if (g->words.restore_command || !g->has_owner || !path || stat(path, &st) < 0)
		return;
	reads = (st.st_mode & S_IROTH) || (st.st_uid == g->uid && (st.st_mode & S_IRUSR)) ||
	        (st.st_gid == g->gid && (st.st_mode & S_IRGRP));
	if (!reads)
		make_warn(
		        g->c->order,
		        "the server gets its WAL by 'keepfs wal-get', which reads %s, and user %u may not: give its group the right, or have it copied out of the mount (restore_command=mount), or by a command of yours",
		        path, (unsigned)g->uid);
}

/* Doing it. */

static struct restore_start start_of(const struct recovering *g)
{
	const struct manifest *m = cluster_back_manifest(g->back);
	struct restore_start s = {.order = g->c->order,
	                          .bindir = str_or_empty(g->reading->conf->drill_bindir),
	                          .directory = g->c->wanted->to,
	                          .action = g->words.action,
	                          .config = g->words.config,
	                          .uid = g->uid,
	                          .gid = g->gid};
	int64_t version = 0;

	if (m->facts)
		(void)json_get_int(m->facts, "server_version", &version);
	s.version_num = (int)version;
	return s;
}

static int bring_files(struct recovering *g, struct error *err)
{
	struct error why = {0};
	int64_t began_ms = clock_mono_ms(), took_ms;
	char size[16], rate[16];
	int r = note_cluster_begin(g, err);

	if (r < 0)
		return r;
	r = cluster_back_run(g->back, &g->settings, &why);
	if (r < 0)
		error_prefix(
		        &why,
		        "%s is not whole, and no server starts on it; the same order goes on with what is there",
		        g->c->wanted->to);
	note_cluster_end(g, r, &why);
	note_cluster_in_audit(g, r);
	if (r < 0) {
		if (err)
			*err = why;
		return r;
	}
	note_cluster_proof(g);
	took_ms = clock_mono_ms() - began_ms;
	make_say(
	        g->c->order,
	        "%s: %" PRIu64
	        " files (%s) were written in %.1f s (%s/s), each compared with its CRC-32C; all of it is on the disk",
	        g->c->wanted->to, g->plan.fetched,
	        str_format_bytes(size, sizeof(size), g->plan.fetched_bytes), (double)took_ms / 1000,
	        str_format_bytes(rate, sizeof(rate),
	                         g->plan.fetched_bytes * 1000 / (uint64_t)(took_ms ? took_ms : 1)));
	return 0;
}

static int bring_and_start(struct recovering *g, struct error *err)
{
	const struct restore_start start = start_of(g);
	_cleanup(free) char *command = NULL;
	int r = bring_files(g, err);

	if (r < 0)
		return r;
	if (g->words.start)
		return restore_start_run(&start, err);
	command = restore_start_command(&start);
	make_say(g->c->order, "to start it, as the owner of the directory: %s", command);
	return 0;
}

static int bring_cluster_with_hooks(struct recovering *g, struct error *err)
{
	const struct restore_order *wanted = g->c->wanted;
	const struct restore_hook around = {.order = g->c->order,
	                                    .backup = g->c->backup->path,
	                                    .variable = "KEEPFS_DIRECTORY",
	                                    .target = wanted->to};
	struct error why = {0}, hook = {0};
	int r = restore_hook_run(&around, "pre_hook", wanted->pre_hook, "running", g->c->order->cancel, &why);

	if (r == 0)
		r = bring_and_start(g, &why);
	/* What the first one has stopped is started again, whatever became of the restore. */
	if (restore_hook_run(&around, "post_hook", wanted->post_hook, r == 0 ? "completed" : "failed", NULL,
	                     &hook) < 0)
		make_warn(g->c->order, "%s", hook.message);
	if (r < 0 && err)
		*err = why;
	return r;
}

static int open_cluster(struct recovering *g, struct error *err)
{
	const struct restore_cluster *c = g->c;
	const struct cluster_back_options options = {.ctx = g->reading,
	                                             .order = c->order,
	                                             .path = c->backup->path,
	                                             .to = c->wanted->to,
	                                             .delta = g->words.delta,
	                                             .jobs = g->words.jobs,
	                                             .has_owner = g->has_owner,
	                                             .uid = g->uid,
	                                             .gid = g->gid,
	                                             .spaces = g->words.spaces,
	                                             .space_count = g->words.space_count};
	int r = cluster_back_open(&options, &g->back, err);

	return r < 0 ? r : cluster_back_plan(g->back, &g->plan, err);
}

/* Timeline "current" and "latest" stay words: what is archived until the server starts counts as well. */
static int make_settings(struct recovering *g, struct error *err)
{
	g->settings = (struct recovery_settings){.target = g->words.goal,
	                                         .timeline = g->words.timeline,
	                                         .action = g->words.action,
	                                         .archive_off = g->words.archive_off};
	g->command =
	        restore_cluster_command(g->reading->conf, g->c->backup->m.job, g->words.restore_command, err);
	g->settings.restore_command = g->command;
	return g->command ? 0 : -EINVAL;
}

static int look_and_reach(struct recovering *g, struct error *err)
{
	const struct restore_cluster *c = g->c;
	int r = find_owner(g, err);

	if (r == 0)
		r = make_settings(g, err);
	if (r == 0)
		r = restore_cluster_take_spaces(&g->words, manifest_fact(&c->backup->m, "tablespaces"), err);
	if (r == 0)
		r = restore_cluster_learn(g->reading, c->order->cancel, err);
	if (r == 0)
		r = restore_cluster_reach(g->reading, c->backup->m.job, &g->words, c->backup->path, &g->reach,
		                          err);
	return r < 0 ? r : open_cluster(g, err);
}

static int plan_and_recover(struct recovering *g, struct error *err)
{
	struct restore_start start;
	struct error why = {0};
	int r = look_and_reach(g, err);

	if (r < 0)
		return r;
	start = start_of(g);
	restore_cluster_tell(g->c, &g->words, g->back, &g->plan, &g->reach);
	warn_of_rights(g);
	r = check_start(g, &start, &why);
	if (r == 0)
		r = judge_cluster(g, &why);
	if (!g->c->wanted->plan) {
		if (r < 0 && err)
			*err = why;
		return r < 0 ? r : bring_cluster_with_hooks(g, err);
	}
	if (r < 0)
		make_say(g->c->order, "it would be refused: %s", why.message);
	make_say(g->c->order, "plan=yes: nothing was done");
	return 0;
}

int restore_cluster_run(const struct restore_cluster *c, struct error *err)
{
	struct recovering g = {.c = c, .reading = c->reading ? c->reading : c->ctx};
	int r = restore_may_command(c->order)
	                ? 0
	                : error_set(
	                          err, ERROR_DENIED, EPERM,
	                          "to= writes files as the user of keepfs: only that user, and root, may give it");

	if (r == 0)
		r = restore_cluster_read(g.reading->conf, c->backup->m.job, c->wanted, &g.words, err);
	if (r == 0)
		r = check_cluster_directory(c, err);
	if (r == 0)
		r = plan_and_recover(&g, err);
	cluster_back_free(g.back);
	cluster_back_plan_finish(&g.plan);
	restore_reach_finish(&g.reach);
	restore_cluster_words_finish(&g.words);
	free(g.command);
	return r;
}
