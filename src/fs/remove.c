// SPDX-License-Identifier: Apache-2.0
/*
 * rm and rmdir: one artifact leaves the store and the listing, with all files that belong to it. Refusals say
 * why in status/last-error, and every attempt at an artifact is in the audit.
 */
#include "fs_private.h"

#include <keepfs/artifact.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>

#include <errno.h>
#include <string.h>

struct removal {
	struct pending pending;
	struct fs *fs;
	uint64_t ino, parent_ino;
	char *name, *path;
	char **beside; /* further files that lie beside the artifact's own */
	size_t beside_count;
	bool forgotten; /* the kernel has forgotten its name by itself */
	struct catalog_audit audit;
};

static void removal_free(struct removal *removal)
{
	for (size_t i = 0; i < removal->beside_count; i++)
		free(removal->beside[i]);
	free(removal->beside);
	free(removal->path);
	free(removal->name);
	free(removal);
}

static void forget_name(const struct removal *removal, uint64_t parent_ino, const char *name)
{
	fuse_lowlevel_notify_inval_entry(removal->fs->session, parent_ino, name, strlen(name));
}

/* Before the answer, so that no link is seen after it: the directory in links/ is another, and whoever locks
 * that waits for no worker. */
static void forget_links(const struct removal *removal)
{
	uint64_t parent_ino = ino_link(removal->parent_ino);

	forget_name(removal, parent_ino, removal->name);
	for (size_t i = 0; i < removal->beside_count; i++)
		forget_name(removal, parent_ino, removal->beside[i]);
}

/* Only after the answer: until then the kernel holds the directory's lock, which forgetting a name takes. The
 * next rm may have it by then, and waits for a worker: so this is no worker's business. */
static void forget_removed(const struct removal *removal)
{
	_cleanup(free) char *directory = mem_strdup(removal->path);

	/* A directory's name takes all below it along. */
	if (!removal->forgotten)
		forget_name(removal, removal->parent_ino, removal->name);
	for (size_t i = 0; i < removal->beside_count; i++)
		forget_name(removal, removal->parent_ino, removal->beside[i]);
	*strrchr(directory, '/') = '\0';
	directory_changed(removal->fs, directory);
}

static void tell_kernel(void *arg)
{
	struct removal *removal = arg;
	struct fs *fs = removal->fs;

	pthread_mutex_lock(&fs->forgetting);
	if (!atomic_load(&fs->ending))
		forget_removed(removal);
	pthread_mutex_unlock(&fs->forgetting);
	removal_free(removal);
}

/* struct cached - the names under which the disk cache knows the files of an artifact. */
struct cached {
	uint8_t (*ids)[CACHE_ID_BYTES];
	size_t count;
};

static void add_cached(struct cached *c, const char *sha256, const struct extents *x)
{
	c->ids = mem_resize(c->ids, c->count + 1, sizeof(*c->ids));
	reader_cache_id(sha256, x, c->ids[c->count++]);
}

static void add_cached_file(void *arg, const char *name, uint64_t size_bytes, const char *sha256)
{
	static const struct extents none = {0};

	add_cached(arg, sha256, &none);
}

/* To be called while the catalog knows it. */
static void find_cached(struct fs *fs, uint64_t ino, struct cached *ret)
{
	_cleanup(extents) struct extents extents = {0};
	char sha256[SHA256_HEX_BYTES] = "";

	if (!fs->ctx.cache)
		return;
	if (catalog_file_sha256(fs->ctx.catalog, ino, sha256) == 0 &&
	    catalog_extents(fs->ctx.catalog, ino, &extents) == 0)
		add_cached(ret, sha256, &extents);
	if (catalog_files(fs->ctx.catalog, ino, add_cached_file, ret) < 0)
		log_warning(
		        "some of a removed backup may stay in the disk cache: the catalog cannot be read");
}

/* Also when its deletion goes on at the next start: it is not listed any more. */
static void forget_cached(struct fs *fs, uint64_t ino, struct cached *c)
{
	_cleanup(free) char *path = c->count > 0 ? catalog_path(fs->ctx.catalog, ino) : NULL;

	for (size_t i = 0; i < c->count && !path; i++)
		cache_forget_file(fs->ctx.cache, c->ids[i]);
	free(c->ids);
}

static void remove_one(void *arg)
{
	struct removal *removal = arg;
	struct fs *fs = removal->fs;
	uint64_t ino = removal->ino;
	struct cached cached = {0};
	struct error err = {0};
	bool told;
	int r;

	find_cached(fs, ino, &cached);
	r = artifact_remove(fs->ctx.store, fs->ctx.catalog, ino, &err);
	audit(fs, &removal->audit, "remove", removal->path, r, err.message);
	if (r < 0)
		report_trouble(fs->ctx.troubles, removal->path, -r, err.message);
	if (!atomic_load(&fs->ending))
		forget_links(removal);
	told = pending_claim(&removal->pending);
	if (told)
		fuse_reply_err(removal->pending.req, r < 0 ? -r : 0);
	/* The kernel forgets the name by itself only when rm was told of success. A removal that was
	 * interrupted, or whose store failed half-way, has hidden the file all the same. */
	removal->forgotten = told && r == 0;
	workers_add(fs->forgetters, tell_kernel, removal);
	forget_cached(fs, ino, &cached);
}

/* The path of @name in @parent, as seen from the mount's root (heap). */
static char *path_below(struct fs *fs, const struct node *parent, const char *name)
{
	_cleanup(free) char *directory = NULL;

	if (parent->ino == INO_ROOT)
		return mem_strdup(name);
	if (parent->kind == NODE_RUN)
		return mem_printf("jobs/%lld/%s", (long long)parent->run.id, name);
	if (parent->kind == NODE_FIXED_DIRECTORY && !node_is_listing(parent))
		return mem_printf("%s/%s", fixed_directory_name(parent->ino), name);
	directory = node_path(fs, parent);
	return directory ? mem_printf("%s/%s", directory, name) : mem_strdup(name);
}

/* Why a node that is no artifact stays; *@ret_path (heap) is what it is about. All files of one artifact give
 * the same answer, so that rm -r leaves one line in status/last-error. */
static char *reason_to_stay(struct fs *fs, const struct node *parent, const struct node *node,
                            const char *name, char **ret_path)
{
	_cleanup(free) char *artifact = NULL;
	const char *own;

	if (node->mirrored) {
		*ret_path = path_below(fs, parent, name);
		return mem_strdup("links/ only mirrors backups/: what is removed there vanishes here");
	}
	if (node->kind == NODE_FILE)
		artifact = catalog_path(fs->ctx.catalog, node->entry.artifact_ino);
	if (!artifact) {
		*ret_path = path_below(fs, parent, name);
		return mem_printf("only backups can be removed: this %s is made by keepfs itself",
		                  node_is_directory(node) ? "directory" : "file");
	}
	own = strrchr(artifact, '/') + 1;
	if (parent->kind == NODE_ARTIFACT_DIRECTORY) {
		*ret_path = mem_strdup(artifact);
		return mem_printf(
		        "its files are one backup and go together; remove the directory itself: rmdir %s",
		        own);
	}
	*ret_path = path_below(fs, parent, name);
	return mem_printf("it belongs to a backup and goes with it; remove that one: rm %s", own);
}

static void refuse(struct fs *fs, const struct node *parent, const struct node *node, const char *name)
{
	_cleanup(free) char *path = NULL;
	_cleanup(free) char *reason = reason_to_stay(fs, parent, node, name, &path);

	report_trouble(fs->ctx.troubles, path, EPERM, reason);
}

static void note_beside(void *arg, const char *name, uint64_t size_bytes, const char *sha256)
{
	struct removal *removal = arg;

	removal->beside = mem_resize(removal->beside, removal->beside_count + 1, sizeof(*removal->beside));
	removal->beside[removal->beside_count++] = mem_strdup(name);
}

static void begin_removal(fuse_req_t req, const struct node *parent, const struct node *node,
                          const char *name)
{
	struct fs *fs = fs_of(req);
	struct removal *removal;
	char *path = catalog_path(fs->ctx.catalog, node->ino);

	if (!path) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	removal = mem_alloc(sizeof(*removal));
	removal->fs = fs;
	removal->ino = node->ino;
	removal->parent_ino = parent->ino;
	removal->name = mem_strdup(name);
	removal->path = path;
	/* The files in a directory are forgotten with it. */
	if (node->kind == NODE_ARTIFACT)
		catalog_files(fs->ctx.catalog, node->ino, note_beside, removal);
	caller_of(req, &removal->audit);
	pending_init(&removal->pending, req, NULL);
	workers_add(fs->workers, remove_one, removal);
}

static void remove_node(fuse_req_t req, fuse_ino_t parent_ino, const char *name, bool directory)
{
	struct fs *fs = fs_of(req);
	struct node parent, node;
	int r = atomic_load(&fs->ending) ? -ESHUTDOWN : node_load(fs, parent_ino, &parent);

	if (r == 0)
		r = node_child(fs, &parent, name, &node);
	if (r == 0 && node_is_directory(&node) != directory)
		r = directory ? -ENOTDIR : -EISDIR;
	if (r == 0 && !node_is_artifact(&node)) {
		refuse(fs, &parent, &node, name);
		r = -EPERM;
	}
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		begin_removal(req, &parent, &node, name);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent_ino, const char *name)
{
	remove_node(req, parent_ino, name, false);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent_ino, const char *name)
{
	remove_node(req, parent_ino, name, true);
}
