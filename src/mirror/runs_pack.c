// SPDX-License-Identifier: Apache-2.0
/*
 * Packs that are open, with their tables. Those that were used last stay open, since who reads at random comes back to them: as many as there is memory for tables, and file
 * descriptors of the reader are none. What was found to be wrong is opened anew by the next one: the object may have been made again meanwhile.
 */
#include "runs_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

#define OPEN_PACKS_MAX 256U
#define PACK_OVERHEAD                                                                                        \
	((size_t)1024) /* of one that is open, beside its table: about what the reader has of it */
#define TAIL_BYTES ((uint64_t)8192) /* got first: tables of some thousand frames are no longer */

static size_t bytes_of_open_pack(const struct open_run_pack *p)
{
	return p->table.count * sizeof(*p->table.frames) + PACK_OVERHEAD;
}

int run_pack_read(struct runs_reader *r, const struct open_run_pack *p, struct cancel *cancel, uint64_t at,
                  void *buf, size_t len, struct error *err)
{
	const struct reader_now now = {
	        .file = p->file, .cancel = cancel, .tags = &r->tags, .what = "the pack"};

	return reader_read_now(&now, at, buf, len, err);
}

/* @tail: the last @have bytes of the pack. */
static int read_rest_of_table(struct runs_reader *r, struct open_run_pack *p, struct cancel *cancel,
                              const char *tail, size_t have, size_t len, struct error *err)
{
	_cleanup(free) char *table = NULL;
	int result;

	if (len <= have)
		return seekable_table_decode(tail + have - len, len, p->bytes, &p->table, err);
	table = mem_resize(NULL, len, 1);
	memcpy(table + len - have, tail, have);
	result = run_pack_read(r, p, cancel, p->bytes - len, table, len - have, err);
	return result < 0 ? result : seekable_table_decode(table, len, p->bytes, &p->table, err);
}

static int read_pack_table(struct runs_reader *r, struct open_run_pack *p, struct cancel *cancel,
                           struct error *err)
{
	size_t have = (size_t)(p->bytes < TAIL_BYTES ? p->bytes : TAIL_BYTES), len;
	_cleanup(free) char *tail = mem_alloc(have + 1);
	int result;

	if (have < SEEKABLE_TAIL_BYTES)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "it is too short to have a table of frames");
	result = run_pack_read(r, p, cancel, p->bytes - have, tail, have, err);
	if (result == 0)
		result = seekable_table_tail_bytes((const uint8_t *)tail + have - SEEKABLE_TAIL_BYTES,
		                                   p->bytes, &len, err);
	return result < 0 ? result : read_rest_of_table(r, p, cancel, tail, have, len, err);
}

static void shut_pack(struct runs_reader *r, struct open_run_pack *p)
{
	if (!p->file)
		return;
	reader_close(take_ptr(&p->file), NULL);
	seekable_table_finish(&p->table);
	if (r->options.packs.close)
		r->options.packs.close(r->options.packs.arg, &p->name);
}

static void free_open_run_pack(struct runs_reader *r, struct open_run_pack *p)
{
	shut_pack(r, p);
	free((char *)p->name.path);
	free(p);
}

static int open_run_pack(struct runs_reader *r, struct open_run_pack *p, struct cancel *cancel,
                         struct error *err)
{
	const struct runs_packs *from = &r->options.packs;
	struct runs_object object = {0};
	int result = from->open(from->arg, r->options.reader, &p->name, cancel, &object, err);

	if (result < 0)
		return result;
	p->file = object.file;
	p->bytes = object.bytes;
	result = read_pack_table(r, p, cancel, err);
	if (result < 0)
		shut_pack(r, p);
	return result;
}

/* With the lock: out of the list, with its frames. True: nobody uses it, and the caller frees it. */
static bool drop_open_pack(struct runs_reader *r, struct open_run_pack *p)
{
	struct open_run_pack **at = &r->packs;

	if (p->is_gone)
		return false;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	r->pack_count--;
	if (!p->is_opening && p->file)
		r->tables_bytes -= bytes_of_open_pack(p);
	p->is_gone = true;
	run_frames_drop(r, p);
	return p->users == 0;
}

/* With the lock: the one that was not used for longest, when there are too many; out of the list, and the caller's. */
static struct open_run_pack *take_oldest_pack(struct runs_reader *r)
{
	struct open_run_pack *oldest = NULL;

	if (r->pack_count <= OPEN_PACKS_MAX && r->tables_bytes <= r->tables_max)
		return NULL;
	for (struct open_run_pack *p = r->packs; p; p = p->next)
		if (p->users == 0)
			oldest = p;
	if (oldest)
		drop_open_pack(r, oldest);
	return oldest;
}

static bool is_run_pack(const struct open_run_pack *p, const struct runs_pack *name)
{
	return p->name.store == name->store && str_equal(p->name.path, name->path);
}

/* With the lock: the first of the list, which has it. */
static struct open_run_pack *find_run_pack(struct runs_reader *r, const struct runs_pack *name)
{
	struct open_run_pack **at = &r->packs, *p;

	while (*at && !is_run_pack(*at, name))
		at = &(*at)->next;
	p = *at;
	if (p) {
		*at = p->next;
	} else {
		p = mem_alloc(sizeof(*p));
		p->name = (struct runs_pack){.store = name->store, .path = mem_strdup(name->path)};
		r->pack_count++;
	}
	p->next = r->packs;
	r->packs = p;
	return p;
}

/* With the lock, which is released meanwhile. */
static int open_in_turn(struct runs_reader *r, struct open_run_pack *p, struct cancel *cancel,
                        struct error *err)
{
	int result;

	p->is_opening = true;
	pthread_mutex_unlock(&r->lock);
	result = open_run_pack(r, p, cancel, err);
	pthread_mutex_lock(&r->lock);
	p->is_opening = false;
	if (result == 0) {
		r->counts.opened++;
		r->tables_bytes += p->is_gone ? 0 : bytes_of_open_pack(p);
	}
	pthread_cond_broadcast(&r->changed);
	return result;
}

static void free_old_packs(struct runs_reader *r)
{
	struct open_run_pack *old;

	do {
		pthread_mutex_lock(&r->lock);
		old = take_oldest_pack(r);
		pthread_mutex_unlock(&r->lock);
		if (old)
			free_open_run_pack(r, old);
	} while (old);
}

int run_pack_use(struct runs_reader *r, const struct runs_pack *name, struct cancel *cancel,
                 struct open_run_pack **ret, struct error *err)
{
	struct runs_waiting w;
	struct open_run_pack *p;
	int result = 0;

	runs_wait_begin(&w, r, cancel);
	pthread_mutex_lock(&r->lock);
	p = find_run_pack(r, name);
	p->users++;
	while (p->is_opening && !w.is_given_up)
		pthread_cond_wait(&r->changed, &r->lock);
	if (p->is_opening)
		result = error_set(err, ERROR_CANCELLED, ECANCELED, "reading was given up");
	else if (!p->file)
		result = open_in_turn(r, p, cancel, err);
	pthread_mutex_unlock(&r->lock);
	runs_wait_end(&w);
	*ret = p;
	free_old_packs(r);
	return result;
}

void run_pack_leave(struct runs_reader *r, struct open_run_pack *p, bool is_doubted)
{
	bool is_last;

	pthread_mutex_lock(&r->lock);
	if (is_doubted || (p->users == 1 && !p->file))
		drop_open_pack(r, p);
	is_last = --p->users == 0 && p->is_gone;
	/* Those that were kept after it had gone. */
	if (is_last)
		run_frames_drop(r, p);
	pthread_mutex_unlock(&r->lock);
	if (is_last)
		free_open_run_pack(r, p);
}

void runs_reader_forget(struct runs_reader *r, const struct runs_pack *pack)
{
	struct open_run_pack *p;
	bool is_free;

	pthread_mutex_lock(&r->lock);
	for (p = r->packs; p && !is_run_pack(p, pack); p = p->next)
		;
	is_free = p && drop_open_pack(r, p);
	pthread_mutex_unlock(&r->lock);
	if (is_free)
		free_open_run_pack(r, p);
}

void run_packs_close(struct runs_reader *r)
{
	while (r->packs) {
		struct open_run_pack *p = r->packs;

		drop_open_pack(r, p);
		free_open_run_pack(r, p);
	}
}
