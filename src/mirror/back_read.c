// SPDX-License-Identifier: Apache-2.0
/*
 * The bytes of a state, out of its packs, by the room `reader`: so each extent is checked, and what several objects lie in is got once. Objects come in the order of their keys, as they
 * were packed, so a few packs are kept open.
 */
#include "back_private.h"
#include "pack_object.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define KEPT_PACKS   8U
#define READ_THREADS 8
#define AHEAD_BYTES  ((uint64_t)8 << 20)

struct open_pack {
	char *name;
	struct reader_file *file; /* NULL: it is being opened, or could not be */
	uint64_t bytes;
	unsigned users; /* lock, as the next ones */
	bool is_opening;
	uint64_t used_at;
	struct open_pack *next;
};

struct back_packs {
	const struct mirror_back *b;
	struct reader *reader;
	struct reader_metrics metrics;
	atomic_ullong tags;
	pthread_mutex_t lock;
	pthread_cond_t opened;
	struct open_pack *first; /* lock, as the next ones */
	unsigned count;
	uint64_t clock;
};

int back_packs_new(const struct mirror_back *b, size_t buffers, struct back_packs **ret, struct error *err)
{
	struct back_packs *p = mem_alloc(sizeof(*p));
	const struct reader_options options = {.store = repository_store(b->options.ctx->repository),
	                                       .pool = b->options.ctx->pool,
	                                       .buffers = buffers,
	                                       .threads = READ_THREADS,
	                                       .ahead_bytes = AHEAD_BYTES,
	                                       .metrics = &p->metrics};
	int r;

	p->b = b;
	r = reader_new(&options, &p->reader, err);
	if (r < 0) {
		free(p);
		return r;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->opened, NULL);
	*ret = p;
	return 0;
}

static void close_pack(struct open_pack *pack)
{
	if (pack->file)
		reader_close(pack->file, NULL);
	free(pack->name);
	free(pack);
}

struct back_packs *back_packs_free(struct back_packs *p)
{
	struct open_pack *pack;

	if (!p)
		return NULL;
	while ((pack = p->first)) {
		p->first = pack->next;
		close_pack(pack);
	}
	reader_free(p->reader);
	pthread_cond_destroy(&p->opened);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return NULL;
}

static int open_pack_file(struct back_packs *p, struct open_pack *pack, struct error *err)
{
	const struct mirror_back_options *o = &p->b->options;
	_cleanup(free) char *path = mem_printf(TREE_PACKS "/%s/%s.tar", p->b->head.job, pack->name);
	struct runs_object object = {0};
	int r = pack_object_open(o->ctx->repository, p->reader, path, o->cancel, &object, err);

	pack->file = object.file;
	pack->bytes = object.bytes;
	return r;
}

/* With the lock: out of the list. NULL: all of them are in use, or there are few. */
static struct open_pack *take_old_pack(struct back_packs *p)
{
	struct open_pack **oldest = NULL, *pack;

	if (p->count <= KEPT_PACKS)
		return NULL;
	for (struct open_pack **at = &p->first; *at; at = &(*at)->next)
		if ((*at)->users == 0 && (!oldest || (*at)->used_at < (*oldest)->used_at))
			oldest = at;
	if (!oldest)
		return NULL;
	pack = *oldest;
	*oldest = pack->next;
	p->count--;
	return pack;
}

/* With the lock. */
static struct open_pack *find_open_pack(struct back_packs *p, const char *name)
{
	struct open_pack *pack = p->first;

	while (pack && !str_equal(pack->name, name))
		pack = pack->next;
	if (pack)
		return pack;
	pack = mem_alloc(sizeof(*pack));
	pack->name = mem_strdup(name);
	pack->next = p->first;
	p->first = pack;
	p->count++;
	return pack;
}

/* One opens it, and the others wait. What could not be opened is tried again by the next. */
static int use_pack(struct back_packs *p, const char *name, struct open_pack **ret, struct error *err)
{
	struct open_pack *pack;
	int r = 0;

	pthread_mutex_lock(&p->lock);
	pack = find_open_pack(p, name);
	pack->users++;
	pack->used_at = ++p->clock;
	while (pack->is_opening)
		pthread_cond_wait(&p->opened, &p->lock);
	if (!pack->file) {
		pack->is_opening = true;
		pthread_mutex_unlock(&p->lock);
		r = open_pack_file(p, pack, err);
		pthread_mutex_lock(&p->lock);
		pack->is_opening = false;
		pthread_cond_broadcast(&p->opened);
	}
	pthread_mutex_unlock(&p->lock);
	*ret = pack;
	return r;
}

static void leave_pack(struct back_packs *p, struct open_pack *pack)
{
	struct open_pack *old;

	pthread_mutex_lock(&p->lock);
	pack->users--;
	old = take_old_pack(p);
	pthread_mutex_unlock(&p->lock);
	if (old)
		close_pack(old);
}

/* The next state does not build on it, and health tells of it. */
static void mark_pack(struct back_packs *p, const char *name, const struct error *why)
{
	_cleanup(free) char *path = mem_printf(TREE_PACKS "/%s/%s.tar", p->b->head.job, name);
	struct error ignored = {0};

	if (why->class == ERROR_CORRUPT || why->class == ERROR_NOT_FOUND)
		(void)catalog_mark_damaged(p->b->options.ctx->repository->catalog, ino_of_artifact(path),
		                           why->message, &ignored);
}

int back_packs_read(struct back_packs *p, const struct listing_entry *e, uint64_t at, void *buf, size_t len,
                    struct error *err)
{
	struct open_pack *pack;
	int r = use_pack(p, e->pack, &pack, err);

	if (r == 0 && (e->at > pack->bytes || e->bytes > pack->bytes - e->at))
		r = error_set(err, ERROR_CORRUPT, EBADMSG, "the pack %s has no such bytes", e->pack);
	if (r == 0) {
		const struct reader_now now = {.file = pack->file,
		                               .cancel = p->b->options.cancel,
		                               .tags = &p->tags,
		                               .what = e->pack};

		r = reader_read_now(&now, e->at + at, buf, len, err);
		if (r < 0)
			mark_pack(p, e->pack, err);
	}
	leave_pack(p, pack);
	return r;
}
