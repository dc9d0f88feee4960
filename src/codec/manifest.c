/*
 * Manifests. What is decoded here was fetched from a bucket that others may write to, and decides later what
 * is read, listed and deleted. So a manifest that decodes holds true: its path is one that keepfs could have
 * made, the table of extents has the size and the hash that the manifest gives, and the only other object it
 * can name is its own table.
 */
#include <keepfs/codec/manifest.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/name.h>

#define ROOT           "manifests/"
#define SUFFIX         ".json"
#define TREE           "backups/"
#define PATH_MAX_BYTES 512 /* with NUL: leaves room for ROOT and suffixes in a store's key */
#define COMPONENT_MAX  200

void manifest_finish(struct manifest *m)
{
	free(m->path);
	free(m->job);
	free(m->kind);
	free(m->database);
	free(m->server_version);
	free(m->tool_version);
	free(m->system_identifier);
	free(m->triggered_by);
	free(m->keepfs_version);
	free(m->extents_key);
	extents_finish(&m->extents);
	*m = (struct manifest){0};
}

void manifest_copy(struct manifest *dst, const struct manifest *src)
{
	*dst = *src;
	dst->extents = (struct extents){0};
	dst->path = mem_strdup(src->path);
	dst->job = mem_strdup(src->job);
	dst->kind = mem_strdup(src->kind);
	dst->database = mem_strdup(src->database);
	dst->server_version = mem_strdup(src->server_version);
	dst->tool_version = mem_strdup(src->tool_version);
	dst->system_identifier = mem_strdup(src->system_identifier);
	dst->triggered_by = mem_strdup(src->triggered_by);
	dst->keepfs_version = mem_strdup(src->keepfs_version);
	dst->extents_key = mem_strdup(src->extents_key);
}

/* The length of one component of a path as name.h makes them (names, and databases with '='); 0 when it is
 * none. */
static size_t component_length(const char *text)
{
	size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-=");

	return text[0] == '.' || text[0] == '-' || len > COMPONENT_MAX ? 0 : len;
}

static bool path_is_valid(const char *path)
{
	const char *at = path + strlen(TREE);
	unsigned directories = 0;

	if (!str_starts(path, TREE) || strlen(path) >= PATH_MAX_BYTES)
		return false;
	for (;;) {
		size_t len = component_length(at);

		if (len == 0)
			return false;
		if (at[len] == '\0')
			return directories > 0 && name_sequence(at) >= 0;
		if (at[len] != '/')
			return false;
		directories++;
		at += len + 1;
	}
}

char *manifest_key(const char *path)
{
	return mem_printf(ROOT "%s" SUFFIX, path);
}

char *manifest_extents_key(const char *path)
{
	return mem_printf(ROOT "%s.extents", path);
}

char *manifest_path_of_key(const char *key)
{
	_cleanup(free) char *path = NULL;

	if (!str_starts(key, ROOT) || !str_ends(key, SUFFIX) || strlen(key) < strlen(ROOT SUFFIX))
		return NULL;
	path = mem_printf("%.*s", (int)(strlen(key) - strlen(ROOT SUFFIX)), key + strlen(ROOT));
	return path_is_valid(path) ? take_ptr(&path) : NULL;
}

static struct json *encode_extents(const struct manifest *m)
{
	struct json *table = json_object_new();

	json_set_int(table, "count", (int64_t)m->extents_count);
	json_set_string(table, "sha256", m->extents_sha256);
	if (m->extents_key) {
		json_set_string(table, "object", m->extents_key);
	} else {
		size_t len;
		_cleanup(free) uint8_t *encoded = extents_encode(&m->extents, &len);
		_cleanup(free) char *text = base64_encode(encoded, len);

		json_set_string(table, "table", text);
	}
	return table;
}

void manifest_encode(const struct manifest *m, struct str *out)
{
	_cleanup(json) struct json *j = json_object_new();

	json_set_int(j, "version", MANIFEST_VERSION);
	json_set_string(j, "path", m->path);
	json_set_string(j, "job", m->job);
	json_set_string(j, "kind", m->kind);
	json_set_int(j, "run", m->run_id);
	json_set_string(j, "database", m->database);
	json_set_string(j, "server_version", m->server_version);
	json_set_string(j, "tool_version", m->tool_version);
	json_set_string(j, "system_identifier", m->system_identifier);
	json_set_string(j, "triggered_by", m->triggered_by);
	json_set_time(j, "started_at", m->started_at_us);
	json_set_time(j, "finished_at", m->finished_at_us);
	json_set_int(j, "size", (int64_t)m->size_bytes);
	json_set_string(j, "sha256", m->sha256);
	json_set_int(j, "stored_size", (int64_t)m->stored_bytes);
	json_set_string(j, "stored_sha256", m->stored_sha256);
	json_set_string(j, "keepfs_version", m->keepfs_version);
	json_set(j, "extents", encode_extents(m));
	json_write(j, 2, out);
	str_append_char(out, '\n');
}

/* One decoding: each take_…() reads a field; the first that is wrong fills `err` and makes `failed` negative.
 */
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

static void take_fields(struct decoding *d, struct manifest *m)
{
	take_string(d, "path", &m->path);
	if (m->path && !path_is_valid(m->path))
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
	take_time(d, "started_at", &m->started_at_us);
	take_time(d, "finished_at", &m->finished_at_us);
	m->size_bytes = take_count(d, "size");
	take_sha256(d, "sha256", m->sha256);
	m->stored_bytes = take_count(d, "stored_size");
	take_sha256(d, "stored_sha256", m->stored_sha256);
	take_string(d, "keepfs_version", &m->keepfs_version);
}

int manifest_load_extents(const char *source, const uint8_t *encoded, size_t len, struct manifest *m,
                          struct error *err)
{
	_cleanup(extents) struct extents table = {0};
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];
	int r;

	sha256_once(encoded, len, digest);
	hex_encode(digest, sizeof(digest), hex);
	if (strcmp(hex, m->extents_sha256) != 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s: the extent table's SHA-256 is not the one in its manifest", source);
	r = extents_decode(encoded, len, &table, err);
	if (r < 0) {
		error_prefix(err, "%s", source);
		return r;
	}
	if (table.count != m->extents_count || table.total_bytes != m->size_bytes)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s: %zu extents with %" PRIu64 " bytes, but the manifest says %" PRIu64
		                 " extents and \"size\" %" PRIu64,
		                 source, table.count, table.total_bytes, m->extents_count, m->size_bytes);
	extents_finish(&m->extents);
	m->extents = table;
	table = (struct extents){0};
	return 0;
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
		take_extents(&d, &decoded);
	if (d.failed)
		return d.failed;
	*m = decoded;
	decoded = (struct manifest){0};
	return 0;
}
