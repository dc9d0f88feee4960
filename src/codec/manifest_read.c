// SPDX-License-Identifier: Apache-2.0
/*
 * Manifests as they are read. What is decoded here was fetched from a bucket that others may write to, and decides
 * later what is read, listed and deleted. So a manifest that decodes holds true: its path is one that keepfs could
 * have made, its files are the artifact, beside it or in it, each under a name of its own, the table of extents has
 * the hash and each object the size that the manifest gives, and its objects are not other artifacts' manifests.
 */
#include "manifest_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>
#include <keepfs/codec/listing.h>

#define EXTENT_STORED_BYTES 8
#define UNKNOWN_MAX_BYTES   512

/* The fields of each version; what else there is, is a later keepfs's. */
static const char *const fields_v1[] = {"version",
                                        "path",
                                        "job",
                                        "kind",
                                        "run",
                                        "database",
                                        "server_version",
                                        "tool_version",
                                        "system_identifier",
                                        "triggered_by",
                                        "note",
                                        "format",
                                        "content",
                                        "compression",
                                        "partial",
                                        "started_at",
                                        "finished_at",
                                        "verified_at",
                                        "size",
                                        "sha256",
                                        "stored_size",
                                        "stored_sha256",
                                        "keepfs_version",
                                        "files",
                                        "extents",
                                        "chain",
                                        "signature",
                                        NULL};
static const char *const fields_v2[] = {
        "version",      "path",   "type",    "job",        "kind",        "target",       "run",
        "triggered_by", "note",   "partial", "started_at", "finished_at", "verified_at",  "keepfs_version",
        "size",         "sha256", "facts",   "files",      "objects",     "extents",      "tiers",
        "keep_until",   "hold",   "class",   "chain",      "signature",   "encrypted_to", "locked_until",
        "fence",        "needs",  "parts",   NULL};

struct text {
	const char *data;
	size_t len;
};

static int take_version(struct decoding *d, int64_t *ret_version)
{
	if (!json_get_int(d->object, "version", ret_version) || *ret_version < 1)
		return error_set(d->err, ERROR_CORRUPT, EBADMSG,
		                 "%s: \"version\" is missing or no number: not a manifest", d->source);
	if (*ret_version > MANIFEST_VERSION)
		return error_set(d->err, ERROR_USAGE, ENOTSUP,
		                 "%s has format version %" PRId64
		                 ", this keepfs knows versions up to %d: use a newer keepfs",
		                 d->source, *ret_version, MANIFEST_VERSION);
	return 0;
}

void manifest_take_common(struct decoding *d, struct manifest *m)
{
	take_string(d, "path", &m->path);
	if (m->path && !manifest_path_is_valid(m->path))
		refuse(d, "path", "is no path of a backup");
	take_string(d, "job", &m->job);
	if (m->job && !name_is_safe(m->job))
		refuse(d, "job", "is no name of a job");
	take_string(d, "kind", &m->kind);
	m->run_id = (int64_t)take_count(d, "run");
	if (m->run_id > MANIFEST_RUN_MAX)
		refuse(d, "run", "is larger than the number of any run");
	if (json_get(d->object, "fence"))
		m->fence = take_count(d, "fence");
	take_string(d, "triggered_by", &m->triggered_by);
	take_optional(d, "note", &m->note);
	take_flag(d, "partial", &m->partial);
	take_time(d, "started_at", &m->started_at_us);
	take_time(d, "finished_at", &m->finished_at_us);
	if (json_get(d->object, "verified_at") && !json_get_null(d->object, "verified_at"))
		take_time(d, "verified_at", &m->verified_at_us);
	m->size_bytes = take_count(d, "size");
	take_known_sha256(d, "sha256", m->sha256);
	take_string(d, "keepfs_version", &m->keepfs_version);
}

/* In the order of a walk: what is in a directory comes right behind it. */
static int compare_in_walk_order(const void *a, const void *b)
{
	const unsigned char *x = *(unsigned char *const *)a, *y = *(unsigned char *const *)b;

	while (*x && *x == *y) {
		x++;
		y++;
	}
	return (*x == '/' ? 1 : *x) - (*y == '/' ? 1 : *y);
}

static bool is_same_or_within(const char *name, const char *other)
{
	size_t len = strlen(other);

	if (len > 0 && other[len - 1] == '/')
		len--;
	return strncmp(name, other, len) == 0 && (name[len] == '\0' || name[len] == '/');
}

/* Is a name there twice, or what one file has as a directory another one's name? */
static bool names_clash(const struct manifest *m)
{
	_cleanup(free) const char **names = mem_array(m->file_count + 1, sizeof(*names));

	for (size_t i = 0; i < m->file_count; i++)
		names[i] = m->files[i].name;
	qsort(names, m->file_count, sizeof(*names), compare_in_walk_order);
	for (size_t i = 1; i < m->file_count; i++)
		if (is_same_or_within(names[i], names[i - 1]))
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

static void check_own_file(struct decoding *d, const struct manifest *m)
{
	if (m->file_count == 0 || !str_equal(m->files[0].name, strrchr(m->path, '/') + 1))
		refuse(d, "files", "does not begin with the backup's own file");
	else if (m->files[0].size_bytes != m->size_bytes || !str_equal(m->files[0].sha256, m->sha256))
		refuse(d, "size", "or \"sha256\" is not that of the backup's own file");
	else if (m->file_count > 1 + MANIFEST_BESIDE_MAX)
		refuse(d, "files", "are more than a backup that is no directory can have");
}

static bool has_any_listing(const struct manifest *m)
{
	for (size_t i = 0; i < m->object_count; i++)
		if (str_equal(m->objects[i].role, MANIFEST_ROLE_LISTING))
			return true;
	return false;
}

/* What a listing has, be it that of a part, is no file of the manifest. */
static void check_directory(struct decoding *d, const struct manifest *m)
{
	if (has_any_listing(m)) {
		if (sum_files(m) > m->size_bytes)
			refuse(d, "size", "of a directory is less than that of its files");
		return;
	}
	if (m->file_count == 0)
		refuse(d, "files", "of a directory is missing or empty");
	else if (sum_files(m) != m->size_bytes)
		refuse(d, "size", "of a directory is not the sum of its files");
}

static void check_files(struct decoding *d, const struct manifest *m)
{
	if (m->is_directory)
		check_directory(d, m);
	else
		check_own_file(d, m);
	for (size_t i = manifest_first_beside(m); !d->failed && i < m->file_count; i++)
		if (!manifest_file_name_is_valid(m, m->files[i].name))
			refuse(d, "name",
			       "of one of \"files\" is missing or no name of a file of this backup");
	if (!d->failed && names_clash(m))
		refuse(d, "files", "has a name twice");
}

static int load_table(const char *source, const uint8_t *encoded, struct manifest_object *o,
                      struct error *err)
{
	_cleanup(extents) struct extents table = {0};
	int r = extents_decode(encoded, (size_t)o->extents_count * EXTENT_STORED_BYTES, &table, err);

	if (r < 0) {
		error_prefix(err, "%s", source);
		return r;
	}
	if (table.total_bytes != o->stored_bytes)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s: %zu extents with %" PRIu64
		                 " bytes, but the manifest says that the \"size\" of %s is %" PRIu64,
		                 source, table.count, table.total_bytes, o->key, o->stored_bytes);
	extents_finish(&o->extents);
	o->extents = table;
	table = (struct extents){0};
	return 0;
}

/* Whether the counts of @m add up to @len bytes: then none reaches past the end. */
static bool counts_fit(const struct manifest *m, size_t len)
{
	uint64_t left = len / EXTENT_STORED_BYTES;

	if (len % EXTENT_STORED_BYTES)
		return false;
	for (size_t i = 0; i < m->object_count; i++) {
		if (m->objects[i].extents_count > left)
			return false;
		left -= m->objects[i].extents_count;
	}
	return left == 0;
}

int manifest_load_extents(const char *source, const uint8_t *encoded, size_t len, struct manifest *m,
                          struct error *err)
{
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];
	int r = 0;

	sha256_once(encoded, len, digest);
	hex_encode(digest, sizeof(digest), hex);
	if (strcmp(hex, m->extents_sha256) != 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s: the extent table's SHA-256 is not the one in its manifest", source);
	if (!counts_fit(m, len))
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s: an extent table of %zu bytes: not as many extents as the manifest says",
		                 source, len);
	for (size_t i = 0; r == 0 && i < m->object_count; i++) {
		r = load_table(source, encoded, &m->objects[i], err);
		encoded += m->objects[i].extents_count * EXTENT_STORED_BYTES;
	}
	return r;
}

static void take_extents(struct decoding *parent, struct manifest *m)
{
	struct decoding d = decoding_of(parent, json_get(parent->object, "extents"));
	_cleanup(free) char *text = NULL, *own_key = manifest_extents_key(m->path), *first_key = NULL;
	_cleanup(free) uint8_t *encoded = NULL;
	size_t len = 0;

	take_sha256(&d, "sha256", m->extents_sha256);
	take_optional(&d, "object", &m->extents_key);
	take_optional(&d, "table", &text);
	if (m->extents_key)
		first_key = manifest_key_of_generation(m->extents_key, 1);
	if (m->extents_key && text)
		refuse(&d, "extents", "names an object and holds a table as well");
	else if (m->extents_key && strcmp(first_key, own_key) != 0)
		refuse(&d, "object", "of the extents is not the artifact's own");
	else if (!m->extents_key && !text)
		refuse(&d, "extents", "has neither a table nor an object");
	else if (text && !(encoded = base64_decode(text, &len)))
		refuse(&d, "table", "of the extents is not base64");
	if (!d.failed && encoded)
		d.failed = manifest_load_extents(d.source, encoded, len, m, d.err);
	parent->failed = d.failed;
}

/* Each is named once, however many files have it. */
void take_note_of_unknown(struct decoding *d, const struct json *object, const char *within,
                          const char *const *known)
{
	struct str *names = d->unknown;

	for (const char *key = json_first_key(object); key; key = json_next_key(object, key)) {
		_cleanup(free) char *name = NULL;
		size_t i = 0;

		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (known[i])
			continue;
		name = mem_printf("%s%s", within, key);
		if (names->len + strlen(name) <= UNKNOWN_MAX_BYTES && !strstr(str_text(names), name))
			str_appendf(names, "%s%s", names->len > 0 ? ", " : "", name);
	}
}

struct item_taker {
	struct decoding *d;
	void (*take)(struct decoding *parent, const struct json *item, struct manifest *m);
	struct manifest *m;
};

static int take_item(void *arg, const struct json *item)
{
	struct item_taker *t = arg;

	t->take(t->d, item, t->m);
	return t->d->failed;
}

void take_items(struct decoding *d, const struct json_list *list,
                void (*take)(struct decoding *parent, const struct json *item, struct manifest *m),
                struct manifest *m)
{
	struct item_taker taker = {d, take, m};
	int r;

	if (d->failed)
		return;
	r = json_each(list, take_item, &taker, d->err);
	if (r < 0 && !d->failed) {
		error_prefix(d->err, "%s", d->source);
		d->failed = r;
	}
}

/* Both or neither: a chain without a signature is one that somebody has taken the signature off. */
static void take_signature(struct decoding *d, const struct text *text, struct manifest *m)
{
	const struct json *chain = json_get(d->object, "chain"), *line = json_get(d->object, "signature");
	const char *why = NULL;
	size_t signed_len = 0;
	int r;

	if (!chain && !line)
		return;
	r = signature_find(text->data, text->len, &signed_len, &m->signature, NULL, d->err);
	if (r < 0) {
		error_prefix(d->err, "%s", d->source);
		d->failed = r;
	} else if (r == 0) {
		refuse(d, "signature", line ? "is not its last line" : "is missing, and \"chain\" is there");
	} else if (!chain) {
		refuse(d, "chain", "is missing, and \"signature\" is there");
	} else if (!chain_place_decode(chain, &m->chain, &why)) {
		refuse(d, "chain", why);
	} else {
		sign_hash(text->data, signed_len, m->chain.hash);
	}
}

bool manifest_is_signed_by(const struct manifest *m, const struct sign_public *key, const char *json,
                           size_t len)
{
	struct signature s;
	size_t signed_len;

	return signature_find(json, len, &signed_len, &s, NULL, NULL) == 1 &&
	       strcmp(s.key, m->signature.key) == 0 && strcmp(s.key, key->id) == 0 &&
	       sign_verify(key, json, signed_len, &s);
}

static void take_all(struct decoding *d, int64_t version, const struct text *text, struct manifest *m)
{
	manifest_take_common(d, m);
	if (d->failed)
		return;
	take_note_of_unknown(d, d->object, "", version == 1 ? fields_v1 : fields_v2);
	if (version == 1)
		manifest_take_v1(d, m);
	else
		manifest_take_v2(d, m);
	if (!d->failed)
		check_files(d, m);
	if (!d->failed && version > 1)
		manifest_take_parts(d, m);
	if (!d->failed)
		take_extents(d, m);
	if (!d->failed)
		take_signature(d, text, m);
	if (!d->failed && d->unknown->len > 0)
		m->unknown = str_take(d->unknown);
}

int manifest_decode(const char *source, const char *json, size_t len, struct manifest *m, struct error *err)
{
	struct json_list lists[] = {{.key = "files"}, {.key = "objects"}};
	_cleanup(json) struct json *j = json_parse_but(json, len, lists, ARRAY_SIZE(lists), err);
	_cleanup(manifest) struct manifest decoded = {0};
	_cleanup(str) struct str unknown = {0};
	struct decoding d = {.source = source,
	                     .object = j,
	                     .err = err,
	                     .files = &lists[0],
	                     .objects = &lists[1],
	                     .unknown = &unknown};
	int64_t version = 0;

	if (!j) {
		error_prefix(err, "%s", source);
		return -EBADMSG;
	}
	d.failed = take_version(&d, &version);
	if (!d.failed)
		take_all(&d, version, &(struct text){json, len}, &decoded);
	if (d.failed)
		return d.failed;
	*m = decoded;
	decoded = (struct manifest){0};
	return 0;
}
