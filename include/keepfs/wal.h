// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * WAL archives: the files that a PostgreSQL server's archive_command hands over, or that are streamed from it, and that restore_command asks for again (keepfs/codec/wal_name.h). Each section [cluster NAME] has one. A file
 * is an object of its own, compressed, whose key says of which cluster it is (docs/formats.md, "WAL"); it is never replaced and never changed. The catalog lists them (keepfs/catalog/wal.h).
 *
 *   in    wal_arrival_new(), _write(), _end(): what comes is compressed while it comes; the end returns when the store has it durably, or had the same already.
 *   out   wal_find(), wal_open(), wal_content_read(): a file as it was; those that come behind it are fetched meanwhile.
 *
 *   streamed   wal_follow(), wal_receiver_state(): with wal = stream or both a thread for each cluster takes the log as it is written. Of a segment that is not full the store has a tail: wal_tail_find(), wal_tail_open().
 *
 * That something is not there is only said when that is sure: what the catalog does not know is not there once the store was listed, which is done at the start (wal_new()).
 *
 * Whatever waits for the store here takes a struct cancel.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/pool.h>
#include <keepfs/catalog/wal.h>
#include <keepfs/codec/wal_name.h>
#include <keepfs/conf.h>
#include <keepfs/pg/keeping.h>
#include <sys/uio.h>

struct intake;
struct keyring;
struct repository;
struct store;
struct wal;

/** WAL_AHEAD - so many files behind the one that is being read are fetched. */
#define WAL_AHEAD 8
/** WAL_TEXT_BYTES_MAX - a larger history, or backup history file, is none. */
#define WAL_TEXT_BYTES_MAX ((size_t)64 << 10)

struct wal_options {             /* all borrowed */
	const struct conf *conf; /* in force, unless @live says so */
	struct conf_live *live;  /* NULL: @conf stays in force */
	struct repository *repository;
	struct pool *pool; /* what is compressed, and what is read, is in its buffers */
};

/** wal_new() - begins to list what the store has, on a thread of its own. 0 or negative errno. */
int wal_new(const struct wal_options *options, struct wal **ret, struct error *err);
/** wal_end() - whoever waits in here is told -ECANCELED, now and from now on. Idempotent. */
void wal_end(struct wal *w);
/** wal_free() - when nobody uses it any more; NULL allowed; returns NULL. */
struct wal *wal_free(struct wal *w);

/** wal_is_archived() - has @job (NULL: no) an archive? Pure. */
bool wal_is_archived(const struct conf_job *job);

/** struct wal_server_state - how far the server of an archive has written, as it said when it was asked last: each half minute, by the one who archives */
struct wal_server_state {
	int64_t asked_us;         /* when it answered */
	uint64_t lsn;             /* that it had flushed then */
	uint32_t timeline;        /* that it was on; 0: the size of segments is not known yet */
	uint64_t waiting;         /* whole segments up to there that had not come yet */
	int64_t waiting_since_us; /* since when there always were some, as far as was asked; 0: there are none */
	int64_t silent_since_us; /* it has not answered since; 0: it did */
	bool has_keeping;        /* it could be asked over an ordinary connection, too */
	struct pg_wal_keeping keeping;
	int64_t failing_since_us; /* its archive_command fails, since then at the latest; 0: it does not */
};
/** wal_server_state() - of the archive @job; false: it has not answered so far. Never blocks for long; any thread. */
bool wal_server_state(struct wal *w, const char *job, struct wal_server_state *ret);

/* In. */

struct wal_arrival;
/** wal_arrival_new() - a file @name comes for the archive of @job. -EINVAL (ERROR_USAGE): it is no name that a server gives to WAL, or there is no such archive. Blocks for the recipients. */
int wal_arrival_new(struct wal *w, const char *job, const char *name, struct cancel *cancel,
                    struct wal_arrival **ret, struct error *err);
struct wal_arrival *wal_arrival_free(struct wal_arrival *a); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(wal_arrival, struct wal_arrival *, wal_arrival_free)
/**
 * wal_arrival_write() - its next bytes, in order; waits for buffers of the pool once
 * Return: 0; -EINVAL, -EBADMSG, -ENOTSUP: it is not what its name says, or of another cluster (@err says which, and what to do); -EFBIG: it is too long; -ENOSPC: the pool is smaller than a file;
 * -ECANCELED.
 */
int wal_arrival_write(struct wal_arrival *a, const void *data, size_t len, struct error *err);
/**
 * wal_arrival_end() - that was all of it
 * @ret_note: heap: what is to be said about it all the same, such as that it was there already; NULL: nothing
 *
 * Return: 0: the store has it, durably; -EINVAL: it is too short; -EEXIST (ERROR_CONFLICT): there is one of that name with other content, and it stays as it is; what the store, or the catalog, says.
 */
int wal_arrival_end(struct wal_arrival *a, char **ret_note, struct error *err);
/** wal_take() - all three with what @in brings; the caller finishes that. */
int wal_take(struct wal *w, const char *job, const char *name, struct intake *in, char **ret_note,
             struct error *err);

/** struct wal_stretch - segments that follow one another on a timeline. */
struct wal_stretch {
	struct wal_name first, last;
	uint32_t segment_bytes;
};
/**
 * wal_await() - wait until the archive @job has all of @stretch; woken when a file arrives
 * @timeout_ms: for so long at most
 * @ret_missing: of -ETIMEDOUT: the first that is not there
 *
 * Return: 0; -ETIMEDOUT; -ECANCELED, also when keepfs ends; negative errno: the catalog cannot be read.
 */
int wal_await(struct wal *w, const char *job, const struct wal_stretch *stretch, int64_t timeout_ms,
              struct cancel *cancel, char ret_missing[WAL_NAME_BYTES]);

/* Out. */

/**
 * wal_find() - the file @name of the archive @job
 * @may_wait: false: -EAGAIN where the store would have to be waited for
 *
 * Return: 0; -ENOENT: it is not there, for sure; -EAGAIN; -ECANCELED; why it cannot be told now.
 */
int wal_find(struct wal *w, const char *job, const char *name, bool may_wait, struct cancel *cancel,
             struct catalog_wal *ret, struct error *err);

/** struct wal_content - a file, unpacked, in memory: whoever has it reads it without waiting. */
struct wal_content;
/**
 * wal_open() - the content of @row; what comes behind it is fetched from now on
 * While the store does not answer it waits, as long as [cluster] read_timeout says. Return: 0; -ECANCELED; -EIO and others: it cannot be had: never -ENOENT, also when the store has it no more.
 */
int wal_open(struct wal *w, const struct catalog_wal *row, struct cancel *cancel, struct wal_content **ret,
             struct error *err);
uint64_t wal_content_bytes(const struct wal_content *c);
/** wal_content_read() - up to @len bytes from @at, where they lie: so many of @iov, of which WAL_READ_IOV are enough for 1 MiB; 0 at the end. Until wal_content_close(). */
#define WAL_READ_IOV 2
int wal_content_read(const struct wal_content *c, uint64_t at, size_t len, struct iovec *iov, int max);
struct wal_content *wal_content_close(struct wal *w, struct wal_content *c); /* NULL allowed; returns NULL */

/* Streamed. */

/** wal_follow() - have the receivers that the configuration in force wants, with its settings; those that are not wanted, or are to be others, end first. A reader has none. Blocks until they have ended; one thread at a time. */
void wal_follow(struct wal *w);

enum wal_receiver_phase {
	WAL_RECEIVER_WAITING,    /* for the list of what the store has, or for memory */
	WAL_RECEIVER_CONNECTING, /* to the server, or for another attempt */
	WAL_RECEIVER_STREAMING
};
/** wal_receiver_phase_name() - "waiting", "connecting", "streaming": static. */
const char *wal_receiver_phase_name(enum wal_receiver_phase phase);

struct wal_receiver_state {
	enum wal_receiver_phase phase;
	int64_t since_us; /* in this phase */
	char slot[64];
	uint32_t timeline;     /* LSNs and it: 0 before the first stream */
	uint64_t server_lsn;   /* the server has written its log durably up to here, as it said last */
	uint64_t received_lsn; /* and this much is in memory here */
	uint64_t durable_lsn;  /* and this much is durable, and the server was told so */
	int64_t behind_us; /* for how long the first byte that is not durable has been waiting here; 0: there is none */
	uint64_t segments, tails; /* that were stored since the start */
	uint64_t
	        attempts; /* that have failed one after the other; one that streamed for more than a minute was none */
	char trouble
	        [512]; /* why it does not stream, or why what has come is not stored; "": nothing is wrong */
	/* The server had no more what comes behind the first: nothing of it is in the archive, and a recovery cannot go past. 0: there is no such gap. */
	uint64_t gap_from, gap_to;
};
/** wal_receiver_state() - of the receiver of @job; never blocks for long. -ENOENT: it has none. */
int wal_receiver_state(struct wal *w, const char *job, struct wal_receiver_state *ret);

/** struct wal_tail_facts - what was streamed of a segment that is not full yet, and is durable in the store */
struct wal_tail_facts {
	int64_t number; /* of this name, while the process lives */
	char job[CATALOG_WAL_JOB_BYTES];
	char name[WAL_NAME_BYTES]; /* of the segment */
	uint64_t system_id;
	uint32_t bytes;         /* of its begin */
	uint32_t segment_bytes; /* 0: not known */
	uint64_t end_lsn;       /* where these end: the newest that can be restored; 0: not known */
};
/** wal_tail_find() - of the segment @name of @job, if it is the last one of its timeline: wal_find() has none of it, nor any behind it. As wal_find(). */
int wal_tail_find(struct wal *w, const char *job, const char *name, bool may_wait, struct cancel *cancel,
                  struct wal_tail_facts *ret, struct error *err);
/** wal_tail_by_number() - that with this number, also when it has gone (bytes is 0): the segment may be there now. -ENOENT: it is forgotten. */
int wal_tail_by_number(struct wal *w, int64_t number, struct wal_tail_facts *ret);
/** wal_tail_newest() - the one of @job that goes furthest, of those that this process knows. -ENOENT: there is none. */
int wal_tail_newest(struct wal *w, const char *job, struct wal_tail_facts *ret);
/** wal_tail_open() - such a tail as the segment, with zeros behind what is known. As wal_open(), and -ENOENT: it is no tail any more. */
int wal_tail_open(struct wal *w, const char *job, const char *name, struct cancel *cancel,
                  struct wal_content **ret, struct error *err);

/** struct wal_get - a file that is fetched without a catalog, by whoever only has the store */
struct wal_get {
	struct store *store; /* borrowed, as all of these */
	struct keyring *keyring;
	struct pool *pool;
	struct cancel *cancel;
	int64_t patience_ms; /* for how long an outage is waited out; 0: as long as the store itself does */
	/* Its bytes, in order; what is wrong with them is told at the end, so nothing may be seen of them before. */
	int (*write)(void *arg, const void *data, size_t len, struct error *err);
	void *arg;
};
/** wal_get() - -ENOENT: the store was asked, and has no such file; nor has it a tail of that segment. */
int wal_get(const struct wal_get *how, const char *job, const char *name, struct error *err);

/** wal_learn_all() - list what the store has, and the catalog does not know, now: `keepfs rebuild`. @ret_found: how many; @w of wal_new(). */
int wal_learn_all(struct repository *repository, struct pool *pool, struct cancel *cancel,
                  uint64_t *ret_found, struct error *err);
