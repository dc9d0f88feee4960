// SPDX-License-Identifier: Apache-2.0
/* The object state/head.json, as text and in memory. */
#include <keepfs/follow.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/manifest.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define HEAD_VERSION 1

static const char *const whats[] = {
        [HEAD_MADE] = "made", [HEAD_REMOVED] = "removed", [HEAD_MARKED] = "marked"};

void head_finish(struct head *h)
{
	for (size_t i = 0; i < h->count; i++)
		free(h->changes[i].path);
	free(h->changes);
	*h = (struct head){0};
}

void head_add(struct head *h, enum head_what what, const char *path)
{
	if (h->count == HEAD_CHANGES_MAX) {
		free(h->changes[0].path);
		memmove(&h->changes[0], &h->changes[1], --h->count * sizeof(*h->changes));
	}
	h->changes = mem_resize(h->changes, h->count + 1, sizeof(*h->changes));
	h->changes[h->count++] =
	        (struct head_change){.sequence = ++h->sequence, .what = what, .path = mem_strdup(path)};
}

void head_encode(const struct head *h, struct str *out)
{
	_cleanup(json) struct json *j = json_object_new();
	struct json *changes = json_array_new();

	json_set_int(j, "version", HEAD_VERSION);
	json_set_int(j, "sequence", (int64_t)h->sequence);
	json_set_int(j, "fence", (int64_t)h->fence);
	json_set_time(j, "written", h->written_us);
	json_set_bool(j, "closed", h->closed);
	for (size_t i = 0; i < h->count; i++) {
		struct json *change = json_object_new();

		json_set_int(change, "sequence", (int64_t)h->changes[i].sequence);
		json_set_string(change, "what", whats[h->changes[i].what]);
		json_set_string(change, "path", h->changes[i].path);
		json_append(changes, change);
	}
	json_set(j, "changes", changes);
	json_write(j, 0, out);
	str_append_char(out, '\n');
}

static int refuse_head(const char *what, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "%s: %s", HEAD_KEY, what);
}

static bool take_head_number(const struct json *j, const char *key, uint64_t *ret)
{
	int64_t number;

	if (!json_get_int(j, key, &number) || number < 0)
		return false;
	*ret = (uint64_t)number;
	return true;
}

static bool is_artifact_path(const char *path)
{
	_cleanup(free) char *key = manifest_key(path), *same = manifest_path_of_key(key);

	return same && str_equal(same, path);
}

static int take_what(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(whats); i++)
		if (str_equal(text, whats[i]))
			return (int)i;
	return -1;
}

static int take_head_change(const struct json *j, struct head *h, struct error *err)
{
	const char *path = json_get_string(j, "path");
	int what = take_what(str_or_empty(json_get_string(j, "what")));
	struct head_change change = {0};

	if (!take_head_number(j, "sequence", &change.sequence) || what < 0 || !path ||
	    !is_artifact_path(path))
		return refuse_head("a change makes no sense", err);
	if (h->count && change.sequence != h->changes[h->count - 1].sequence + 1)
		return refuse_head("the numbers of changes do not follow on one another", err);
	change.what = (enum head_what)what;
	change.path = mem_strdup(path);
	h->changes[h->count++] = change;
	return 0;
}

static int take_changes(const struct json *changes, struct head *h, struct error *err)
{
	size_t count = json_count(changes);
	int r = 0;

	if (count > HEAD_CHANGES_MAX)
		return refuse_head("it has more changes than are kept", err);
	h->changes = mem_array(count + 1, sizeof(*h->changes));
	for (size_t i = 0; r == 0 && i < count; i++)
		r = take_head_change(json_item(changes, i), h, err);
	if (r == 0 && h->count && h->changes[h->count - 1].sequence != h->sequence)
		r = refuse_head("its last change is not the one that \"sequence\" names", err);
	return r;
}

static int take_head_version(const struct json *j, struct error *err)
{
	int64_t version;

	if (!json_get_int(j, "version", &version) || version < 1)
		return refuse_head("\"version\" is missing or no number", err);
	if (version > HEAD_VERSION)
		return error_set(err, ERROR_USAGE, ENOTSUP,
		                 "%s has format version %" PRId64
		                 ", this keepfs knows versions up to %d: use a newer keepfs",
		                 HEAD_KEY, version, HEAD_VERSION);
	return 0;
}

int head_decode(const char *text, size_t len, struct head *ret, struct error *err)
{
	_cleanup(json) struct json *j = json_parse(text, len, err);
	_cleanup(head) struct head h = {0};
	const struct json *changes;
	int r;

	if (!j || !json_is_object_value(j))
		return refuse_head("it is no JSON object", err);
	r = take_head_version(j, err);
	if (r < 0)
		return r;
	if (!take_head_number(j, "sequence", &h.sequence) || !take_head_number(j, "fence", &h.fence))
		return refuse_head("\"sequence\" or \"fence\" is missing or no number", err);
	json_get_time(j, "written", &h.written_us);
	json_get_bool(j, "closed", &h.closed);
	changes = json_get(j, "changes");
	if (!changes || !json_is_array_value(changes))
		return refuse_head("\"changes\" is missing or no list", err);
	r = take_changes(changes, &h, err);
	if (r < 0)
		return r;
	*ret = h;
	h = (struct head){0};
	return 0;
}

long head_since(const struct head *h, const struct head *known)
{
	uint64_t behind;

	/* Another writer may have gone on from what this one never told. */
	if (h->sequence < known->sequence || h->fence < known->fence)
		return -1;
	behind = h->sequence - known->sequence;
	return behind > h->count ? -1 : (long)(h->count - behind);
}
