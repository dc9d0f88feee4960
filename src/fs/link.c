// SPDX-License-Identifier: Apache-2.0
/*
 * links/: the roots of artifacts once more, those that say so, with files that hold a URL. With it somebody
 * who has no mount and no credentials gets the object. It is made when the file is opened, and each time it
 * is written down who asked for it: whoever has the URL reads the backup until it ends, and nobody sees that.
 * Size and listing are told without making one for anybody: what is computed for them does not leave this
 * file.
 */
#include "catalog_dir.h"
#include "fs_private.h"
#include "text.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MS_PER_S 1000

struct link_request {
	struct pending pending;
	struct fs *fs;
	struct node node;
	struct fuse_file_info fi;
	struct catalog_audit audit;
};

static int append_line(struct fs *fs, const struct node *node, const char *key, struct str *out,
                       struct error *err)
{
	_cleanup(store) struct store *store = NULL;
	int r = repository_store_of_ino(fs->ctx.repository, node->entry.ino, &store, err);

	if (r == 0)
		r = store_presign(store, key, fs->ctx.conf->read.link_ttl_ms, out, err);
	if (r == 0)
		str_append_char(out, '\n');
	return r;
}

/* How long the file is; 0 where no URL can be made. */
static uint64_t link_bytes(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *key = catalog_key(fs->ctx.repository->catalog, node->entry.ino);
	_cleanup(store) struct store *store = NULL;
	size_t len = 0;

	if (key && repository_store_of_ino(fs->ctx.repository, node->entry.ino, &store, NULL) == 0)
		len = store_presign_length(store, key, fs->ctx.conf->read.link_ttl_ms);
	return len ? len + strlen("\n") : 0;
}

/* keepfs checks what it reads; whoever fetches by a URL reads past it. */
static int refuse_damaged(struct fs *fs, const struct node *node, const char *path, struct error *err)
{
	if (!catalog_is_damaged(fs->ctx.repository->catalog, node->entry.ino))
		return 0;
	return error_set(
	        err, ERROR_CORRUPT, EIO,
	        "no link, since %s is damaged (see status/health) and nobody would notice; what can be read of it is in %.*s/",
	        path, (int)strcspn(path, "/"), path);
}

static int audit_link(struct link_request *lr, const char *path, struct error *err)
{
	int64_t ttl_s = lr->fs->ctx.conf->read.link_ttl_ms / MS_PER_S;
	char until[CLOCK_ISO_BYTES], detail[64];
	int r;

	snprintf(detail, sizeof(detail), "valid until %s",
	         clock_format_iso(clock_now_us() + ttl_s * US_PER_S, until));
	r = audit(lr->fs, &lr->audit, "link", path, 0, detail);
	return r == 0 ? 0
	              : error_set(
	                        err, ERROR_INTERNAL, -r,
	                        "no link, since the audit could not say who has it: look at the log, and at the "
	                        "space under state_dir");
}

static int make_link_text(struct link_request *lr, struct text **ret_text, struct error *err)
{
	struct fs *fs = lr->fs;
	_cleanup(free) char *path = catalog_path(fs->ctx.repository->catalog, lr->node.entry.ino);
	_cleanup(free) char *key = catalog_key(fs->ctx.repository->catalog, lr->node.entry.ino);
	_cleanup(str) struct str line = {0};
	int r;

	if (!path || !key)
		return -ENOENT;
	r = refuse_damaged(fs, &lr->node, path, err);
	if (r == 0)
		r = append_line(fs, &lr->node, key, &line, err);
	if (r == 0)
		r = audit_link(lr, path, err);
	if (r < 0)
		return r;
	*ret_text = text_with(fs, lr->node.ino, str_text(&line));
	return 0;
}

static void note_link_failure(struct link_request *lr, int r, const struct error *err)
{
	/* Where there are no URLs there are none for any file: one line, whoever goes through the whole
	 * tree. */
	_cleanup(free) char *path = r == -ENOTSUP ? mem_strdup(LINKS_NAME) : node_path(lr->fs, &lr->node);

	if (err->message[0])
		report_trouble(lr->fs->ctx.troubles, path, -r, err->message);
}

static void make_link(void *arg)
{
	struct link_request *lr = arg;
	struct text *text = NULL;
	struct error err = {0};
	int r = make_link_text(lr, &text, &err);

	if (r < 0)
		note_link_failure(lr, r, &err);
	if (!pending_claim(&lr->pending))
		text_unref(text);
	else if (r < 0)
		fuse_reply_err(lr->pending.req, -r);
	else
		reply_open(lr->pending.req, text_handle_new(lr->fs, &lr->node, text, NULL), &lr->fi);
	free(lr);
}

/* A worker makes the URL, because the audit has to be on the disk before anybody has it. */
static int link_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                     struct handle **ret_handle, struct error *err)
{
	struct link_request *lr = mem_alloc(sizeof(*lr));

	lr->fs = fs_of(req);
	lr->node = *node;
	lr->fi = *fi;
	caller_of(req, &lr->audit);
	pending_init(&lr->pending, req, NULL);
	workers_add(lr->fs->workers, make_link, lr);
	return OPENED_LATER;
}

static int link_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= file_permissions(fs, node) & 0444;
	st->st_size = (off_t)link_bytes(fs, node);
	*mtime_us = node->entry.mtime_us;
	return 0;
}

const struct node_class class_link = {
        .type = S_IFREG,
        .name_s = ATTR_FOREVER_S,
        .in_links = true,
        .stat_is_costly = true,
        .stat = link_stat,
        .path = linked_path,
        .open = link_open,
        .why_kept = linked_why_kept,
};

/* links/ itself. */

static int links_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	for (size_t i = 0; i < tree_roots_shown; i++) {
		if (tree_roots[i].links_ino && strcmp(name, tree_roots[i].name) == 0)
			return root_load(fs, &tree_roots[i], true, ret);
	}
	return -ENOENT;
}

static int links_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	for (size_t i = listing_position(after); i < tree_roots_shown; i++) {
		struct node node;

		if (tree_roots[i].links_ino && root_load(fs, &tree_roots[i], true, &node) == 0 &&
		    !listing_add(l, tree_roots[i].name, &node, OFFSET_FIXED + (off_t)i))
			break;
	}
	return 0;
}

static int links_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode;
	st->st_nlink = 2;
	for (size_t i = 0; i < tree_roots_shown; i++)
		st->st_nlink += tree_roots[i].links_ino != 0;
	return 0;
}

const struct node_class class_links = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .in_links = true,
        .lookup = links_lookup,
        .list = links_list,
        .stat = links_stat,
        .path = fixed_directory_path,
        .why_kept = linked_why_kept,
};
