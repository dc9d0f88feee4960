// SPDX-License-Identifier: Apache-2.0
/* See wal.h. Which directories there are is told by the configuration in force, so the kernel keeps none of these names; nor any of a file, since a server asks for names before they are there. */
#include "wal.h"

#include "dir.h"
#include "fs_private.h"
#include "incoming.h"
#include "wal_missed.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/name.h>
#include <keepfs/wal.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define BITS_WAL      (UINT64_C(9) << 57)
#define BIT_DIRECTORY (UINT64_C(1) << 56)
#define BIT_TAIL      (UINT64_C(1) << 55)
#define PAGE_ROWS     64

bool wal_has(uint64_t ino)
{
	return ino >> 57 == BITS_WAL >> 57;
}

static uint64_t ino_of_archive(const char *job)
{
	return BITS_WAL | BIT_DIRECTORY | (ino_of_directory(job) >> 8 & (BIT_DIRECTORY - 1));
}

static uint64_t ino_of_wal_file(int64_t id)
{
	return BITS_WAL | (uint64_t)id;
}

/* Taking what comes. */

static void take_wal(void *arg)
{
	struct incoming *f = arg;
	struct fs *fs = incoming_fs(f);
	_cleanup(free) char *name = incoming_name(f), *note = NULL;
	struct error err = {0};
	int r = wal_take(fs->ctx.wal, incoming_job(f), name, incoming_intake(f), &note, &err);

	if (r == 0 && note)
		log_info(WAL_NAME "/%s/%s: %s", incoming_job(f), name, note);
	incoming_ended(f, r, r < 0 ? err.message : note ? note : "");
	intake_finish(incoming_intake(f), r, &err);
	incoming_unref(f);
}

static void begin_wal(struct incoming *f)
{
	workers_add(incoming_fs(f)->wal_takers, take_wal, incoming_ref(f));
}

static bool is_never_temporary(const char *name)
{
	return false;
}

static void forget_nothing(void *own)
{
}

static const struct incoming_class class_of_wal = {.begin = begin_wal,
                                                   .is_temporary = is_never_temporary,
                                                   .forget = forget_nothing,
                                                   .action = "wal",
                                                   .is_listed = true};

/* The directory of an archive. */

struct wal_place { /* while the configuration is held */
	const struct conf *conf;
	char *path;
	struct incoming_place place;
};

static void leave_archive(struct fs *fs, struct wal_place *p)
{
	fs_conf_unref(fs, p->conf);
	free(p->path);
}

static const struct conf_job *archive_numbered(const struct conf *conf, uint64_t ino)
{
	for (size_t i = 0; i < conf->job_count; i++)
		if (wal_is_archived(&conf->jobs[i]) && ino_of_archive(conf->jobs[i].name) == ino)
			return &conf->jobs[i];
	return NULL;
}

/* 0: the caller's leave_archive(). */
static int enter_archive(struct fs *fs, uint64_t directory, struct wal_place *ret)
{
	const struct conf *conf = fs_conf_ref(fs);
	const struct conf_job *job = fs->ctx.wal ? archive_numbered(conf, directory) : NULL;

	if (!job) {
		fs_conf_unref(fs, conf);
		return -ENOENT;
	}
	*ret = (struct wal_place){.conf = conf, .path = mem_printf(WAL_NAME "/%s", job->name)};
	ret->place = (struct incoming_place){
	        .class = &class_of_wal, .directory = directory, .path = ret->path, .job = job->name};
	return 0;
}

static const struct node_class class_wal_file, class_wal_coming, class_wal_directory;

static void node_of_row(const struct catalog_wal *row, struct node *ret)
{
	*ret = (struct node){.ino = ino_of_wal_file(row->id),
	                     .class = &class_wal_file,
	                     .entry.ino = ino_of_archive(row->job),
	                     .bytes = row->bytes == CATALOG_WAL_UNKNOWN ? 0 : row->bytes,
	                     .mtime_us = row->arrived_us};
}

static const struct node_class class_wal_tail;

static void node_of_tail(const struct wal_tail_facts *tail, struct node *ret)
{
	*ret = (struct node){.ino = BITS_WAL | BIT_TAIL | (uint64_t)tail->number,
	                     .class = &class_wal_tail,
	                     .entry.ino = ino_of_archive(tail->job),
	                     .bytes = tail->segment_bytes,
	                     .mtime_us = clock_now_us()};
}

/* What was streamed of the last segment is there by its name, and in no listing: it is no file of the archive yet. */
static int find_tail(struct fs *fs, const struct node *directory, const char *job, const char *name,
                     bool may_wait, struct node *ret, struct error *err)
{
	struct wal_tail_facts tail;
	int r = wal_tail_find(fs->ctx.wal, job, name, may_wait, directory->cancel, &tail, err);

	if (r == 0)
		node_of_tail(&tail, ret);
	return r;
}

static int wal_directory_lookup(struct fs *fs, const struct node *directory, const char *name,
                                struct node *ret)
{
	bool may_wait = directory->cancel && !directory->in_haste;
	struct error err = {0};
	struct catalog_wal row;
	struct wal_place p;
	uint64_t ino;
	int r = enter_archive(fs, directory->ino, &p);

	if (r < 0)
		return r;
	r = incoming_find(fs, directory->ino, name, &ino);
	if (r == 0 && !wal_has(ino)) {
		(void)wal_coming_load(ino, directory->ino, ret);
		leave_archive(fs, &p);
		return 0;
	}
	r = wal_find(fs->ctx.wal, p.place.job, name, may_wait, directory->cancel, &row, &err);
	if (r == 0)
		node_of_row(&row, ret);
	else if (r == -ENOENT)
		r = find_tail(fs, directory, p.place.job, name, may_wait, ret, &err);
	if (r == 0 && wal_missed_again(fs->wal_missed, directory->ino, name, clock_mono_ms()))
		r = -ENOENT;
	else if (r == -ENOENT)
		wal_missed_note(fs->wal_missed, directory->ino, name, clock_mono_ms());
	if (r < 0 && r != -ENOENT && r != -ECANCELED && (r != -EAGAIN || may_wait)) {
		report_trouble(fs->ctx.troubles, p.path, EIO, err.message);
		r = -EIO;
	}
	leave_archive(fs, &p);
	return r;
}

/* False: the page is full. */
static bool add_rows(struct listing *l, const struct catalog_wal *rows, ssize_t count)
{
	for (ssize_t i = 0; i < count; i++) {
		struct node node;

		node_of_row(&rows[i], &node);
		if (!listing_add(l, rows[i].name, &node, OFFSET_NUMBERED + (off_t)rows[i].id))
			return false;
	}
	return true;
}

static int wal_directory_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	_cleanup(free) struct catalog_wal *rows = mem_array(PAGE_ROWS, sizeof(*rows));
	int64_t behind = after >= OFFSET_NUMBERED ? (int64_t)(after - OFFSET_NUMBERED) : 0;
	struct wal_place p;
	ssize_t count;
	int r = enter_archive(fs, directory->ino, &p);

	if (r < 0)
		return r;
	do {
		count = catalog_wal_page(fs->ctx.repository->catalog, p.place.job, behind, rows, PAGE_ROWS);
		if (count > 0)
			behind = rows[count - 1].id;
	} while (count > 0 && add_rows(l, rows, count));
	leave_archive(fs, &p);
	return count < 0 ? (int)count : 0;
}

static int wal_directory_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode;
	st->st_nlink = 2;
	return 0;
}

static uint64_t wal_directory_parent(const struct node *directory)
{
	return INO_WAL;
}

char *wal_path_of_directory(struct fs *fs, uint64_t ino)
{
	struct wal_place p;
	char *path;

	if (enter_archive(fs, ino, &p) < 0)
		return NULL;
	path = mem_strdup(p.path);
	leave_archive(fs, &p);
	return path;
}

static char *wal_directory_path(struct fs *fs, const struct node *node)
{
	return wal_path_of_directory(fs, node->ino);
}

static int wal_file_create(struct fuse_req *req, const struct node *directory, const char *name,
                           const struct fuse_file_info *fi, struct node *ret, struct handle **ret_handle,
                           struct error *err)
{
	struct fs *fs = fs_of(req);
	struct wal_name parsed;
	struct wal_place p;
	int r = enter_archive(fs, directory->ino, &p);

	if (r < 0)
		return r;
	r = wal_name_parse(name, &parsed);
	if (r < 0)
		error_set(
		        err, ERROR_USAGE, EINVAL,
		        "that is no name of WAL: archive_command = 'cp %%p MOUNTPOINT/%s/%%f' gives the right ones",
		        p.path);
	else
		r = incoming_create(req, &p.place, name, &class_wal_coming, ret, ret_handle, err);
	wal_missed_forget(fs->wal_missed, directory->ino, name);
	leave_archive(fs, &p);
	return r;
}

int wal_refuse_change(struct fs *fs, char *path, const char *what)
{
	_cleanup(free) char *owned = path;
	_cleanup(free) char *text = mem_printf(
	        "what is archived is not %s: base backups need it to be restored, and it goes with them",
	        what);

	report_trouble(fs->ctx.troubles, owned, EPERM, text);
	return -EPERM;
}

static void wal_rename(struct fuse_req *req, const struct node *directory, const char *name,
                       const char *new_name, unsigned flags)
{
	struct fs *fs = fs_of(req);

	fuse_reply_err(req, -wal_refuse_change(fs, node_path_below(fs, directory, name), "renamed"));
}

static char *why_wal_is_kept(struct fs *fs, const struct node *directory, const struct node *node,
                             const char *name, char **ret_path)
{
	*ret_path = node_path_below(fs, directory, name);
	return mem_strdup("what is archived is not removed: base backups need it to be restored");
}

/* Times and modes are nothing's: cp -p sets them. */
static int keep_wal_attributes(struct fs *fs, const struct node *node, const struct stat *attr, int to_set)
{
	return 0;
}

static const struct node_class class_wal_directory = {
        .type = S_IFDIR,
        .waits = true,
        .lookup = wal_directory_lookup,
        .list = wal_directory_list,
        .parent = wal_directory_parent,
        .stat = wal_directory_stat,
        .setattr = keep_wal_attributes,
        .path = wal_directory_path,
        .create = wal_file_create,
        .rename = wal_rename,
        .why_kept = why_wal_is_kept,
};

/* A file that is archived. */

static int wal_file_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->file_mode | S_IWUSR;
	st->st_size = (off_t)node->bytes;
	*mtime_us = node->mtime_us;
	return 0;
}

static int row_of_node(struct fs *fs, const struct node *node, struct catalog_wal *ret)
{
	return catalog_wal_by_id(fs->ctx.repository->catalog, (int64_t)(node->ino & ~BITS_WAL), ret);
}

static char *wal_file_path(struct fs *fs, const struct node *node)
{
	struct catalog_wal row;

	return row_of_node(fs, node, &row) == 0 ? mem_printf(WAL_NAME "/%s/%s", row.job, row.name) : NULL;
}

/* An archiver that was not told that a file was taken writes it once more: it is compared then. */
static int write_wal_again(fuse_req_t req, const struct node *node, struct handle **ret_handle,
                           struct error *err)
{
	struct fs *fs = fs_of(req);
	struct catalog_wal row;
	struct wal_place p;
	int r = row_of_node(fs, node, &row);

	if (r == 0)
		r = enter_archive(fs, ino_of_archive(row.job), &p);
	if (r < 0)
		return r;
	r = incoming_open_over(req, &p.place, row.name, node->ino, ret_handle, err);
	leave_archive(fs, &p);
	return r;
}

static int wal_file_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                         struct handle **ret_handle, struct error *err)
{
	if ((fi->flags & O_ACCMODE) == O_RDONLY && !(fi->flags & O_TRUNC))
		return wal_file_read(req, node, fi, ret_handle, err);
	if (fi->flags & O_TRUNC && (fi->flags & O_ACCMODE) != O_RDONLY)
		return write_wal_again(req, node, ret_handle, err);
	return error_set(
	        err, ERROR_DENIED, EPERM,
	        "what is archived is not changed: the same file may be written once more, as a whole, and is compared");
}

static int wal_file_setattr(struct fs *fs, const struct node *node, const struct stat *attr, int to_set)
{
	/* Behind an O_TRUNC that was answered by wal_file_open() none comes (atomic_o_trunc). */
	if (to_set & FUSE_SET_ATTR_SIZE)
		return wal_refuse_change(fs, wal_file_path(fs, node), "truncated");
	return 0;
}

static const struct node_class class_wal_file = {
        .type = S_IFREG,
        .writable = true,
        .stat = wal_file_stat,
        .setattr = wal_file_setattr,
        .path = wal_file_path,
        .open = wal_file_open,
        .why_kept = why_wal_is_kept,
};

/* A tail: the segment, as far as it was streamed. */

static char *wal_tail_path(struct fs *fs, const struct node *node)
{
	struct wal_tail_facts tail;

	return wal_tail_by_number(fs->ctx.wal, (int64_t)(node->ino & (BIT_TAIL - 1)), &tail) == 0
	               ? mem_printf(WAL_NAME "/%s/%s", tail.job, tail.name)
	               : NULL;
}

/* An archiver hands over the segment: it comes as if nothing were there. */
static int write_over_tail(fuse_req_t req, const struct node *node, struct handle **ret_handle,
                           struct error *err)
{
	struct fs *fs = fs_of(req);
	struct wal_tail_facts tail;
	struct wal_place p;
	int r = wal_tail_by_number(fs->ctx.wal, (int64_t)(node->ino & (BIT_TAIL - 1)), &tail);

	if (r == 0)
		r = enter_archive(fs, ino_of_archive(tail.job), &p);
	if (r < 0)
		return r;
	r = incoming_open_over(req, &p.place, tail.name, node->ino, ret_handle, err);
	leave_archive(fs, &p);
	return r;
}

static int wal_tail_node_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                              struct handle **ret_handle, struct error *err)
{
	if ((fi->flags & O_ACCMODE) == O_RDONLY && !(fi->flags & O_TRUNC))
		return wal_tail_read(req, node, fi, ret_handle, err);
	if (fi->flags & O_TRUNC && (fi->flags & O_ACCMODE) != O_RDONLY)
		return write_over_tail(req, node, ret_handle, err);
	return error_set(err, ERROR_DENIED, EPERM,
	                 "what was streamed of a segment is not changed: the whole segment may be written");
}

static int wal_tail_setattr(struct fs *fs, const struct node *node, const struct stat *attr, int to_set)
{
	if (to_set & FUSE_SET_ATTR_SIZE)
		return wal_refuse_change(fs, wal_tail_path(fs, node), "truncated");
	return 0;
}

static const struct node_class class_wal_tail = {
        .type = S_IFREG,
        .writable = true,
        .stat = wal_file_stat,
        .setattr = wal_tail_setattr,
        .path = wal_tail_path,
        .open = wal_tail_node_open,
        .why_kept = why_wal_is_kept,
};

/* A file that comes. */

static int wal_coming_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                           struct handle **ret_handle, struct error *err)
{
	return error_set(err, ERROR_CONFLICT, EBUSY, "it is being written at this moment");
}

static int wal_coming_setattr(struct fs *fs, const struct node *node, const struct stat *attr, int to_set)
{
	return incoming_set_attributes(fs, node->ino, attr, to_set);
}

static char *wal_coming_path(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *directory = NULL;
	struct incoming_facts facts;

	if (incoming_facts(fs, node->ino, &facts) < 0)
		return NULL;
	directory = wal_path_of_directory(fs, facts.directory);
	return directory ? mem_printf("%s/%s", directory, facts.name) : NULL;
}

static const struct node_class class_wal_coming = {
        .type = S_IFREG,
        .writable = true,
        .stat = incoming_stat,
        .setattr = wal_coming_setattr,
        .path = wal_coming_path,
        .open = wal_coming_open,
        .why_kept = why_wal_is_kept,
};

bool wal_coming_load(uint64_t ino, uint64_t directory, struct node *ret)
{
	*ret = (struct node){.ino = ino, .class = &class_wal_coming, .entry.ino = directory};
	return wal_has(directory);
}

/* wal/ itself. */

static void node_of_archive(const struct conf_job *job, struct node *ret)
{
	const uint64_t ino = ino_of_archive(job->name);

	*ret = (struct node){.ino = ino, .class = &class_wal_directory, .entry.ino = ino};
}

static int wal_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	const struct conf *conf = fs_conf_ref(fs);
	const struct conf_job *job = conf_find_job(conf, name);
	int r = fs->ctx.wal && wal_is_archived(job) ? 0 : -ENOENT;

	if (r == 0)
		node_of_archive(job, ret);
	fs_conf_unref(fs, conf);
	return r;
}

static int wal_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	const struct conf *conf = fs_conf_ref(fs);
	size_t from = after >= OFFSET_NUMBERED ? (size_t)(after - OFFSET_NUMBERED) + 1 : 0;

	for (size_t i = from; fs->ctx.wal && i < conf->job_count; i++) {
		struct node node;

		if (!wal_is_archived(&conf->jobs[i]))
			continue;
		node_of_archive(&conf->jobs[i], &node);
		if (!listing_add(l, conf->jobs[i].name, &node, OFFSET_NUMBERED + (off_t)i))
			break;
	}
	fs_conf_unref(fs, conf);
	return 0;
}

static int wal_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode;
	/* Which directories there are changes with the configuration. */
	st->st_nlink = 1;
	return 0;
}

const struct node_class class_wal = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .lookup = wal_lookup,
        .list = wal_list,
        .stat = wal_stat,
        .path = fixed_directory_path,
};

static int load_tail(struct fs *fs, uint64_t ino, struct node *ret)
{
	struct wal_tail_facts tail;
	int r = fs->ctx.wal ? wal_tail_by_number(fs->ctx.wal, (int64_t)(ino & (BIT_TAIL - 1)), &tail)
	                    : -ENOENT;

	if (r == 0)
		node_of_tail(&tail, ret);
	return r;
}

int wal_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	struct catalog_wal row;
	struct wal_place p;
	int r;

	if (ino == INO_WAL) {
		*ret = (struct node){.ino = ino, .class = &class_wal};
		return 0;
	}
	*ret = (struct node){.ino = ino, .class = &class_wal_directory, .entry.ino = ino};
	if (ino & BIT_DIRECTORY) {
		r = enter_archive(fs, ino, &p);
		if (r == 0)
			leave_archive(fs, &p);
		return r;
	}
	if (ino & BIT_TAIL)
		return load_tail(fs, ino, ret);
	r = row_of_node(fs, ret, &row);
	if (r == 0)
		node_of_row(&row, ret);
	return r;
}
