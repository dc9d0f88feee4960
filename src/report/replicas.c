// SPDX-License-Identifier: Apache-2.0
/* status/replicas and status/replicas.jsonl: what further stores have of backups, also of those that were removed. */
#include "line.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/replica_locks.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/report/status.h>
#include <keepfs/store.h>

#include <inttypes.h>
#include <stdlib.h>

struct replica_lines {
	struct catalog *catalog;
	struct spool *out;
	uint64_t store; /* whose name is known */
	char *name;
};

static const char *name_of_store(struct replica_lines *l, uint64_t store)
{
	_cleanup(catalog_store) struct catalog_store at = {0};

	if (l->store == store && l->name)
		return l->name;
	mem_replace_string(&l->name,
	                   catalog_get_store(l->catalog, store, &at) == 0 ? str_or_empty(at.name) : "");
	l->store = store;
	return l->name;
}

int report_replica_percent(const struct catalog_replica *replica)
{
	if (replica->stored_bytes == 0)
		return 0;
	return replica->done_bytes >= replica->stored_bytes
	               ? 100
	               : (int)((double)replica->done_bytes * 100 / (double)replica->stored_bytes);
}

static void find_copy_lock(struct replica_lines *l, const struct catalog_replica *replica,
                           struct catalog_replica_lock *ret)
{
	/* Zeroed where nothing is locked. */
	(void)catalog_replica_lock(l->catalog, replica->path, replica->store, ret);
}

static int write_replica_line(void *arg, const struct catalog_replica *replica, struct error *err)
{
	struct replica_lines *l = arg;
	struct json *j = json_object_new();
	struct catalog_replica_lock lock;

	json_set_string(j, "path", replica->path);
	json_set_string(j, "store", name_of_store(l, replica->store));
	json_set_string(j, "state", replica_state_name(replica->state));
	json_set_bool(j, "listed", replica->is_listed);
	json_set_string(j, "job", replica->job);
	json_set_time(j, "finished", replica->finished_at_us);
	json_set_time(j, "since", replica->since_us);
	json_set_time(j, "verified", replica->verified_at_us > 1 ? replica->verified_at_us : 0);
	json_set_int(j, "stored_bytes", (int64_t)replica->stored_bytes);
	json_set_int(j, "done_bytes", (int64_t)replica->done_bytes);
	json_set_time(j, "next_try", replica->next_try_us);
	find_copy_lock(l, replica, &lock);
	json_set_time(j, "locked_until", lock.until_us);
	json_set_string(j, "lock_mode",
	                lock.until_us ? store_lock_mode_name((enum store_lock_mode)lock.mode) : NULL);
	json_set_bool(j, "held", lock.is_held);
	json_set_bool(j, "put_off", lock.is_put_off);
	json_set_string(j, "lock_error", lock.failed_us ? lock.why : NULL);
	json_set_string(j, "error", replica->error[0] ? replica->error : NULL);
	line_json(l->out, j);
	return spool_error(l->out);
}

int report_replicas_jsonl(const struct report_sources *from, struct spool *out)
{
	struct replica_lines l = {.catalog = from->catalog, .out = out};
	int r = catalog_each_replica(from->catalog, NULL, 0, write_replica_line, &l, NULL);

	free(l.name);
	return r < 0 ? r : spool_error(out);
}

static void put_replica_text(struct spool *out, const struct str *text)
{
	spool_append(out, str_text(text), text->len);
}

static int write_replica_row(void *arg, const struct catalog_replica *replica, struct error *err)
{
	struct replica_lines *l = arg;
	_cleanup(str) struct str line = {0};
	struct catalog_replica_lock lock;
	char at[32], size[16];

	str_appendf(&line, "%-12s %-8s", name_of_store(l, replica->store),
	            replica_state_name(replica->state));
	if (replica->state == REPLICA_COPYING)
		str_appendf(&line, " %3d%%", report_replica_percent(replica));
	else
		str_append(&line, "     ");
	str_appendf(&line, " %8s  %-20s  ", str_format_bytes(size, sizeof(size), replica->stored_bytes),
	            line_time(replica->verified_at_us > 1 ? replica->verified_at_us : 0, "-", at));
	str_append_visible(&line, replica->path);
	if (!replica->is_listed)
		str_append(&line, "  (removed here)");
	find_copy_lock(l, replica, &lock);
	if (lock.until_us)
		str_appendf(&line, "  (%slocked until %s%s)", lock.is_put_off ? "put off: " : "",
		            line_time(lock.until_us, "-", at), lock.is_held ? ", and held" : "");
	if (lock.failed_us) {
		str_append(&line, "  not locked as it is to be: ");
		str_append_visible(&line, lock.why);
	}
	if (replica->error[0]) {
		str_append(&line, "  ");
		str_append_visible(&line, replica->error);
	}
	str_append_char(&line, '\n');
	put_replica_text(l->out, &line);
	return spool_error(l->out);
}

int report_replicas(const struct report_sources *from, struct spool *out)
{
	struct replica_lines l = {.catalog = from->catalog, .out = out};
	_cleanup(str) struct str head = {0};
	int r;

	str_appendf(&head, "%-12s %-8s      %8s  %-20s  %s\n", "STORE", "STATE", "SIZE", "VERIFIED",
	            "BACKUP");
	put_replica_text(out, &head);
	r = catalog_each_replica(from->catalog, NULL, 0, write_replica_row, &l, NULL);
	free(l.name);
	return r < 0 ? r : spool_error(out);
}

static int append_copy(void *arg, const struct catalog_replica *replica, struct error *err)
{
	void **args = arg;
	struct replica_lines *l = args[0];
	struct str *out = args[1];

	str_appendf(out, ", %s:%s", name_of_store(l, replica->store), replica_state_name(replica->state));
	if (replica->state == REPLICA_COPYING)
		str_appendf(out, " %d%%", report_replica_percent(replica));
	return 0;
}

bool report_copies_of(struct catalog *catalog, const char *path, bool damaged, struct str *out)
{
	struct replica_lines l = {.catalog = catalog};
	_cleanup(str) struct str others = {0};
	void *args[] = {&l, &others};
	int r = catalog_each_replica(catalog, path, 0, append_copy, args, NULL);

	free(l.name);
	if (r < 0 || others.len == 0)
		return false;
	str_appendf(out, "primary:%s%s", damaged ? "damaged" : "whole", str_text(&others));
	return true;
}
