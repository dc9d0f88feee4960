// SPDX-License-Identifier: Apache-2.0
/*
 * links/: files that hold a URL, with which somebody who has no mount and no credentials gets the object. It
 * is made when the file is opened, and each time it is written down who asked for it: whoever has the URL
 * reads the backup until it ends, and nobody sees that. Size and listing are told without making one for
 * anybody: what is computed for them does not leave this file.
 */
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

static int append_line(struct fs *fs, const char *key, struct str *out, struct error *err)
{
	int r = store_presign(fs->ctx.store, key, fs->ctx.conf->read.link_ttl_ms, out, err);

	if (r == 0)
		str_append_char(out, '\n');
	return r;
}

uint64_t link_bytes(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *key = catalog_path(fs->ctx.catalog, node->entry.ino);
	_cleanup(str) struct str line = {0};

	if (!key || append_line(fs, key, &line, NULL) < 0)
		return 0;
	return line.len;
}

/* keepfs checks what it reads; whoever fetches by a URL reads past it. */
static int refuse_damaged(struct fs *fs, const struct node *node, const char *key, struct error *err)
{
	if (!catalog_is_damaged(fs->ctx.catalog, node->entry.ino))
		return 0;
	return error_set(
	        err, ERROR_CORRUPT, EIO,
	        "no link, since %s is damaged (see status/health) and nobody would notice; what can be read of it is in backups/",
	        key);
}

static void audit_link(struct link_request *lr, const char *key)
{
	int64_t ttl_s = lr->fs->ctx.conf->read.link_ttl_ms / MS_PER_S;
	char until[CLOCK_ISO_BYTES], detail[64];

	snprintf(detail, sizeof(detail), "valid until %s",
	         clock_format_iso(clock_now_us() + ttl_s * US_PER_S, until));
	audit(lr->fs, &lr->audit, "link", key, 0, detail);
}

static int make_text(struct link_request *lr, struct text **ret_text, struct error *err)
{
	struct fs *fs = lr->fs;
	_cleanup(free) char *key = catalog_path(fs->ctx.catalog, lr->node.entry.ino);
	_cleanup(str) struct str line = {0};
	int r;

	if (!key)
		return -ENOENT;
	r = refuse_damaged(fs, &lr->node, key, err);
	if (r == 0)
		r = append_line(fs, key, &line, err);
	if (r < 0)
		return r;
	audit_link(lr, key);
	*ret_text = text_with(fs, lr->node.ino, str_text(&line));
	return 0;
}

static void note_failure(struct link_request *lr, int r, const struct error *err)
{
	/* Where there are no URLs there are none for any file: one line, whoever goes through the whole
	 * tree. */
	_cleanup(free) char *path =
	        r == -ENOTSUP ? mem_strdup(fixed_directory_name(INO_LINKS)) : node_path(lr->fs, &lr->node);

	if (err->message[0])
		report_trouble(lr->fs->ctx.troubles, path, -r, err->message);
}

static void make_link(void *arg)
{
	struct link_request *lr = arg;
	struct text *text = NULL;
	struct error err = {0};
	int r = make_text(lr, &text, &err);

	if (r < 0)
		note_failure(lr, r, &err);
	if (!pending_claim(&lr->pending))
		text_unref(text);
	else if (r < 0)
		fuse_reply_err(lr->pending.req, -r);
	else
		reply_open_text(lr->pending.req, lr->fs, lr->node.ino, text, &lr->fi);
	free(lr);
}

void link_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi)
{
	struct link_request *lr = mem_alloc(sizeof(*lr));

	lr->fs = fs_of(req);
	lr->node = *node;
	lr->fi = *fi;
	caller_of(req, &lr->audit);
	pending_init(&lr->pending, req, NULL);
	workers_add(lr->fs->workers, make_link, lr);
}
