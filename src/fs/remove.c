// SPDX-License-Identifier: Apache-2.0
/*
 * rm and rmdir: one artifact leaves the store and the listing, with all files that belong to it. Refusals say
 * why in status/last-error, and every attempt at an artifact is in the audit.
 *
 * Whether something may be removed is decided in two places: the class of a node says whether it is an artifact at all
 * (slot `remove`), artifact_remove() whether this one may go. It tells all who listen, and so the kernel (notify.h) and
 * the disk cache, which listen here, learn of every removal in the same way, whoever asked for it.
 */
#include "comparisons.h"
#include "descents.h"
#include "fs_private.h"
#include "based.h"
#include "mirrored.h"
#include "notify.h"
#include "removed.h"
#include "rights.h"

#include <keepfs/artifact.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/inside.h>
#include <keepfs/prune.h>
#include <keepfs/codec/name.h>

#include <errno.h>

struct removal { /* an rm that waits for its answer: belongs to the worker that carries it out */
	struct pending pending;
	struct fs *fs;
	uint64_t ino;
	char *path;
	char by[128]; /* "uid 0 (rm)" */
	struct catalog_audit audit;
};

int fs_begin_prune(struct fs *fs, const struct conf *conf, struct prune *ret, struct error *err)
{
	struct artifact_time time;

	artifact_read_clock(&time);
	return prune_begin(ret, fs->ctx.repository, conf, &time, err);
}

static int refuse_removal_here(struct error *err)
{
	return error_set(
	        err, ERROR_DENIED, EROFS,
	        "this keepfs is a reader ([keepfs] role = reader): what is removed on the host of the writer goes here, too");
}

/* By the rules of its job: how many stay in any case, and whether it can be taken back. */
static int fs_remove_artifact(struct fs *fs, uint64_t ino, const char *by, const struct catalog_audit *audit,
                              struct error *err)
{
	const struct conf *conf = fs_conf_ref(fs);
	struct prune p;
	int r = conf->role == CONF_READER ? refuse_removal_here(err) : fs_begin_prune(fs, conf, &p, err);

	if (r == 0)
		r = prune_remove(&p, ino, by, audit, err);
	fs_conf_unref(fs, conf);
	return r;
}

static void remove_one(void *arg)
{
	struct removal *removal = arg;
	struct fs *fs = removal->fs;
	struct error err = {0};
	int r;

	str_copy(removal->audit.action, sizeof(removal->audit.action), "remove");
	str_copy(removal->audit.result, sizeof(removal->audit.result), "ok");
	str_cut(removal->audit.object, sizeof(removal->audit.object), removal->path);
	r = fs_remove_artifact(fs, removal->ino, removal->by, &removal->audit, &err);
	/* What is done is told by the catalog. */
	if (r < 0)
		audit(fs, &removal->audit, "remove", removal->path, r, err.message);
	else
		records_look(fs->ctx.records);
	if (r < 0)
		report_trouble(fs->ctx.troubles, removal->path, -r, err.message);
	if (pending_claim(&removal->pending))
		fuse_reply_err(removal->pending.req, r < 0 ? -r : 0);
	free(removal->path);
	free(removal);
}

int artifact_begin_removal(fuse_req_t req, const struct node *directory, const struct node *node,
                           const char *name)
{
	struct fs *fs = fs_of(req);
	char *path = catalog_path(fs->ctx.repository->catalog, node->ino);
	struct removal *removal;

	if (!path)
		return -ENOENT;
	removal = mem_alloc(sizeof(*removal));
	removal->fs = fs;
	removal->ino = node->ino;
	removal->path = path;
	caller_of(req, &removal->audit);
	snprintf(removal->by, sizeof(removal->by), "uid %lld (%s)", (long long)removal->audit.uid,
	         removal->audit.command);
	/* An interrupt answers rm, and the removal goes on: half of one would be no backup any more. */
	pending_init(&removal->pending, req, NULL);
	workers_add(fs->workers, remove_one, removal);
	return 0;
}

/* What was removed, whoever did it. */

struct gone {
	struct fs *fs;
	uint64_t ino;
	struct removed removed;
};

/* At the end of the mount nothing is forgotten any more: see end_forgetting() in session.c, which waits for the lock to
 * know that nobody does it now. The kernel comes before the cache: names that lead nowhere can be seen, what the cache
 * keeps cannot. */
static void forget_gone(void *arg)
{
	struct gone *gone = arg;
	struct fs *fs = gone->fs;

	pthread_mutex_lock(&fs->forgetting);
	if (!atomic_load(&fs->ending))
		notify_removed(fs, &gone->removed);
	pthread_mutex_unlock(&fs->forgetting);
	for (size_t i = 0; fs->ctx.cache && i < gone->removed.cache_id_count; i++)
		cache_forget_file(fs->ctx.cache, gone->removed.cache_ids[i]);
	if (fs->ctx.inside)
		inside_forget_dump(fs->ctx.inside, gone->ino);
	mirrored_forget(fs, gone->ino);
	comparisons_forget(fs->comparisons, gone->ino);
	removed_finish(&gone->removed);
	free(gone);
}

void on_artifact_removed(void *arg, const struct artifact_removed *what)
{
	struct gone *gone;

	if (tree_is_pack(what->path)) {
		kept_packs_forget(((struct fs *)arg)->kept_packs, what->ino);
		based_files_forget(((struct fs *)arg)->based, what->path);
		return;
	}
	gone = mem_alloc(sizeof(*gone));
	gone->fs = arg;
	gone->ino = what->ino;
	removed_init(&gone->removed, what);
	if (!atomic_load(&gone->fs->ending))
		notify_links_removed(gone->fs, &gone->removed);
	workers_add(gone->fs->forgetters, forget_gone, gone);
}

/* What is no artifact stays. */
static void note_refusal(struct fs *fs, const struct node *directory, const struct node *node,
                         const char *name)
{
	_cleanup(free) char *path = NULL, *why = NULL;

	if (node->class->why_kept)
		why = node->class->why_kept(fs, directory, node, name, &path);
	if (!path)
		path = node_path_below(fs, directory, name);
	if (!why)
		why = mem_printf("only backups can be removed: this %s is made by keepfs itself",
		                 node_is_directory(node) ? "directory" : "file");
	report_trouble(fs->ctx.troubles, path, EPERM, why);
}

/* What is within a backup that is a directory: see descents.h. */

struct asking { /* whether a backup may go, at the first thing in it that somebody removes: belongs to the worker that finds it out */
	struct pending pending;
	struct fs *fs;
	struct node directory;
	pid_t pid;
	char *name, *path; /* heap; of what is removed in @directory, and of the backup */
	struct catalog_audit audit;
};

static int check_removal_of(struct fs *fs, uint64_t ino, const char *by, struct error *err)
{
	const struct conf *conf = fs_conf_ref(fs);
	struct prune p;
	int r = conf->role == CONF_READER ? refuse_removal_here(err) : fs_begin_prune(fs, conf, &p, err);

	if (r == 0)
		r = prune_check_removal(&p, ino, by, err);
	fs_conf_unref(fs, conf);
	return r;
}

static void note_refusal_within(struct fs *fs, const struct node *directory, const char *name)
{
	struct node node;

	if (directory->class->waits || node_child(fs, directory, name, &node) < 0)
		node = *directory;
	note_refusal(fs, directory, &node, name);
}

/* What is refused is told once, as that of the backup which it is. */
static void ask_whether_it_goes(void *arg)
{
	struct asking *asking = arg;
	struct fs *fs = asking->fs;
	uint64_t ino = node_backup(&asking->directory);
	struct error err = {0};
	char by[128];
	int r, told;

	snprintf(by, sizeof(by), "uid %lld (%s)", (long long)asking->audit.uid, asking->audit.command);
	r = check_removal_of(fs, ino, by, &err);
	told = descents_judge(fs->descents, ino, asking->pid, r);
	if (told < 0) {
		audit(fs, &asking->audit, "remove", asking->path, r, err.message);
		report_trouble(fs->ctx.troubles, asking->path, -r, err.message);
	} else if (told != DESCENT_TAKEN) {
		note_refusal_within(fs, &asking->directory, asking->name);
		told = -EPERM;
	}
	if (pending_claim(&asking->pending))
		fuse_reply_err(asking->pending.req, -told);
	free(asking->name);
	free(asking->path);
	free(asking);
}

static void begin_asking(fuse_req_t req, const struct node *directory, pid_t pid, const char *name,
                         char *path)
{
	struct fs *fs = fs_of(req);
	struct asking *asking = mem_alloc(sizeof(*asking));

	asking->fs = fs;
	asking->directory = *directory;
	asking->pid = pid;
	asking->name = mem_strdup(name);
	asking->path = path;
	caller_of(req, &asking->audit);
	if (pending_init(&asking->pending, req, NULL)) {
		workers_add(fs->workers, ask_whether_it_goes, asking);
		return;
	}
	free(asking->name);
	free(asking->path);
	free(asking);
}

/* False: the caller removes a single thing, which is refused, and nothing was answered. */
static bool remove_within(fuse_req_t req, const struct node *directory, const char *name)
{
	struct fs *fs = fs_of(req);
	uint64_t ino = node_backup(directory);
	pid_t pid = process_of(req);
	int told = descents_find(fs->descents, ino, pid);
	char *path = told == DESCENT_UNKNOWN ? catalog_path(fs->ctx.repository->catalog, ino) : NULL;

	if (told == DESCENT_NONE || (told == DESCENT_UNKNOWN && !path))
		return false;
	if (path)
		begin_asking(req, directory, pid, name, path);
	else
		fuse_reply_err(req, -told);
	return true;
}

static void remove_node(fuse_req_t req, fuse_ino_t parent_ino, const char *name, bool is_rmdir)
{
	struct fs *fs = fs_of(req);
	struct node directory, node;
	struct rights rights;
	int r = atomic_load(&fs->ending) ? -ESHUTDOWN : node_load(fs, parent_ino, &directory);

	rights_of(req, &rights);
	if (r == 0 && !rights_let(fs, &rights, &directory, RIGHT_WRITE))
		r = -EACCES;
	if (r == 0 && node_backup(&directory) && remove_within(req, &directory, name))
		return;
	/* Nothing of it can be removed, and to ask what it holds would wait for the store. */
	if (r == 0 && directory.class->waits)
		node = directory;
	else if (r == 0)
		r = node_child(fs, &directory, name, &node);
	if (r == 0 && !directory.class->waits && node_is_directory(&node) != is_rmdir)
		r = is_rmdir ? -ENOTDIR : -EISDIR;
	if (r == 0 && !directory.class->waits && node.class->remove) {
		r = node.class->remove(req, &directory, &node, name);
	} else if (r == 0) {
		note_refusal(fs, &directory, &node, name);
		r = -EPERM;
	}
	if (r < 0)
		fuse_reply_err(req, -r);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent_ino, const char *name)
{
	remove_node(req, parent_ino, name, false);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent_ino, const char *name)
{
	remove_node(req, parent_ino, name, true);
}
