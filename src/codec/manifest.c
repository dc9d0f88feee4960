// SPDX-License-Identifier: Apache-2.0
/*
 * Manifests in memory, and how they are written. The extent tables of all objects are one in their stored form,
 * with one hash: an artifact is described by few objects, however many files it has.
 */
#include "manifest_private.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include <keepfs/base/mem.h>

#define LARGE_MANIFEST_ITEMS 10000

void manifest_object_finish(struct manifest_object *o)
{
	free(o->key);
	free(o->role);
	free(o->cipher);
	extents_finish(&o->extents);
	*o = (struct manifest_object){0};
}

void manifest_finish(struct manifest *m)
{
	bool is_large = m->file_count + m->object_count > LARGE_MANIFEST_ITEMS;

	free(m->path);
	free(m->job);
	free(m->kind);
	free(m->target);
	free(m->class);
	free(m->triggered_by);
	free(m->note);
	free(m->hold);
	free(m->encrypted_to);
	free(m->keepfs_version);
	free(m->unknown);
	free(m->extents_key);
	json_free(m->facts);
	json_free(m->needs);
	for (size_t i = 0; i < m->file_count; i++)
		free(m->files[i].name);
	free(m->files);
	for (size_t i = 0; i < m->object_count; i++)
		manifest_object_finish(&m->objects[i]);
	free(m->objects);
	manifest_finish_parts(m);
	*m = (struct manifest){0};
	/* Its many small pieces would stay with the heap for as long as the process lives. */
	if (is_large)
		malloc_trim(0);
}

/* The room for items is a power of two. */
static void *make_item_room(void *items, size_t count, size_t item_bytes)
{
	if ((count & (count - 1)) != 0)
		return items;
	return mem_resize(items, count ? 2 * count : 1, item_bytes);
}

size_t manifest_add_object(struct manifest *m, const char *key)
{
	m->objects = make_item_room(m->objects, m->object_count, sizeof(*m->objects));
	m->objects[m->object_count] = (struct manifest_object){.key = mem_strdup(key)};
	return m->object_count++;
}

struct manifest_file *manifest_add_file(struct manifest *m, const char *name)
{
	m->files = make_item_room(m->files, m->file_count, sizeof(*m->files));
	m->files[m->file_count] =
	        (struct manifest_file){.name = mem_strdup(name), .object = MANIFEST_NO_OBJECT};
	return &m->files[m->file_count++];
}

bool manifest_name_is_secret(const char *name)
{
	return str_ends(name, "globals.sql.gz");
}

void manifest_drop_last_file(struct manifest *m)
{
	free(m->files[--m->file_count].name);
	manifest_object_finish(&m->objects[--m->object_count]);
}

const struct manifest_object *manifest_own_object(const struct manifest *m)
{
	size_t object = m->is_directory || m->file_count == 0 ? MANIFEST_NO_OBJECT : m->files[0].object;

	return object == MANIFEST_NO_OBJECT ? NULL : &m->objects[object];
}

const struct manifest_object *manifest_object_of_role(const struct manifest *m, const char *role)
{
	for (size_t i = 0; i < m->object_count; i++)
		if (str_equal(m->objects[i].role, role) && !manifest_is_of_part(m, i))
			return &m->objects[i];
	return NULL;
}

uint64_t manifest_stored_bytes(const struct manifest *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->object_count; i++)
		sum += m->objects[i].stored_bytes;
	return sum;
}

static struct json *fact_slot(struct manifest *m)
{
	if (!m->facts)
		m->facts = json_object_new();
	return m->facts;
}

void manifest_set_fact(struct manifest *m, const char *name, const char *value)
{
	if (value)
		json_set_string(fact_slot(m), name, value);
}

void manifest_set_fact_int(struct manifest *m, const char *name, int64_t value)
{
	json_set_int(fact_slot(m), name, value);
}

const char *manifest_fact(const struct manifest *m, const char *name)
{
	return m->facts ? json_get_string(m->facts, name) : NULL;
}

/* Facts that name tables, which must not be read by whoever holds the bucket. */
static const char *const naming_facts[] = {MANIFEST_NAMING_FACT};

static bool names_tables(const char *fact)
{
	for (size_t i = 0; i < ARRAY_SIZE(naming_facts); i++)
		if (str_equal(fact, naming_facts[i]))
			return true;
	return false;
}

/* Of the facts those that name tables, or the others. */
static struct json *choose_facts(const struct json *facts, bool naming)
{
	struct json *chosen = json_object_new();

	for (const char *key = json_first_key(facts); key; key = json_next_key(facts, key))
		if (names_tables(key) == naming)
			json_set(chosen, key, json_clone(json_get(facts, key)));
	return chosen;
}

struct json *manifest_written_facts(const struct json *facts, bool hides)
{
	if (!facts)
		return json_object_new();
	return hides ? choose_facts(facts, false) : json_clone(facts);
}

bool manifest_hide_facts(const struct manifest *m, struct str *out)
{
	_cleanup(json) struct json *hidden = m->facts ? choose_facts(m->facts, true) : NULL;

	if (!hidden || !json_first_key(hidden))
		return false;
	json_write(hidden, 0, out);
	return true;
}

int manifest_take_facts(struct manifest *m, const char *text, size_t len, struct error *err)
{
	_cleanup(json) struct json *facts = json_parse(text, len, err);

	if (!facts)
		return -EBADMSG;
	if (!json_is_object_value(facts))
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the facts are no object of JSON");
	for (const char *key = json_first_key(facts); key; key = json_next_key(facts, key))
		if (names_tables(key))
			json_set(fact_slot(m), key, json_clone(json_get(facts, key)));
	return 0;
}

static struct json *encode_facts(const struct manifest *m)
{
	return manifest_written_facts(m->facts, manifest_object_of_role(m, MANIFEST_ROLE_FACTS) != NULL);
}

/* The recipients are separated by commas, which none of them holds. */
static struct json *encode_recipients(const char *text)
{
	struct json *list = json_array_new();

	while (*text) {
		size_t len = strcspn(text, ",");
		_cleanup(free) char *one = mem_printf("%.*s", (int)len, text);

		json_append_string(list, one);
		text += len;
		text += strspn(text, ", ");
	}
	return list;
}

static void append_tables(struct str *out, const struct manifest *m)
{
	for (size_t i = 0; i < m->object_count; i++) {
		size_t len;
		_cleanup(free) uint8_t *encoded = extents_encode(&m->objects[i].extents, &len);

		str_append_bytes(out, encoded, len);
	}
}

uint8_t *manifest_seal_extents(struct manifest *m, size_t *ret_len)
{
	_cleanup(str) struct str tables = {0};
	uint8_t digest[SHA256_BYTES];

	append_tables(&tables, m);
	for (size_t i = 0; i < m->object_count; i++)
		m->objects[i].extents_count = m->objects[i].extents.count;
	sha256_once(str_text(&tables), tables.len, digest);
	hex_encode(digest, sizeof(digest), m->extents_sha256);
	*ret_len = tables.len;
	return (uint8_t *)str_take(&tables);
}

static struct json *encode_extents(const struct manifest *m)
{
	struct json *table = json_object_new();

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

static struct json *encode_file(const struct manifest_file *f)
{
	struct json *j = json_object_new();

	json_set_string(j, "name", f->name);
	json_set_int(j, "size", (int64_t)f->size_bytes);
	set_sha256(j, "sha256", f->sha256);
	if (f->object != MANIFEST_NO_OBJECT)
		json_set_int(j, "object", (int64_t)f->object);
	if (f->secret || manifest_name_is_secret(f->name))
		json_set_bool(j, "secret", f->secret);
	return j;
}

static struct json *encode_object(const struct manifest_object *o)
{
	struct json *j = json_object_new();

	json_set_string(j, "key", o->key);
	if (o->role)
		json_set_string(j, "role", o->role);
	if (o->cipher)
		json_set_string(j, "cipher", o->cipher);
	json_set_int(j, "size", (int64_t)o->stored_bytes);
	set_sha256(j, "sha256", o->stored_sha256);
	json_set_int(j, "extents", (int64_t)o->extents_count);
	return j;
}

static const char *const tier_names[MANIFEST_TIERS] = {"daily", "weekly", "monthly", "yearly"};

const char *manifest_tier_name(unsigned number)
{
	return tier_names[number];
}

void manifest_append_tiers(struct str *out, unsigned tiers)
{
	const char *between = "";

	for (unsigned i = 0; i < MANIFEST_TIERS; i++) {
		if (!(tiers & 1U << i))
			continue;
		str_appendf(out, "%s%s", between, tier_names[i]);
		between = ",";
	}
}

/* What is kept of it, and how long. */
static void encode_keeping(struct json *j, const struct manifest *m)
{
	struct json *tiers;

	if (m->tiers_known) {
		tiers = json_array_new();
		for (unsigned i = 0; i < MANIFEST_TIERS; i++)
			if (m->tiers & 1U << i)
				json_append_string(tiers, tier_names[i]);
		json_set(j, "tiers", tiers);
	}
	if (m->keep_until_us)
		json_set_time(j, "keep_until", m->keep_until_us);
	if (m->locked_until_us)
		json_set_time(j, "locked_until", m->locked_until_us);
	if (m->hold)
		json_set_string(j, "hold", m->hold);
}

void manifest_encode(const struct manifest *m, struct str *out)
{
	_cleanup(json) struct json *j = json_object_new();

	json_set_int(j, "version", MANIFEST_VERSION);
	json_set_string(j, "path", m->path);
	json_set_string(j, "type", m->is_directory ? "directory" : "file");
	json_set_string(j, "job", m->job);
	json_set_string(j, "kind", m->kind);
	json_set_string(j, "target", m->target);
	if (m->class)
		json_set_string(j, "class", m->class);
	json_set_int(j, "run", m->run_id);
	if (m->fence)
		json_set_int(j, "fence", (int64_t)m->fence);
	json_set_string(j, "triggered_by", m->triggered_by);
	json_set_string(j, "note", m->note);
	json_set_bool(j, "partial", m->partial);
	json_set_time(j, "started_at", m->started_at_us);
	json_set_time(j, "finished_at", m->finished_at_us);
	json_set_time(j, "verified_at", m->verified_at_us);
	json_set_string(j, "keepfs_version", m->keepfs_version);
	if (m->chain.sequence)
		json_set(j, "chain", chain_place_encode(&m->chain));
	encode_keeping(j, m);
	json_set_int(j, "size", (int64_t)m->size_bytes);
	set_sha256(j, "sha256", m->sha256);
	json_set(j, "facts", encode_facts(m));
	if (m->needs)
		json_set(j, "needs", json_clone(m->needs));
	if (m->encrypted_to)
		json_set(j, "encrypted_to", encode_recipients(m->encrypted_to));
	json_set(j, "extents", encode_extents(m));
	json_write_open(j, out);
	manifest_encode_parts(m, out);
	json_list_open("files", out);
	for (size_t i = 0; i < m->file_count; i++)
		json_list_add(encode_file(&m->files[i]), i == 0, out);
	json_list_close(out);
	json_list_open("objects", out);
	for (size_t i = 0; i < m->object_count; i++)
		json_list_add(encode_object(&m->objects[i]), i == 0, out);
	json_list_close(out);
	if (m->chain.sequence)
		str_append(out, ",\n");
	else
		json_write_close(out);
}
