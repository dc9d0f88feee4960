// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * WAL archives: the files that a PostgreSQL server's archive_command hands over, and restore_command asks for again (keepfs/codec/wal_name.h). A section [cluster NAME] with wal = archive has one. A file
 * is an object of its own, compressed, whose key says of which cluster it is (docs/formats.md, "WAL"); it is never replaced and never changed. The catalog lists them (keepfs/catalog/wal.h).
 *
 *   in    wal_arrival_new(), _write(), _end(): what comes is compressed while it comes; the end returns when the store has it durably, or had the same already.
 *   out   wal_find(), wal_open(), wal_content_read(): a file as it was; those that come behind it are fetched meanwhile.
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
/** wal_get() - -ENOENT: the store was asked, and has no such file. */
int wal_get(const struct wal_get *how, const char *job, const char *name, struct error *err);

/** wal_learn_all() - list what the store has, and the catalog does not know, now: `keepfs rebuild`. @ret_found: how many; @w of wal_new(). */
int wal_learn_all(struct repository *repository, struct pool *pool, struct cancel *cancel,
                  uint64_t *ret_found, struct error *err);
