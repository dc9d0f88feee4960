// SPDX-License-Identifier: Apache-2.0
/* See incoming.h. A file lives as long as somebody has it: its entry, its open handle, each request, and the class. */
#include "incoming_private.h"

#include "fs_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/report/troubles.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BIT_INCOMING (UINT64_C(1) << 57)

struct incomings *incomings_new(void)
{
	struct incomings *all = mem_alloc(sizeof(*all));

	pthread_mutex_init(&all->lock, NULL);
	all->pool = pool_new(INCOMING_MAX * POOL_BUFFER_BYTES);
	if (all->pool)
		return all;
	return incomings_free(all);
}

/* Files. */

struct incoming *incoming_ref(struct incoming *f)
{
	struct incomings *all = f->fs->incomings;

	pthread_mutex_lock(&all->lock);
	f->refs++;
	pthread_mutex_unlock(&all->lock);
	return f;
}

void incoming_free(struct incoming *f)
{
	if (f->own)
		f->class->forget(f->own);
	intake_unref(f->intake);
	free(f->path);
	free(f->job);
	free(f);
}

void incoming_unref(struct incoming *f)
{
	struct incomings *all = f->fs->incomings;
	bool last;

	pthread_mutex_lock(&all->lock);
	last = --f->refs == 0;
	pthread_mutex_unlock(&all->lock);
	if (last)
		incoming_free(f);
}

bool incoming_strike(struct incomings *all, struct incoming *f)
{
	struct incoming **at = &all->first;

	while (*at && *at != f)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = f->next;
	f->state = INCOMING_GONE;
	return true;
}

void incoming_drop_entry(struct incoming *f)
{
	struct incomings *all = f->fs->incomings;
	bool had_one;

	pthread_mutex_lock(&all->lock);
	had_one = incoming_strike(all, f);
	pthread_mutex_unlock(&all->lock);
	if (had_one)
		incoming_unref(f);
}

void incomings_end(struct incomings *all)
{
	struct incoming *open[INCOMING_MAX + INCOMING_KEPT];
	size_t count = 0;

	pthread_mutex_lock(&all->lock);
	all->ended = true;
	for (struct incoming *f = all->first; f && count < ARRAY_SIZE(open); f = f->next)
		if (f->state != INCOMING_TAKEN) {
			f->refs++;
			open[count++] = f;
		}
	pthread_mutex_unlock(&all->lock);
	for (size_t i = 0; i < count; i++) {
		intake_give_up(open[i]->intake, GONE_ENDED);
		incoming_unref(open[i]);
	}
}

struct incomings *incomings_free(struct incomings *all)
{
	struct incoming *f;

	if (!all)
		return NULL;
	while ((f = all->first)) {
		all->first = f->next;
		incoming_free(f);
	}
	pool_free(all->pool);
	pthread_mutex_destroy(&all->lock);
	free(all);
	return NULL;
}

/* With the lock. */
struct incoming *incoming_named(const struct incomings *all, uint64_t directory, const char *name)
{
	struct incoming *f = all->first;

	while (f && (f->directory != directory || !str_equal(f->name, name)))
		f = f->next;
	return f;
}

static struct incoming *entry_numbered(const struct incomings *all, uint64_t ino)
{
	struct incoming *f = all->first;

	while (f && f->ino != ino)
		f = f->next;
	return f;
}

/* With the lock: of too many that were taken the oldest; NULL: there are not too many. */
static struct incoming *entry_too_old(const struct incomings *all)
{
	struct incoming *oldest = NULL;
	size_t count = 0;

	for (struct incoming *f = all->first; f; f = f->next)
		if (f->state == INCOMING_TAKEN) {
			oldest = f;
			count++;
		}
	return count > INCOMING_KEPT ? oldest : NULL;
}

int incoming_find(struct fs *fs, uint64_t directory, const char *name, uint64_t *ret_ino)
{
	struct incoming *f;
	int r = -ENOENT;

	pthread_mutex_lock(&fs->incomings->lock);
	f = incoming_named(fs->incomings, directory, name);
	if (f) {
		*ret_ino = f->ino;
		r = 0;
	}
	pthread_mutex_unlock(&fs->incomings->lock);
	return r;
}

static void tell_facts(const struct incoming *f, struct incoming_facts *ret)
{
	*ret = (struct incoming_facts){.ino = f->ino,
	                               .directory = f->directory,
	                               .bytes = f->bytes,
	                               .mtime_us = f->mtime_us,
	                               .is_taken = f->state == INCOMING_TAKEN};
	str_copy(ret->name, sizeof(ret->name), f->name);
}

int incoming_facts(struct fs *fs, uint64_t ino, struct incoming_facts *ret)
{
	struct incoming *f;

	pthread_mutex_lock(&fs->incomings->lock);
	f = entry_numbered(fs->incomings, ino);
	if (f)
		tell_facts(f, ret);
	pthread_mutex_unlock(&fs->incomings->lock);
	return f ? 0 : -ENOENT;
}

int incoming_next(struct fs *fs, uint64_t directory, uint64_t after, struct incoming_facts *ret)
{
	struct incoming *found = NULL;

	pthread_mutex_lock(&fs->incomings->lock);
	for (struct incoming *f = fs->incomings->first; f; f = f->next)
		if (f->directory == directory && f->ino > after && (!found || f->ino < found->ino))
			found = f;
	if (found)
		tell_facts(found, ret);
	pthread_mutex_unlock(&fs->incomings->lock);
	return found ? 0 : -ENOENT;
}

static int64_t microseconds_of(const struct timespec *t)
{
	return (int64_t)t->tv_sec * US_PER_S + t->tv_nsec / 1000;
}

int incoming_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	struct incoming_facts facts;
	int r = incoming_facts(fs, node->ino, &facts);

	if (r < 0)
		return r;
	st->st_mode |= fs->ctx.conf->file_mode | S_IWUSR;
	st->st_size = (off_t)facts.bytes;
	if (facts.mtime_us)
		*mtime_us = facts.mtime_us;
	return 0;
}

int incoming_set_attributes(struct fs *fs, uint64_t ino, const struct stat *attr, int to_set)
{
	struct incoming *f;
	int r = 0;

	pthread_mutex_lock(&fs->incomings->lock);
	f = entry_numbered(fs->incomings, ino);
	if (!f)
		r = -ENOENT;
	else if (to_set & FUSE_SET_ATTR_SIZE && (uint64_t)attr->st_size != f->bytes)
		r = -EINVAL;
	else if (to_set & FUSE_SET_ATTR_MTIME && !(to_set & FUSE_SET_ATTR_MTIME_NOW))
		f->mtime_us = microseconds_of(&attr->st_mtim);
	pthread_mutex_unlock(&fs->incomings->lock);
	return r;
}

/* What classes ask. */

struct fs *incoming_fs(const struct incoming *f)
{
	return f->fs;
}

struct intake *incoming_intake(const struct incoming *f)
{
	return f->intake;
}

char *incoming_name(struct incoming *f)
{
	char *name;

	pthread_mutex_lock(&f->fs->incomings->lock);
	name = mem_strdup(f->name);
	pthread_mutex_unlock(&f->fs->incomings->lock);
	return name;
}

const char *incoming_job(const struct incoming *f)
{
	return f->job;
}

void incoming_by(const struct incoming *f, char *buf, size_t size)
{
	snprintf(buf, size, "uid %lld (%s)", (long long)f->writer.uid, f->writer.command);
}

void incoming_set_own(struct incoming *f, void *own)
{
	pthread_mutex_lock(&f->fs->incomings->lock);
	f->own = own;
	pthread_mutex_unlock(&f->fs->incomings->lock);
}

int incoming_errno(int r)
{
	switch (-r) {
	case EBADMSG:
		return EINVAL;
	case ENOSPC:
	case EDQUOT:
	case EINVAL:
	case EPERM:
	case EACCES:
	case EROFS:
	case EBUSY:
	case EEXIST:
	case EFBIG:
		return -r;
	default:
		return EIO;
	}
}

void incoming_ended(struct incoming *f, int r, const char *text)
{
	struct incomings *all = f->fs->incomings;
	_cleanup(free) char *name = incoming_name(f);
	_cleanup(free) char *path = mem_printf("%s/%s", f->path, name);
	struct incoming *old = NULL;

	if (r < 0 || !f->class->is_listed)
		audit(f->fs, &f->writer, f->class->action, path, r, text);
	if (r == 0 && f->class->is_listed)
		incoming_drop_entry(f);
	if (r < 0) {
		report_trouble(f->fs->ctx.troubles, path, incoming_errno(r), text);
		incoming_drop_entry(f);
		return;
	}
	pthread_mutex_lock(&all->lock);
	if (f->state != INCOMING_GONE)
		f->state = INCOMING_TAKEN;
	old = entry_too_old(all);
	if (old)
		incoming_strike(all, old);
	pthread_mutex_unlock(&all->lock);
	if (old)
		incoming_unref(old);
}

uint64_t incoming_number(struct incomings *all)
{
	return BIT_INCOMING | ++all->last;
}

/* Names. */

int incoming_check_name(const char *name, struct error *err)
{
	for (size_t n; *name; name += n) {
		n = str_visible_char(name);
		if (n == 0 || (unsigned char)*name < ' ')
			return error_set(
			        err, ERROR_USAGE, EINVAL,
			        "the name of a file that is to become a backup is UTF-8 without control characters");
	}
	return 0;
}

void incoming_remove(fuse_req_t req, uint64_t ino)
{
	struct incomings *all = fs_of(req)->incomings;
	struct incoming *f;

	pthread_mutex_lock(&all->lock);
	f = entry_numbered(all, ino);
	if (f)
		incoming_strike(all, f);
	pthread_mutex_unlock(&all->lock);
	if (f) {
		intake_give_up(f->intake, GONE_REMOVED);
		incoming_unref(f);
	}
	fuse_reply_err(req, f ? 0 : ENOENT);
}

/* With the lock: whether it can have that name, and what then is to be done. */
static int take_new_name(struct incomings *all, const struct incoming_place *place, struct incoming *f,
                         const char *new_name, unsigned flags, struct incoming **ret_old)
{
	struct incoming *old = incoming_named(all, place->directory, new_name);

	if (old && old != f && flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (old && old != f && old->state != INCOMING_TAKEN)
		return -EBUSY;
	if (old && old != f && incoming_strike(all, old))
		*ret_old = old;
	str_copy(f->name, sizeof(f->name), new_name);
	return 0;
}

void incoming_rename(fuse_req_t req, const struct incoming_place *place, const char *name,
                     const char *new_name, unsigned flags)
{
	struct incomings *all = fs_of(req)->incomings;
	bool is_last = !place->class->is_temporary(new_name), publishes = false, names = false;
	struct incoming *f, *old = NULL;
	int r = flags & ~(unsigned)RENAME_NOREPLACE ? -EINVAL : incoming_check_name(new_name, NULL);

	pthread_mutex_lock(&all->lock);
	f = incoming_named(all, place->directory, name);
	if (r == 0)
		r = f ? take_new_name(all, place, f, new_name, flags, &old) : -ENOENT;
	if (r == 0) {
		f->refs++;
		names = is_last && f->state != INCOMING_TAKEN && f->own;
		publishes = names && f->state == INCOMING_WAITS;
	}
	pthread_mutex_unlock(&all->lock);
	if (old)
		incoming_unref(old);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (names)
		f->class->named(f->own, new_name);
	if (publishes)
		incoming_end(req, f, true);
	else
		fuse_reply_err(req, 0);
	incoming_unref(f);
}
