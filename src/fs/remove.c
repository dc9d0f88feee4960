// SPDX-License-Identifier: Apache-2.0
/*
 * rm and rmdir: one artifact leaves the store and the listing, with all files that belong to it. Refusals say
 * why in status/last-error, and every attempt at an artifact is in the audit.
 *
 * Whether something may be removed is decided in two places: the class of a node says whether it is an
 * artifact at all (slot `remove`), artifact_remove() whether this one may go. What follows is a chain of
 * steps, each of which needs only the facts of the removal: carry_out(), answer(), and those who are told,
 * the kernel (notify.h) and the cache (removed.h).
 */
#include "fs_private.h"
#include "notify.h"
#include "removed.h"

#include <keepfs/artifact.h>
#include <keepfs/base/mem.h>

#include <errno.h>

struct removal { /* belongs to the worker that carries it out, and then to the thread that tells the kernel */
	struct pending pending;
	struct fs *fs;
	struct removed removed;
	struct catalog_audit audit;
	bool answered; /* with success: the kernel has forgotten its name by itself */
};

static int carry_out(struct removal *removal)
{
	struct fs *fs = removal->fs;
	const struct removed *removed = &removal->removed;
	struct error err = {0};
	int r = artifact_remove(fs->ctx.store, fs->ctx.catalog, removed->ino, &err);

	audit(fs, &removal->audit, "remove", removed->path, r, err.message);
	if (r < 0)
		report_trouble(fs->ctx.troubles, removed->path, -r, err.message);
	return r;
}

/* The kernel forgets the name by itself only when rm was told of success. A removal that was interrupted, or
 * whose store failed half-way, has hidden the file all the same. */
static void answer(struct removal *removal, int r)
{
	if (!pending_claim(&removal->pending))
		return;
	fuse_reply_err(removal->pending.req, r < 0 ? -r : 0);
	removal->answered = r == 0;
}

/* At the end of the mount nothing is forgotten any more: see end_forgetting() in session.c, which waits for
 * the lock to know that nobody does it now. */
static void tell_kernel(void *arg)
{
	struct removal *removal = arg;
	struct fs *fs = removal->fs;

	pthread_mutex_lock(&fs->forgetting);
	if (!atomic_load(&fs->ending))
		notify_removed(fs, &removal->removed, !removal->answered);
	pthread_mutex_unlock(&fs->forgetting);
	removed_finish(&removal->removed);
	free(removal);
}

/* The kernel comes before the cache: names that lead nowhere can be seen, what the cache keeps cannot. */
static void remove_one(void *arg)
{
	struct removal *removal = arg;
	struct fs *fs = removal->fs;
	struct removed_cached cached;
	int r;

	removed_note_cached(fs, removal->removed.ino, &cached);
	r = carry_out(removal);
	if (!atomic_load(&fs->ending))
		notify_links_removed(fs, &removal->removed);
	answer(removal, r);
	workers_add(fs->forgetters, tell_kernel, removal);
	removed_tell_cache(fs, &cached);
}

int artifact_begin_removal(fuse_req_t req, const struct node *directory, const struct node *node,
                           const char *name)
{
	struct fs *fs = fs_of(req);
	struct removal *removal = mem_alloc(sizeof(*removal));
	int r = removed_note(fs, directory, node, &removal->removed);

	if (r < 0) {
		free(removal);
		return r;
	}
	removal->fs = fs;
	caller_of(req, &removal->audit);
	/* An interrupt answers rm, and the removal goes on: half of one would be no backup any more. */
	pending_init(&removal->pending, req, NULL);
	workers_add(fs->workers, remove_one, removal);
	return 0;
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

static void remove_node(fuse_req_t req, fuse_ino_t parent_ino, const char *name, bool is_rmdir)
{
	struct fs *fs = fs_of(req);
	struct node directory, node;
	int r = atomic_load(&fs->ending) ? -ESHUTDOWN : node_load(fs, parent_ino, &directory);

	if (r == 0)
		r = node_child(fs, &directory, name, &node);
	if (r == 0 && node_is_directory(&node) != is_rmdir)
		r = is_rmdir ? -ENOTDIR : -EISDIR;
	if (r == 0 && node.class->remove) {
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
