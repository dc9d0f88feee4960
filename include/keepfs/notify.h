// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Notices: people and monitors are told of what happens, by mail, by requests over HTTP, by commands, and by heartbeats.
 *
 * The main source is health (keepfs/report/health.h): the list of items is compared with that of the last look, which is
 * kept in the catalog. An item that appears, gets worse, or becomes another kind of trouble is an event, and so is its end.
 * What health does not know is told by whoever does it: notify_tell().
 *
 * Each event waits in the catalog, once for each receiver that wants it, until that receiver has taken it. What happens
 * within `gather` after the first makes one message. A receiver that does not answer is asked again after 30 seconds, a
 * minute, … an hour; what it refuses for good is given up. Health tells of both (check "notices"). No receiver waits for
 * another one: only the addresses of mail, which have one server, are told one after the other.
 *
 * Receivers are called, in the catalog and by people, "mail ADDRESS", "webhook NAME", "command NAME", "heartbeat NAME".
 */
#include <keepfs/base/error.h>
#include <keepfs/conf.h>
#include <keepfs/conf/events.h>
#include <keepfs/report/health.h>

#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct notify;
struct report_troubles;

/* How many notices wait for one receiver at most; of older ones only their number is told. */
#define NOTIFY_WAITING_MAX 500

struct notify_context {                   /* all borrowed */
	const struct conf *conf;          /* as it was at the start */
	struct conf_live *live;           /* in its place; NULL: @conf stays in force */
	struct catalog *catalog;          /* it is listened to (catalog_listen()) */
	struct report_troubles *troubles; /* NULL without a mount */
	int64_t (*now_us)(void);          /* since the epoch; NULL: clock_now_us() */
};

/**
 * notify_new() - compare with what was told before, and start the thread that sends
 *
 * To be called before runs begin: what is so when notices are used for the first time is told to nobody. A catalog that cannot
 * be read or written is logged, and tried again: nobody goes without a backup for it. Blocks on the local disk. The thread
 * sleeps until the catalog changes, or something is due. Further threads tell receivers; there
 * is none while nothing is to be told, and at most one for each receiver.
 */
int notify_new(const struct notify_context *ctx, struct notify **ret_notify, struct error *err);
/** notify_look() - compare now: something has ended. Any thread; does not block. NULL allowed, as for all of these. */
void notify_look(struct notify *n);
/** notify_run_ended() - notify_look() after a run, which may have brought holds with it (jobs_order.hold): those are told. Any
 * thread; blocks on the local disk. */
void notify_run_ended(struct notify *n, int64_t run_id);
/** notify_reloaded() - another configuration is in force. Any thread; does not block. */
void notify_reloaded(struct notify *n);

/** struct notify_event - something that health does not know. Texts are borrowed; NULL: there is none. */
struct notify_event {
	enum conf_event event;
	enum report_health level;
	const char *job, *database;
	const char *title;      /* what happened, in a few words: "the backup … is held" */
	const char *text;       /* what is so */
	const char *what_to_do; /* the next step */
	int64_t since_us;       /* 0: now */
	int64_t run_id;         /* whose log is told; 0: of none */
};
/** notify_tell() - have it told. Any thread; blocks on the local disk. 0: it is in the catalog, once for each receiver that
 * wants it. A failure is also in the log. */
int notify_tell(struct notify *n, const struct notify_event *event);

/** notify_flush() - for a process that ends: compare, and send what waits and is not held back by an earlier failure, without
 * waiting for more to gather. Blocks, at most @timeout_ms; what is not sent then is left to the next process. */
void notify_flush(struct notify *n, int64_t timeout_ms);
/** notify_free() - gives up what is under way; it stays in the catalog. NULL allowed; returns NULL. */
struct notify *notify_free(struct notify *n);

/** struct notify_answer - what became of a test. Texts are borrowed. */
struct notify_answer {
	const char *receiver; /* "mail ops@example.com" */
	bool ok;
	const char *text; /* "was taken", or what is wrong and what to do */
};
/**
 * notify_test() - send a test to each receiver of @conf, or to one
 * @name: "mail", the name of a section, or a receiver's whole name; NULL: all but heartbeats, which a test would disturb
 *
 * Blocks, some seconds for each. Needs no catalog. Return: how many were asked; -ENOENT: there is none of that name (the
 * message lists those there are).
 */
int notify_test(const struct conf *conf, const char *name,
                void (*told)(void *arg, const struct notify_answer *answer), void *arg, struct error *err);
/** notify_probe() - for `keepfs check`: can the mail server be reached and logged in to, are templates sound, and schedules
 * of digests? Nothing is sent. Blocks. */
void notify_probe(const struct conf *conf, void (*told)(void *arg, const struct notify_answer *answer),
                  void *arg);
