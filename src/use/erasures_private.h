// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The entries of the register, between the files that read, add and apply them. */
#include <keepfs/codec/hash.h>
#include <keepfs/use/erasures.h>

enum erasure_kind {
	ERASURE_ROWS,     /* of a table, by a column */
	ERASURE_TENANT,   /* of shared tables: by its id */
	ERASURE_SCHEMA,   /* that was a tenant's */
	ERASURE_DATABASE, /* that was a tenant's */
};

#define ERASURES_SUBDIR "erasures" /* of state_dir */

struct erasure {    /* heap */
	char *name; /* of the object, behind the prefix */
	int64_t at_us;
	char *by, *note; /* note: NULL */
	enum erasure_kind kind;
	char *database;                /* that it was in */
	char *schema, *table, *column; /* of ERASURE_ROWS */
	char hash[SHA256_HEX_BYTES];
};

struct erasures {
	struct erasure *items;
	size_t count;
	char *key_id;         /* of all of them; NULL: there are none */
	struct hmac_key *key; /* NULL: the configuration has none */
};

/** erasures_read() - as erasures_load(), without a key: what the hashes are of is not known. @repository: NULL: only what this host has. */
int erasures_read(const struct conf *conf, struct repository *repository, struct cancel *cancel,
                  struct erasures **ret, struct error *err);

#define ERASURE_KEY_ID_BYTES 17 /* with NUL */
/** erasures_key() - the key of the configuration, and what tells it from others: @ret NULL when there is none. */
int erasures_key(const struct conf *conf, struct hmac_key **ret, char ret_id[static ERASURE_KEY_ID_BYTES],
                 struct error *err);
/** erasure_hash() - of @value at the place that @of names. */
void erasure_hash(struct hmac_key *key, const struct erasure *of, const char *value,
                  char ret[static SHA256_HEX_BYTES]);
void erasure_finish(struct erasure *e);
/** erasure_kind_name() - static: "rows". */
const char *erasure_kind_name(enum erasure_kind kind);
/** erasure_place() - heap: "public.users by id, in the database shop". */
char *erasure_place(const struct erasure *e);
/** erasures_put() - add @entry (at, by, kind and place, hash are set; its name is made) to disk and store. 1: it is there already. */
int erasures_put(const struct conf *conf, struct repository *repository, const struct erasures *all,
                 struct erasure *entry, const char *key_id, struct cancel *cancel, struct error *err);
