// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of this room share: one object in the making. */
#include <keepfs/base/str.h>
#include <keepfs/catalog/records.h>
#include <keepfs/codec/age.h>
#include <keepfs/codec/json.h>
#include <keepfs/records.h>

/* A record that grew to this is full. Its text is in memory while it is made. */
#define PACK_BYTES ((size_t)4 << 20)

#define PACK_ROWS_MAX 10000

#define RECORD_BYTES_MAX ((size_t)64 << 20) /* of what is in an object */
#define RECORD_OBJECT_BYTES_MAX                                                                              \
	(RECORD_BYTES_MAX + ((size_t)1 << 20)) /* what is encrypted is longer by less than that */
#define RECORD_HASH_BYTES 8                    /* of the SHA-256 of the object, in its name */
#define RECORD_HASH_HEX   (2 * RECORD_HASH_BYTES)

/** record_directory() - below RECORDS_PREFIX, of the records of @kind: static. */
const char *record_directory(enum record_kind kind);

/** record_first_number() - in the name of a record: the number of its first row. */
bool record_first_number(const char *key, int64_t *ret);
/** record_read() - append the lines of the record @key; -EBADMSG, -EFBIG: it is none; -ENOKEY, -EKEYREJECTED: it is encrypted, as keyring_open(). */
int record_read(const struct records_context *ctx, const struct store_call *call, const char *key,
                struct str *text, struct error *err);

struct pack {
	struct str text; /* lines of JSON, the oldest first */
	int64_t *ids;    /* of the rows that they tell of */
	size_t count, cap;
	int64_t first_us; /* of the first row */
};

/** pack_add() - a line more: @object (consumed) tells of row @id, of @at_us. */
void pack_add(struct pack *p, int64_t id, int64_t at_us, struct json *object);
bool pack_is_full(const struct pack *p);
/** pack_record() - the object: lines compressed, and encrypted for @recipients (NULL: they are not), and the key, which begins with
 * RECORDS_PREFIX and @directory. */
int pack_record(const struct pack *p, const char *directory, const struct age_recipients *recipients,
                struct catalog_record *ret, struct error *err);
void pack_finish(struct pack *p);
static inline void cleanup_pack(struct pack *p)
{
	pack_finish(p);
}
