// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The write-ahead log as it is written: streaming over a replication session (keepfs/pg/replication.h), PostgreSQL 13 to 18
 * (https://www.postgresql.org/docs/current/protocol-replication.html).
 *
 *   pg_slot_read(), pg_slot_create()   a physical replication slot, by which the server keeps what was not confirmed
 *   pg_stream_start()                  from a place on
 *   pg_stream_next()                   one message after the other
 *   pg_stream_report()                 what is durable here, which moves the slot and releases commits that wait for it
 *   pg_stream_end()                    behind the last message: the timeline that the log goes on with
 *   pg_stream_history()                what a timeline came from, between two streams
 *
 * After a failure the session can only be freed, unless it says otherwise. A place of the log that the server does not have any more: -ENOENT (ERROR_NOT_FOUND, code 58P01).
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_replication;

/** PG_SLOT_NAME_BYTES - of a slot's name, a to z, digits and '_', with NUL. */
#define PG_SLOT_NAME_BYTES 64
/** pg_slot_name_valid() - can a slot have this name? Pure. */
bool pg_slot_name_valid(const char *name);

struct pg_slot {
	bool is_there;
	uint64_t
	        restart_lsn; /* the server keeps what is behind it; 0: it keeps nothing, which is so of a slot that was lost */
};
/** pg_slot_read() - READ_REPLICATION_SLOT. -ENOTSUP: the server is older than 15, and cannot be asked; the session can be used on. -EINVAL (ERROR_USAGE): it is a logical one. */
int pg_slot_read(struct pg_replication *s, const char *name, struct pg_slot *ret, struct error *err);
/** pg_slot_create() - a physical one that keeps WAL from now on. -EEXIST: there is one of that name; the session can be used on. */
int pg_slot_create(struct pg_replication *s, const char *name, struct error *err);
/** pg_slot_drop() - -EBUSY (ERROR_CONFLICT): somebody streams by it. */
int pg_slot_drop(struct pg_replication *s, const char *name, struct error *err);

/** pg_stream_history() - TIMELINE_HISTORY: the text of the file "<timeline>.history", heap. */
int pg_stream_history(struct pg_replication *s, uint32_t timeline, char **ret_text, size_t *ret_len,
                      struct error *err);

/** pg_setting_ms() - a setting as the server shows a time: "1min", "500ms", "0"; -EINVAL. Pure. */
int pg_setting_ms(const char *text, int64_t *ret_ms);
/** pg_setting_bytes() - as it shows a size: "16MB", "1GB"; -EINVAL. Pure. */
int pg_setting_bytes(const char *text, uint64_t *ret_bytes);

enum pg_stream_kind { PG_STREAM_DATA, PG_STREAM_KEEPALIVE };
/** struct pg_stream_message - what came. */
struct pg_stream_message {
	enum pg_stream_kind kind;
	uint64_t lsn; /* DATA: of its first byte */
	uint64_t
	        server_lsn; /* DATA: how far the server has written its log durably; KEEPALIVE: how far it has sent it */
	int64_t server_us; /* the server's clock, since 1970 */
	bool wants_reply; /* KEEPALIVE: at once. A server that shuts down waits until all that it has sent is reported as durable */
	const uint8_t *data; /* borrowed until the next call that reads */
	size_t len;
};
/** pg_stream_message_parse() - @len bytes of a message; -EPROTO (ERROR_UNAVAILABLE): it is none. Pure. */
int pg_stream_message_parse(const void *message, size_t len, struct pg_stream_message *ret,
                            struct error *err);

/**
 * pg_stream_start() - START_REPLICATION
 * @slot:     NULL: without one
 * @ret_over: the timeline ended at @lsn: nothing will come; pg_stream_end() says what comes instead
 *
 * Return: 0; -ENOENT: the server has nothing of that place any more, which can also be said by the first pg_stream_next(); -EBUSY (ERROR_CONFLICT): somebody else streams by that slot;
 * what else the server says.
 */
int pg_stream_start(struct pg_replication *s, const char *slot, uint64_t lsn, uint32_t timeline,
                    bool *ret_over, struct error *err);

struct pg_stream_wait {
	int64_t until_ms; /* clock_mono_ms(); 0: for ever */
	int wake_fd;      /* readable: whoever waits is to look around; -1: nobody wakes */
	bool only_writes; /* nothing is read: what comes stays in the network */
};
#define PG_STREAM_NOTHING 0 /* the time is over, or it was woken */
#define PG_STREAM_MESSAGE 1
#define PG_STREAM_OVER    2 /* no more comes: pg_stream_end() */
/** pg_stream_next() - one of these three; -ECANCELED; what the server, or the network, says. */
int pg_stream_next(struct pg_replication *s, const struct pg_stream_wait *wait, struct pg_stream_message *ret,
                   struct error *err);

/** pg_stream_report() - all before @durable is durable here; nothing else is told, since whatever is in memory alone is lost with it. @asks: the server is to answer by a keepalive. Never waits. */
int pg_stream_report(struct pg_replication *s, uint64_t durable, bool asks, struct error *err);

/** pg_stream_end() - @ret_timeline: where the log goes on, from @ret_lsn; 0: the server ends. The session can be used on when there is one. */
int pg_stream_end(struct pg_replication *s, uint32_t *ret_timeline, uint64_t *ret_lsn, struct error *err);
