// SPDX-License-Identifier: Apache-2.0
/* See inbox.h. The directories are those of the configuration in force, so the kernel keeps none of these names. */
#include "inbox.h"

#include "dir.h"
#include "fs_private.h"
#include "incoming.h"
#include "wal.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/name.h>
#include <keepfs/inbox.h>

#include <errno.h>

#define BIT_INBOX     (UINT64_C(1) << 57) /* the numbers of files count from there: incoming.c */
#define BIT_DIRECTORY (UINT64_C(1) << 56)
#define NAMES_MAX     64 /* runs of one inbox that can be under way at once have as many names */

bool inbox_has(uint64_t ino)
{
	return ino >> 57 == 1;
}

static uint64_t ino_of_inbox(const char *job)
{
	return BIT_INBOX | BIT_DIRECTORY | (ino_of_directory(job) >> 8 & (BIT_DIRECTORY - 1));
}

/* Taking what comes. */

static void arrival_ended(void *arg, int r, const char *path, const struct error *err)
{
	struct incoming *f = arg;
	_cleanup(free) char *text =
	        r < 0 ? mem_strdup(err->message)
	              : mem_printf("%s%s%s", path, err->message[0] ? ": " : "", err->message);

	incoming_ended(f, r, text);
	incoming_unref(f);
}

/* The history has no two runs of one name at once. */
static int submit_arrival(struct incoming *f, struct inbox_arrival *a, struct error *err)
{
	struct fs *fs = incoming_fs(f);
	_cleanup(free) char *text = inbox_arrival_order(a);
	char by[128];
	int r = -EBUSY;

	incoming_by(f, by, sizeof(by));
	for (unsigned i = 1; r == -EBUSY && i <= NAMES_MAX; i++) {
		_cleanup(jobs_order) struct jobs_order order = {.work = &inbox_work, .work_text = text};

		order.work_name = i == 1 ? mem_printf("inbox:%s", incoming_job(f))
		                         : mem_printf("inbox:%s:%u", incoming_job(f), i);
		r = jobs_submit(fs->jobs, &order, by, NULL, err);
	}
	return r;
}

static void begin_arrival(struct incoming *f)
{
	_cleanup(free) char *name = incoming_name(f);
	const struct inbox_arrival_options options = {.job = incoming_job(f),
	                                              .name = name,
	                                              .is_temporary = inbox_name_is_temporary(name),
	                                              .intake = incoming_intake(f),
	                                              .ended = arrival_ended,
	                                              .arg = incoming_ref(f)};
	struct inbox_arrival *a = inbox_arrive(incoming_fs(f)->ctx.make->arrivals, &options);
	struct error err = {0};
	_cleanup(free) char *now = NULL;
	int r;

	/* The run may end, and the file be renamed, before its order has returned. */
	incoming_set_own(f, a);
	now = incoming_name(f);
	if (!str_equal(now, name) && !inbox_name_is_temporary(now))
		inbox_arrival_name(a, now);
	r = submit_arrival(f, a, &err);
	if (r < 0)
		inbox_arrival_end(a, r, &err);
	else
		inbox_arrival_queued(a);
}

static void name_arrival(void *own, const char *name)
{
	inbox_arrival_name(own, name);
}

static void forget_arrival(void *own)
{
	inbox_arrival_unref(own);
}

static const struct incoming_class class_of_arrivals = {.begin = begin_arrival,
                                                        .is_temporary = inbox_name_is_temporary,
                                                        .named = name_arrival,
                                                        .forget = forget_arrival,
                                                        .action = "inbox"};

/* The directory of a job. */

/* The place of a directory, while the configuration is held. */
struct inbox_place {
	const struct conf *conf;
	char *path;
	struct incoming_place place;
};

static void leave_inbox(struct fs *fs, struct inbox_place *p)
{
	fs_conf_unref(fs, p->conf);
	free(p->path);
}

static const struct conf_job *inbox_numbered(const struct conf *conf, uint64_t ino)
{
	for (size_t i = 0; i < conf->job_count; i++)
		if (conf->jobs[i].kind == CONF_JOB_INBOX && ino_of_inbox(conf->jobs[i].name) == ino)
			return &conf->jobs[i];
	return NULL;
}

/* 0: the caller's leave_inbox(). */
static int enter_inbox(struct fs *fs, uint64_t directory, struct inbox_place *ret)
{
	const struct conf *conf = fs_conf_ref(fs);
	const struct conf_job *job = inbox_numbered(conf, directory);

	if (!job) {
		fs_conf_unref(fs, conf);
		return -ENOENT;
	}
	*ret = (struct inbox_place){.conf = conf, .path = mem_printf(INBOX_NAME "/%s", job->name)};
	ret->place = (struct incoming_place){
	        .class = &class_of_arrivals, .directory = directory, .path = ret->path, .job = job->name};
	return 0;
}

static const struct node_class class_inbox_file;
static const struct node_class class_inbox_directory;

static int inbox_directory_lookup(struct fs *fs, const struct node *directory, const char *name,
                                  struct node *ret)
{
	uint64_t ino;
	int r = incoming_find(fs, directory->ino, name, &ino);

	if (r == 0)
		*ret = (struct node){.ino = ino, .class = &class_inbox_file};
	return r;
}

static int inbox_directory_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	uint64_t behind = after >= OFFSET_NUMBERED ? BIT_INBOX | (uint64_t)(after - OFFSET_NUMBERED) : 0;
	struct incoming_facts facts;

	while (incoming_next(fs, directory->ino, behind, &facts) == 0) {
		const struct node node = {.ino = facts.ino, .class = &class_inbox_file};

		behind = facts.ino;
		if (!listing_add(l, facts.name, &node,
		                 OFFSET_NUMBERED + (off_t)(facts.ino & (BIT_DIRECTORY - 1))))
			break;
	}
	return 0;
}

static int inbox_directory_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode;
	st->st_nlink = 2;
	return 0;
}

static uint64_t inbox_directory_parent(const struct node *directory)
{
	return INO_INBOX;
}

static char *inbox_directory_path(struct fs *fs, const struct node *node)
{
	struct inbox_place p;
	char *path;

	if (enter_inbox(fs, node->ino, &p) < 0)
		return NULL;
	path = mem_strdup(p.path);
	leave_inbox(fs, &p);
	return path;
}

static int inbox_file_create(struct fuse_req *req, const struct node *directory, const char *name,
                             const struct fuse_file_info *fi, struct node *ret, struct handle **ret_handle,
                             struct error *err)
{
	struct fs *fs = fs_of(req);
	struct inbox_place p;
	int r = enter_inbox(fs, directory->ino, &p);

	if (r < 0)
		return r;
	r = incoming_create(req, &p.place, name, &class_inbox_file, ret, ret_handle, err);
	leave_inbox(fs, &p);
	return r;
}

static void inbox_rename(struct fuse_req *req, const struct node *directory, const char *name,
                         const char *new_name, unsigned flags)
{
	struct fs *fs = fs_of(req);
	struct inbox_place p;
	int r = enter_inbox(fs, directory->ino, &p);

	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	incoming_rename(req, &p.place, name, new_name, flags);
	leave_inbox(fs, &p);
}

/* rsync -a and tar set the times of directories, too: there is nothing to keep them in. */
static int keep_inbox_attributes(struct fs *fs, const struct node *node, const struct stat *attr, int to_set)
{
	return 0;
}

static const struct node_class class_inbox_directory = {
        .type = S_IFDIR,
        .lookup = inbox_directory_lookup,
        .list = inbox_directory_list,
        .parent = inbox_directory_parent,
        .stat = inbox_directory_stat,
        .setattr = keep_inbox_attributes,
        .path = inbox_directory_path,
        .create = inbox_file_create,
        .rename = inbox_rename,
};

/* A file that came in, or comes. */

static int inbox_file_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                           struct handle **ret_handle, struct error *err)
{
	struct fs *fs = fs_of(req);
	struct incoming_facts facts;
	struct inbox_place p;
	int r = incoming_facts(fs, node->ino, &facts);

	if (r == 0)
		r = enter_inbox(fs, facts.directory, &p);
	if (r < 0)
		return r;
	r = incoming_open_again(req, &p.place, node, fi->flags, ret_handle, err);
	leave_inbox(fs, &p);
	return r;
}

static int inbox_file_setattr(struct fs *fs, const struct node *node, const struct stat *attr, int to_set)
{
	return incoming_set_attributes(fs, node->ino, attr, to_set);
}

static char *inbox_file_path(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *directory = NULL;
	struct incoming_facts facts;

	if (incoming_facts(fs, node->ino, &facts) < 0)
		return NULL;
	directory = inbox_directory_path(fs, &(struct node){.ino = facts.directory});
	return directory ? mem_printf("%s/%s", directory, facts.name) : NULL;
}

/* The name goes, and what is being written; what was taken is a backup, and is removed in backups/. */
static int inbox_file_remove(struct fuse_req *req, const struct node *directory, const struct node *node,
                             const char *name)
{
	incoming_remove(req, node->ino);
	return 0;
}

static const struct node_class class_inbox_file = {
        .type = S_IFREG,
        .writable = true,
        .stat = incoming_stat,
        .setattr = inbox_file_setattr,
        .path = inbox_file_path,
        .open = inbox_file_open,
        .remove = inbox_file_remove,
};

/* inbox/ itself. */

static void node_of_inbox(const struct conf_job *job, struct node *ret)
{
	*ret = (struct node){.ino = ino_of_inbox(job->name), .class = &class_inbox_directory};
}

static int inbox_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	const struct conf *conf = fs_conf_ref(fs);
	const struct conf_job *job = conf_find_job(conf, name);
	int r = job && job->kind == CONF_JOB_INBOX ? 0 : -ENOENT;

	if (r == 0)
		node_of_inbox(job, ret);
	fs_conf_unref(fs, conf);
	return r;
}

static int inbox_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	const struct conf *conf = fs_conf_ref(fs);
	size_t from = after >= OFFSET_NUMBERED ? (size_t)(after - OFFSET_NUMBERED) + 1 : 0;

	for (size_t i = from; i < conf->job_count; i++) {
		struct node node;

		if (conf->jobs[i].kind != CONF_JOB_INBOX)
			continue;
		node_of_inbox(&conf->jobs[i], &node);
		if (!listing_add(l, conf->jobs[i].name, &node, OFFSET_NUMBERED + (off_t)i))
			break;
	}
	fs_conf_unref(fs, conf);
	return 0;
}

static int inbox_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode;
	/* Which directories there are changes with the configuration. */
	st->st_nlink = 1;
	return 0;
}

const struct node_class class_inbox = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .lookup = inbox_lookup,
        .list = inbox_list,
        .stat = inbox_stat,
        .path = fixed_directory_path,
};

int inbox_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	struct incoming_facts facts;
	struct inbox_place p;
	int r;

	if (!(ino & BIT_DIRECTORY)) {
		r = incoming_facts(fs, ino, &facts);
		if (r == 0 && !wal_coming_load(ino, facts.directory, ret))
			*ret = (struct node){.ino = ino, .class = &class_inbox_file};
		return r;
	}
	*ret = (struct node){.ino = ino, .class = &class_inbox_directory};
	r = enter_inbox(fs, ino, &p);
	if (r == 0)
		leave_inbox(fs, &p);
	return r;
}
