// SPDX-License-Identifier: Apache-2.0
/* status/backups.jsonl: what is known of each backup, for `keepfs info` and whoever else asks. */
#include "backup_cluster.h"
#include "line.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/backups.h>
#include <keepfs/policy/retention.h>
#include <keepfs/report/status.h>

#include <string.h>

/* What is made when the file is opened, and what is made at a time for whoever reads on. */
#define FIRST_PAGE_ROWS 10000
#define PAGE_ROWS       1000

struct backups_page {
	struct catalog *catalog;
	struct spool *out;
	uint64_t rows, count; /* at least so many, if there are; so many are written */
	int64_t last_run;
};

/* How much the source held: the database, or the files that were archived. null when it is not known. */
static void set_source(struct json *j, const struct json *facts)
{
	static const char *const names[] = {"database_bytes", "content_bytes"};
	int64_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!facts || !json_get_int(facts, names[i], &bytes))
			continue;
		json_set_int(j, "source_bytes", bytes);
		return;
	}
	json_set_string(j, "source_bytes", NULL);
}

static struct json *tiers_array(unsigned tiers)
{
	struct json *array = json_array_new();

	for (unsigned bit = 1; bit <= tiers; bit <<= 1)
		if ((tiers & bit & RETENTION_TIERS) && retention_reason_name(bit))
			json_append_string(array, retention_reason_name(bit));
	return array;
}

/* "age1…, age1…" */
static struct json *recipients_array(const char *encrypted_to)
{
	_cleanup(free) char *names = mem_strdup(encrypted_to);
	struct json *array = json_array_new();
	char *rest = NULL;

	for (char *name = strtok_r(names, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
		json_append_string(array, name);
	return array;
}

/* null where there is none. */
static void set_place_in_chain(struct json *j, int64_t sequence)
{
	if (sequence > 0)
		json_set_int(j, "signed", sequence);
	else
		json_set_string(j, "signed", NULL);
}

static struct json *backup_object(struct catalog *c, const struct catalog_backup *b)
{
	_cleanup(json) struct json *facts = json_parse(b->facts, strlen(b->facts), NULL);
	struct json *holds = b->holds ? json_parse(b->holds, strlen(b->holds), NULL) : NULL;
	struct json *copies = b->copies ? json_parse(b->copies, strlen(b->copies), NULL) : NULL;
	struct json *cluster = backup_cluster_object(c, b, facts);
	struct json *j = json_object_new();

	json_set_string(j, "path", b->path);
	json_set_string(j, "job", b->job);
	json_set_string(j, "kind", b->kind);
	json_set_string(j, "target", b->target);
	json_set_int(j, "run", b->run_id);
	json_set_time(j, "started", b->started_at_us);
	json_set_time(j, "finished", b->finished_at_us);
	set_source(j, facts);
	json_set_int(j, "size_bytes", (int64_t)b->size_bytes);
	json_set_int(j, "stored_bytes", (int64_t)b->stored_bytes);
	json_set_bool(j, "partial", b->partial);
	/* Each backup that there is today can be restored without another. */
	json_set(j, "depends_on", json_array_new());
	json_set(j, "tiers", tiers_array(b->tiers));
	json_set(j, "holds", holds ? holds : json_array_new());
	json_set_time(j, "verified", b->verified_at_us);
	json_set_string(j, "damaged", b->damaged);
	json_set_string(j, "note", b->note);
	json_set_string(j, "store", b->store);
	json_set(j, "copies", copies ? copies : json_object_new());
	json_set(j, "encrypted_to", recipients_array(str_or_empty(b->encrypted_to)));
	set_place_in_chain(j, b->chain_sequence);
	if (cluster)
		json_set(j, "cluster", cluster);
	return j;
}

static bool write_backup(void *arg, const struct catalog_backup *backup)
{
	struct backups_page *page = arg;

	/* Runs are not divided: where a page ends is said by the number of a run. */
	if (page->count >= page->rows && backup->run_id != page->last_run)
		return false;
	line_json(page->out, backup_object(page->catalog, backup));
	page->last_run = backup->run_id;
	page->count++;
	return spool_error(page->out) == 0;
}

int report_backups_since(const struct report_sources *from, int64_t *position, struct spool *out)
{
	bool is_first = *position == REPORT_WHOLE;
	struct backups_page page = {.catalog = from->catalog,
	                            .out = out,
	                            .rows = is_first ? FIRST_PAGE_ROWS : PAGE_ROWS,
	                            .last_run = is_first ? 0 : *position};
	int r = catalog_backups(from->catalog, from->now_us, is_first ? INT64_MAX : *position, write_backup,
	                        &page);

	if (r < 0)
		return r;
	*position = page.last_run;
	return spool_error(out);
}

int report_all_backups_jsonl(const struct report_sources *from, struct spool *out)
{
	struct backups_page page = {.catalog = from->catalog, .out = out, .rows = UINT64_MAX};
	int r = catalog_backups(from->catalog, from->now_us, INT64_MAX, write_backup, &page);

	return r < 0 ? r : spool_error(out);
}
