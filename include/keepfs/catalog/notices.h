// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Notices that wait to be sent, and what was told already (keepfs/notify.h). What happened and what is to be said about it
 * are written in one transaction, so after a crash nothing is told twice, and nothing is forgotten. See keepfs/catalog.h
 * for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;

/** struct catalog_told - an item of health that was not OK when it was looked at last. Texts are borrowed. */
struct catalog_told {
	const char *check, *subject; /* which item it is */
	const char *kind;            /* a stable word for what is wrong */
	int level;                   /* enum report_health */
	bool told;                   /* receivers were told; else it was so when notices began */
	int64_t since_us;            /* 0: not known */
};

enum notice_kind { NOTICE_EVENT, NOTICE_BEAT, NOTICE_DIGEST };

/** struct catalog_notice - one that waits for one receiver. Texts are borrowed. */
struct catalog_notice {
	int64_t id; /* in the order in which they came; given when it is added */
	enum notice_kind kind;
	const char *receiver;
	int64_t at_us;     /* when it happened */
	const char *job;   /* "": of none */
	int64_t run_id;    /* 0: of none */
	const char *facts; /* JSON */
};

/** struct catalog_beat - of which run of a job a heartbeat was told last. */
struct catalog_beat {
	const char *receiver, *job;
	int64_t run_id;
	bool begun, ended; /* what of it was told, or need not be */
};

/** struct catalog_digest_due - the last due moment of a receiver's digest that was dealt with. */
struct catalog_digest_due {
	const char *receiver;
	int64_t due_us;
};

/** struct catalog_news - what happened, and what is to be said about it. */
struct catalog_news {
	bool sets_told; /* @told replaces what was told so far */
	const struct catalog_told *told;
	size_t told_count;
	const struct catalog_notice *notices;
	size_t notice_count;
	const struct catalog_beat *beats; /* each replaces that of its receiver and job */
	size_t beat_count;
	const struct catalog_digest_due *digests;
	size_t digest_count;
	int64_t holds_looked_us; /* up to when the ends of holds are told by this; 0: as before */
	const int64_t
	        *restores; /* runs of catalog_untold_restores() that are told of by this, or need not be */
	size_t restore_count;
	size_t waiting_max; /* of one receiver: the oldest beyond that are dropped, and counted in catalog_receiver */
};

/** catalog_add_news() - all of it, or nothing. A notice of a heartbeat replaces those of older runs of the job that
 * still wait for the same receiver, a digest the digest that does. */
int catalog_add_news(struct catalog *c, const struct catalog_news *news, struct error *err);
/** catalog_told() - call @row for each item; *@ret_begun: was anything ever set? */
int catalog_told(struct catalog *c, bool *ret_begun, void (*row)(void *arg, const struct catalog_told *told),
                 void *arg);
/** catalog_forget_told() - as if nothing had ever been set: notices are off. */
int catalog_forget_told(struct catalog *c, struct error *err);
/** catalog_beat() - -ENOENT when none was set. *@ret's texts are @receiver and @job. */
int catalog_beat(struct catalog *c, const char *receiver, const char *job, struct catalog_beat *ret);

/** catalog_holds_looked() - up to when the ends of holds were told; -ENOENT: it was never looked at. */
int catalog_holds_looked(struct catalog *c, int64_t *ret_us);

/** catalog_untold_restores() - the numbers of runs that restored something, have ended, and of which nobody was told; the oldest @max.
 * Returns how many. */
ssize_t catalog_untold_restores(struct catalog *c, int64_t *ret_ids, size_t max);

/** struct catalog_receiver - how it is with one receiver. Texts are borrowed. */
struct catalog_receiver {
	const char *name;
	uint64_t waiting;
	int64_t oldest_at_us; /* of those that wait; 0: none does */
	/* Since the last that was taken: */
	int64_t failing_since_us; /* 0: it did not fail */
	int64_t attempts;         /* that have failed in a row */
	int64_t due_us;           /* of the next one */
	const char *error;        /* of the last one; "" */
	uint64_t given_up;        /* notices that it has refused for good */
	int64_t given_up_at_us;   /* the last of them */
	const char *refusal;      /* why; "" */
	uint64_t dropped;         /* notices for which there was no room */
	int64_t dropped_from_us, dropped_to_us;
	/* Ever: */
	int64_t sent_at_us; /* 0: nothing was */
	int64_t digest_us;  /* the last due moment that was dealt with; 0: none */
	uint64_t failures;  /* attempts that have failed, or were refused */
};

/** catalog_receivers() - call @row for each that anything is known of, by name. */
int catalog_receivers(struct catalog *c, void (*row)(void *arg, const struct catalog_receiver *receiver),
                      void *arg);
/** catalog_keep_receivers() - forget all receivers but these, and what waits for them; *@ret_forgotten: how many notices
 * went with them. */
int catalog_keep_receivers(struct catalog *c, const char *const *names, size_t count, uint64_t *ret_forgotten,
                           struct error *err);
/** catalog_waiting() - call @row for what waits for a receiver, the oldest first, until it returns false. */
int catalog_waiting(struct catalog *c, const char *receiver,
                    bool (*row)(void *arg, const struct catalog_notice *notice), void *arg);

/** catalog_notices_sent() - these were taken: they go, and so do the receiver's failures. */
int catalog_notices_sent(struct catalog *c, const char *receiver, const int64_t *ids, size_t count,
                         int64_t at_us, struct error *err);
/** catalog_notices_failed() - an attempt has failed, and the next is due at @due_us. */
int catalog_notices_failed(struct catalog *c, const char *receiver, int64_t at_us, int64_t due_us,
                           const char *error, struct error *err);
/** catalog_notices_refused() - these were refused for good: they go, and are counted. */
int catalog_notices_refused(struct catalog *c, const char *receiver, const int64_t *ids, size_t count,
                            int64_t at_us, const char *refusal, struct error *err);
/** catalog_retry_notices() - whatever has failed is due now: the configuration was read again. */
int catalog_retry_notices(struct catalog *c, struct error *err);
