// SPDX-License-Identifier: Apache-2.0
/*
 * What is in use stays: a restore would break off in the middle when its backup went. Who reads is entered here before he looks whether it
 * is there, and who removes before he hides it; both under one lock, so one of the two finds the other. It is in memory alone, as those who
 * read end with the process.
 */
#include "artifact_private.h"

#include <errno.h>
#include <pthread.h>

#include <keepfs/base/mem.h>

#define REMOVAL 0 /* in place of a run's number */

struct artifact_use {
	uint64_t ino;
	int64_t run_id;
	const char *doing; /* static */
	unsigned count;
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

	while (use && (use->ino != ino || use->run_id == REMOVAL))
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

	pthread_mutex_lock(&in_use_lock);
	at = find_use(repo, ino, run_id);
	use = *at;
	if (use && --use->count == 0) {
		*at = use->next;
		free(use);
	}
	pthread_mutex_unlock(&in_use_lock);
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

int artifact_claim_removal(struct repository *repo, uint64_t ino, const char *path, struct error *err)
{
	const struct artifact_use *reader;
	int r = 0;

	pthread_mutex_lock(&in_use_lock);
	reader = find_reader(repo, ino);
	if (reader)
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
