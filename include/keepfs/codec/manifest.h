// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The manifest: what keepfs knows of one artifact, as JSON beside the artifact in the bucket. An artifact exists
 * when its manifest does: it is written last and removed first. Format and promises: docs/formats.md.
 *
 * It has two lists. `files` is what the tree shows; `objects` is what the store holds. Mostly a file is one object,
 * but neither the name of an object nor its size follows from the file: an object may be encrypted, may hold the
 * bytes of many files, or may be for keepfs alone.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/extents.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/sign.h>
#include <stdint.h>
#include <sys/types.h>

/** MANIFEST_VERSION - what is written; versions from 1 on are read. */
#define MANIFEST_VERSION 2
/** MANIFEST_RUN_MAX - no run has a larger number: what is made of it has room for no more. */
#define MANIFEST_RUN_MAX (INT64_C(1) << 48)
/** MANIFEST_BESIDE_MAX - how many files an artifact can have that is no directory, beside its own. */
#define MANIFEST_BESIDE_MAX 64
/** MANIFEST_FILES_MAX - how many files an artifact that is a directory can have; MANIFEST_MAX_BYTES - how long a manifest
 * can be: what is longer is not written, since it could not be read. The files of a dump take some 400 bytes each. */
#define MANIFEST_FILES_MAX 400000
#define MANIFEST_MAX_BYTES ((size_t)256 << 20)
/** MANIFEST_NO_OBJECT - of a file: an empty directory, or one whose bytes are kept in a way that this keepfs does
 * not know. */
#define MANIFEST_NO_OBJECT SIZE_MAX
/** MANIFEST_ROLE_SEGMENTS - the role of an object that holds a segment index (codec/segments.h). */
#define MANIFEST_ROLE_SEGMENTS "segments"
/** MANIFEST_ROLE_FACTS - of an encrypted artifact: the facts that name tables, a JSON object; the manifest does not have them then. */
#define MANIFEST_ROLE_FACTS "facts"
/** MANIFEST_NAMING_FACT - the fact that such an object has. */
#define MANIFEST_NAMING_FACT "largest_tables"
/** MANIFEST_CIPHER_AGE - the cipher of objects that are age files (keepfs/codec/age.h); MANIFEST_SEALED_SUFFIX: their keys are those of what is not
 * encrypted, and this. */
#define MANIFEST_CIPHER_AGE    "age"
#define MANIFEST_SEALED_SUFFIX ".age"

/** MANIFEST_TIERS - how many there are; manifest_tier_name() - "daily", "weekly", "monthly", "yearly", of number 0 to 3, whose bit
 * in struct manifest is 1 << number. They are RETENTION_DAILY and so on. */
#define MANIFEST_TIERS 4
const char *manifest_tier_name(unsigned number);
/** manifest_append_tiers() - "daily,weekly"; nothing when there are none. */
void manifest_append_tiers(struct str *out, unsigned tiers);

/** struct manifest_object - what the store holds under one key. */
struct manifest_object {
	char *key;
	char *role;   /* NULL: it holds the bytes of files; else what keepfs has it for */
	char *cipher; /* NULL: not encrypted */
	uint64_t stored_bytes;
	char stored_sha256[SHA256_HEX_BYTES]; /* "": not known (verify = none) */
	struct extents extents;               /* of the stored bytes; empty until loaded */
	uint64_t extents_count;
};

void manifest_object_finish(struct manifest_object *o);
static inline void cleanup_manifest_object(struct manifest_object *o)
{
	manifest_object_finish(o);
}

/** struct manifest_file - what the tree shows under one name. */
struct manifest_file {
	/* Relative to the artifact, when that is a directory ("toc.dat", "base/1/2619"; an empty directory ends in
	 * '/'). Else the name in the artifact's directory: the first file is the artifact's own, the names of the
	 * others begin with its stem ("20261120T020000Z.tables.csv"). */
	char *name;
	uint64_t size_bytes;
	char sha256[SHA256_HEX_BYTES]; /* of what users read; "": not known */
	size_t object;                 /* index in objects, or MANIFEST_NO_OBJECT */
	bool secret; /* shown to nobody but the owner of the mount, whatever file_mode says */
};

/** CHAIN_ID_BYTES - of the name of a chain, with NUL: 16 hexadecimal digits; CHAIN_SEQUENCE_MAX - no link has a larger number. */
#define CHAIN_ID_BYTES     17
#define CHAIN_SEQUENCE_MAX INT64_C(999999999999)

/** struct chain_place - where in its chain a signed text is (docs/formats.md, "The chain"). */
struct chain_place {
	char id[CHAIN_ID_BYTES];
	int64_t sequence;                /* from 1 on; 0: it is not signed */
	char previous[SHA256_HEX_BYTES]; /* of what was signed of the one before it; "": it is the first */
	char hash[SHA256_HEX_BYTES];     /* of what was signed of this one; not written */
};

/**
 * struct manifest_part - of an artifact that consists of several (kind "bundle"): one that could be an artifact of its own. Its files and objects are a
 * range of those of the whole each.
 */
struct manifest_part {
	char *name; /* as the file or directory is called in the artifact: "database.dump", "tenants/acme.dump" */
	char *job; /* that it was made by the rules of */
	char *kind, *target;
	char *class; /* NULL: nothing */
	bool is_directory;
	int64_t started_at_us, finished_at_us;
	uint64_t size_bytes;           /* as of an artifact of that type */
	char sha256[SHA256_HEX_BYTES]; /* likewise */
	struct json *facts;            /* likewise; NULL: nothing */
	size_t first_file, file_count;
	size_t first_object, object_count;
};
/** MANIFEST_PARTS_MAX - so many an artifact can have. */
#define MANIFEST_PARTS_MAX 10000

struct manifest {
	char *path;         /* in the tree: "backups/full/20261120T020000Z.dump" */
	char *job;          /* "full" */
	char *kind;         /* of the job: "dump", "files"; one that is not known is no error */
	char *target;       /* what of the job it is of: a database, a directory */
	char *class;        /* what a registry called the target; NULL: nothing */
	char *triggered_by; /* "uid 0 (bash)", "keepfs run" */
	char *note;         /* what whoever triggered it wrote; NULL */
	char *keepfs_version;
	bool partial;      /* less than the job's own configuration asks for: no substitute for a whole one */
	bool is_directory; /* the artifact is a directory, and @files all that is in it */
	int64_t run_id;
	uint64_t fence; /* of the lease under which it was made (keepfs/lease.h); 0: there was none */
	int64_t started_at_us;
	int64_t finished_at_us; /* the artifact's mtime */
	unsigned tiers; /* of which periods it is the first good one of its directory: bits; final at birth */
	bool tiers_known;      /* false: an earlier keepfs has written it */
	int64_t keep_until_us; /* promised by whoever triggered it; 0: nothing was */
	char *encrypted_to; /* "age1…, age1…", "passphrase": who can read what of it is encrypted; NULL: nothing is */
	int64_t locked_until_us; /* as it was locked when this was written; of the catalog: as far as is known; 0: it was not */
	/* Of one that is being made, and of no manifest: until when it is to be locked, while that could not be done; 0: nothing is left to do. */
	int64_t lock_wanted_us;
	int lock_mode;                 /* enum store_lock_mode; of no manifest */
	char *hold;                    /* why whoever triggered it holds it; NULL: nobody did */
	int64_t verified_at_us;        /* when it was read back whole from the store; 0: it was not */
	uint64_t size_bytes;           /* of the file that users read; of a directory: the sum of its files */
	char sha256[SHA256_HEX_BYTES]; /* of that file; of a directory: of its SHA256SUMS; "": not known */
	struct manifest_file *files;   /* in the order in which they are listed */
	size_t file_count;
	struct manifest_object *objects;
	size_t object_count;
	struct manifest_part *parts; /* in the order in which they were made; NULL: it is one thing */
	size_t part_count;
	struct json *
	        facts; /* what the kind says of it: an object of strings, numbers and booleans; NULL: nothing */
	struct json *
	        needs; /* packs, by their directory: {"packs/documents/20261120T020000Z": "1-5000,5003"}; NULL: none */
	char *unknown;     /* fields that this keepfs does not know: "holds, signature"; NULL: none */
	char *extents_key; /* of the object that holds the table; NULL: it is in the manifest */
	char extents_sha256
	        [SHA256_HEX_BYTES]; /* of the table's stored form: that of each object, in their order */
	struct chain_place chain;   /* of one that is signed */
	struct signature signature; /* of one that was decoded, and is signed; nobody has verified it there */
	bool is_proven;             /* somebody has */
};

void manifest_finish(struct manifest *m);
static inline void cleanup_manifest(struct manifest *m)
{
	manifest_finish(m);
}

/** manifest_add_part() - of a copy of @name; else zeroed, and the caller's to fill. Moved by the next. */
struct manifest_part *manifest_add_part(struct manifest *m, const char *name);
/** manifest_part_of_object() - the part that object number @object is of; NULL: it is the whole's own. manifest_is_of_part(): is it that of a part? */
const struct manifest_part *manifest_part_of_object(const struct manifest *m, size_t object);
bool manifest_is_of_part(const struct manifest *m, size_t object);
/** manifest_part() - the number of the part of that name; -ENOENT. */
ssize_t manifest_part(const struct manifest *m, const char *name);
/**
 * manifest_become_part() - what part @number of @m would be as an artifact of its own
 *
 * @m has the files and objects of that part alone from then on, with their extents, and its name, times and facts; what is said of the whole (who made it, why it
 * is held, for whom it is encrypted, its tiers) is said of the part. Nothing in the store has such a manifest, and none must be written.
 */
void manifest_become_part(struct manifest *m, size_t number);
/** manifest_part_facts() - heap: the facts of a part as they are written, which leave out those that name tables when it has an object for them. */
struct json *manifest_part_facts(const struct manifest *m, const struct manifest_part *part);

/** manifest_add_object() - under a copy of @key; else zeroed, and the caller's to fill. Returns its index. */
size_t manifest_add_object(struct manifest *m, const char *key);
/** manifest_add_file() - of a copy of @name, without an object; else zeroed, and the caller's to fill. */
struct manifest_file *manifest_add_file(struct manifest *m, const char *name);
/** manifest_name_is_secret() - of a file that a manifest says nothing about: the roles of a cluster, with the hashes of
 * their passwords, had no other sign than their name at first. */
bool manifest_name_is_secret(const char *name);
/** manifest_drop_last_file() - the one that was added last, with its object, which was also added last. */
void manifest_drop_last_file(struct manifest *m);
/** manifest_own_object() - that of an artifact that is a file; NULL when it is none, or has none. */
const struct manifest_object *manifest_own_object(const struct manifest *m);
/** manifest_first_beside() - the index of the first file that is not the artifact's own: 1, or 0 of a directory. */
static inline size_t manifest_first_beside(const struct manifest *m)
{
	return m->is_directory ? 0 : 1;
}
/** manifest_object_of_role() - the first with that role, but for those of parts; NULL when there is none. */
const struct manifest_object *manifest_object_of_role(const struct manifest *m, const char *role);
/** manifest_stored_bytes() - of all objects. */
uint64_t manifest_stored_bytes(const struct manifest *m);

/** manifest_set_fact() - a fact that is text; NULL sets none. manifest_set_fact_int(): a number. */
void manifest_set_fact(struct manifest *m, const char *name, const char *value);
void manifest_set_fact_int(struct manifest *m, const char *name, int64_t value);
/** manifest_hide_facts() - append those facts that name tables, as a JSON object, to @out, for an object of the role "facts"; false: there are
 * none. With such an object the manifest is written without them. */
bool manifest_hide_facts(const struct manifest *m, struct str *out);
/** manifest_take_facts() - the facts of such an object become facts of @m; -EBADMSG when it is no JSON object. */
int manifest_take_facts(struct manifest *m, const char *json, size_t len, struct error *err);
/** manifest_fact() - borrowed; NULL when there is no such fact, or it is not text. */
const char *manifest_fact(const struct manifest *m, const char *name);

/** struct manifest_need - numbers of packs in one directory, from @first to @last. */
struct manifest_need {
	const char *directory; /* "packs/documents/20261120T020000Z": borrowed */
	int64_t first, last;
};
/** manifest_each_need() - call @each with all that @m needs, in the order of the manifest, until it does not return 0, which is returned. -EBADMSG: what is
 * in m->needs is no such thing. */
int manifest_each_need(const struct manifest *m, int (*each)(void *arg, const struct manifest_need *need),
                       void *arg);
/** manifest_contents_key() - heap: "manifests/<path>.contents.zst", of an object that says what a mirror or a pack has; @part: of a part of a bundle
 * ("….contents.PART.zst"), NULL: of the artifact itself. manifest_contents_index_key(): of its index, "….index". Both lie beside the manifest. */
char *manifest_contents_key(const char *path, const char *part);
char *manifest_contents_index_key(const char *path, const char *part);

/** manifest_file_path() - heap: where a file of @m is in the tree. */
char *manifest_file_path(const struct manifest *m, const struct manifest_file *f);
/** manifest_stem() - heap: "backups/full/20261120T020000Z" of an artifact's path. The keys of all objects that are
 * made for it alone begin so, followed by '.' or '/'. */
char *manifest_stem(const char *path);
/** manifest_key() - heap: "manifests/<path>.json". */
char *manifest_key(const char *path);
/** manifest_path_of_key() - heap: the artifact's path; NULL when @key is not a manifest's key. */
char *manifest_path_of_key(const char *key);
/** manifest_extents_key() - heap: "manifests/<path>.extents", a table that is too large for the manifest. */
char *manifest_extents_key(const char *path);
/** manifest_facts_key() - heap: "manifests/<path>.facts", an object of the role "facts". */
char *manifest_facts_key(const char *path);
/** manifest_index_key() - heap: "manifests/<path>.index", the segment index. */
char *manifest_index_key(const char *path);
/** MANIFEST_ADOPTED - keys of objects that somebody else has made, and that lie where he put them, begin so: "adopted/PLACE/KEY" is the object KEY of the place PLACE, a
 * section [store PLACE] of the configuration. */
#define MANIFEST_ADOPTED "adopted/"
/** manifest_adopted_key() - heap; NULL: it is nothing that a manifest can name (control characters, a part of more than 255 bytes, all of it more than 900, "a//b", ".."). */
char *manifest_adopted_key(const char *place, const char *key);
/** manifest_adopted_in() - is @key that of an adopted object? Then @ret_place (heap; NULL: nobody wants to know) is where, and the result its key there, borrowed of
 * @key; NULL: it is not. */
const char *manifest_adopted_in(const char *key, char **ret_place);
/** manifest_is_beside() - is @key that of an object which lies beside the manifest of @path, and comes before it in
 * the order of keys? */
bool manifest_is_beside(const char *key, const char *path);
/** manifest_is_beside_any() - the same of some manifest, by how it ends. */
bool manifest_is_beside_any(const char *key);
/** manifest_key_generation() - how often the object under that key was written: 1, and one more whenever it was rewrapped ("T.dump.age", "T.dump.r2.age"). */
unsigned manifest_key_generation(const char *key);
/** manifest_key_of_generation() - heap: the key of that object as of @generation, in place of the one that it has. */
char *manifest_key_of_generation(const char *key, unsigned generation);
/** manifest_key_marked_again() - heap: the same, behind the mark that it may have: two keys that differ stay two. */
char *manifest_key_marked_again(const char *key, unsigned generation);

/** manifest_seal_extents() - the stored form of the tables of all objects, which must be loaded, on the heap. Sets
 * the counts and @m->extents_sha256 to it. */
uint8_t *manifest_seal_extents(struct manifest *m, size_t *ret_len);
/** manifest_encode() - the stored JSON. Extents go inside unless @m->extents_key is set. With @m->chain it is what is to be signed, whose hash
 * (sign_hash()) is set by whoever signs; signature_append() then ends it. */
void manifest_encode(const struct manifest *m, struct str *out);
/**
 * manifest_decode() - parse and validate
 * @source: what to call it in messages (the key)
 * @m: held nothing
 *
 * What is not known to this keepfs is no error: kinds, facts, roles, ciphers, fields (named in @m->unknown), and
 * files that are kept in another way (they are without an object). What is known must be right. Of a signed one @m->chain (with its hash) and
 * @m->signature are set; that the signature fits is for whoever has the keys (manifest_is_signed_by()).
 * Return: 0; -EBADMSG with a message that names @source and the field; -ENOTSUP for a newer format version.
 */
int manifest_decode(const char *source, const char *json, size_t len, struct manifest *m, struct error *err);
/** manifest_is_signed_by() - does the signature of @m, which was decoded from this text, fit it and @key? */
bool manifest_is_signed_by(const struct manifest *m, const struct sign_public *key, const char *json,
                           size_t len);

/** chain_place_encode() - the member "chain"; chain_place_decode() - false with what is wrong about it. For all texts that have one. */
struct json *chain_place_encode(const struct chain_place *p);
bool chain_place_decode(const struct json *j, struct chain_place *ret, const char **ret_why);

/** manifest_load_extents() - take the tables from their stored form, once fetched; -EBADMSG when they are not those
 * that @m describes. */
int manifest_load_extents(const char *source, const uint8_t *encoded, size_t len, struct manifest *m,
                          struct error *err);
