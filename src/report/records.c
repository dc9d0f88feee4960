// SPDX-License-Identifier: Apache-2.0
/* The audit and SHA256SUMS: rows of the catalog, one line each. */
#include "runs.h"

#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>

static void set_number(struct json *j, const char *key, int64_t number)
{
	if (number >= 0)
		json_set_int(j, key, number);
	else
		json_set_string(j, key, NULL);
}

static void write_audit(void *arg, const struct catalog_audit *entry)
{
	struct json *j = json_object_new();

	json_set_time(j, "at", entry->at_us);
	set_number(j, "uid", entry->uid);
	set_number(j, "pid", entry->pid);
	json_set_string(j, "command", entry->command);
	json_set_string(j, "action", entry->action);
	json_set_string(j, "object", entry->object);
	json_set_string(j, "result", entry->result);
	json_set_string(j, "detail", entry->detail);
	spool_json(arg, j);
}

int report_audit_jsonl(struct catalog *c, struct spool *out)
{
	int r = catalog_audits(c, write_audit, out);

	return r < 0 ? r : spool_error(out);
}

static void write_sum(void *arg, const char *line)
{
	spool_appendf(arg, "%s\n", line);
}

int report_sums(struct catalog *c, uint64_t directory_ino, struct spool *out)
{
	int r = catalog_sums(c, directory_ino, write_sum, out);

	return r < 0 ? r : spool_error(out);
}
