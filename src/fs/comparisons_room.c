// SPDX-License-Identifier: Apache-2.0
/* How much of the results of comparisons is kept: bytes on the disk, results that have files, files that are open. */
#include "comparisons_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>

#include <errno.h>

#define KEPT_FILES 64  /* results that have files */
#define OPEN_FILES 128 /* likewise, while they are open */
#define CLOSING_MS (10 * 1000)

uint64_t comparisons_kept_max(const struct comparisons *cs)
{
	return cs->fs->ctx.conf->diff_space_bytes / COMPARISONS_KEPT_PART;
}

static bool has_file(const struct comparison *c)
{
	return spool_size(c->sides[DIFF_A]) > COMPARISON_SMALL_BYTES ||
	       spool_size(c->sides[DIFF_B]) > COMPARISON_SMALL_BYTES;
}

/* With the lock. */
static bool too_many_are_kept(const struct comparisons *cs)
{
	unsigned count = 0, files = 0;

	for (const struct comparison *c = cs->first; c; c = c->next) {
		count += c->has_ended;
		files += c->has_ended && has_file(c);
	}
	return count > COMPARISONS_KEPT || files > KEPT_FILES;
}

void comparisons_keep_allowed(struct comparisons *cs)
{
	struct comparison *c;

	do {
		pthread_mutex_lock(&cs->lock);
		c = too_many_are_kept(cs) ? comparisons_take_oldest(cs) : NULL;
		pthread_mutex_unlock(&cs->lock);
		if (c)
			comparison_unref(c);
	} while (c);
}

static int refuse_result(const struct comparison *c, struct error *err)
{
	char space[16];

	str_format_bytes(space, sizeof(space), comparisons_kept_max(c->all));
	if (c->bytes > comparisons_kept_max(c->all))
		return error_set(
		        err, ERROR_NO_SPACE, EFBIG,
		        "what differs takes more than the %s that results may take, half of [keepfs] diff_space: raise it, or use 'keepfs diff', which keeps nothing",
		        space);
	return error_set(
	        err, ERROR_NO_SPACE, ENOSPC,
	        "the files of diff/ that are open and this one take more than the %s that results may take, half of [keepfs] diff_space: close some, or raise it",
	        space);
}

/* With the lock: its result gets a file now, and too many that have one are open. Each takes two descriptors, and backups need some, too. */
static bool too_many_are_open(const struct comparison *c, uint64_t bytes)
{
	unsigned open = 0;

	if (c->bytes > COMPARISON_SMALL_BYTES || c->bytes + bytes <= COMPARISON_SMALL_BYTES)
		return false;
	for (const struct comparison *other = c->all->first; other; other = other->next)
		open += other->has_ended && other->refs > 1 && has_file(other);
	return open >= OPEN_FILES;
}

static int refuse_open_file(struct error *err)
{
	return error_set(
	        err, ERROR_NO_SPACE, ENFILE,
	        "the results of %u comparisons that are more than some KB are open in diff/, and no more may be: close some",
	        OPEN_FILES);
}

/* With the lock, which is given back meanwhile: until something that was open is not any more. The kernel tells of a close some time after it. False: it
 * is in vain. */
static bool wait_for_closing(struct comparison *c, int64_t until_ms)
{
	struct comparisons *cs = c->all;
	int64_t left_ms = until_ms - clock_mono_ms();

	return c->link && !cs->ended && left_ms > 0 && clock_cond_wait_ms(&cs->changed, &cs->lock, left_ms);
}

/* @bytes more of its result: others make room for them. */
int comparison_make_room(struct comparison *c, uint64_t bytes, struct error *err)
{
	struct comparisons *cs = c->all;
	int64_t until_ms = clock_mono_ms() + CLOSING_MS;
	struct comparison *oldest;
	bool is_last_look = false;
	int r = 0;

	pthread_mutex_lock(&cs->lock);
	if (too_many_are_open(c, bytes))
		r = refuse_open_file(err);
	c->bytes += bytes;
	cs->bytes += bytes;
	while (r == 0 && cs->bytes > comparisons_kept_max(cs)) {
		oldest = c->bytes > comparisons_kept_max(cs) ? NULL : comparisons_take_oldest(cs);
		if (!oldest) {
			if (is_last_look || c->bytes > comparisons_kept_max(cs))
				r = refuse_result(c, err);
			else
				is_last_look = !wait_for_closing(c, until_ms);
			continue;
		}
		pthread_mutex_unlock(&cs->lock);
		comparison_unref(oldest);
		pthread_mutex_lock(&cs->lock);
	}
	pthread_mutex_unlock(&cs->lock);
	return r;
}
