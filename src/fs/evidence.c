// SPDX-License-Identifier: Apache-2.0
/*
 * status/evidence/: a tar for each quarter. It is gathered when it is opened, by a worker, since it reads records from the store; stat tells the size of the last one, and 0
 * while there was none, so that nobody waits for a listing. The last four quarters are listed; any earlier one can be named.
 */
#include "dir.h"
#include "fs_private.h"
#include "made_file.h"
#include "text.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/chain.h>
#include <keepfs/evidence.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define QUARTERS_LISTED 4
#define FIRST_YEAR      2000
#define SUFFIX          ".tar"

struct evidence_request {
	struct pending pending;
	struct fs *fs;
	struct node node;
	struct fuse_file_info fi;
	struct catalog_audit audit;
};

static unsigned number_of_quarter(const struct quarter *q)
{
	return (unsigned)((q->year - FIRST_YEAR) * 4 + q->number - 1);
}

static bool quarter_of_number(uint64_t number, struct quarter *ret)
{
	char text[QUARTER_NAME_BYTES];

	snprintf(text, sizeof(text), "%04u-Q%u", (unsigned)(FIRST_YEAR + number / 4) % 10000,
	         (unsigned)(number % 4) + 1);
	return number / 4 < 8000 && quarter_parse(text, ret);
}

static void node_of_quarter(const struct quarter *q, struct node *ret)
{
	char name[QUARTER_NAME_BYTES];

	*ret = (struct node){.ino = INO_QUARTERS + number_of_quarter(q), .class = &class_quarter};
	snprintf(ret->name, sizeof(ret->name), "%s" SUFFIX, quarter_name(q, name));
}

int quarter_load(uint64_t ino, struct node *ret)
{
	struct quarter q, now;

	quarter_of(clock_now_us(), &now);
	if (!quarter_of_number(ino - INO_QUARTERS, &q) || q.from_us > now.from_us)
		return -ENOENT;
	node_of_quarter(&q, ret);
	return 0;
}

static int evidence_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	_cleanup(free) char *stem = NULL;
	struct quarter q;

	if (!str_ends(name, SUFFIX))
		return -ENOENT;
	stem = mem_printf("%.*s", (int)(strlen(name) - strlen(SUFFIX)), name);
	if (!quarter_parse(stem, &q))
		return -ENOENT;
	return quarter_load(INO_QUARTERS + number_of_quarter(&q), ret);
}

static int evidence_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	struct quarter now;

	quarter_of(clock_now_us(), &now);
	for (unsigned i = listing_position(after); i < QUARTERS_LISTED; i++) {
		struct quarter q;
		struct node node;

		if (!quarter_of_number(number_of_quarter(&now) - i, &q))
			break;
		node_of_quarter(&q, &node);
		if (!listing_add(l, node.name, &node, OFFSET_FIXED + (off_t)i))
			break;
	}
	return 0;
}

static int evidence_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode;
	st->st_nlink = 2;
	return 0;
}

static uint64_t evidence_parent(const struct node *node)
{
	return INO_STATUS;
}

static char *evidence_path(struct fs *fs, const struct node *node)
{
	return mem_strdup("status/" EVIDENCE_NAME);
}

const struct node_class class_evidence = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .lookup = evidence_lookup,
        .list = evidence_list,
        .parent = evidence_parent,
        .stat = evidence_stat,
        .path = evidence_path,
};

/* A quarter. */

static int quarter_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	_cleanup(text) struct text *text = text_answer(fs, node->ino);

	st->st_mode |= fs->ctx.conf->file_mode & 0400;
	if (text) {
		st->st_size = (off_t)text_bytes(text);
		*mtime_us = text_made_at_us(text);
	}
	return 0;
}

static char *quarter_path(struct fs *fs, const struct node *node)
{
	return mem_printf("status/" EVIDENCE_NAME "/%s", node->name);
}

static int fill_evidence(struct evidence_request *er, struct spool *out, struct error *err)
{
	struct fs *fs = er->fs;
	const struct conf *conf = fs_conf_ref(fs);
	const struct report_sources from = status_sources(fs, conf);
	const struct evidence_context ctx = {.from = &from,
	                                     .store = repository_store(fs->ctx.repository),
	                                     .keyring = fs->ctx.repository->keyring,
	                                     .signing = chain_signing(fs->ctx.repository->chain)};
	struct quarter q;
	int r = quarter_of_number(er->node.ino - INO_QUARTERS, &q) ? evidence_write(&ctx, &q, out, err)
	                                                           : -ENOENT;

	fs_conf_unref(fs, conf);
	return r;
}

static void gather_evidence_of(void *arg)
{
	struct evidence_request *er = arg;
	_cleanup(free) char *path = quarter_path(er->fs, &er->node);
	struct spool *out;
	struct text *text = text_blank(er->fs, er->node.ino, &out);
	struct error err = {0};
	int r = fill_evidence(er, out, &err);

	if (r == 0)
		r = audit(er->fs, &er->audit, "evidence", path, 0, "");
	if (r < 0 && err.message[0])
		report_trouble(er->fs->ctx.troubles, path, -r, err.message);
	if (r == 0)
		text_keep(er->fs, text);
	if (!pending_claim(&er->pending)) {
		text_unref(text);
	} else if (r < 0) {
		text_unref(text);
		fuse_reply_err(er->pending.req, EIO);
	} else {
		reply_open(er->pending.req, text_handle_new(er->fs, &er->node, text, NULL), &er->fi);
	}
	free(er);
}

static int quarter_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                        struct handle **ret_handle, struct error *err)
{
	struct evidence_request *er = mem_alloc(sizeof(*er));

	er->fs = fs_of(req);
	er->node = *node;
	er->fi = *fi;
	caller_of(req, &er->audit);
	pending_init(&er->pending, req, NULL);
	workers_add(er->fs->workers, gather_evidence_of, er);
	return OPENED_LATER;
}

const struct node_class class_quarter = {
        .type = S_IFREG, .stat = quarter_stat, .path = quarter_path, .open = quarter_open};
