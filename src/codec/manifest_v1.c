// SPDX-License-Identifier: Apache-2.0
/*
 * Version 1, which was written before keepfs made anything but dumps: a file is an object whose key is the file's
 * path, and what only a dump has stands among the rest. It is read for ever.
 */
#include "manifest_private.h"

#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>

/* A word of @words (NULL-terminated); where the field is missing, the first of them. */
static void take_word(struct decoding *d, const char *field, const char *const *words, struct manifest *m)
{
	const char *word = json_get(d->object, field) ? json_get_string(d->object, field) : words[0];

	manifest_set_fact(m, field, word);
	while (*words && !str_equal(*words, word))
		words++;
	if (!*words)
		refuse(d, field, "is none of the words that version 1 has");
}

/* "gzip", "zstd:1". */
static void take_compression(struct decoding *d, struct manifest *m)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	_cleanup(free) char *text = NULL;
	const char *at;
	size_t len;

	if (json_get(d->object, "compression"))
		take_string(d, "compression", &text);
	else
		text = mem_strdup("gzip");
	manifest_set_fact(m, "compression", text);
	at = text ? text : "";
	len = strspn(at, letters);
	at += len;
	if (at[0] == ':')
		at += 1 + strspn(at + 1, letters);
	if (len == 0 || at[0] != '\0' || at[-1] == ':')
		refuse(d, "compression", "is no method such as \"gzip:6\"");
}

static void take_fact(struct decoding *d, const char *field, struct manifest *m)
{
	_cleanup(free) char *text = NULL;

	take_string(d, field, &text);
	manifest_set_fact(m, field, text);
}

static void take_v1_facts(struct decoding *d, struct manifest *m)
{
	static const char *const formats[] = {"custom", "plain", "directory", NULL};
	static const char *const contents[] = {"full", "schema", "data", NULL};

	take_string(d, "database", &m->target);
	manifest_set_fact(m, "database", m->target);
	take_fact(d, "server_version", m);
	take_fact(d, "tool_version", m);
	manifest_set_fact(m, "system_identifier", json_get_string(d->object, "system_identifier"));
	take_word(d, "format", formats, m);
	take_word(d, "content", contents, m);
	take_compression(d, m);
	m->is_directory = str_equal(manifest_fact(m, "format"), "directory");
}

static struct manifest_object *add_v1_object(struct manifest *m, const char *name, uint64_t bytes,
                                             const char *sha256)
{
	struct manifest_file *file = manifest_add_file(m, name);
	_cleanup(free) char *key = manifest_file_path(m, file);
	struct manifest_object *object;

	file->object = manifest_add_object(m, key);
	file->size_bytes = bytes;
	file->secret = manifest_name_is_secret(name);
	str_copy(file->sha256, sizeof(file->sha256), sha256);
	object = &m->objects[file->object];
	object->stored_bytes = bytes;
	str_copy(object->stored_sha256, sizeof(object->stored_sha256), sha256);
	return object;
}

static void take_own(struct decoding *d, struct manifest *m)
{
	struct decoding extents = decoding_of(d, json_get(d->object, "extents"));
	uint64_t stored_bytes = take_count(d, "stored_size"), count = take_count(&extents, "count");
	char stored_sha256[SHA256_HEX_BYTES] = "";

	d->failed = extents.failed;
	take_known_sha256(d, "stored_sha256", stored_sha256);
	if (d->failed)
		return;
	if (m->is_directory) {
		if (stored_bytes != 0)
			refuse(d, "stored_size", "of a directory is not 0");
		if (count != 0)
			refuse(d, "count", "of the extents of a directory is not 0");
		return;
	}
	if (stored_bytes != m->size_bytes)
		refuse(d, "stored_size", "is not the size, as it always is in version 1");
	add_v1_object(m, strrchr(m->path, '/') + 1, m->size_bytes, m->sha256)->extents_count = count;
}

static void take_v1_file(struct decoding *parent, const struct json *object, struct manifest *m)
{
	static const char *const known[] = {"name", "size", "sha256", "extents", NULL};
	struct decoding d = decoding_of(parent, object);
	const char *name = json_get_string(object, "name");
	char sha256[SHA256_HEX_BYTES] = "";
	uint64_t bytes, count;

	if (!name || !name_is_safe(name))
		refuse(&d, "name", "of one of \"files\" is missing or no name of a file of this backup");
	bytes = take_count(&d, "size");
	count = take_count(&d, "extents");
	take_known_sha256(&d, "sha256", sha256);
	add_v1_object(m, name ? name : "", bytes, sha256)->extents_count = count;
	take_note_of_unknown(&d, object, "files[].", known);
	parent->failed = d.failed;
}

void manifest_take_v1(struct decoding *d, struct manifest *m)
{
	take_v1_facts(d, m);
	if (!d->failed)
		take_own(d, m);
	take_items(d, d->files, take_v1_file, m);
}
