// SPDX-License-Identifier: Apache-2.0
/*
 * Manifests in memory, and how they are written. The tables of all files are one in their stored form, with
 * one hash: an artifact is described by two objects at most, however many files it has.
 */
#include <keepfs/codec/manifest.h>

#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/json.h>

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
	free(m->format);
	free(m->content);
	free(m->compression);
	free(m->note);
	free(m->keepfs_version);
	free(m->extents_key);
	for (size_t i = 0; i < m->file_count; i++) {
		free(m->files[i].name);
		extents_finish(&m->files[i].extents);
	}
	free(m->files);
	extents_finish(&m->extents);
	*m = (struct manifest){0};
}

struct manifest_file *manifest_add_file(struct manifest *m, const char *name)
{
	size_t count = m->file_count;

	/* The room for them is a power of two. */
	if ((count & (count - 1)) == 0)
		m->files = mem_resize(m->files, count ? 2 * count : 1, sizeof(*m->files));
	m->files[count] = (struct manifest_file){.name = mem_strdup(name)};
	m->file_count++;
	return &m->files[count];
}

void manifest_drop_last_file(struct manifest *m)
{
	struct manifest_file *file = &m->files[--m->file_count];

	free(file->name);
	extents_finish(&file->extents);
}

static void append_table(struct str *out, const struct extents *x)
{
	size_t len;
	_cleanup(free) uint8_t *encoded = extents_encode(x, &len);

	str_append_bytes(out, encoded, len);
}

static void append_tables(struct str *out, const struct manifest *m)
{
	append_table(out, &m->extents);
	for (size_t i = 0; i < m->file_count; i++)
		append_table(out, &m->files[i].extents);
}

uint8_t *manifest_seal_extents(struct manifest *m, size_t *ret_len)
{
	_cleanup(str) struct str tables = {0};
	uint8_t digest[SHA256_BYTES];

	append_tables(&tables, m);
	m->extents_count = m->extents.count;
	for (size_t i = 0; i < m->file_count; i++)
		m->files[i].extents_count = m->files[i].extents.count;
	sha256_once(str_text(&tables), tables.len, digest);
	hex_encode(digest, sizeof(digest), m->extents_sha256);
	*ret_len = tables.len;
	return (uint8_t *)str_take(&tables);
}

static struct json *encode_extents(const struct manifest *m)
{
	struct json *table = json_object_new();

	json_set_int(table, "count", (int64_t)m->extents_count);
	json_set_string(table, "sha256", m->extents_sha256);
	if (m->extents_key) {
		json_set_string(table, "object", m->extents_key);
	} else {
		_cleanup(str) struct str tables = {0};
		_cleanup(free) char *text = NULL;

		append_tables(&tables, m);
		text = base64_encode((const uint8_t *)str_text(&tables), tables.len);
		json_set_string(table, "table", text);
	}
	return table;
}

static void set_sha256(struct json *j, const char *key, const char *hex)
{
	json_set_string(j, key, hex[0] ? hex : NULL);
}

static struct json *encode_files(const struct manifest *m)
{
	struct json *files = json_array_new();

	for (size_t i = 0; i < m->file_count; i++) {
		const struct manifest_file *f = &m->files[i];
		struct json *j = json_object_new();

		json_set_string(j, "name", f->name);
		json_set_int(j, "size", (int64_t)f->size_bytes);
		set_sha256(j, "sha256", f->sha256);
		json_set_int(j, "extents", (int64_t)f->extents_count);
		json_append(files, j);
	}
	return files;
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
	json_set_string(j, "note", m->note);
	json_set_string(j, "format", m->format);
	json_set_string(j, "content", m->content);
	json_set_string(j, "compression", m->compression);
	json_set_bool(j, "partial", m->partial);
	json_set_time(j, "started_at", m->started_at_us);
	json_set_time(j, "finished_at", m->finished_at_us);
	json_set_time(j, "verified_at", m->verified_at_us);
	json_set_int(j, "size", (int64_t)m->size_bytes);
	set_sha256(j, "sha256", m->sha256);
	json_set_int(j, "stored_size", (int64_t)m->stored_bytes);
	set_sha256(j, "stored_sha256", m->stored_sha256);
	json_set_string(j, "keepfs_version", m->keepfs_version);
	json_set(j, "files", encode_files(m));
	json_set(j, "extents", encode_extents(m));
	json_write(j, 2, out);
	str_append_char(out, '\n');
}
