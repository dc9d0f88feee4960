// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * WAL archives.
 *
 *   wal.c       what all have in common; what a name stands for
 *   key.c       keys of objects
 *   pages.c     bytes in buffers of the pool
 *   indexing.c  what is in a segment, as its bytes pass
 *   arrival.c   a file that comes in
 *   await.c     waiting for those that are expected
 *   same.c      one that is there already
 *   fetch.c     an object, and what it was made of
 *   learn.c     what the store has, and the catalog does not know
 *   index_end.c the index at the end of an object
 *   catch_up.c  what is in segments that nobody has looked into
 *   recovery.c  what can be recovered, as the catalog knows it
 *   get.c       a file for who has no catalog
 *   early.c     files that a server has ready, before it hands them over
 *   server.c    how far servers have written
 *   tail*.c     what was streamed of a segment that is not full yet (tail.h)
 *   receive*.c  WAL that is streamed (receive.h)
 *   ahead.c     files that are read, and those that are expected to be next
 *   reading.c   where somebody has been reading lately
 *   history.c   what timelines came from
 *   survey.c    which files nobody needs any more
 *   keep.c      how these go
 *   command.c   control/prune, as far as it is about archives
 *   copies.c    further stores
 *   lock.c      object lock
 */
#include <keepfs/artifact.h>
#include <keepfs/catalog/wal_places.h>
#include <keepfs/codec/compression.h>
#include <keepfs/codec/wal_index.h>
#include <keepfs/codec/wal_name.h>
#include <keepfs/codec/wal_page.h>
#include <keepfs/store.h>
#include <keepfs/stream/sink.h>
#include <keepfs/wal.h>

#include <pthread.h>

struct wal_ahead;
struct wal_early;
struct wal_servers;

/** struct wal_trail - a scan that has read a segment to its end: that of the next one goes on from it, since a record may span both */
#define WAL_TRAILS 8 /* of all archives, those that ended last */
struct wal_trail {
	char job[CATALOG_WAL_JOB_BYTES];
	struct wal_scan *scan; /* NULL: there is none */
};
struct wal_copier;
struct wal_reading;
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
	pthread_cond_t changed; /* by the monotonic clock: any of these, and what the catalog has */
	bool is_learnt;         /* lock: the store was listed */
	bool ended;             /* lock */
	uint64_t listed;        /* lock: grows whenever the catalog may have got files */
	struct wal_ahead *ahead;
	struct wal_early *early;
	struct wal_servers *servers;
	struct wal_claim *claims;            /* lock: files whose end is looked at */
	struct wal_trail trails[WAL_TRAILS]; /* lock */
	size_t next_trail;                   /* lock: the one that is replaced next */
	struct wal_copier *copier;           /* NULL: this process only reads */
	struct wal_reading *readings;        /* lock */
	struct wal_receivers *receivers;
	struct wal_tails_entry *tails; /* lock: tail.h */
	int64_t last_tail;             /* lock: the number of the newest */
};

/** wal_wait_until_learnt() - until the store was listed: 0; -EAGAIN: it was not, and @may_wait is false; -ECANCELED. */
int wal_wait_until_learnt(struct wal *w, bool may_wait, struct cancel *cancel);

/** wal_conf_ref() - the configuration in force: the caller's wal_conf_unref(). */
const struct conf *wal_conf_ref(const struct wal *w);
void wal_conf_unref(const struct wal *w, const struct conf *conf);

/** wal_is_learnt() - was the store listed? Until then what goes might be taken for what was found. */
bool wal_is_learnt(struct wal *w);

/** struct wal_claim - a file whose end one thread looks at; others with the same name wait. */
struct wal_claim {
	const char *job, *name; /* borrowed until wal_unclaim() */
	struct wal_claim *next;
};
/** wal_claim() - @c has job and name; 0, or -ECANCELED when all ends. */
int wal_claim(struct wal *w, struct wal_claim *c);
void wal_unclaim(struct wal *w, struct wal_claim *c);

/* indexing.c */

/** struct wal_indexing - the records of one segment, as its bytes pass; it stays where it is until wal_indexing_finish(). */
struct wal_indexing {
	struct wal_scan *scan;
	struct wal_index index;
	bool has_ended; /* the rest means nothing */
	bool has_failed;
};
/** wal_indexing_begin() - @from: the scan that it follows, which stays as it is; NULL: nothing is known of what came before. */
void wal_indexing_begin(struct wal_indexing *i, const struct wal_scan *from, const struct wal_name *name);
void wal_indexing_feed(struct wal_indexing *i, const void *data, size_t len);
/** wal_indexing_close() - that was all of it. NULL: what is in it cannot be told. Borrowed. */
const struct wal_index *wal_indexing_close(struct wal_indexing *i, uint64_t bytes, const char *sha256);
/** wal_indexing_finish() - of a zeroed one nothing. */
void wal_indexing_finish(struct wal_indexing *i);
static inline void cleanup_wal_indexing(struct wal_indexing *i)
{
	wal_indexing_finish(i);
}
/** wal_indexing_follow() - wal_indexing_begin() behind what @w has read of the segment before it. */
void wal_indexing_follow(struct wal_indexing *i, struct wal *w, const char *job, const struct wal_name *name,
                         uint32_t segment_bytes);
/** wal_indexing_keep() - the segment is in the archive: the next one may follow it. */
void wal_indexing_keep(struct wal_indexing *i, struct wal *w, const char *job);
void wal_trails_finish(struct wal *w);

/* index_end.c */

/** wal_fetch_index() - the index at the end of the object @f->key. -ENOENT: there is none, or no such object; -EBADMSG (ERROR_CORRUPT): it is damaged; as wal_fetch(). Waits for no buffers. */
struct wal_fetching;
int wal_fetch_index(const struct wal_fetching *f, struct wal_index *ret, struct error *err);

/* catch_up.c */

struct wal_catching {
	struct repository *repository;
	struct pool *pool;
	struct cancel *cancel;
	bool reads_whole; /* segments without an index are read, one after the other; else they stay unknown */
	uint64_t found;   /* out: so many became known */
};
/** wal_catch_up() - learn what is in segments and histories that nobody has looked into. What cannot be read is told, and passed over; an outage ends it. */
int wal_catch_up(struct wal_catching *c, struct error *err);

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
	bool elsewhere; /* what the store had was wrong: from a further one, if it has any */
	bool at_once;   /* the caller has buffers, and must not wait for more: -EAGAIN when there are none */
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
/** wal_check_file() - whether what the object @key has can be the file @name: @bytes long, of which @head are the first. For who knows no checksum of it. -EBADMSG (ERROR_CORRUPT). */
int wal_check_file(const char *key, const struct wal_name *name,
                   const uint8_t head[static WAL_LONG_PAGE_HEADER_BYTES], uint64_t bytes, struct error *err);
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
	bool is_plain;              /* it is the file itself, neither compressed nor encrypted */
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
/** wal_early_settle() - the server hands over @name of @job itself: when it is being archived ahead, wait until that has ended, however; when that has not begun, it does not any more. */
void wal_early_settle(struct wal_early *e, const char *job, const char *name);

/* server.c */

/** wal_servers_new() - begins to ask. NULL: the thread could not be started. */
struct wal_servers *wal_servers_new(struct wal *w);
/** wal_servers_end() - asks nobody any more. wal_servers_free() - NULL allowed; returns NULL. */
void wal_servers_end(struct wal_servers *s);
struct wal_servers *wal_servers_free(struct wal_servers *s);
/* reading.c */

/** wal_note_reading() - the file @name of @job is opened. Returns at once. */
void wal_note_reading(struct wal *w, const char *job, const char *name);
/** wal_reading_from() - the earliest segment, whatever its timeline, that was opened within the last hour: its place within @ret; false: none was. */
bool wal_reading_from(struct wal *w, const char *job, struct wal_name *ret);
void wal_forget_readings(struct wal *w);

/* history.c */

/** wal_learn_histories() - the content of those that the catalog lists, and whose content it does not know, is read. One that cannot be read is passed over; what it was that had no answer is returned. */
int wal_learn_histories(struct wal_learning *l, struct error *err);

/* copies.c */

/** wal_copier_new() - NULL: no thread could be started. */
struct wal_copier *wal_copier_new(struct wal *w);
/** wal_copier_kick() - something has come, or gone. NULL allowed. */
void wal_copier_kick(struct wal_copier *copier);
void wal_copier_end(struct wal_copier *copier);
struct wal_copier *wal_copier_free(struct wal_copier *copier); /* NULL allowed; returns NULL */
/** wal_reading_store() - where @row is read: the store, and when that fails further ones that have it; the caller's store_free(). */
struct store *wal_reading_store(const struct wal *w, const struct catalog_wal *row);

/* lock.c */

struct iovec;
/** wal_lock_of_arrival() - how what comes for @job (NULL: nobody has it any more) is locked in @store: true, and the lock; false: it is not. */
bool wal_lock_of_arrival(struct store *store, const struct conf_job *job, struct store_lock *ret);
struct wal_put {
	const struct conf_job *job;
	const char *key, *content_type;
	const struct iovec *iov;
	int count;
};
/** wal_put_locked() - put what is not there, and lock it; where that is forbidden, put it without. @ret_lock: how it is locked. As store_put(). */
int wal_put_locked(struct store *store, const struct store_call *call, const struct wal_put *put,
                   struct store_lock *ret_lock, struct error *err);
/** wal_locked_until() - may the object not be removed now? *@ret_until_us 0: it may. A request, where anything is locked in @store. */
int wal_locked_until(struct store *store, const struct store_call *call, const char *key,
                     int64_t *ret_until_us, struct error *err);
/** wal_lock_bases() - what makes the base backups of @job consistent is locked for as long as these are. Blocks on the store. */
int wal_lock_bases(struct repository *repository, const struct conf_job *job, struct cancel *cancel,
                   struct error *err);
