// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The right to write below a store's URL: one keepfs has it, as long as it renews an object there, state/lease.json
 * (docs/formats.md). Two that write at once would each clear away what the other is just making.
 *
 * In this order: lease_new() (from here on the fence refuses), lease_take() (waits, or says who has it), writing through stores that
 * were opened with lease_fence(), lease_give_back() when nothing writes any more, lease_free().
 *
 * - It is written on the condition that it is still the object that was read (store_put_options.if_match), so of two that
 *   take it one wins. Its number, the fence, grows by one each time it is taken, and stands in each manifest.
 * - It is renewed at a third of its length. We are sure of it for five sixths of that, counted from before the request that renewed it was
 *   sent, by CLOCK_BOOTTIME, which goes on while the host sleeps or the process is stopped. So a process that wakes up knows that its time is over.
 * - Who wants it from another waits the full length that the lease itself says, by his own clock, from when he first saw it unchanged.
 *   No clock on a wall is ever compared with another.
 * - It is taken at once when it was given back, when it is of this instance (the file `instance` in state_dir, which is locked) and of a host of this name, since a state_dir
 *   can be copied, or when the process that had it ran on this host since it was booted, in the same pid namespace, and is gone.
 * - A store that does not answer when it is to be taken or renewed ends the right to write when the time is over, and nothing else: the lease is asked for again and again. When it is
 *   still as it was, or of this instance, it is ours again. When another one has it, or had it, it is lost for good: what that one did is not in our catalog.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/store.h>
#include <stdbool.h>
#include <stdint.h>

#define LEASE_KEY       "state/lease.json"
#define LEASE_TEXT_MAX  8192 /* bytes of the object; more is none */
#define LEASE_MS_MAX    INT64_C(3600000)
#define LEASE_WHO_BYTES 256

/** struct lease_text - what the object says. All strings are arrays, "" when it does not say. */
struct lease_text {
	char host[128];
	int64_t pid;
	char process[192]; /* boot, pid namespace and start time: which process of which host that is */
	char instance[64]; /* of a state_dir */
	uint64_t fence;    /* from 1 on */
	int64_t length_ms;
	int64_t since_us; /* when it was taken, by the clock of its host: for people only */
	int64_t until_us; /* likewise: until when it is valid unless it is renewed */
	bool given_back;
};
/** lease_encode() - append the object's text to @out. lease_decode(): -EBADMSG (ERROR_CORRUPT) when it is none; -ENOTSUP when a newer keepfs has written it. Pure. */
void lease_encode(const struct lease_text *t, struct str *out);
int lease_decode(const char *text, size_t len, struct lease_text *ret, struct error *err);

struct lease;

struct lease_options {
	struct store *store; /* consumed; with neither a fence nor long retries */
	const char *state_dir;
	int64_t length_ms; /* 2000 to LEASE_MS_MAX; 0: there is no lease, and the fence lets everything pass */
};

/** lease_new() - reads and if need be makes the file `instance` in state_dir. The store is freed on failure, too. */
int lease_new(const struct lease_options *options, struct lease **ret_lease, struct error *err);
/** lease_free() - ends the thread; what was not given back stays until its time is over. NULL allowed; returns NULL. */
struct lease *lease_free(struct lease *l);
DEFINE_CLEANUP(lease, struct lease *, lease_free)

/** struct lease_wait - how lease_take() waits for another one that is alive. */
struct lease_wait {
	bool forever; /* until it is free, and the store answers; else it fails as soon as the other has renewed it */
	struct cancel *cancel; /* NULL allowed */
	/* NULL, or called when it begins to wait, and after each look: @who has it; NULL: the store does not answer. */
	void (*waiting)(void *arg, const char *who);
	void *arg;
};
/** LEASE_TAKEN_OVER - it was another instance's before: what the catalog of this one lists may be old. */
#define LEASE_TAKEN_OVER 1
/** LEASE_LATER - the store does not answer, or does not let it be written: the fence stays closed, and a thread goes on asking. Never of who waits for ever. */
#define LEASE_LATER 2
/**
 * lease_take() - and keep it: a thread renews it
 *
 * Return: 0; LEASE_TAKEN_OVER; LEASE_LATER (@err says why); -EBUSY (ERROR_CONFLICT): another one has it, @err says who; -ECANCELED; -EBADMSG, -ENOTSUP: what is there
 * cannot be understood, or the server tells no object from another.
 */
int lease_take(struct lease *l, const struct lease_wait *wait, struct error *err);
/** lease_give_back() - the next one may take it at once. Blocks on the store for some seconds at most; what fails is logged. The fence is closed. */
void lease_give_back(struct lease *l);

/** lease_fence() - for store_fence_new(); as long as the lease lives. */
const struct store_fence *lease_fence(struct lease *l);
/** lease_number() - the fence; 0: there is no lease, or it was not taken yet. Any thread. */
uint64_t lease_number(struct lease *l);

enum lease_phase { LEASE_NONE, LEASE_HELD, LEASE_UNSURE, LEASE_LOST };
struct lease_state {
	enum lease_phase phase;
	uint64_t fence;
	char text[512];   /* of UNSURE and LOST: why, for people */
	int64_t since_us; /* of UNSURE and LOST: since when, as this clock has it */
};
/** lease_look() - how it stands. Any thread; does not block on the store. NULL: LEASE_NONE. */
void lease_look(struct lease *l, struct lease_state *ret);

/** lease_listen() - have @changed called, on the thread of the lease and with no lock held, after the phase has become another one; it must only wake somebody.
 * NULL: nobody. When it returns, the one before is not called any more. */
void lease_listen(struct lease *l, void (*changed)(void *arg), void *arg);

/** lease_fence_of_reader() - a fence that never lets anything pass: -EROFS. Static. */
const struct store_fence *lease_fence_of_reader(void);
