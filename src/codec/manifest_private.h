// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What the files about manifests share.
 *
 *   manifest.c         in memory, and written
 *   manifest_read.c    read: what both versions have, and what holds of each that decodes
 *   manifest_v1.c      version 1: a file is an object, named by its path
 *   manifest_v2.c      version 2
 *   manifest_fields.c  single fields
 *   manifest_part.c    artifacts that consist of several
 *   manifest_path.c    paths and keys
 *   manifest_chain.c   the place in the chain, which links have, too
 */
#include <keepfs/codec/manifest.h>

/** manifest_path_is_valid() - could an artifact have this path? */
bool manifest_path_is_valid(const char *path);
/** manifest_file_name_is_valid() - of a file of the artifact @m beside its own, whose path and type are known. */
bool manifest_file_name_is_valid(const struct manifest *m, const char *name);
/** manifest_object_key_is_valid() - may an object of the artifact @path have this key? */
bool manifest_object_key_is_valid(const char *path, const char *key);

/** manifest_name_within_is_valid() - of a file or directory in an artifact that is one. */
bool manifest_name_within_is_valid(const char *name);
/** manifest_written_facts() - heap: facts as they are written; @hides: without those that name tables. NULL gives an empty object. */
struct json *manifest_written_facts(const struct json *facts, bool hides);
/** manifest_encode_parts() - append the list "parts"; nothing when there are none. */
void manifest_encode_parts(const struct manifest *m, struct str *out);
void manifest_finish_parts(struct manifest *m);

/* One decoding: each take_…() reads a field; the first that is wrong fills `err` and makes `failed` negative. */
struct decoding {
	const char *source;
	const struct json *object; /* without the items of both lists, of which there may be very many */
	struct error *err;
	int failed;
	const struct json_list *files, *objects;
	struct str *unknown; /* names of fields */
};

/** decoding_of() - of an object within; hand `failed` back when it is done. */
static inline struct decoding decoding_of(const struct decoding *parent, const struct json *object)
{
	struct decoding d = *parent;

	d.object = object;
	return d;
}

void refuse(struct decoding *d, const char *field, const char *why);
void take_optional(struct decoding *d, const char *field, char **ret_text);
void take_string(struct decoding *d, const char *field, char **ret_text);
uint64_t take_count(struct decoding *d, const char *field);
void take_time(struct decoding *d, const char *field, int64_t *ret_at_us);
/** take_known_sha256() - null: it is not known. */
void take_known_sha256(struct decoding *d, const char *field, char ret_hex[static SHA256_HEX_BYTES]);
void take_sha256(struct decoding *d, const char *field, char ret_hex[static SHA256_HEX_BYTES]);
void take_flag(struct decoding *d, const char *field, bool *ret_flag);

/** take_items() - call @take for each item of a list, until one is wrong. */
void take_items(struct decoding *d, const struct json_list *list,
                void (*take)(struct decoding *parent, const struct json *item, struct manifest *m),
                struct manifest *m);
/** take_note_of_unknown() - of the fields of @object that are not @known (NULL-ended), in words: @within and the field. */
void take_note_of_unknown(struct decoding *d, const struct json *object, const char *within,
                          const char *const *known);

/** manifest_take_common() - what has the same name in both versions. */
void manifest_take_common(struct decoding *d, struct manifest *m);
/** manifest_take_parts() - when files and objects were taken. */
void manifest_take_parts(struct decoding *d, struct manifest *m);
/** manifest_take_v1(), manifest_take_v2() - the rest, but for the extents. */
void manifest_take_v1(struct decoding *d, struct manifest *m);
void manifest_take_v2(struct decoding *d, struct manifest *m);
