// SPDX-License-Identifier: Apache-2.0
/* The index of a segment as it is made and written. */
#include "wal_index_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/json.h>

void wal_index_finish(struct wal_index *x)
{
	free(x->points);
	free(x->checkpoints);
	free(x->timelines);
	*x = (struct wal_index){0};
}

void wal_index_start(struct wal_index *x, const struct wal_name *name)
{
	wal_index_finish(x);
	x->name = *name;
}

void *wal_index_room(void *items, size_t count, size_t item_bytes)
{
	if (count & (count - 1))
		return items;
	return mem_resize(items, count ? 2 * count : 1, item_bytes);
}

static bool list_has_room(struct wal_index *x, size_t count)
{
	if (count < WAL_INDEX_LIST_MAX)
		return true;
	x->left_out++;
	return false;
}

static void add_commit(struct wal_index *x, const struct wal_record *r)
{
	const struct wal_index_commit commit = {.lsn = r->lsn, .xid = r->transaction, .at_us = r->at_us};

	if (x->commits++ == 0)
		x->first_commit = commit;
	x->last_commit = commit;
}

static void add_point(struct wal_index *x, const struct wal_record *r)
{
	struct wal_index_point point = {.lsn = r->lsn, .at_us = r->at_us};

	if (!list_has_room(x, x->point_count))
		return;
	memcpy(point.name, r->name, sizeof(point.name));
	x->points = wal_index_room(x->points, x->point_count, sizeof(*x->points));
	x->points[x->point_count++] = point;
}

static void add_checkpoint(struct wal_index *x, const struct wal_record *r)
{
	if (!list_has_room(x, x->checkpoint_count))
		return;
	x->checkpoints = wal_index_room(x->checkpoints, x->checkpoint_count, sizeof(*x->checkpoints));
	x->checkpoints[x->checkpoint_count++] = (struct wal_index_checkpoint){
	        .lsn = r->lsn, .redo = r->redo, .at_us = r->at_us, .is_shutdown = r->is_shutdown};
}

static void add_timeline(struct wal_index *x, const struct wal_record *r)
{
	if (r->old_timeline == r->timeline || !list_has_room(x, x->timeline_count))
		return;
	x->timelines = wal_index_room(x->timelines, x->timeline_count, sizeof(*x->timelines));
	x->timelines[x->timeline_count++] =
	        (struct wal_index_timeline){.lsn = r->lsn, .from = r->old_timeline, .to = r->timeline};
}

static void note_writes(struct wal_index *x, bool are_on)
{
	if (!are_on)
		x->full_page_writes = WAL_WRITES_OFF;
	else if (x->full_page_writes == WAL_WRITES_UNKNOWN)
		x->full_page_writes = WAL_WRITES_ON;
}

static void note_latest(struct wal_index *x, const struct wal_record *r)
{
	if (r->at_us > x->latest_us)
		x->latest_us = r->at_us;
	if (r->transaction && (!x->highest_xid || (int32_t)(r->transaction - x->highest_xid) > 0))
		x->highest_xid = r->transaction;
}

void wal_index_add(struct wal_index *x, const struct wal_record *r)
{
	switch (r->kind) {
	case WAL_RECORD_COMMIT:
		add_commit(x, r);
		note_latest(x, r);
		break;
	case WAL_RECORD_ABORT:
		x->aborts++;
		note_latest(x, r);
		break;
	case WAL_RECORD_RESTORE_POINT:
		add_point(x, r);
		break;
	case WAL_RECORD_CHECKPOINT:
		add_checkpoint(x, r);
		add_timeline(x, r);
		note_writes(x, r->full_page_writes);
		break;
	case WAL_RECORD_RECOVERY_END:
		add_timeline(x, r);
		break;
	case WAL_RECORD_FULL_PAGE_WRITES:
		note_writes(x, r->full_page_writes);
		break;
	case WAL_RECORD_BACKUP_END:
	case WAL_RECORD_SWITCH:
	case WAL_RECORD_OTHER:
		break;
	}
}

void wal_index_close(struct wal_index *x, const struct wal_scan *s)
{
	const struct wal_scan_state *state = wal_scan_state(s);

	x->system_id = state->first.system_id;
	x->version = state->first.version;
	x->meant_bytes = wal_scan_meant_bytes(s);
	x->first_record = state->first_record;
	x->end = state->end;
	x->open_record = state->open_record;
	x->timeline = state->timeline;
}

static void set_lsn(struct json *j, const char *key, uint64_t lsn)
{
	char text[WAL_LSN_BYTES];

	json_set_string(j, key, lsn ? wal_lsn_format(lsn, text) : NULL);
}

/* A clock may have been wrong by more than can be written. */
static void set_server_time(struct json *j, const char *key, int64_t at_us)
{
	json_set_time(j, key, at_us > 0 && at_us < WAL_INDEX_TIME_END ? at_us : 0);
}

static void set_commit(struct json *j, const char *key, const struct wal_index_commit *c)
{
	struct json *object = json_object_new();

	if (c->lsn == 0) {
		json_free(object);
		json_set_string(j, key, NULL);
		return;
	}
	set_lsn(object, "lsn", c->lsn);
	json_set_int(object, "xid", c->xid);
	set_server_time(object, "at", c->at_us);
	json_set(j, key, object);
}

static struct json *encode_points(const struct wal_index *x)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < x->point_count; i++) {
		struct json *j = json_object_new();

		set_lsn(j, "lsn", x->points[i].lsn);
		set_server_time(j, "at", x->points[i].at_us);
		json_set_string(j, "name", x->points[i].name);
		json_append(list, j);
	}
	return list;
}

static struct json *encode_checkpoints(const struct wal_index *x)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < x->checkpoint_count; i++) {
		struct json *j = json_object_new();

		set_lsn(j, "lsn", x->checkpoints[i].lsn);
		set_lsn(j, "redo", x->checkpoints[i].redo);
		set_server_time(j, "at", x->checkpoints[i].at_us);
		json_set_bool(j, "shutdown", x->checkpoints[i].is_shutdown);
		json_append(list, j);
	}
	return list;
}

static struct json *encode_timelines(const struct wal_index *x)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < x->timeline_count; i++) {
		struct json *j = json_object_new();

		set_lsn(j, "lsn", x->timelines[i].lsn);
		json_set_int(j, "from", x->timelines[i].from);
		json_set_int(j, "to", x->timelines[i].to);
		json_append(list, j);
	}
	return list;
}

void wal_index_encode(const struct wal_index *x, struct str *out)
{
	_cleanup(json) struct json *j = json_object_new();
	char name[WAL_NAME_BYTES], system_id[24];

	wal_name_format(&x->name, name);
	snprintf(system_id, sizeof(system_id), "%" PRIu64, x->system_id);
	json_set_string(j, "format", WAL_INDEX_FORMAT);
	json_set_int(j, "version", WAL_INDEX_VERSION);
	json_set_string(j, "name", name);
	json_set_string(j, "system_identifier", system_id);
	json_set_int(j, "server_version", x->version);
	json_set_int(j, "bytes", (int64_t)x->bytes);
	json_set_string(j, "sha256", *x->sha256 ? x->sha256 : NULL);
	json_set_int(j, "meant_bytes", (int64_t)x->meant_bytes);
	set_lsn(j, "first_record", x->first_record);
	set_lsn(j, "end", x->end);
	set_lsn(j, "open_record", x->open_record);
	json_set_int(j, "timeline", x->timeline);
	json_set_int(j, "commits", (int64_t)x->commits);
	json_set_int(j, "aborts", (int64_t)x->aborts);
	set_commit(j, "first_commit", &x->first_commit);
	set_commit(j, "last_commit", &x->last_commit);
	set_server_time(j, "latest", x->latest_us);
	json_set_int(j, "highest_xid", x->highest_xid);
	json_set(j, "restore_points", encode_points(x));
	json_set(j, "checkpoints", encode_checkpoints(x));
	json_set(j, "timelines", encode_timelines(x));
	json_set_int(j, "left_out", (int64_t)x->left_out);
	if (x->full_page_writes == WAL_WRITES_UNKNOWN)
		json_set_string(j, "full_page_writes", NULL);
	else
		json_set_bool(j, "full_page_writes", x->full_page_writes == WAL_WRITES_ON);
	json_write(j, 0, out);
	str_append_char(out, '\n');
}
