// SPDX-License-Identifier: Apache-2.0
/* The audit: a line for each row of the catalog. */
#include "line.h"

#include <keepfs/report/status.h>

#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>

static void set_number(struct json *j, const char *key, int64_t number)
{
	if (number >= 0)
		json_set_int(j, key, number);
	else
		json_set_string(j, key, NULL);
}

struct json *report_audit_object(const struct catalog_audit *entry)
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
	return j;
}

static void write_audit(void *arg, const struct catalog_audit *entry)
{
	line_json(arg, report_audit_object(entry));
}

int report_audit_jsonl(const struct report_sources *from, struct spool *out)
{
	int r = catalog_audits(from->catalog, report_rows_shown(from->conf->audit_keep), write_audit, out);

	return r < 0 ? r : spool_error(out);
}
