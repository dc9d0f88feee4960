// SPDX-License-Identifier: Apache-2.0
/*
 * The reader's side: a thread that asks whether the writer's object is another one, and does in this catalog what that tells. All it knows is in memory: after a start it
 * compares, which costs a request for each thousand backups.
 *
 * The object is read before everything is compared. So what happens meanwhile is told by its next version, and done twice at most, which does no harm.
 */
#include <keepfs/follow.h>

#include <keepfs/artifact.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <pthread.h>
#include <time.h>

#define COMPARE_MS       INT64_C(86400000)
#define COMPARE_AGAIN_MS INT64_C(60000) /* when it failed */
#define ASK_MS           INT64_C(30000) /* for one look */

struct follower {
	struct repository *repo;
	int64_t every_ms;
	void (*changed)(void *arg);
	void *arg;
	struct head known;           /* the thread's: up to which changes are done */
	char etag[STORE_ETAG_BYTES]; /* the thread's: of the object that was read last; "": none */
	char *text;                  /* the thread's: room for it */
	int64_t compared_ms;         /* the thread's: boot clock; 0: not yet, or it is due */
	int64_t compare_not_before_ms;
	struct cancel cancel;
	pthread_mutex_t lock;
	int64_t heard_ms, told_ms;   /* lock: boot clock; 0: never */
	struct follower_state state; /* lock: but for the two durations */
	pthread_t thread;
	bool started;
};

static int64_t boot_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* @changed: it was another one. */
static void note_heard(struct follower *f, bool changed)
{
	pthread_mutex_lock(&f->lock);
	f->heard_ms = boot_ms();
	if (changed || f->told_ms == 0)
		f->told_ms = f->heard_ms;
	f->state.no_head = f->etag[0] == '\0';
	f->state.writer_ended = f->known.closed;
	pthread_mutex_unlock(&f->lock);
}

static void tell_follow_changed(const struct follower *f)
{
	if (f->changed)
		f->changed(f->arg);
}

static void note_follow_failure(struct follower *f, const char *why)
{
	bool is_news;

	pthread_mutex_lock(&f->lock);
	is_news = !f->state.trouble[0];
	str_cut(f->state.trouble, sizeof(f->state.trouble), why);
	pthread_mutex_unlock(&f->lock);
	if (!is_news)
		return;
	log_warning("the store is not followed now, what is known of it is served: %s", why);
	tell_follow_changed(f);
}

static void note_success(struct follower *f)
{
	bool was_trouble;

	pthread_mutex_lock(&f->lock);
	was_trouble = f->state.trouble[0] != '\0';
	f->state.trouble[0] = '\0';
	pthread_mutex_unlock(&f->lock);
	if (!was_trouble)
		return;
	log_info("the store is followed again");
	tell_follow_changed(f);
}

/* 1: @ret is another one than before; 0: it is the same, or there is none. */
static int ask_for_head(struct follower *f, struct head *ret, struct error *err)
{
	const struct store_call call = {.cancel = &f->cancel, .deadline_ms = clock_mono_ms() + ASK_MS};
	const struct iovec iov = {f->text, HEAD_TEXT_MAX};
	char etag[STORE_ETAG_BYTES] = "";
	uint64_t len = 0;
	const struct store_get_options options = {.if_none_match = f->etag[0] ? f->etag : NULL,
	                                          .to_the_end = true,
	                                          .ret_etag = etag,
	                                          .ret_filled = &len};
	int r = store_get(repository_store(f->repo), &call, HEAD_KEY, 0, &iov, 1, &options, err);

	if (r == -ENOENT) {
		f->etag[0] = '\0';
		note_heard(f, false);
		return 0;
	}
	if (r == STORE_NOT_CHANGED) {
		note_heard(f, false);
		return 0;
	}
	if (r == 0)
		r = head_decode(f->text, (size_t)len, ret, err);
	if (r < 0)
		return r;
	str_copy(f->etag, sizeof(f->etag), etag);
	return 1;
}

static int apply_change(struct follower *f, const struct head_change *change, struct error *err)
{
	switch (change->what) {
	case HEAD_MADE:
		return artifact_follow_made(f->repo, change->path, &f->cancel, err);
	case HEAD_REMOVED:
		return artifact_follow_removed(f->repo, change->path, err);
	case HEAD_MARKED:
		return artifact_follow_marked(f->repo, change->path, &f->cancel, err);
	}
	return 0;
}

static void keep_head(struct follower *f, struct head *head)
{
	head_finish(&f->known);
	f->known = *head;
	*head = (struct head){0};
}

static int apply_changes(struct follower *f, const struct head *head, long first, struct error *err)
{
	int r = 0;

	for (size_t i = (size_t)first; r == 0 && i < head->count; i++) {
		r = apply_change(f, &head->changes[i], err);
		if (r < 0)
			return r;
		pthread_mutex_lock(&f->lock);
		f->state.applied++;
		pthread_mutex_unlock(&f->lock);
	}
	return r;
}

static int compare_with_store(struct follower *f, struct error *err)
{
	struct artifact_comparison counts = {0};
	int r = artifact_follow_all(f->repo, clock_now_us(), &f->cancel, &counts, err);

	if (counts.adopted || counts.missing || counts.changed)
		log_info(
		        "compared with the store: %llu backups are listed that were not, %llu are not any more, %llu were rewrapped",
		        (unsigned long long)counts.adopted, (unsigned long long)counts.missing,
		        (unsigned long long)counts.changed);
	if (r < 0) {
		f->compare_not_before_ms = boot_ms() + COMPARE_AGAIN_MS;
		return r;
	}
	f->compared_ms = boot_ms();
	pthread_mutex_lock(&f->lock);
	f->state.compared = true;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static bool is_compare_due(const struct follower *f)
{
	int64_t now_ms = boot_ms();

	return now_ms >= f->compare_not_before_ms &&
	       (f->compared_ms == 0 || now_ms - f->compared_ms >= COMPARE_MS);
}

static int follow_head(struct follower *f, struct head *head, struct error *err)
{
	long first = f->compared_ms ? head_since(head, &f->known) : (long)head->count;
	int r;

	if (first < 0) {
		f->compared_ms = 0;
		first = (long)head->count;
	}
	r = apply_changes(f, head, first, err);
	if (r < 0) {
		f->etag[0] = '\0'; /* it is read again, from where it broke off */
		return r;
	}
	keep_head(f, head);
	note_heard(f, true);
	return 0;
}

static void look_once(struct follower *f)
{
	_cleanup(head) struct head head = {0};
	struct error err = {0};
	int r = ask_for_head(f, &head, &err);

	if (r == 1)
		r = follow_head(f, &head, &err);
	if (r == 0 && is_compare_due(f))
		r = compare_with_store(f, &err);
	if (r == -ECANCELED)
		return;
	if (r < 0)
		note_follow_failure(f, err.message);
	else
		note_success(f);
}

static void *follower_main(void *arg)
{
	struct follower *f = arg;

	do
		look_once(f);
	while (!cancel_sleep_ms(&f->cancel, f->every_ms));
	return NULL;
}

int follower_new(const struct follower_options *options, struct follower **ret, struct error *err)
{
	struct follower *f = mem_alloc(sizeof(*f));
	int r;

	f->repo = options->repo;
	f->every_ms = options->every_ms;
	f->changed = options->changed;
	f->arg = options->arg;
	f->text = mem_alloc(HEAD_TEXT_MAX);
	cancel_init(&f->cancel);
	pthread_mutex_init(&f->lock, NULL);
	r = thread_start(&f->thread, "follow", follower_main, f);
	f->started = r == 0;
	if (r < 0) {
		follower_free(f);
		return error_system(err, -r, "a thread that follows the store cannot be started");
	}
	*ret = f;
	return 0;
}

struct follower *follower_free(struct follower *f)
{
	if (!f)
		return NULL;
	cancel_set(&f->cancel);
	if (f->started)
		pthread_join(f->thread, NULL);
	head_finish(&f->known);
	free(f->text);
	pthread_mutex_destroy(&f->lock);
	cancel_finish(&f->cancel);
	free(f);
	return NULL;
}

void follower_look(struct follower *f, struct follower_state *ret)
{
	int64_t now_ms = boot_ms();

	pthread_mutex_lock(&f->lock);
	*ret = f->state;
	ret->heard_ms = f->heard_ms ? now_ms - f->heard_ms : -1;
	ret->told_ms = f->told_ms ? now_ms - f->told_ms : -1;
	pthread_mutex_unlock(&f->lock);
}
