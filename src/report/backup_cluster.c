// SPDX-License-Identifier: Apache-2.0
/* Base backups: of which server, which WAL they need, and how much of it a recovery to the newest state replays. */
#include "backup_cluster.h"

#include <keepfs/base/str.h>
#include <keepfs/catalog/backups.h>
#include <keepfs/catalog/wal_places.h>
#include <keepfs/codec/base_facts.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/listing.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/wal_name.h>

#include <string.h>

static void set_wal_of_base(struct json *j, const char *key, struct wal_name name)
{
	char text[WAL_NAME_BYTES];

	wal_name_format(&name, text);
	json_set_string(j, key, text);
}

static void set_lsn_of_base(struct json *j, const char *key, uint64_t lsn)
{
	char text[WAL_LSN_BYTES];

	json_set_string(j, key, wal_lsn_format(lsn, text));
}

/* "16385 /srv/fast", a line for each. */
static struct json *tablespaces_array(const char *listed)
{
	struct json *array = json_array_new();

	while (listed && *listed) {
		size_t len = strcspn(listed, "\n");
		_cleanup(str) struct str line = {0};

		str_append_bytes(&line, listed, len);
		if (len > 0)
			json_append_string(array, str_text(&line));
		listed += len + (listed[len] == '\n');
	}
	return array;
}

/* Of the timeline of the base alone: a promotion since then has begun another one. */
static void set_replay(struct catalog *c, const char *job, const struct base_facts *f, struct json *j)
{
	uint64_t first = f->start_lsn / f->segment_bytes, newest = 0;

	if (catalog_wal_newest(c, job, f->timeline, &newest) < 0 || newest < first)
		return;
	json_set_int(j, "replay_segments", (int64_t)(newest - first + 1));
	json_set_int(j, "replay_bytes", (int64_t)((newest - first + 1) * f->segment_bytes));
}

static void set_number(struct json *j, const char *key, const struct json *facts)
{
	int64_t number;

	if (json_get_int(facts, key, &number))
		json_set_int(j, key, number);
}

struct json *backup_cluster_object(struct catalog *c, const struct catalog_backup *b, struct json *facts)
{
	const struct manifest m = {.facts = facts};
	struct base_facts f;
	struct json *j;

	if (!str_equal(b->kind, LISTING_KIND_BASE) || !facts || base_facts_get(&m, &f, NULL) < 0)
		return NULL;
	j = json_object_new();
	set_number(j, "server_version", facts);
	json_set_string(j, "system_identifier", json_get_string(facts, "system_identifier"));
	json_set_int(j, "timeline", f.timeline);
	set_lsn_of_base(j, "start_lsn", f.start_lsn);
	set_lsn_of_base(j, "stop_lsn", f.stop_lsn);
	json_set_time(j, "consistent_at", f.stopped_us);
	set_number(j, "files", facts);
	json_set(j, "tablespaces", tablespaces_array(json_get_string(facts, "tablespaces")));
	set_wal_of_base(j, "first_wal", wal_name_of_lsn(f.timeline, f.start_lsn, f.segment_bytes));
	set_wal_of_base(j, "last_wal", wal_name_of_end(f.timeline, f.stop_lsn, f.segment_bytes));
	set_replay(c, b->job, &f, j);
	return j;
}
