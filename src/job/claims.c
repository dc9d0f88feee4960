// SPDX-License-Identifier: Apache-2.0
/*
 * What a run needs for itself from the moment at which it is ordered until it has ended: what no other run may change meanwhile, as two restores
 * into one database would, and backups that must not go. Both are in memory alone: they end with the process, as the runs do.
 */
#include "job_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

static bool has_claim(const char *claims, const char *claim, size_t len)
{
	for (const char *at = claims; at && *at; at += strcspn(at, "\n"), at += *at == '\n')
		if (strcspn(at, "\n") == len && memcmp(at, claim, len) == 0)
			return true;
	return false;
}

/* The first line of @claims that is in @others, too: heap; NULL: none. */
static char *common_claim(const char *claims, const char *others)
{
	for (const char *at = claims; at && *at; at += strcspn(at, "\n"), at += *at == '\n')
		if (has_claim(others, at, strcspn(at, "\n")))
			return mem_printf("%.*s", (int)strcspn(at, "\n"), at);
	return NULL;
}

/* heap */
static char *have_one_claim(const struct make_targets *a, const struct make_targets *b)
{
	char *found = NULL;

	for (size_t i = 0; !found && i < a->count; i++)
		for (size_t k = 0; !found && k < b->count; k++)
			found = common_claim(a->items[i].claim, b->items[k].claim);
	return found;
}

int claims_take(struct jobs *j, struct run *run, struct error *err)
{
	for (struct run *other = j->claimants; other; other = other->next_claimant) {
		_cleanup(free) char *claim = have_one_claim(&run->targets, &other->targets);

		if (!claim)
			continue;
		/* It has no number yet: it is being ordered at this moment. */
		if (other->id == 0)
			return error_set(
			        err, ERROR_CONFLICT, EBUSY,
			        "another run that was ordered just now begins with %s: wait for its end",
			        claim);
		return error_set(
		        err, ERROR_CONFLICT, EBUSY,
		        "run %lld is at work on %s, or about to begin: wait for its end (jobs/%lld/status), or cancel it",
		        (long long)other->id, claim, (long long)other->id);
	}
	run->next_claimant = j->claimants;
	j->claimants = run;
	return 0;
}

void claims_keep(struct jobs *j, struct run *run)
{
	struct repository *repository = j->options.ctx->repository;

	for (size_t i = 0; i < run->targets.count; i++) {
		const struct make_target *t = &run->targets.items[i];

		if (t->stays_ino && artifact_keep(repository, t->stays_ino, run->id, "restored", NULL) == 0)
			run->kept++;
		else if (t->stays_ino)
			run->is_late = true;
	}
}

void claims_end(struct jobs *j, struct run *run)
{
	struct repository *repository = j->options.ctx->repository;
	struct run **at = &j->claimants;

	pthread_mutex_lock(&j->lock);
	while (*at && *at != run)
		at = &(*at)->next_claimant;
	if (*at)
		*at = run->next_claimant;
	pthread_mutex_unlock(&j->lock);
	for (size_t i = 0; run->kept > 0 && i < run->targets.count; i++)
		if (run->targets.items[i].stays_ino)
			artifact_let_go(repository, run->targets.items[i].stays_ino, run->id);
	run->kept = 0;
}
