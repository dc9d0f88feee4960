// SPDX-License-Identifier: Apache-2.0
/*
 * The register: reading and adding. The store is what another host has, and the directory what a lost store leaves: each gets what only the other has, so an
 * entry is lost when both are.
 */
#include "erasures_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/json.h>
#include <keepfs/export.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ERASURE_FORMAT  "keepfs-erasure"
#define ERASURE_VERSION 1
#define ENTRY_MAX_BYTES ((size_t)64 << 10)
#define LIST_PAGE       1000
#define KEY_SENTENCE    "keepfs erasures: which key is this?"

static const char *const kind_names[] = {[ERASURE_ROWS] = "rows",
                                         [ERASURE_TENANT] = "tenant",
                                         [ERASURE_SCHEMA] = "schema",
                                         [ERASURE_DATABASE] = "database"};

const char *erasure_kind_name(enum erasure_kind kind)
{
	return kind_names[kind];
}

void erasure_finish(struct erasure *e)
{
	free(e->name);
	free(e->by);
	free(e->note);
	free(e->database);
	free(e->schema);
	free(e->table);
	free(e->column);
	*e = (struct erasure){0};
}

struct erasures *erasures_free(struct erasures *e)
{
	if (!e)
		return NULL;
	for (size_t i = 0; i < e->count; i++)
		erasure_finish(&e->items[i]);
	free(e->items);
	free(e->key_id);
	hmac_key_free(e->key);
	free(e);
	return NULL;
}

/* Hashes. */

int erasures_key(const struct conf *conf, struct hmac_key **ret, char ret_id[static ERASURE_KEY_ID_BYTES],
                 struct error *err)
{
	unsigned char bytes[SHA256_BYTES];
	uint8_t mac[SHA256_BYTES];
	int r;

	*ret = NULL;
	ret_id[0] = '\0';
	if (!conf_secret_is_set(&conf->erasure_key))
		return 0;
	r = export_key_of(&conf->erasure_key, "[keepfs] erasure_key", bytes, err);
	if (r < 0)
		return r;
	*ret = hmac_key_new(bytes, sizeof(bytes));
	explicit_bzero(bytes, sizeof(bytes));
	hmac_key_sha256(*ret, KEY_SENTENCE, strlen(KEY_SENTENCE), mac);
	hex_encode(mac, (ERASURE_KEY_ID_BYTES - 1) / 2, ret_id);
	return 0;
}

static void append_hashed_word(struct str *out, const char *word)
{
	str_append(out, str_or_empty(word));
	str_append_bytes(out, "", 1);
}

/* The place is part of it: the same number elsewhere is somebody else, and has another hash. */
void erasure_hash(struct hmac_key *key, const struct erasure *of, const char *value,
                  char ret[static SHA256_HEX_BYTES])
{
	_cleanup(str) struct str text = {0};
	uint8_t mac[SHA256_BYTES];

	append_hashed_word(&text, kind_names[of->kind]);
	append_hashed_word(&text, of->database);
	append_hashed_word(&text, of->schema);
	append_hashed_word(&text, of->table);
	append_hashed_word(&text, of->column);
	str_append(&text, value);
	hmac_key_sha256(key, text.data, text.len, mac);
	explicit_bzero(text.data, text.len);
	hex_encode(mac, sizeof(mac), ret);
}

/* An entry as text. */

static void write_entry(const struct erasure *e, const char *key_id, struct str *out)
{
	_cleanup(json) struct json *j = json_object_new();

	json_set_string(j, "format", ERASURE_FORMAT);
	json_set_int(j, "version", ERASURE_VERSION);
	json_set_time(j, "at", e->at_us);
	json_set_string(j, "by", e->by);
	json_set_string(j, "note", e->note);
	json_set_string(j, "kind", kind_names[e->kind]);
	json_set_string(j, "database", e->database);
	if (e->kind == ERASURE_ROWS) {
		json_set_string(j, "schema", e->schema);
		json_set_string(j, "table", e->table);
		json_set_string(j, "column", e->column);
	}
	json_set_string(j, "key", key_id);
	json_set_string(j, "hash", e->hash);
	json_write(j, 0, out);
	str_append_char(out, '\n');
}

static bool read_kind(const char *word, enum erasure_kind *ret)
{
	for (size_t i = 0; word && i < ARRAY_SIZE(kind_names); i++) {
		if (!str_equal(word, kind_names[i]))
			continue;
		*ret = (enum erasure_kind)i;
		return true;
	}
	return false;
}

static bool is_hash(const char *text)
{
	return text && strlen(text) == SHA256_HEX_BYTES - 1 &&
	       strspn(text, "0123456789abcdef") == SHA256_HEX_BYTES - 1;
}

static bool read_erasure_members(const struct json *j, struct erasure *ret)
{
	const char *hash = json_get_string(j, "hash");

	if (!json_get_time(j, "at", &ret->at_us) || !read_kind(json_get_string(j, "kind"), &ret->kind) ||
	    !is_hash(hash) || !json_get_string(j, "database"))
		return false;
	str_copy(ret->hash, sizeof(ret->hash), hash);
	ret->by = mem_strdup(str_or_empty(json_get_string(j, "by")));
	ret->note = mem_strdup(json_get_string(j, "note"));
	ret->database = mem_strdup(json_get_string(j, "database"));
	if (ret->kind != ERASURE_ROWS)
		return true;
	ret->schema = mem_strdup(json_get_string(j, "schema"));
	ret->table = mem_strdup(json_get_string(j, "table"));
	ret->column = mem_strdup(json_get_string(j, "column"));
	return ret->schema && ret->table && ret->column;
}

static int refuse_erasure(const char *name, const char *what, struct error *err)
{
	return error_set(
	        err, ERROR_CORRUPT, EBADMSG,
	        "the entry " ERASURES_PREFIX
	        "%s of the erasure register %s: what was erased could come back, so nothing is restored before that is mended",
	        name, what);
}

static int take_key_id(struct erasures *all, const char *name, const char *id, struct error *err)
{
	if (!id)
		return refuse_erasure(name, "does not say which key its hash was made with", err);
	if (all->key_id && !str_equal(all->key_id, id))
		return refuse_erasure(name, "was made with another key than the others", err);
	mem_replace_string(&all->key_id, id);
	return 0;
}

static int take_erasure(struct erasures *all, const char *name, const char *text, size_t len,
                        struct error *err)
{
	_cleanup(json) struct json *j = json_parse(text, len, NULL);
	struct erasure entry = {.name = mem_strdup(name)};
	int64_t version = 0;
	int r = 0;

	if (!j || !str_equal(json_get_string(j, "format"), ERASURE_FORMAT) ||
	    !json_get_int(j, "version", &version))
		r = refuse_erasure(name, "cannot be read", err);
	else if (version > ERASURE_VERSION)
		r = refuse_erasure(name, "was written by a newer keepfs", err);
	else if (!read_erasure_members(j, &entry))
		r = refuse_erasure(name, "cannot be read", err);
	if (r == 0)
		r = take_key_id(all, name, json_get_string(j, "key"), err);
	if (r < 0) {
		erasure_finish(&entry);
		return r;
	}
	all->items = mem_resize(all->items, all->count + 1, sizeof(*all->items));
	all->items[all->count++] = entry;
	return 0;
}

/* Store and disk. */

struct places {
	const struct conf *conf;
	struct store *store;
	struct store_call call;
	char *directory; /* heap */
};

static void open_places(const struct conf *conf, struct repository *repository, struct cancel *cancel,
                        struct places *ret)
{
	*ret = (struct places){.conf = conf,
	                       .store = repository ? repository_store(repository) : NULL,
	                       .call = {.cancel = cancel}};
	ret->directory = mem_printf("%s/" ERASURES_SUBDIR, conf->state_dir);
}

static bool is_entry_name(const char *name)
{
	return str_ends(name, ".json") && name[0] != '.' && !strchr(name, '/');
}

/* Whole or not at all: what is half written has a name that nobody reads. */
static int keep_here(const struct places *p, const char *name, const char *text, size_t len,
                     struct error *err)
{
	_cleanup(free) char *path = mem_printf("%s/%s", p->directory, name);
	_cleanup(free) char *part = mem_printf("%s/.%s", p->directory, name);
	_cleanup(fd) int fd = -1;
	int r = fd_make_dirs(p->directory, 0700);

	if (r == 0) {
		fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
		r = fd < 0 ? -errno : fd_write_all(fd, text, len);
	}
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && rename(part, path) < 0)
		r = -errno;
	return r < 0 ? error_system(err, -r, "the entry of the erasure register cannot be kept in %s", path)
	             : 0;
}

static int put_there(const struct places *p, const char *name, const char *text, size_t len,
                     struct error *err)
{
	_cleanup(free) char *key = mem_printf(ERASURES_PREFIX "%s", name);
	const struct store_put_options options = {.only_if_absent = true, .content_type = "application/json"};
	int r = store_put_bytes(p->store, &p->call, key, text, len, &options, err);

	if (r < 0)
		error_prefix(err, "the entry of the erasure register cannot be put into the store");
	return r < 0 ? r : 0;
}

static bool has_name(const struct erasures *all, const char *name)
{
	for (size_t i = 0; i < all->count; i++)
		if (str_equal(all->items[i].name, name))
			return true;
	return false;
}

static int read_here(const struct places *p, struct erasures *all, struct error *err)
{
	DIR *d = opendir(p->directory);
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0
		                       : error_system(err, errno, "the erasure register %s cannot be read",
		                                      p->directory);
	for (struct dirent *entry; r == 0 && (entry = readdir(d));) {
		_cleanup(free) char *path = mem_printf("%s/%s", p->directory, entry->d_name);
		_cleanup(str) struct str text = {0};

		if (!is_entry_name(entry->d_name))
			continue;
		r = fd_read_file(path, ENTRY_MAX_BYTES, &text);
		r = r < 0 ? error_system(err, -r, "%s", path)
		          : take_erasure(all, entry->d_name, str_text(&text), text.len, err);
	}
	closedir(d);
	return r;
}

static int fetch_entry(const struct places *p, struct erasures *all, const char *key, struct error *err)
{
	const char *name = key + strlen(ERASURES_PREFIX);
	_cleanup(free) char *text = NULL;
	size_t len = 0;
	int r;

	if (!is_entry_name(name) || has_name(all, name))
		return 0;
	r = store_get_all(p->store, &p->call, key, ENTRY_MAX_BYTES, &text, &len, err);
	if (r == 0)
		r = take_erasure(all, name, text, len, err);
	return r == 0 ? keep_here(p, name, text, len, err) : r;
}

/* Of what is here, @is_there gets what the store has, too. */
static int read_there(const struct places *p, struct erasures *all, bool *is_there, size_t here,
                      struct error *err)
{
	char after[STORE_KEY_BYTES] = "";
	bool more = true;
	int r = 0;

	while (r == 0 && more) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;

		r = store_list(p->store, &p->call, ERASURES_PREFIX, *after ? after : NULL, LIST_PAGE,
		               &objects, &count, &more, err);
		for (size_t i = 0; r == 0 && i < count; i++) {
			for (size_t n = 0; n < here; n++)
				if (str_equal(all->items[n].name, objects[i].key + strlen(ERASURES_PREFIX)))
					is_there[n] = true;
			r = fetch_entry(p, all, objects[i].key, err);
		}
		if (r == 0 && count > 0)
			str_copy(after, sizeof(after), objects[count - 1].key);
		more = more && count > 0;
	}
	if (r < 0 && err && err->class != ERROR_CORRUPT)
		error_prefix(err, "the erasure register in the store cannot be read");
	return r;
}

static int complete_store(const struct places *p, const struct erasures *all, const bool *is_there,
                          size_t here, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < here; i++) {
		_cleanup(str) struct str text = {0};

		if (is_there[i])
			continue;
		write_entry(&all->items[i], all->key_id, &text);
		r = put_there(p, all->items[i].name, str_text(&text), text.len, err);
	}
	return r;
}

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct erasure *)a)->name, ((const struct erasure *)b)->name);
}

static int check_register_key(const struct conf *conf, struct erasures *e, struct error *err)
{
	char id[ERASURE_KEY_ID_BYTES];
	int r = erasures_key(conf, &e->key, id, err);

	if (r < 0 || e->count == 0)
		return r;
	if (!e->key)
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "%zu erasures are registered, and without [keepfs] erasure_key_file nobody can tell what must not come back: give the key with which they were made",
		        e->count);
	if (!str_equal(id, e->key_id))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "[keepfs] %s is not the key with which %zu erasures were registered (%s, not %s): find that one",
		        conf_secret_key(&conf->erasure_key, CONF_SECRET_KEYS("erasure_key")), e->count,
		        e->key_id, id);
	return 0;
}

/* @completes: the store gets what only this host has. */
static int read_register(const struct conf *conf, struct repository *repository, bool completes,
                         struct cancel *cancel, struct erasures **ret, struct error *err)
{
	_cleanup(erasures) struct erasures *e = mem_alloc(sizeof(*e));
	_cleanup(free) bool *is_there = NULL;
	struct places p;
	size_t here;
	int r;

	open_places(conf, repository, cancel, &p);
	r = read_here(&p, e, err);
	here = e->count;
	is_there = mem_alloc(here + 1);
	if (r == 0 && p.store)
		r = read_there(&p, e, is_there, here, err);
	if (r == 0 && p.store && completes)
		r = complete_store(&p, e, is_there, here, err);
	free(p.directory);
	if (r < 0)
		return r;
	if (e->count > 0)
		qsort(e->items, e->count, sizeof(*e->items), compare_entries);
	*ret = take_ptr(&e);
	return 0;
}

int erasures_read(const struct conf *conf, struct repository *repository, struct cancel *cancel,
                  struct erasures **ret, struct error *err)
{
	return read_register(conf, repository, true, cancel, ret, err);
}

int erasures_load(const struct conf *conf, struct repository *repository, struct cancel *cancel,
                  struct erasures **ret, struct error *err)
{
	_cleanup(erasures) struct erasures *e = NULL;
	int r = erasures_read(conf, repository, cancel, &e, err);

	if (r == 0)
		r = check_register_key(conf, e, err);
	if (r == 0)
		*ret = take_ptr(&e);
	return r;
}

int erasures_load_copy(const struct conf *conf, struct repository *copy, struct cancel *cancel,
                       struct erasures **ret, struct error *err)
{
	_cleanup(erasures) struct erasures *e = NULL;
	int r = read_register(conf, copy, false, cancel, &e, err);

	if (r == 0)
		r = check_register_key(conf, e, err);
	if (r == 0)
		*ret = take_ptr(&e);
	return r;
}

int erasures_put(const struct conf *conf, struct repository *repository, const struct erasures *all,
                 struct erasure *entry, const char *key_id, struct cancel *cancel, struct error *err)
{
	_cleanup(str) struct str text = {0};
	char at[CLOCK_NAME_BYTES];
	struct places p;
	int r;

	for (size_t i = 0; i < all->count; i++)
		if (all->items[i].kind == entry->kind && str_equal(all->items[i].hash, entry->hash))
			return 1;
	free(entry->name);
	entry->name = mem_printf("%s-%.16s.json", clock_format_name(entry->at_us, at), entry->hash);
	write_entry(entry, key_id, &text);
	open_places(conf, repository, cancel, &p);
	r = keep_here(&p, entry->name, str_text(&text), text.len, err);
	if (r == 0)
		r = put_there(&p, entry->name, str_text(&text), text.len, err);
	free(p.directory);
	return r;
}

/* For people. */

char *erasure_place(const struct erasure *e)
{
	switch (e->kind) {
	case ERASURE_ROWS:
		return mem_printf("rows of %s.%s by %s, in the database %s", e->schema, e->table, e->column,
		                  e->database);
	case ERASURE_TENANT:
		return mem_printf("a tenant of the database %s", e->database);
	case ERASURE_SCHEMA:
		return mem_printf("a tenant's schema in the database %s", e->database);
	case ERASURE_DATABASE:
		break;
	}
	return mem_strdup("a tenant's database");
}

void erasures_append(const struct erasures *e, struct str *out)
{
	for (size_t i = 0; i < e->count; i++) {
		const struct erasure *one = &e->items[i];
		_cleanup(free) char *place = erasure_place(one);
		char at[CLOCK_ISO_BYTES];

		str_appendf(out, "%s  ", clock_format_iso(one->at_us, at));
		str_append_line(out, place);
		str_append(out, "  by ");
		str_append_line(out, one->by);
		if (one->note) {
			str_append(out, ": ");
			str_append_line(out, one->note);
		}
		str_append_char(out, '\n');
	}
	if (e->count == 0)
		str_append(out, "nothing is registered as erased\n");
}
