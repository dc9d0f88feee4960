// SPDX-License-Identifier: Apache-2.0
/* Who works on which replica: one at a time. */
#include "replica_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct claim {
	const char *path; /* of the claimant */
	uint64_t store;
	struct claim *next;
};

static pthread_mutex_t claim_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t claim_ended = PTHREAD_COND_INITIALIZER;
static struct claim *claims; /* claim_lock */

static struct claim **find_copy_claim(const char *path, uint64_t store)
{
	struct claim **at = &claims;

	while (*at && ((*at)->store != store || !str_equal((*at)->path, path)))
		at = &(*at)->next;
	return at;
}

struct claimant {
	bool cancelled; /* claim_lock */
};

static void cancel_claimant(void *arg)
{
	struct claimant *claimant = arg;

	pthread_mutex_lock(&claim_lock);
	claimant->cancelled = true;
	pthread_cond_broadcast(&claim_ended);
	pthread_mutex_unlock(&claim_lock);
}

int replica_claim(const char *path, uint64_t store, struct cancel *cancel, struct error *err)
{
	struct claimant claimant = {0};
	struct cancel_hook hook = {.wake = cancel_claimant, .arg = &claimant};
	struct claim *own = mem_alloc(sizeof(*own));
	bool cancelled;

	cancel_add_hook(cancel, &hook);
	pthread_mutex_lock(&claim_lock);
	while (!claimant.cancelled && *find_copy_claim(path, store))
		pthread_cond_wait(&claim_ended, &claim_lock);
	cancelled = claimant.cancelled;
	if (!cancelled) {
		*own = (struct claim){.path = path, .store = store, .next = claims};
		claims = own;
	}
	pthread_mutex_unlock(&claim_lock);
	cancel_remove_hook(cancel, &hook);
	if (!cancelled)
		return 0;
	free(own);
	return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
}

bool replica_try_claim(const char *path, uint64_t store)
{
	struct claim *own = mem_alloc(sizeof(*own));
	bool is_free;

	*own = (struct claim){.path = path, .store = store};
	pthread_mutex_lock(&claim_lock);
	is_free = !*find_copy_claim(path, store);
	if (is_free) {
		own->next = claims;
		claims = own;
	}
	pthread_mutex_unlock(&claim_lock);
	if (!is_free)
		free(own);
	return is_free;
}

void replica_end_claim(const char *path, uint64_t store)
{
	struct claim **at, *ended;

	pthread_mutex_lock(&claim_lock);
	at = find_copy_claim(path, store);
	ended = *at;
	*at = ended->next;
	pthread_cond_broadcast(&claim_ended);
	pthread_mutex_unlock(&claim_lock);
	free(ended);
}
