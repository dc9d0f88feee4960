// SPDX-License-Identifier: Apache-2.0
/* What somebody has made in a bucket for a while goes again: objects page by page, each by a request of its own, since not every server removes several at once. */
#include "source.h"

#include "../wrap/tries.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <pthread.h>

#define PAGE_REMOVED   1000U
#define REMOVE_AT_ONCE 16U

struct emptying {
	struct source *source;
	const struct store_call *call;
	pthread_mutex_t lock;
	int result;         /* lock */
	struct error first; /* lock: of what could not be removed */
};

struct one_removal {
	struct emptying *of;
	char *key;
};

static void note_unremoved(struct emptying *e, int r, const struct error *why)
{
	pthread_mutex_lock(&e->lock);
	if (e->result == 0) {
		e->result = r;
		e->first = *why;
	}
	pthread_mutex_unlock(&e->lock);
}

static void empty_one(void *arg)
{
	struct one_removal *one = arg;
	struct error why = {0};
	int r = s3_source_remove(one->of->source, one->of->call, one->key, &why);

	if (r < 0)
		note_unremoved(one->of, r, &why);
	free(one->key);
	free(one);
}

/* 1: there may be more. All of the page was tried when it returns. */
static int empty_page(struct emptying *e, struct source_list *list, struct error *err)
{
	struct workers *workers = workers_new("source-empty", REMOVE_AT_ONCE);
	struct source_object o = {0};
	int r = 1;

	if (!workers)
		return error_set(err, ERROR_INTERNAL, EAGAIN, "no threads could be started");
	for (unsigned i = 0; i < PAGE_REMOVED && (r = source_list_next(list, &o, err)) == 1; i++) {
		struct one_removal *one = mem_alloc(sizeof(*one));

		*one = (struct one_removal){.of = e, .key = take_ptr(&o.key)};
		source_object_finish(&o);
		workers_add(workers, empty_one, one);
	}
	workers_free(workers);
	return r;
}

static int list_begun(struct s3_source *s, const struct store_call *call, struct store_upload_info **ret,
                      size_t *ret_count, struct error *err)
{
	struct tries t;

	tries_begin(&t, s->base.retry, call);
	return tries_end(&t, TRY(&t, s3_upload_list(&s->s3->store, &t.call, "", ret, ret_count, &t.error)),
	                 err);
}

static int end_begun_put(struct s3_source *s, const struct store_call *call,
                         const struct store_upload_info *u, struct error *err)
{
	struct tries t;

	tries_begin(&t, s->base.retry, call);
	return tries_end(&t, TRY(&t, s3_upload_abort(&s->s3->store, &t.call, u->key, u->upload_id, &t.error)),
	                 err);
}

/* Of who was killed while he put one. That they may not be listed keeps nobody from removing the rest. */
static void end_all_begun(struct emptying *e)
{
	struct s3_source *s = s3_source_of(e->source);
	struct store_upload_info *begun = NULL;
	struct error why = {0};
	size_t count = 0;
	int r = list_begun(s, e->call, &begun, &count, &why);

	if (r < 0 && why.class != ERROR_DENIED)
		note_unremoved(e, r, &why);
	for (size_t i = 0; r == 0 && i < count; i++) {
		int one = end_begun_put(s, e->call, &begun[i], &why);

		if (one < 0)
			note_unremoved(e, one, &why);
	}
	if (r == 0)
		store_upload_list_free(begun, count);
}

int s3_source_empty(struct source *source, const struct store_call *call, struct error *err)
{
	struct emptying e = {.source = source, .call = call, .lock = PTHREAD_MUTEX_INITIALIZER};
	_cleanup(source_list) struct source_list *list = source_list_new(source, call);
	struct error why = {0};
	int r;

	do
		r = empty_page(&e, list, &why);
	while (r == 1);
	if (r < 0)
		note_unremoved(&e, r, &why);
	end_all_begun(&e);
	pthread_mutex_destroy(&e.lock);
	if (e.result < 0 && err)
		*err = e.first;
	return e.result;
}
