// SPDX-License-Identifier: Apache-2.0
/* The index of a segment as it is read. It may be damaged, or somebody else's: nothing is believed. */
#include "wal_index_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/codec/json.h>

static int refuse_wal_index(struct error *err, const char *why)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "no index of a WAL segment: %s", why);
}

static bool read_count(const struct json *j, const char *key, uint64_t *ret)
{
	int64_t value;

	if (!json_get_int(j, key, &value) || value < 0)
		return false;
	*ret = (uint64_t)value;
	return true;
}

static bool read_u32(const struct json *j, const char *key, uint32_t *ret)
{
	uint64_t value;

	if (!read_count(j, key, &value) || value > UINT32_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}

static bool read_lsn(const struct json *j, const char *key, uint64_t *ret)
{
	const char *text = json_get_string(j, key);

	return text && wal_lsn_parse(text, ret) == 0;
}

/* null where there is none. */
static bool read_lsn_or_none(const struct json *j, const char *key, uint64_t *ret)
{
	return json_get_null(j, key) || read_lsn(j, key, ret);
}

static bool read_time_or_none(const struct json *j, const char *key, int64_t *ret)
{
	return json_get_null(j, key) || json_get_time(j, key, ret);
}

static bool read_commit(const struct json *j, const char *key, struct wal_index_commit *ret)
{
	const struct json *object = json_get(j, key);

	if (json_get_null(j, key))
		return true;
	return object && json_is_object_value(object) && read_lsn(object, "lsn", &ret->lsn) &&
	       read_u32(object, "xid", &ret->xid) && read_time_or_none(object, "at", &ret->at_us);
}

/* The list, of objects alone, and not too many; NULL: it is none. */
static const struct json *read_objects(const struct json *j, const char *key)
{
	const struct json *list = json_get(j, key);

	if (!list || !json_is_array_value(list) || json_count(list) > WAL_INDEX_LIST_MAX)
		return NULL;
	for (size_t i = 0; i < json_count(list); i++)
		if (!json_is_object_value(json_item(list, i)))
			return NULL;
	return list;
}

static bool read_points(const struct json *j, struct wal_index *x)
{
	const struct json *list = read_objects(j, "restore_points");

	if (!list)
		return false;
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *item = json_item(list, i);
		const char *name = json_get_string(item, "name");
		struct wal_index_point point = {0};

		if (!name || !read_lsn(item, "lsn", &point.lsn) ||
		    !read_time_or_none(item, "at", &point.at_us))
			return false;
		str_copy(point.name, sizeof(point.name), name);
		x->points = wal_index_room(x->points, x->point_count, sizeof(*x->points));
		x->points[x->point_count++] = point;
	}
	return true;
}

static bool read_checkpoints(const struct json *j, struct wal_index *x)
{
	const struct json *list = read_objects(j, "checkpoints");

	if (!list)
		return false;
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *item = json_item(list, i);
		struct wal_index_checkpoint c = {0};

		if (!read_lsn(item, "lsn", &c.lsn) || !read_lsn_or_none(item, "redo", &c.redo) ||
		    !read_time_or_none(item, "at", &c.at_us) ||
		    !json_get_bool(item, "shutdown", &c.is_shutdown))
			return false;
		x->checkpoints = wal_index_room(x->checkpoints, x->checkpoint_count, sizeof(*x->checkpoints));
		x->checkpoints[x->checkpoint_count++] = c;
	}
	return true;
}

static bool read_timelines(const struct json *j, struct wal_index *x)
{
	const struct json *list = read_objects(j, "timelines");

	if (!list)
		return false;
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *item = json_item(list, i);
		struct wal_index_timeline t = {0};

		if (!read_lsn(item, "lsn", &t.lsn) || !read_u32(item, "from", &t.from) ||
		    !read_u32(item, "to", &t.to))
			return false;
		x->timelines = wal_index_room(x->timelines, x->timeline_count, sizeof(*x->timelines));
		x->timelines[x->timeline_count++] = t;
	}
	return true;
}

/* In decimal: the upper half of an identifier is a time, which will not fit into a signed number for ever. */
static bool read_system_id(const struct json *j, uint64_t *ret)
{
	const char *text = json_get_string(j, "system_identifier");
	uint64_t id = 0;

	if (!text || !*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(id, 10U, &id) ||
		    __builtin_add_overflow(id, (unsigned)(*text - '0'), &id))
			return false;
	}
	*ret = id;
	return true;
}

static bool read_sha256(const struct json *j, char ret[static SHA256_HEX_BYTES])
{
	const char *text = json_get_string(j, "sha256");

	if (json_get_null(j, "sha256"))
		return true;
	if (!text || strlen(text) != SHA256_HEX_BYTES - 1 ||
	    strspn(text, "0123456789abcdef") != SHA256_HEX_BYTES - 1)
		return false;
	str_copy(ret, SHA256_HEX_BYTES, text);
	return true;
}

static bool read_writes(const struct json *j, enum wal_index_writes *ret)
{
	bool are_on;

	if (json_get_null(j, "full_page_writes"))
		return true;
	if (!json_get_bool(j, "full_page_writes", &are_on))
		return false;
	*ret = are_on ? WAL_WRITES_ON : WAL_WRITES_OFF;
	return true;
}

/* Which file it is of. */
static const char *read_what(const struct json *j, struct wal_index *x)
{
	const char *name = json_get_string(j, "name");
	uint32_t version;

	if (!name || wal_name_parse(name, &x->name) < 0 ||
	    (x->name.kind != WAL_NAME_SEGMENT && x->name.kind != WAL_NAME_PARTIAL))
		return "the name of a segment was expected";
	if (!read_system_id(j, &x->system_id))
		return "the system identifier is none";
	if (!read_u32(j, "server_version", &version))
		return "the version of the server is none";
	x->version = version;
	if (!read_count(j, "bytes", &x->bytes) || !read_count(j, "meant_bytes", &x->meant_bytes))
		return "a number of bytes is none";
	return read_sha256(j, x->sha256) ? NULL : "the SHA-256 is none";
}

/* Why @j is none; NULL: it is one. */
static const char *read_wal_index(const struct json *j, struct wal_index *x)
{
	const char *why = read_what(j, x);

	if (why)
		return why;
	if (!read_lsn_or_none(j, "first_record", &x->first_record) || !read_lsn_or_none(j, "end", &x->end) ||
	    !read_lsn_or_none(j, "open_record", &x->open_record))
		return "a place is none";
	if (!read_u32(j, "timeline", &x->timeline))
		return "the timeline is none";
	if (!read_count(j, "commits", &x->commits) || !read_count(j, "aborts", &x->aborts) ||
	    !read_count(j, "left_out", &x->left_out))
		return "a count is none";
	if (!read_commit(j, "first_commit", &x->first_commit) ||
	    !read_commit(j, "last_commit", &x->last_commit))
		return "a commit is none";
	if (!read_time_or_none(j, "latest", &x->latest_us))
		return "a time is none";
	if (!read_u32(j, "highest_xid", &x->highest_xid))
		return "the number of a transaction is none";
	if (!read_points(j, x) || !read_checkpoints(j, x) || !read_timelines(j, x))
		return "a list is none";
	return read_writes(j, &x->full_page_writes) ? NULL : "full_page_writes is neither on nor off";
}

int wal_index_decode(const char *line, size_t len, struct wal_index *x, struct error *err)
{
	_cleanup(json) struct json *j = len <= WAL_INDEX_LINE_BYTES ? json_parse(line, len, NULL) : NULL;
	_cleanup(wal_index) struct wal_index index = {0};
	int64_t version;
	const char *why;

	if (len > WAL_INDEX_LINE_BYTES)
		return refuse_wal_index(err, "it is too long");
	if (!j || !json_is_object_value(j) || !str_equal(json_get_string(j, "format"), WAL_INDEX_FORMAT) ||
	    !json_get_int(j, "version", &version))
		return refuse_wal_index(err, "it does not begin like one");
	if (version != WAL_INDEX_VERSION)
		return error_set(err, ERROR_USAGE, ENOTSUP,
		                 "the index of a WAL segment is of version %lld, this keepfs knows %d",
		                 (long long)version, WAL_INDEX_VERSION);
	why = read_wal_index(j, &index);
	if (why)
		return refuse_wal_index(err, why);
	wal_index_finish(x);
	*x = index;
	index = (struct wal_index){0};
	return 0;
}
