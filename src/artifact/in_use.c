// SPDX-License-Identifier: Apache-2.0
/*
 * What is in use stays: a restore would break off in the middle when its backup went. Who reads is entered here before he looks whether it
 * is there, and who removes before he hides it; both under one lock, so one of the two finds the other. It is in memory alone, as those who
 * read end with the process.
 *
 * Whoever just has something open (a file of the mount) keeps nobody from removing it. But its old objects stay as long as he may read them when
 * it has got new ones (rewrap.c).
 */
#include "artifact_private.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <keepfs/base/mem.h>

#define REMOVAL 0  /* in place of a run's number */
#define OPENED  -1 /* likewise */

static const char REWRAPPED[] = "rewrapped";

struct artifact_use {
	uint64_t ino;
	int64_t run_id;
	const char *doing; /* static */
	unsigned count;
	bool is_awaited; /* somebody wants to know when it ends */
	struct artifact_use *next;
};

static pthread_mutex_t in_use_lock = PTHREAD_MUTEX_INITIALIZER; /* of all lists */

static struct artifact_use **find_use(struct repository *repo, uint64_t ino, int64_t run_id)
{
	struct artifact_use **at = &repo->in_use;

	while (*at && ((*at)->ino != ino || (*at)->run_id != run_id))
		at = &(*at)->next;
	return at;
}

static const struct artifact_use *find_reader(const struct repository *repo, uint64_t ino)
{
	const struct artifact_use *use = repo->in_use;

	while (use && (use->ino != ino || use->run_id == REMOVAL || use->run_id == OPENED))
		use = use->next;
	return use;
}

static void add_use(struct repository *repo, uint64_t ino, int64_t run_id, const char *doing)
{
	struct artifact_use **at = find_use(repo, ino, run_id);

	if (!*at) {
		*at = mem_alloc(sizeof(**at));
		**at = (struct artifact_use){.ino = ino, .run_id = run_id, .doing = doing};
	}
	(*at)->count++;
}

static void drop_use(struct repository *repo, uint64_t ino, int64_t run_id)
{
	struct artifact_use **at, *use;
	bool is_awaited = false;

	pthread_mutex_lock(&in_use_lock);
	at = find_use(repo, ino, run_id);
	use = *at;
	if (use && --use->count == 0) {
		*at = use->next;
		is_awaited = use->is_awaited;
		free(use);
	}
	pthread_mutex_unlock(&in_use_lock);
	if (is_awaited)
		artifact_left(repo);
}

int artifact_keep(struct repository *repo, uint64_t ino, int64_t run_id, const char *doing, struct error *err)
{
	bool goes;

	pthread_mutex_lock(&in_use_lock);
	goes = *find_use(repo, ino, REMOVAL) != NULL;
	if (!goes)
		add_use(repo, ino, run_id, doing);
	pthread_mutex_unlock(&in_use_lock);
	return goes ? error_set(err, ERROR_CONFLICT, EBUSY,
	                        "the backup is being removed at this moment: name another one")
	            : 0;
}

void artifact_let_go(struct repository *repo, uint64_t ino, int64_t run_id)
{
	drop_use(repo, ino, run_id);
}

/* Two that would give one artifact other objects would take each other's for old ones. */
int artifact_claim_rewrap(struct repository *repo, uint64_t ino, int64_t run_id, const char *path,
                          struct error *err)
{
	const struct artifact_use *other = NULL;

	pthread_mutex_lock(&in_use_lock);
	for (const struct artifact_use *use = repo->in_use; use; use = use->next)
		if (use->ino == ino && (use->run_id == REMOVAL || use->doing == REWRAPPED))
			other = use;
	if (!other)
		add_use(repo, ino, run_id, REWRAPPED);
	pthread_mutex_unlock(&in_use_lock);
	return other ? error_set(err, ERROR_CONFLICT, EBUSY,
	                         "%s is being removed or rewrapped at this moment: try again later", path)
	             : 0;
}

/* Who reads learns the new ETag, and goes on; but not from an archive. */
int artifact_claim_move(struct repository *repo, uint64_t ino, const char *path, bool frozen,
                        struct error *err)
{
	const struct artifact_use *other = NULL;

	pthread_mutex_lock(&in_use_lock);
	for (const struct artifact_use *use = repo->in_use; use; use = use->next)
		if (use->ino == ino && (frozen || use->run_id == REMOVAL || use->doing == REWRAPPED))
			other = use;
	if (!other)
		add_use(repo, ino, ARTIFACT_MOVES, REWRAPPED);
	pthread_mutex_unlock(&in_use_lock);
	return other ? error_set(
	                       err, ERROR_CONFLICT, EBUSY,
	                       "%s is in use, and is moved into another storage class when it is not any more",
	                       path)
	             : 0;
}

int artifact_claim_removal(struct repository *repo, uint64_t ino, const char *path, struct error *err)
{
	const struct artifact_use *reader;
	int r = 0;

	pthread_mutex_lock(&in_use_lock);
	reader = find_reader(repo, ino);
	if (reader && reader->run_id == ARTIFACT_MOVES)
		r = error_set(
		        err, ERROR_CONFLICT, EBUSY,
		        "%s is being moved into another storage class at this moment: remove it when that is done",
		        path);
	else if (reader)
		r = error_set(
		        err, ERROR_CONFLICT, EBUSY,
		        "%s is being %s by run %lld, and can be removed when that has ended (jobs/%lld/status)",
		        path, reader->doing, (long long)reader->run_id, (long long)reader->run_id);
	else
		add_use(repo, ino, REMOVAL, NULL);
	pthread_mutex_unlock(&in_use_lock);
	return r;
}

void artifact_end_claim(struct repository *repo, uint64_t ino)
{
	drop_use(repo, ino, REMOVAL);
}

void artifact_open_begin(struct repository *repo, uint64_t ino)
{
	pthread_mutex_lock(&in_use_lock);
	add_use(repo, ino, OPENED, NULL);
	pthread_mutex_unlock(&in_use_lock);
}

void artifact_open_end(struct repository *repo, uint64_t ino)
{
	drop_use(repo, ino, OPENED);
}

bool artifact_claim_old_objects(struct repository *repo, uint64_t ino)
{
	bool is_used = false;

	pthread_mutex_lock(&in_use_lock);
	for (struct artifact_use *use = repo->in_use; use; use = use->next) {
		if (use->ino != ino)
			continue;
		use->is_awaited = use->run_id != REMOVAL;
		is_used = true;
	}
	if (!is_used)
		add_use(repo, ino, REMOVAL, NULL);
	pthread_mutex_unlock(&in_use_lock);
	return !is_used;
}

/* Packs. */

struct artifact_pin {
	char *job;
	unsigned runs;      /* that build on its packs */
	bool is_collecting; /* one of its packs is being removed */
	struct artifact_pin *next;
};

static pthread_cond_t collected = PTHREAD_COND_INITIALIZER; /* is_collecting, of all */

/* With the lock: those of jobs stay, of which there are few. */
static struct artifact_pin *pin_of(struct repository *repo, const char *job)
{
	struct artifact_pin **at = &repo->pins;

	while (*at && strcmp((*at)->job, job) != 0)
		at = &(*at)->next;
	if (!*at) {
		*at = mem_alloc(sizeof(**at));
		(*at)->job = mem_strdup(job);
	}
	return *at;
}

/* With the lock. */
static void drop_pin(struct repository *repo, struct artifact_pin *pin)
{
	struct artifact_pin **at = &repo->pins;

	if (pin->runs > 0 || pin->is_collecting)
		return;
	while (*at != pin)
		at = &(*at)->next;
	*at = pin->next;
	free(pin->job);
	free(pin);
}

void artifact_pin_packs(struct repository *repo, const char *job)
{
	struct artifact_pin *pin;

	pthread_mutex_lock(&in_use_lock);
	pin = pin_of(repo, job);
	pin->runs++;
	while (pin->is_collecting)
		pthread_cond_wait(&collected, &in_use_lock);
	pthread_mutex_unlock(&in_use_lock);
}

void artifact_unpin_packs(struct repository *repo, const char *job)
{
	struct artifact_pin *pin;

	pthread_mutex_lock(&in_use_lock);
	pin = pin_of(repo, job);
	pin->runs--;
	drop_pin(repo, pin);
	pthread_mutex_unlock(&in_use_lock);
}

bool artifact_begin_collecting(struct repository *repo, const char *job)
{
	struct artifact_pin *pin;
	bool is_free;

	pthread_mutex_lock(&in_use_lock);
	pin = pin_of(repo, job);
	is_free = pin->runs == 0 && !pin->is_collecting;
	if (is_free)
		pin->is_collecting = true;
	pthread_mutex_unlock(&in_use_lock);
	return is_free;
}

void artifact_end_collecting(struct repository *repo, const char *job)
{
	struct artifact_pin *pin;

	pthread_mutex_lock(&in_use_lock);
	pin = pin_of(repo, job);
	pin->is_collecting = false;
	drop_pin(repo, pin);
	pthread_cond_broadcast(&collected);
	pthread_mutex_unlock(&in_use_lock);
}
