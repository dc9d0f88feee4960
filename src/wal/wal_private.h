// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * WAL archives.
 *
 *   wal.c       what all have in common; what a name stands for
 *   key.c       keys of objects
 *   pages.c     bytes in buffers of the pool
 *   arrival.c   a file that comes in
 *   same.c      one that is there already
 *   fetch.c     an object, and what it was made of
 *   learn.c     what the store has, and the catalog does not know
 *   get.c       a file for who has no catalog
 *   early.c     files that a server has ready, before it hands them over
 *   tail*.c     what was streamed of a segment that is not full yet (tail.h)
 *   receive*.c  WAL that is streamed (receive.h)
 *   ahead.c     files that are read, and those that are expected to be next
 */
#include <keepfs/artifact.h>
#include <keepfs/codec/compression.h>
#include <keepfs/codec/wal_name.h>
#include <keepfs/codec/wal_page.h>
#include <keepfs/store.h>
#include <keepfs/stream/sink.h>
#include <keepfs/wal.h>

#include <pthread.h>

struct wal_ahead;
struct wal_early;
struct wal_receivers;
struct wal_tail;
struct wal_tail_loading;
struct wal_tails_entry;

struct wal {
	struct wal_options options;
	struct cancel cancel; /* set by wal_end() */
	pthread_t learner;
	bool has_learner;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_learnt; /* lock: the store was listed */
	bool ended;     /* lock */
	struct wal_ahead *ahead;
	struct wal_early *early;
	struct wal_claim *claims; /* lock: files whose end is looked at */
	struct wal_receivers *receivers;
	struct wal_tails_entry *tails; /* lock: tail.h */
	int64_t last_tail;             /* lock: the number of the newest */
};

/** wal_wait_until_learnt() - until the store was listed: 0; -EAGAIN: it was not, and @may_wait is false; -ECANCELED. */
int wal_wait_until_learnt(struct wal *w, bool may_wait, struct cancel *cancel);

/** wal_conf_ref() - the configuration in force: the caller's wal_conf_unref(). */
const struct conf *wal_conf_ref(const struct wal *w);
void wal_conf_unref(const struct wal *w, const struct conf *conf);

/** struct wal_claim - a file whose end one thread looks at; others with the same name wait. */
struct wal_claim {
	const char *job, *name; /* borrowed until wal_unclaim() */
	struct wal_claim *next;
};
/** wal_claim() - @c has job and name; 0, or -ECANCELED when all ends. */
int wal_claim(struct wal *w, struct wal_claim *c);
void wal_unclaim(struct wal *w, struct wal_claim *c);

/* key.c */

#define WAL_PREFIX "wal/"
/** WAL_SUFFIX - of each object; MANIFEST_SEALED_SUFFIX follows where it is encrypted. */
#define WAL_SUFFIX ".zst"
/** WAL_NO_CLUSTER - the system identifier in the key of a history that came before anything had said of which cluster the archive is. */
#define WAL_NO_CLUSTER UINT64_C(0)

struct wal_key {
	char job[CATALOG_WAL_JOB_BYTES];
	uint64_t system_id;
	char name[WAL_NAME_BYTES];
	bool is_sealed;
};
/** wal_key_format() - heap. wal_key_parse() - the inverse; -EINVAL: it is no key of such an object. */
char *wal_key_format(const struct wal_key *key);
int wal_key_parse(const char *text, struct wal_key *ret);
/** wal_key_is_sealed() - is the object with that key encrypted? */
bool wal_key_is_sealed(const char *key);

/* pages.c */

/** struct pages - bytes in buffers of the pool, as many as were reserved before */
struct pages {
	struct pool *pool;
	void **buffers;
	size_t count, reserved;
	uint64_t bytes;
};
/** pages_reserve() - room for @bytes, and @more buffers that are not its own; waits, unless @cancel is PAGES_AT_ONCE. -ECANCELED; -ENOSPC: the pool has not so many; -EAGAIN: at once it has not. */
#define PAGES_AT_ONCE ((struct cancel *)1)
int pages_reserve(struct pages *p, struct pool *pool, uint64_t bytes, size_t more, struct cancel *cancel);
/** pages_for() - how many buffers that many bytes take. */
size_t pages_for(uint64_t bytes);
/** pages_take_over() - room for @bytes, whose buffers the caller has reserved: they are given back with the others. */
void pages_take_over(struct pages *p, struct pool *pool, uint64_t bytes);
/** pages_append() - -EFBIG: there is no room for it. */
int pages_append(struct pages *p, const void *data, size_t len);
/** pages_room() - make it @bytes long, with whatever is in the buffers, which the caller fills; appended to nothing. */
int pages_room(struct pages *p, uint64_t bytes);
/** pages_iov() - heap: all of it. */
struct iovec *pages_iov(const struct pages *p, int *ret_count);
/** pages_copy() - @len bytes from @at into @buf; they are there. */
void pages_copy(const struct pages *p, uint64_t at, void *buf, size_t len);
/** pages_each() - call @each with all of it, in order; ends with what is not 0. */
int pages_each(const struct pages *p, int (*each)(void *arg, const void *data, size_t len, struct error *err),
               void *arg, struct error *err);
/** pages_finish() - give all back; of a zeroed one nothing. */
void pages_finish(struct pages *p);
static inline void cleanup_pages(struct pages *p)
{
	pages_finish(p);
}

/** struct pages_sink - the end of a chain of sinks: appends to pages, and owns nothing */
struct pages_sink {
	struct sink sink;
	struct pages *pages;
};
void pages_sink_init(struct pages_sink *ret, struct pages *pages);

/* arrival.c */

/** wal_compression - of all objects; whoever unpacks them, with whatever program, learns that they are damaged. */
extern const struct compression wal_compression;
#define WAL_CONTENT_TYPE "application/zstd"
/** WAL_PIECES - buffers that are needed to pack something, beside those for what it becomes: a piece that is gathered, and the same compressed. */
#define WAL_PIECES 2
/** wal_packed_bytes_max() - what @bytes can become, header and tags included. */
uint64_t wal_packed_bytes_max(uint64_t bytes);
/** wal_arrival_use() - have its buffers from @pool, not from that of all; before the first byte. */
void wal_arrival_use(struct wal_arrival *a, struct pool *pool);

/* fetch.c */

struct wal_fetching {
	struct store *store;
	struct keyring *keyring;
	struct pool *pool;
	struct cancel *cancel;
	int64_t patience_ms; /* 0: as long as the store itself waits */
	const char *key;
	const struct age_key
	        *age_key; /* of who knows it; NULL: the keyring is asked, where it is encrypted */
	uint64_t stored_bytes;
	bool at_once; /* the caller has buffers, and must not wait for more: -EAGAIN when there are none */
	bool is_reserved; /* the buffers for stored_bytes are, by the caller; wal_fetch() gives them back, also when it fails */
};
/** wal_tries_again() - @*r and @err are an outage, and @until_ms (clock_mono_ms()) has not come: waits a moment. False: it is as it is, or cancelled. */
bool wal_tries_again(struct cancel *cancel, int64_t until_ms, int *r, struct error *err);
/** wal_fetch() - what the object was made of, to @write. -ENOENT: there is no such object; -EBADMSG (ERROR_CORRUPT): it is not what keepfs has written; -ENOKEY and others of keyring_open(). */
int wal_fetch(const struct wal_fetching *f,
              int (*write)(void *arg, const void *data, size_t len, struct error *err), void *arg,
              struct error *err);
/** wal_unpack() - the same of an object that is in memory. */
int wal_unpack(const struct wal_fetching *f, const struct pages *stored,
               int (*write)(void *arg, const void *data, size_t len, struct error *err), void *arg,
               struct error *err);
/** struct wal_sums - of what a file consists of, and what its begin says */
struct wal_sums {
	uint64_t bytes;
	char sha256[SHA256_HEX_BYTES];
	uint8_t head[WAL_LONG_PAGE_HEADER_BYTES]; /* as many of them as there are bytes */
};
/** wal_fetch_sums() - the same, of which only this is kept. */
int wal_fetch_sums(const struct wal_fetching *f, struct wal_sums *ret, struct error *err);
/** wal_fetching_of() - how @row is fetched; @w's cancel token. */
void wal_fetching_of(struct wal *w, const struct catalog_wal *row, struct cancel *cancel,
                     struct wal_fetching *ret);

/* learn.c */

struct wal_learning {
	struct repository *repository;
	struct pool *pool;
	struct cancel *cancel;
	bool at_once;   /* as of wal_fetching */
	struct wal *w;  /* is told of tails; NULL: nobody is */
	uint64_t found; /* out */
};
/** wal_learn() - what is below @prefix in the store, and the catalog does not know, is listed there. */
int wal_learn(struct wal_learning *l, const char *prefix, struct error *err);
/** wal_learn_object() - one. */
int wal_learn_object(struct wal_learning *l, const struct store_object *object, struct error *err);
/** wal_locate() - of the files @name of @job in the store the first one. -ENOENT. */
int wal_locate(struct store *store, const struct store_call *call, const char *job, const char *name,
               struct store_object *ret, struct error *err);

/** wal_next_cluster() - the first cluster of @job behind the key @after (NULL: of all): what its keys begin with, heap. -ENOENT. */
int wal_next_cluster(struct store *store, const struct store_call *call, const char *job, const char *after,
                     char **ret, struct error *err);

/* tail_read.c */

/** wal_tail_known() - the tail of @name of @job, if nothing comes behind it. -ENOENT; -EAGAIN: the store would have to be waited for, and @may_wait is false. */
int wal_tail_known(struct wal *w, const char *job, const struct wal_name *name, bool may_wait,
                   struct cancel *cancel, struct wal_tail *ret, struct error *err);

/* same.c */

/** struct wal_twin - a file that came, of which there is one already. */
struct wal_twin {
	const struct catalog_wal *there;
	const struct wal_name *name;
	uint64_t bytes;
	const char *sha256;
	const struct pages *stored; /* as it would be stored */
	const char *key_text;       /* the key that it would have */
	const struct age_key *key;  /* that it is encrypted with; NULL: it is not */
};
/** wal_compare_twins() - 0, with a note (heap): they are the same, as far as there is WAL in them; -EEXIST. */
int wal_compare_twins(struct wal *w, const struct wal_twin *t, struct cancel *cancel, char **ret_note,
                      struct error *err);

/* ahead.c */

struct wal_ahead *wal_ahead_new(struct wal *w);
/** wal_content_of_tail() - what was loaded, which is the content's from now on. */
struct wal_content *wal_content_of_tail(struct wal *w, const struct wal_tail_loading *loaded);
/** wal_ahead_end() - fetches nothing more. wal_ahead_free() - NULL allowed; returns NULL. */
void wal_ahead_end(struct wal_ahead *a);
struct wal_ahead *wal_ahead_free(struct wal_ahead *a);

/* early.c */

struct wal_early *wal_early_new(struct wal *w);
/** wal_early_free() - behind wal_end(). NULL allowed; returns NULL. */
struct wal_early *wal_early_free(struct wal_early *e);
/** wal_early_look() - @name of @job has come: what is ready behind it is archived as well. Returns at once. */
void wal_early_look(struct wal_early *e, const char *job, const struct wal_name *name,
                    uint32_t segment_bytes);
