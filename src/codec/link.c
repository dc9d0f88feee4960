// SPDX-License-Identifier: Apache-2.0
/* Links of a chain, written and read. What is read was written by anybody, so that all is checked that is used. */
#include <keepfs/codec/link.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>

#define DIGITS 12

static const char *const type_names[LINK_TYPES] = {"begun",   "removed",  "void",     "rewritten",
                                                   "rotated", "unsigned", "returned", "compacted"};

const char *link_type_name(enum link_type type)
{
	return type_names[type];
}

void link_finish(struct link *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->entries[i].path);
	free(l->entries);
	*l = (struct link){0};
}

struct link_entry *link_add(struct link *l, const char *path)
{
	if ((l->count & (l->count - 1)) == 0)
		l->entries = mem_resize(l->entries, l->count ? 2 * l->count : 1, sizeof(*l->entries));
	l->entries[l->count] = (struct link_entry){.path = mem_strdup(path)};
	return &l->entries[l->count++];
}

char *link_key(int64_t sequence)
{
	return mem_printf(LINK_PREFIX "%0*" PRId64 ".json", DIGITS, sequence);
}

int64_t link_sequence_of_key(const char *key)
{
	int64_t sequence = 0;
	const char *at = key + strlen(LINK_PREFIX);

	if (!str_starts(key, LINK_PREFIX) || strspn(at, "0123456789") != DIGITS ||
	    strcmp(at + DIGITS, ".json") != 0)
		return 0;
	for (size_t i = 0; i < DIGITS; i++)
		sequence = 10 * sequence + (at[i] - '0');
	return sequence;
}

static struct json *encode_key(const struct sign_public *key)
{
	_cleanup(free) char *raw = base64_encode(key->raw, sizeof(key->raw));
	struct json *j = json_object_new();

	json_set_string(j, "id", key->id);
	json_set_string(j, "public", raw);
	return j;
}

static struct json *encode_entry(const struct link *l, const struct link_entry *e)
{
	struct json *j = json_object_new();

	json_set_string(j, "path", e->path);
	if (link_names_unsigned(l)) {
		json_set_int(j, "run", e->run_id);
		json_set_int(j, "size", (int64_t)e->size_bytes);
		json_set_string(j, "sha256", e->hash[0] ? e->hash : NULL);
		if (l->type == LINK_UNSIGNED)
			json_set_string(j, "manifest", e->now);
		return j;
	}
	if (e->sequence == 0) {
		json_set_int(j, "run", e->run_id);
		return j;
	}
	json_set_int(j, "sequence", e->sequence);
	json_set_string(j, "hash", e->hash);
	if (l->type == LINK_REWRITTEN)
		json_set_string(j, "now", e->now);
	return j;
}

void link_encode(const struct link *l, struct str *out)
{
	_cleanup(json) struct json *j = json_object_new();

	json_set_int(j, "version", LINK_VERSION);
	json_set_string(j, "type", type_names[l->type]);
	json_set_time(j, "at", l->at_us);
	json_set(j, "chain", chain_place_encode(&l->place));
	if (l->key.id[0])
		json_set(j, "key", encode_key(&l->key));
	if (l->old.id[0])
		json_set(j, "old", encode_key(&l->old));
	if (l->type == LINK_COMPACTED) {
		json_set_int(j, "to", l->to);
		json_set_string(j, "hash", l->to_hash);
	}
	json_write_open(j, out);
	if (l->count > 0) {
		json_list_open("artifacts", out);
		for (size_t i = 0; i < l->count; i++)
			json_list_add(encode_entry(l, &l->entries[i]), i == 0, out);
		json_list_close(out);
	}
	str_append(out, ",\n");
}

struct reading {
	const char *source;
	struct error *err;
	struct link *link;
	int failed;
};

static void refuse_link(struct reading *d, const char *what)
{
	if (!d->failed)
		d->failed = error_set(d->err, ERROR_CORRUPT, EBADMSG, "%s: %s", d->source, what);
}

static bool is_link_hash(const char *text)
{
	return text && strlen(text) == SHA256_HEX_BYTES - 1 &&
	       strspn(text, "0123456789abcdef") == SHA256_HEX_BYTES - 1;
}

static void take_hash(struct reading *d, const struct json *j, const char *field,
                      char ret[static SHA256_HEX_BYTES])
{
	const char *text = json_get_string(j, field);

	if (is_link_hash(text))
		str_copy(ret, SHA256_HEX_BYTES, text);
	else
		refuse_link(d, "a hash in it is missing, or no 64 lower-case hexadecimal digits");
}

static void take_link_key(struct reading *d, const struct json *j, struct sign_public *ret)
{
	const char *text = json_get_string(j, "public");
	size_t len = 0;
	_cleanup(free) uint8_t *raw = text ? base64_decode(text, &len) : NULL;

	if (!raw || len != SIGN_PUBLIC_BYTES) {
		refuse_link(d, "a key in it has no 32 bytes in base64");
		return;
	}
	sign_public_from_raw(raw, ret);
	if (!str_equal(json_get_string(j, "id"), ret->id))
		refuse_link(d, "a key in it has the name of another one");
}

static void take_before(struct reading *d, const struct json *j, struct link_entry *e)
{
	int64_t size = 0;

	if (!json_get_int(j, "run", &e->run_id) || !json_get_int(j, "size", &size) || size < 0)
		refuse_link(d, "an artifact in it has no run or no size");
	e->size_bytes = (uint64_t)size;
	if (!json_get_null(j, "sha256"))
		take_hash(d, j, "sha256", e->hash);
}

/* Those without a number first, then by their numbers, each once. */
static bool is_in_order(const struct link *l)
{
	int64_t last = l->entries[l->count - 1].sequence,
	        before = l->count > 1 ? l->entries[l->count - 2].sequence : 0;

	return last > before || (last == 0 && before == 0);
}

static bool may_name_by_run(enum link_type type)
{
	return type == LINK_REMOVED || type == LINK_RETURNED || type == LINK_COMPACTED;
}

static void take_link_entry(struct reading *d, const struct json *j, struct link *l)
{
	const char *path = json_get_string(j, "path");
	struct link_entry *e = link_add(l, str_or_empty(path));

	if (!path)
		refuse_link(d, "an artifact in it has no path");
	if (link_names_unsigned(l)) {
		take_before(d, j, e);
		if (l->type == LINK_UNSIGNED)
			take_hash(d, j, "manifest", e->now);
	} else if (!json_get(j, "sequence")) {
		if (!may_name_by_run(l->type) || !json_get_int(j, "run", &e->run_id))
			refuse_link(d, "an artifact in it has neither a sequence nor a run");
		if (l->type == LINK_COMPACTED && !is_in_order(l))
			refuse_link(d, "its artifacts are not in the order of their sequences");
	} else {
		if (!json_get_int(j, "sequence", &e->sequence) || e->sequence < 1 ||
		    e->sequence >= (l->type == LINK_COMPACTED ? l->to + 1 : l->place.sequence))
			refuse_link(d, "a sequence in it is none that comes before its own");
		take_hash(d, j, "hash", e->hash);
		if (l->type == LINK_COMPACTED && !is_in_order(l))
			refuse_link(d, "its artifacts are not in the order of their sequences");
		if (l->type == LINK_REWRITTEN)
			take_hash(d, j, "now", e->now);
	}
}

static void take_link_range(struct reading *d, const struct json *j, struct link *l)
{
	if (!json_get_int(j, "to", &l->to) || l->to < 1 || l->to >= l->place.sequence)
		refuse_link(d, "\"to\" is no sequence that comes before its own");
	take_hash(d, j, "hash", l->to_hash);
}

static void take_link_head(struct reading *d, const struct json *j, struct link *l)
{
	const char *type = json_get_string(j, "type"), *why = NULL;

	while (l->type < LINK_TYPES && !str_equal(type, type_names[l->type]))
		l->type++;
	if (l->type == LINK_TYPES) {
		d->failed = error_set(d->err, ERROR_USAGE, ENOTSUP,
		                      "%s: its type \"%s\" is not known to this keepfs: use a newer keepfs",
		                      d->source, str_or_empty(type));
		return;
	}
	if (!json_get_time(j, "at", &l->at_us))
		refuse_link(d, "its time is missing");
	if (!chain_place_decode(json_get(j, "chain"), &l->place, &why))
		refuse_link(d, "its \"chain\" is missing or damaged");
	if (!d->failed && (l->type == LINK_BEGUN) != (l->place.sequence == 1))
		refuse_link(d, "its type and its sequence contradict each other");
	if (l->type == LINK_BEGUN || l->type == LINK_ROTATED)
		take_link_key(d, json_get(j, "key"), &l->key);
	if (l->type == LINK_ROTATED)
		take_link_key(d, json_get(j, "old"), &l->old);
	if (l->type == LINK_COMPACTED)
		take_link_range(d, j, l);
}

static int take_link_item(void *arg, const struct json *item)
{
	struct reading *d = arg;

	take_link_entry(d, item, d->link);
	return d->failed;
}

static void take_link(struct reading *d, const struct json *j, const struct json_list *list)
{
	int64_t version = 0;
	int r;

	if (!json_get_int(j, "version", &version) || version < 1)
		refuse_link(d, "\"version\" is missing or no number: not a link of a chain");
	else if (version > LINK_VERSION)
		d->failed = error_set(d->err, ERROR_USAGE, ENOTSUP,
		                      "%s has format version %" PRId64 ": use a newer keepfs", d->source,
		                      version);
	if (!d->failed)
		take_link_head(d, j, d->link);
	r = d->failed ? 0 : json_each(list, take_link_item, d, d->err);
	if (r == 0 || d->failed)
		return;
	error_prefix(d->err, "%s", d->source);
	d->failed = r;
}

int link_decode(const char *source, const char *json, size_t len, struct link *ret, struct error *err)
{
	_cleanup(json) struct json *j = NULL;
	_cleanup(link) struct link l = {0};
	struct reading d = {.source = source, .err = err, .link = &l};
	/* The first one of a store names all that it has: never more than one of them is a value. */
	struct json_list list = {.key = "artifacts"};
	struct signature second = {0};
	size_t signed_len = 0;
	int r = signature_find(json, len, &signed_len, &l.signature, &second, err);

	if (r < 0) {
		error_prefix(err, "%s", source);
		return r;
	}
	if (r == 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "%s: its last line is no signature", source);
	j = json_parse_but(json, len, &list, 1, err);
	if (!j) {
		error_prefix(err, "%s", source);
		return -EBADMSG;
	}
	l.second = second;
	take_link(&d, j, &list);
	if (d.failed)
		return d.failed;
	sign_hash(json, signed_len, l.place.hash);
	*ret = l;
	l = (struct link){0};
	return 0;
}

bool link_is_signed_by(const struct signature *s, const struct sign_public *key, const char *json, size_t len)
{
	struct signature first, second;
	size_t signed_len;

	return s->key[0] && strcmp(s->key, key->id) == 0 &&
	       signature_find(json, len, &signed_len, &first, &second, NULL) == 1 &&
	       sign_verify(key, json, signed_len, s);
}
