/* rm: one artifact leaves the store and the listing. Refusals say why in status/last-error, and all of it is
 * in the audit. */
#include "internal.h"

#include <keepfs/artifact.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

struct removal {
	struct pending pending;
	struct fs *fs;
	uint64_t ino, parent_ino;
	char *name, *path;
	struct catalog_audit audit;
};

static void remove_one(void *arg)
{
	struct removal *removal = arg;
	struct error err = {0};
	char *directory;
	bool told;
	int r = artifact_remove(removal->fs->ctx.store, removal->fs->ctx.catalog, removal->ino, &err);

	audit(removal->fs, &removal->audit, "remove", removal->path, r, err.message);
	if (r < 0)
		report_trouble(removal->fs->ctx.troubles, removal->path, -r, err.message);
	told = pending_claim(&removal->pending);
	if (told)
		fuse_reply_err(removal->pending.req, r < 0 ? -r : 0);
	/* The kernel forgets the name by itself only when rm was told of success. A removal that was
	 * interrupted, or whose store failed half-way, has hidden the file all the same. */
	if (!told || r < 0)
		fuse_lowlevel_notify_inval_entry(removal->fs->session, removal->parent_ino, removal->name,
		                                 strlen(removal->name));
	directory = removal->path;
	*strrchr(directory, '/') = '\0';
	directory_changed(removal->fs, directory);
	free(removal->path);
	free(removal->name);
	free(removal);
}

/* The path of @name in @parent, as seen from the mount's root (heap). */
static char *path_below(struct fs *fs, const struct node *parent, const char *name)
{
	_cleanup(free) char *directory = NULL;

	if (parent->ino == INO_ROOT)
		return mem_strdup(name);
	if (parent->kind == NODE_RUN)
		return mem_printf("jobs/%lld/%s", (long long)parent->run.id, name);
	if (parent->kind == NODE_FIXED_DIRECTORY)
		return mem_printf("%s/%s", fixed_directory_name(parent->ino), name);
	directory = catalog_path(fs->ctx.catalog, parent->ino);
	return directory ? mem_printf("%s/%s", directory, name) : mem_strdup(name);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent_ino, const char *name)
{
	struct fs *fs = fs_of(req);
	struct removal *removal;
	struct node parent, node;
	char *path;
	int r = node_load(fs, parent_ino, &parent);

	if (r == 0)
		r = node_child(fs, &parent, name, &node);
	if (r == 0 && node.kind != NODE_ARTIFACT) {
		_cleanup(free) char *full = path_below(fs, &parent, name);

		report_trouble(fs->ctx.troubles, full, EPERM,
		               "only backups can be removed: this file is made by keepfs itself");
		r = -EPERM;
	}
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	path = catalog_path(fs->ctx.catalog, node.ino);
	if (!path) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	removal = mem_alloc(sizeof(*removal));
	removal->fs = fs;
	removal->ino = node.ino;
	removal->parent_ino = parent_ino;
	removal->name = mem_strdup(name);
	removal->path = path;
	caller_of(req, &removal->audit);
	pending_init(&removal->pending, req);
	workers_add(fs->workers, remove_one, removal);
}
