// SPDX-License-Identifier: Apache-2.0
/*
 * Taking the lease from whoever has it, or from nobody. Each look at it is a request, and what was seen is what the next write insists on: so
 * nothing can come in between, where the store has conditional puts. Where it has none, two may write after having looked at the same
 * moment: whoever writes waits then, and reads back which of the two it is.
 */
#include "lease_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LOOK_MS_MAX   5000
#define SETTLE_MS_MAX 5000

void lease_who(const struct lease_text *t, char buf[static LEASE_WHO_BYTES])
{
	snprintf(buf, LEASE_WHO_BYTES, "%s (pid %" PRId64 ")", *t->host ? t->host : "an unknown host",
	         t->pid);
}

/* What was seen of another one's lease, and since when it has not changed, by our own clock. */
struct watch {
	char etag[STORE_ETAG_BYTES];
	int64_t since_ms;
	bool was_renewed;
};

static void watch_on(struct watch *w, const char *etag)
{
	if (str_equal(w->etag, etag))
		return;
	w->was_renewed = w->etag[0] != '\0';
	str_copy(w->etag, sizeof(w->etag), etag);
	w->since_ms = lease_clock_ms();
}

/* May it be taken without waiting? */
static bool is_free(const struct lease *l, const struct lease_text *t)
{
	return t->given_back || lease_is_of_here(l, t) || lease_process_is_gone(t->process, t->pid);
}

static int busy(const struct lease *l, const struct lease_text *t, struct error *err)
{
	char who[LEASE_WHO_BYTES], since[CLOCK_ISO_BYTES];

	lease_who(t, who);
	return error_set(
	        err, ERROR_CONFLICT, EBUSY,
	        "%s: another keepfs, on %s, writes here since %s, and only one may: end it, wait for it with 'keepfs mount --wait', or set [keepfs] role = reader",
	        l->store->name, who, clock_format_iso(t->since_us, since));
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Another one has it, or may have: 0 when it can be tried to take it. */
static int await_turn(struct lease *l, const struct lease_wait *wait, struct watch *w,
                      const struct lease_text *t, const char *etag, struct error *err)
{
	char who[LEASE_WHO_BYTES];
	int64_t left_ms;

	watch_on(w, etag);
	lease_who(t, who);
	left_ms = w->since_ms + t->length_ms - lease_clock_ms();
	if (left_ms <= 0) {
		log_warning("%s: the lease of %s was not renewed for %" PRId64 " s: it is taken over",
		            l->store->name, who, t->length_ms / 1000);
		return 0;
	}
	if (w->was_renewed && !wait->forever)
		return busy(l, t, err);
	if (wait->waiting)
		wait->waiting(wait->arg, who);
	if (cancel_sleep_ms(wait->cancel, least(left_ms + 1, least(t->length_ms / 6 + 1, LOOK_MS_MAX))))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "waiting for the lease of %s was cancelled",
		                 who);
	return -EAGAIN;
}

/* Where the store has no conditions: did another one write after us? */
static int settle_race(struct lease *l, const struct lease_wait *wait, const struct store_call *call,
                       struct error *err)
{
	struct store_features features;
	char etag[STORE_ETAG_BYTES];
	struct lease_text t;
	int r = store_features(l->store, &features, err);

	if (r < 0 || (features.atomic_absent && features.atomic_match))
		return r;
	if (cancel_sleep_ms(wait->cancel, least(l->length_ms / 6, SETTLE_MS_MAX)))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "taking the lease was cancelled");
	r = lease_read(l, call, &t, etag, err);
	return r < 0 ? r : lease_is_own(l, &t) ? 0 : -EAGAIN;
}

static int write_taken(struct lease *l, const struct lease_wait *wait, const struct store_call *call,
                       const struct lease_text *before, const char *over, struct error *err)
{
	int64_t sure_until_ms;
	int r;

	l->own.fence = before ? before->fence + 1 : 1;
	l->own.since_us = clock_now_us();
	l->own.given_back = false;
	r = lease_write(l, call, over, &sure_until_ms, err);
	if (r == -ESTALE)
		return -EAGAIN;
	if (r == 0)
		r = settle_race(l, wait, call, err);
	if (r == 0)
		lease_open_fence(l, sure_until_ms);
	else
		l->etag[0] = '\0'; /* it is not ours */
	return r;
}

/* Somebody's lease was seen. 0 when it can be tried to take it. */
static int weigh_seen(struct lease *l, const struct lease_wait *wait, struct watch *w,
                      const struct lease_text *t, const char *etag, struct error *err)
{
	bool of_another = !lease_is_of_here(l, t);

	if (of_another && l->is_late)
		return lease_lose(l, t, err);
	/* Also when our own is there at the next look: what the other one did before has to be looked at. */
	l->saw_another |= of_another;
	return is_free(l, t) ? 0 : await_turn(l, wait, w, t, etag, err);
}

/* One look, and what follows from it. -EAGAIN: look again. */
static int try_to_take(struct lease *l, const struct lease_wait *wait, struct watch *w, struct error *err)
{
	const struct store_call call = {.cancel = wait->cancel};
	char etag[STORE_ETAG_BYTES];
	struct lease_text t = {0};
	int r = lease_read(l, &call, &t, etag, err);
	bool is_there = r != -ENOENT;

	if (is_there && r == 0)
		r = weigh_seen(l, wait, w, &t, etag, err);
	if (is_there && r < 0)
		return r;
	r = write_taken(l, wait, &call, is_there ? &t : NULL, is_there ? etag : NULL, err);
	return r == 0 && l->saw_another ? LEASE_TAKEN_OVER : r;
}

int lease_take_once(struct lease *l, const struct lease_wait *wait, struct error *err)
{
	struct watch w = {0};
	int r = -EAGAIN;

	/* Whoever was faster is alive, so the next look finds another one's lease, and not the same again. */
	while (r == -EAGAIN)
		r = try_to_take(l, wait, &w, err);
	return r;
}
