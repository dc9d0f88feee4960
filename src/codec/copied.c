// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/copied.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/json.h>

#define FORMAT "keepfs-copied"

void copied_finish(struct copied *c)
{
	for (size_t i = 0; i < c->before_count; i++)
		free(c->before[i]);
	free(c->before);
	free(c->absent);
	free(c->store);
	*c = (struct copied){0};
}

/* Room for one more behind @count. */
static void *grow_by_one(void *items, size_t count, size_t item_bytes)
{
	if (count & (count - 1))
		return items;
	return mem_resize(items, count ? 2 * count : 1, item_bytes);
}

static void add_range(struct copied *c, int64_t first, int64_t last)
{
	c->absent = grow_by_one(c->absent, c->absent_count, sizeof(*c->absent));
	c->absent[c->absent_count++] = (struct copied_range){first, last};
}

void copied_add_absent(struct copied *c, int64_t sequence)
{
	struct copied_range *last = c->absent_count ? &c->absent[c->absent_count - 1] : NULL;

	if (last && last->last + 1 == sequence)
		last->last = sequence;
	else
		add_range(c, sequence, sequence);
}

void copied_add_before(struct copied *c, const char *path)
{
	c->before = grow_by_one(c->before, c->before_count, sizeof(*c->before));
	c->before[c->before_count++] = mem_strdup(path);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void copied_sort(struct copied *c)
{
	if (c->before_count > 0)
		qsort(c->before, c->before_count, sizeof(*c->before), by_text);
}

bool copied_lacks(const struct copied *c, int64_t sequence)
{
	size_t low = 0, high = c->absent_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->absent[middle].last < sequence)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->absent_count && c->absent[low].first <= sequence;
}

bool copied_lacks_before(const struct copied *c, const char *path)
{
	return c->before_count > 0 &&
	       bsearch(&path, c->before, c->before_count, sizeof(*c->before), by_text) != NULL;
}

static struct json *encode_absent(const struct copied *c)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < c->absent_count; i++) {
		struct json *range = json_array_new();

		json_append(range, json_int_new(c->absent[i].first));
		json_append(range, json_int_new(c->absent[i].last));
		json_append(list, range);
	}
	return list;
}

static struct json *encode_before(const struct copied *c)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < c->before_count; i++)
		json_append_string(list, c->before[i]);
	return list;
}

void copied_encode(const struct copied *c, const struct sign_key *key, struct str *out)
{
	_cleanup(json) struct json *j = json_object_new();
	struct signature s;

	json_set_string(j, "format", FORMAT);
	json_set_int(j, "version", COPIED_VERSION);
	if (key)
		json_set_time(j, "at", c->at_us);
	json_set_string(j, "store", c->store);
	json_set_string(j, "chain", c->chain);
	json_set_int(j, "sequence", c->sequence);
	json_set(j, "absent", encode_absent(c));
	json_set(j, "absent_before", encode_before(c));
	json_write_open(j, out);
	if (!key)
		return;
	str_append(out, ",\n");
	sign_make(key, out->data, out->len, &s);
	signature_append(out, &s, NULL);
}

static int refuse_copied(const char *what, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, COPIED_KEY ": %s", what);
}

static bool take_copied_number(const struct json *j, int64_t *ret)
{
	_cleanup(json) struct json *object = json_object_new();

	json_set(object, "n", json_clone(j));
	return json_get_int(object, "n", ret);
}

static bool take_absent(const struct json *list, struct copied *c)
{
	int64_t least = 1;

	if (!json_is_array_value(list))
		return false;
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *range = json_item(list, i);
		int64_t first, last;

		if (!json_is_array_value(range) || json_count(range) != 2 ||
		    !take_copied_number(json_item(range, 0), &first) ||
		    !take_copied_number(json_item(range, 1), &last) || first < least || last < first ||
		    last > c->sequence)
			return false;
		add_range(c, first, last);
		least = last + 2;
	}
	return true;
}

static bool take_copied_before(const struct json *list, struct copied *c)
{
	if (!json_is_array_value(list))
		return false;
	for (size_t i = 0; i < json_count(list); i++) {
		const char *path = json_text(json_item(list, i));

		if (!path)
			return false;
		copied_add_before(c, path);
	}
	copied_sort(c);
	return true;
}

static int take_copied_members(const struct json *j, struct copied *c, struct error *err)
{
	const char *format = json_get_string(j, "format"), *chain = json_get_string(j, "chain");
	int64_t version = 0;

	if (!format || strcmp(format, FORMAT) != 0 || !json_get_int(j, "version", &version) || version < 1)
		return refuse_copied("it does not say what a store of copies has", err);
	if (version > COPIED_VERSION)
		return error_set(err, ERROR_USAGE, ENOTSUP,
		                 COPIED_KEY ": a newer keepfs has written it (version %" PRId64 ")", version);
	c->store = mem_strdup(str_or_empty(json_get_string(j, "store")));
	if (!json_get_time(j, "at", &c->at_us))
		return refuse_copied("\"at\" is no time", err);
	if (!chain || strlen(chain) != CHAIN_ID_BYTES - 1)
		return refuse_copied("\"chain\" is no chain", err);
	str_copy(c->chain, sizeof(c->chain), chain);
	if (!json_get_int(j, "sequence", &c->sequence) || c->sequence < 1 || c->sequence > CHAIN_SEQUENCE_MAX)
		return refuse_copied("\"sequence\" is no number of a chain", err);
	if (!take_absent(json_get(j, "absent"), c))
		return refuse_copied("\"absent\" is no list of ranges in their order", err);
	if (!take_copied_before(json_get(j, "absent_before"), c))
		return refuse_copied("\"absent_before\" is no list of paths", err);
	return 0;
}

int copied_decode(const char *json, size_t len, struct copied *ret, struct error *err)
{
	_cleanup(copied) struct copied c = {0};
	_cleanup(json) struct json *j = NULL;
	size_t signed_len = 0;
	int r = signature_find(json, len, &signed_len, &c.signature, NULL, err);

	if (r == 0)
		return refuse_copied("it is not signed", err);
	j = r < 0 ? NULL : json_parse(json, len, err);
	if (!j) {
		error_prefix(err, COPIED_KEY);
		return -EBADMSG;
	}
	r = take_copied_members(j, &c, err);
	if (r < 0)
		return r;
	*ret = c;
	c = (struct copied){0};
	return 0;
}

bool copied_is_signed_by(const struct copied *c, const struct sign_public *key, const char *json, size_t len)
{
	struct signature s;
	size_t signed_len;

	return strcmp(c->signature.key, key->id) == 0 &&
	       signature_find(json, len, &signed_len, &s, NULL, NULL) == 1 &&
	       sign_verify(key, json, signed_len, &s);
}
