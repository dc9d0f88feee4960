// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The stores of a process: the one that the catalog belongs to ("the store", [store]), and those in which tenants have their exports.
 * What these are is configured ([store NAME]) or told by the query of tenants; where an artifact is the catalog knows (keepfs/catalog/stores.h),
 * by the number of the store. One is opened when somebody first asks for it, wrapped as the store itself is, and closed
 * when many others were asked for since.
 *
 * A query is written by whoever may write into the application's database, so it is not trusted with what belongs to others
 * (stores_choose()): it can lead a tenant's exports nowhere but to a bucket for which somebody has put a key of that tenant on this host.
 * - A [store NAME] says itself which tenants a query may send there, and one of the type dir: takes none.
 * - An address that the query names needs credentials of its own: a file of store_credentials_dir, which says for which tenants, for which endpoint,
 *   and if it likes for which bucket it is. The credentials of [store], of the environment and of AWS's files are never used for it.
 * - An endpoint that the query names must be one of store_endpoints; region and bucket are words that cannot become another host.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/conf.h>
#include <keepfs/store.h>
#include <stddef.h>
#include <stdint.h>

struct stores;

struct stores_options {                  /* all borrowed, for as long as the stores live */
	const struct conf *conf;         /* in force until stores_follow() */
	struct store *main;              /* the store; NULL: there is none */
	struct catalog *catalog;         /* NULL: nobody knows of others */
	struct store_metrics *metrics;   /* what is asked of others is counted there, too; NULL: nowhere */
	const struct store_fence *fence; /* of who writes to the store, and so to the others; NULL: none */
	int64_t retry_deadline_ms; /* of others, in place of what the configuration says; 0: what that says */
	unsigned kept_open;        /* how many of which nobody has a handle stay open; 0: STORES_KEPT_OPEN */
};
#define STORES_KEPT_OPEN 16

struct stores *stores_new(const struct stores_options *options);
/** stores_free() - when every handle was freed; NULL allowed, returns NULL. */
struct stores *stores_free(struct stores *s);
DEFINE_CLEANUP(stores, struct stores *, stores_free)
/** stores_follow() - from now on what @live has in force applies. Handles that somebody has stay as they are; whoever asks next gets a
 * store by what is in force then. Before other threads use @s. */
void stores_follow(struct stores *s, struct conf_live *live);

/**
 * stores_open() - a handle of the store with that number: the caller's store_free()
 * @id: CATALOG_MAIN_STORE, or of the catalog
 *
 * Any thread. No request is made; reads small files. Each failure of the handle begins with which store it is, and whose. Return: 0; -EINVAL (ERROR_USAGE): nothing in force
 * says how to get into it (@err says what is missing): never ERROR_NOT_FOUND, so that it cannot look as if an object were missing.
 */
int stores_open(struct stores *s, uint64_t id, struct store **ret_store, struct error *err);
/** stores_main() - the store itself, which knows of objects that were adopted in the places of the configuration (store_elsewhere_new()): borrowed, as long as @s lives; NULL: there is none. */
struct store *stores_main(struct stores *s);
/** stores_open_place() - the place [store NAME], in which others put files: for reading alone, but for their removal, and no trace is left there. As stores_open_at(). */
int stores_open_place(struct stores *s, const char *name, struct store **ret_store, struct error *err);
/** stores_place_within() - which other [store NAME] has the object @key of the place @name, as it lies within it, on the same server; of two with one url the first. Borrowed of @conf; NULL:
 * none, so that it is that of @name. Pure. */
const char *stores_place_within(const struct conf *conf, const char *name, const char *key);
/** stores_open_above() - the same of a place on the same server in which that one lies: @url is a part of its url, from the begin. */
int stores_open_above(struct stores *s, const char *name, const char *url, struct store **ret_store,
                      struct error *err);
/** stores_removes_adopted() - does what was adopted in the place of @key ("adopted/NAME/…") go with its backup? Never what lies in [store] itself. */
bool stores_removes_adopted(struct stores *s, const char *key);
/** stores_place_of_url() - heap: which [store NAME] has what lies at @url ("s3://bucket/prefix/2024", "dir:/srv/dumps/2024", or the name itself), and @ret_prefix (heap; "", or ends in '/'): where there. The one
 * with the longest url. NULL: none, and @err says what there is. Pure. */
char *stores_place_of_url(const struct conf *conf, const char *url, char **ret_prefix, struct error *err);
/** stores_is_place_ours() - does what lies below @prefix of the [store @name] lie in [store] itself, on the same server? Pure. */
bool stores_is_place_ours(const struct conf *conf, const char *name, const char *prefix);
struct source;
struct stores_source;
/** stores_open_source() - what lies below @prefix ("", or ends in '/') of the place [store NAME], to be listed and read (keepfs/store/source.h): the caller's stores_source_free(). */
int stores_open_source(struct stores *s, const char *name, const char *prefix, unsigned connections,
                       struct stores_source **ret, struct error *err);
struct source *stores_source(const struct stores_source *s);       /* borrowed */
struct stores_source *stores_source_free(struct stores_source *s); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(stores_source, struct stores_source *, stores_source_free)
/** stores_open_at() - the same of one that need have no number: for trying it. */
int stores_open_at(struct stores *s, const struct catalog_store *at, struct store **ret_store,
                   struct error *err);
/** stores_name() - heap: how people are told which store it is: "acme", or "s3://acme-backups/x at https://s3.acme.example"; "" for the store itself. Reads the
 * catalog. */
char *stores_name(struct stores *s, uint64_t id);
/** stores_opened() - how many others than the store are open now. */
unsigned stores_opened(struct stores *s);

/** stores_describe() - append what stores_name() says of @at. */
void stores_describe(const struct catalog_store *at, struct str *out);
/** stores_may_have() - may the store @at have the artifact @path of @job? It may be its tenant who writes there, and that one must not make artifacts of
 * anybody else appear. So a store that a query has named may have what is its tenant's, and a section what is of those whom a query may send there, or, when [export] or a
 * class sends tenants there, of all. @path: of a manifest that was found there. Pure. */
bool stores_may_have(const struct conf *conf, const struct catalog_store *at, const char *path,
                     const char *job);
/** stores_may_have_now() - the same, by what is in force. */
bool stores_may_have_now(struct stores *s, const struct catalog_store *at, const char *path, const char *job);

/** struct stores_wanted - what is known of where the exports of a tenant are to go; borrowed, NULL or "": nothing. But for class, from the query. */
struct stores_wanted {
	const char *tenant; /* its slug */
	const char *class;
	const char *store;        /* of a section */
	const char *url, *bucket; /* "s3://bucket/prefix", or "bucket": one of them */
	const char *endpoint, *region;
	const char *credentials; /* the name of a file */
	/* a word of [store] provider: whose endpoint it is, when that is not said, in which region; it changes nothing else, since the
	 * endpoint tells whose it is ever after */
	const char *provider;
};
/**
 * stores_choose() - where they go
 * @ret: catalog_store_finish(); without a url: into the store itself
 *
 * The query comes before the class, and that before [export]. Asks nobody; the credentials are looked at by stores_open(). Return: 0; -EINVAL (ERROR_USAGE): what is
 * said makes no sense; -EPERM (ERROR_DENIED): the query may not say it. @err names neither tenant nor query: the caller does.
 */
int stores_choose(const struct conf *conf, const struct stores_wanted *wanted, struct catalog_store *ret,
                  struct error *err);

/** stores_at_section() - where a [store NAME] is; catalog_store_finish(). */
void stores_at_section(const struct conf_named_store *named, struct catalog_store *ret);

/** struct stores_credentials - of a file; heap. */
struct stores_credentials {
	char *access_key, *secret_key;
	char *session_token; /* NULL: none */
	char *endpoint;      /* for which alone they are; NULL: it does not say */
	char *bucket;        /* likewise */
	char **tenants; /* for whose exports, patterns of slugs; NULL-terminated; NULL: it does not say */
};
/** stores_credentials_finish() - wiped. */
void stores_credentials_finish(struct stores_credentials *c);
static inline void cleanup_stores_credentials(struct stores_credentials *c)
{
	stores_credentials_finish(c);
}
/** stores_parse_credentials() - @text, with the name @where for messages, in which no value ever stands. Lines KEY = VALUE; '#' and ';' begin comments. -EINVAL (ERROR_USAGE). Pure. */
int stores_parse_credentials(const char *where, const char *text, size_t len, struct stores_credentials *ret,
                             struct error *err);
/** stores_read_credentials() - of the file @path, which nobody but its owner, root or this user, may read or write; and nobody else may exchange
 * it, since nobody else may write in its directory. -EPERM, -ENOENT, …: always with an @err of ERROR_USAGE or ERROR_DENIED. */
int stores_read_credentials(const char *path, struct stores_credentials *ret, struct error *err);
