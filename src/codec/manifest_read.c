// SPDX-License-Identifier: Apache-2.0
/*
 * Manifests as they are read. What is decoded here was fetched from a bucket that others may write to, and
 * decides later what is read, listed and deleted. So a manifest that decodes holds true: its path is one that
 * keepfs could have made, its further files are beside the artifact or in it, each under a name of its own,
 * the table of extents has the hash, and each file the size that the manifest gives, and the only other
 * object that it can name is its own table.
 */
#include "manifest_path.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/name.h>

#define EXTENT_STORED_BYTES 8

/* One decoding: each take_…() reads a field; the first that is wrong fills `err` and makes `failed`
 * negative. */
struct decoding {
	const char *source;
	const struct json *object;
	struct error *err;
	int failed;
};

static void refuse(struct decoding *d, const char *field, const char *why)
{
	if (!d->failed)
		d->failed = error_set(d->err, ERROR_CORRUPT, EBADMSG, "%s: \"%s\" %s", d->source, field, why);
}

static void take_optional(struct decoding *d, const char *field, char **ret_text)
{
	*ret_text = mem_strdup(json_get_string(d->object, field));
}

static void take_string(struct decoding *d, const char *field, char **ret_text)
{
	take_optional(d, field, ret_text);
	if (!*ret_text)
		refuse(d, field, "is missing or no string");
}

static uint64_t take_count(struct decoding *d, const char *field)
{
	int64_t value = 0;

	if (!json_get_int(d->object, field, &value) || value < 0)
		refuse(d, field, "is missing or no whole number from 0");
	return (uint64_t)value;
}

static void take_time(struct decoding *d, const char *field, int64_t *ret_at_us)
{
	if (!json_get_time(d->object, field, ret_at_us) || *ret_at_us <= 0)
		refuse(d, field, "is missing or no time such as 2026-11-20T02:00:00.000000Z");
}

static void take_sha256(struct decoding *d, const char *field, char ret_hex[static SHA256_HEX_BYTES])
{
	const char *text = json_get_string(d->object, field);

	if (!text || strlen(text) != SHA256_HEX_BYTES - 1 ||
	    strspn(text, "0123456789abcdef") != SHA256_HEX_BYTES - 1)
		refuse(d, field, "is missing or not 64 lower-case hexadecimal digits");
	else
		str_copy(ret_hex, SHA256_HEX_BYTES, text);
}

/* null: it is not known. */
static void take_known_sha256(struct decoding *d, const char *field, char ret_hex[static SHA256_HEX_BYTES])
{
	if (!json_get_null(d->object, field))
		take_sha256(d, field, ret_hex);
}

static int check_version(struct decoding *d)
{
	int64_t version;

	if (!json_get_int(d->object, "version", &version) || version < 1)
		return error_set(d->err, ERROR_CORRUPT, EBADMSG,
		                 "%s: \"version\" is missing or no number: not a manifest", d->source);
	if (version > MANIFEST_VERSION)
		return error_set(d->err, ERROR_USAGE, ENOTSUP,
		                 "%s has format version %" PRId64
		                 ", this keepfs knows versions up to %d: use a newer keepfs",
		                 d->source, version, MANIFEST_VERSION);
	return 0;
}

/* A word of @words (NULL-terminated); where the field is missing, the first of them. */
static void take_word(struct decoding *d, const char *field, const char *const *words, char **ret_text)
{
	*ret_text = mem_strdup(words[0]);
	if (!json_get(d->object, field))
		return;
	free(*ret_text);
	take_optional(d, field, ret_text);
	while (*words && !str_equal(*words, *ret_text))
		words++;
	if (!*words)
		refuse(d, field, "is none of the words that this keepfs knows");
}

/* "gzip", "zstd:1". */
static void take_compression(struct decoding *d, const char *field, char **ret_text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	const char *at;
	size_t len;

	if (!json_get(d->object, field)) {
		*ret_text = mem_strdup("gzip");
		return;
	}
	take_string(d, field, ret_text);
	at = *ret_text ? *ret_text : "";
	len = strspn(at, letters);
	at += len;
	if (at[0] == ':')
		at += 1 + strspn(at + 1, letters);
	if (len == 0 || at[0] != '\0' || at[-1] == ':')
		refuse(d, field, "is no method such as \"gzip:6\"");
}

static void take_what(struct decoding *d, struct manifest *m)
{
	static const char *const formats[] = {"custom", "plain", "directory", NULL};
	static const char *const contents[] = {"full", "schema", "data", NULL};

	take_word(d, "format", formats, &m->format);
	take_word(d, "content", contents, &m->content);
	take_compression(d, "compression", &m->compression);
	take_optional(d, "note", &m->note);
	if (json_get(d->object, "partial") && !json_get_bool(d->object, "partial", &m->partial))
		refuse(d, "partial", "is neither true nor false");
	m->is_directory = str_equal(m->format, "directory");
	if (!d->failed && m->is_directory != manifest_path_is_directory(m->path))
		refuse(d, "path", "does not fit \"format\": only a directory has a name without a suffix");
}

static void take_fields(struct decoding *d, struct manifest *m)
{
	take_string(d, "path", &m->path);
	if (m->path && !manifest_path_is_valid(m->path))
		refuse(d, "path", "is no path of a backup");
	take_string(d, "job", &m->job);
	if (m->job && !name_is_safe(m->job))
		refuse(d, "job", "is no name of a job");
	take_string(d, "kind", &m->kind);
	m->run_id = (int64_t)take_count(d, "run");
	take_string(d, "database", &m->database);
	take_string(d, "server_version", &m->server_version);
	take_string(d, "tool_version", &m->tool_version);
	take_optional(d, "system_identifier", &m->system_identifier);
	take_string(d, "triggered_by", &m->triggered_by);
	take_what(d, m);
	take_time(d, "started_at", &m->started_at_us);
	take_time(d, "finished_at", &m->finished_at_us);
	if (json_get(d->object, "verified_at") && !json_get_null(d->object, "verified_at"))
		take_time(d, "verified_at", &m->verified_at_us);
	m->size_bytes = take_count(d, "size");
	take_known_sha256(d, "sha256", m->sha256);
	m->stored_bytes = take_count(d, "stored_size");
	take_known_sha256(d, "stored_sha256", m->stored_sha256);
	take_string(d, "keepfs_version", &m->keepfs_version);
	if (!d->failed && m->is_directory && m->stored_bytes != 0)
		refuse(d, "stored_size", "of a directory is not 0");
}

static void take_file(struct decoding *parent, const struct json *object, struct manifest *m)
{
	struct decoding d = {parent->source, object, parent->err, parent->failed};
	const char *name = json_get_string(object, "name");
	struct manifest_file *f = manifest_add_file(m, name ? name : "");

	if (!manifest_file_name_is_valid(m->path, f->name))
		refuse(&d, "name", "of one of \"files\" is missing or no name of a file of this backup");
	f->size_bytes = take_count(&d, "size");
	take_known_sha256(&d, "sha256", f->sha256);
	f->extents_count = take_count(&d, "extents");
	parent->failed = d.failed;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has_name_twice(const struct manifest *m)
{
	_cleanup(free) const char **names = mem_array(m->file_count + 1, sizeof(*names));

	for (size_t i = 0; i < m->file_count; i++)
		names[i] = m->files[i].name;
	qsort(names, m->file_count, sizeof(*names), compare_names);
	for (size_t i = 1; i < m->file_count; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			return true;
	return false;
}

/* The sizes of a directory's files, UINT64_MAX when there is no such number. */
static uint64_t sum_files(const struct manifest *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->file_count; i++)
		if (__builtin_add_overflow(sum, m->files[i].size_bytes, &sum))
			return UINT64_MAX;
	return sum;
}

static void take_files(struct decoding *d, struct manifest *m)
{
	const struct json *files = json_get(d->object, "files");
	size_t count = json_count(files);

	if (!m->is_directory && count > MANIFEST_BESIDE_MAX)
		refuse(d, "files", "are more than a backup that is no directory can have");
	for (size_t i = 0; !d->failed && i < count; i++)
		take_file(d, json_item(files, i), m);
	if (d->failed)
		return;
	if (has_name_twice(m))
		refuse(d, "files", "has a name twice");
	if (m->is_directory && count == 0)
		refuse(d, "files", "of a directory is missing or empty");
	if (m->is_directory && sum_files(m) != m->size_bytes)
		refuse(d, "size", "of a directory is not the sum of its files");
}

static int load_table(const char *source, const char *of, const uint8_t *encoded, uint64_t count,
                      uint64_t size_bytes, struct extents *ret, struct error *err)
{
	_cleanup(extents) struct extents table = {0};
	int r = extents_decode(encoded, (size_t)count * EXTENT_STORED_BYTES, &table, err);

	if (r < 0) {
		error_prefix(err, "%s", source);
		return r;
	}
	if (table.total_bytes != size_bytes)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s: %zu extents with %" PRIu64
		                 " bytes, but the manifest says that the \"size\" of %s is %" PRIu64,
		                 source, table.count, table.total_bytes, of, size_bytes);
	extents_finish(ret);
	*ret = table;
	table = (struct extents){0};
	return 0;
}

/* Whether the counts of @m add up to @len bytes: then none reaches past the end. */
static bool counts_fit(const struct manifest *m, size_t len)
{
	uint64_t left = len / EXTENT_STORED_BYTES;

	if (len % EXTENT_STORED_BYTES || m->extents_count > left)
		return false;
	left -= m->extents_count;
	for (size_t i = 0; i < m->file_count; i++) {
		if (m->files[i].extents_count > left)
			return false;
		left -= m->files[i].extents_count;
	}
	return left == 0;
}

int manifest_load_extents(const char *source, const uint8_t *encoded, size_t len, struct manifest *m,
                          struct error *err)
{
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];
	int r;

	sha256_once(encoded, len, digest);
	hex_encode(digest, sizeof(digest), hex);
	if (strcmp(hex, m->extents_sha256) != 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s: the extent table's SHA-256 is not the one in its manifest", source);
	if (!counts_fit(m, len))
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s: an extent table of %zu bytes: not as many extents as the manifest says",
		                 source, len);
	r = load_table(source, m->path, encoded, m->extents_count, m->is_directory ? 0 : m->size_bytes,
	               &m->extents, err);
	encoded += m->extents_count * EXTENT_STORED_BYTES;
	for (size_t i = 0; r == 0 && i < m->file_count; i++) {
		struct manifest_file *f = &m->files[i];

		r = load_table(source, f->name, encoded, f->extents_count, f->size_bytes, &f->extents, err);
		encoded += f->extents_count * EXTENT_STORED_BYTES;
	}
	return r;
}

static void take_extents(struct decoding *parent, struct manifest *m)
{
	struct decoding d = {parent->source, json_get(parent->object, "extents"), parent->err,
	                     parent->failed};
	_cleanup(free) char *text = NULL, *own_key = manifest_extents_key(m->path);
	_cleanup(free) uint8_t *encoded = NULL;
	size_t len = 0;

	m->extents_count = take_count(&d, "count");
	take_sha256(&d, "sha256", m->extents_sha256);
	take_optional(&d, "object", &m->extents_key);
	take_optional(&d, "table", &text);
	if (m->extents_key && text)
		refuse(&d, "extents", "names an object and holds a table as well");
	else if (m->extents_key && strcmp(m->extents_key, own_key) != 0)
		refuse(&d, "object", "of the extents is not the artifact's own");
	else if (!m->extents_key && !text)
		refuse(&d, "extents", "has neither a table nor an object");
	else if (text && !(encoded = base64_decode(text, &len)))
		refuse(&d, "table", "of the extents is not base64");
	if (!d.failed && encoded)
		d.failed = manifest_load_extents(d.source, encoded, len, m, d.err);
	parent->failed = d.failed;
}

int manifest_decode(const char *source, const char *json, size_t len, struct manifest *m, struct error *err)
{
	_cleanup(json) struct json *j = json_parse(json, len, err);
	_cleanup(manifest) struct manifest decoded = {0};
	struct decoding d = {.source = source, .object = j, .err = err};

	if (!j) {
		error_prefix(err, "%s", source);
		return -EBADMSG;
	}
	d.failed = check_version(&d);
	if (!d.failed)
		take_fields(&d, &decoded);
	if (!d.failed)
		take_files(&d, &decoded);
	if (!d.failed)
		take_extents(&d, &decoded);
	if (d.failed)
		return d.failed;
	*m = decoded;
	decoded = (struct manifest){0};
	return 0;
}
