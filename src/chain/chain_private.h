// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of this room share. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <keepfs/catalog/chain.h>
#include <keepfs/chain.h>
#include <keepfs/codec/link.h>
#include <keepfs/keyring/signing.h>

struct chain {
	struct catalog *catalog;
	struct signing *signing;
	void (*put)(void *arg); /* chain_listen(); NULL */
	void *put_arg;
	int (*numbers)(void *arg, const struct chain_at *at,
	               struct error *err); /* chain_read_numbers_by(); NULL */
	void *numbers_arg;
	pthread_mutex_t lock;
	uint64_t *sure; /* lock; heap: stores of which all numbers are known */
	size_t sure_count;
	_Atomic bool is_doubted;
	_Atomic int64_t compact_age_ms, compact_least; /* chain_set_compaction() */
};

/** chain_find_key() - a believed key: of the configuration, or one of which a later one says that it signed before it. False: there is none of that name. */
bool chain_find_key(struct chain *c, const struct signing_keys *keys, const char *id,
                    struct sign_public *ret);

/** struct making - a link that is an object of its own, and is to be given out. */
struct making {
	const struct signing_keys *keys;
	struct link link;
	const char *ends;               /* the path of the artifact whose links it ends; NULL: none's */
	struct catalog_unsigned *named; /* by chain_give_names(): its entries, as the catalog has them */
};
void making_finish(struct making *m);
static inline void cleanup_making(struct making *m)
{
	making_finish(m);
}
/** chain_make_link() - for catalog_chain_give(): @arg is a struct making whose link is the next one. */
int chain_make_link(void *arg, const struct catalog_chain *at, struct catalog_chain_given *ret,
                    struct error *err);
typedef int (*make_link_fn)(void *arg, const struct catalog_chain *at, struct catalog_chain_given *ret,
                            struct error *err);
/** chain_give_names() - catalog_chain_give_named() of all entries of the link of @m, which @make is called with, and begins with making_drop_gone(). */
int chain_give_names(struct chain *c, const struct chain_at *at, struct making *m, make_link_fn make,
                     struct error *err);
/** making_drop_gone() - the link says nothing of what was removed since its entries were gathered. */
void making_drop_gone(struct making *m);
/** chain_give() - catalog_chain_give(), when chain_know_numbers() has been so once. */
int chain_give(struct chain *c, const struct chain_at *at,
               int (*make)(void *arg, const struct catalog_chain *at, struct catalog_chain_given *ret,
                           struct error *err),
               void *arg, struct error *err);
/** chain_note_listed() - numbers of what the catalog lists, and has listed while no key was known. */
int chain_note_listed(struct chain *c, const struct chain_at *at, struct error *err);
/** chain_make_ready() - the chain is there, and @keys sign it. */
int chain_make_ready(struct chain *c, const struct chain_at *at, const struct signing_keys *keys,
                     struct error *err);
/** chain_learn_unsigned() - the catalog is told what @l, a link from the store which names manifests that are not signed, says: as catalog_unsigned_note(). */
int chain_learn_unsigned(struct chain *c, const struct chain_at *at, const struct link *l, struct error *err);

/** chain_name_again() - the manifest of @path, which is not signed, was replaced by another one of the same backup: where a link named the one before, another link names this one. Where there is no key, it is named when there is one. */
int chain_name_again(struct chain *c, const struct chain_at *at, const struct signing_keys *keys,
                     const char *path, struct error *err);

/** struct chain_returns - what links say was brought back; in order, each once. Begin with {0}. */
struct chain_returns {
	struct chain_return {
		int64_t sequence; /* 0: of one that is not signed, */
		int64_t run_id;   /* which this has made */
		int64_t by;       /* the number of the newest link that says so */
		char *path;       /* heap */
	} * items;                /* heap */
	size_t count;
};
void chain_returns_finish(struct chain_returns *returns);
static inline void cleanup_chain_returns(struct chain_returns *r)
{
	chain_returns_finish(r);
}
/** chain_returns_add() - all that @l, a link LINK_RETURNED, names. */
void chain_returns_add(struct chain_returns *returns, const struct link *l);
/** chain_returns_have() - was what @e names brought back by a link with a higher number than @after? */
bool chain_returns_have(const struct chain_returns *returns, const struct link_entry *e, int64_t after);

/** struct chain_links - numbers of links that the store has, in order. Begin with {0}. */
struct chain_links {
	int64_t *sequences; /* heap */
	size_t count;
	uint64_t strange; /* names that are none of a link */
};
static inline void cleanup_chain_links(struct chain_links *l)
{
	free(l->sequences);
}
/** chain_list_links() - those behind @after. */
int chain_list_links(const struct chain_at *at, int64_t after, struct chain_links *ret, struct error *err);
/** chain_read_link() - a link of the store, of the chain @id ("": whichever); 1: it is not there; -EBADMSG, -ENOTSUP, with the reason: it is not believed, is of another chain, or cannot be understood. */
int chain_read_link(struct chain *c, const struct chain_at *at, const struct signing_keys *keys,
                    const char *id, int64_t sequence, struct link *ret, struct error *err);
