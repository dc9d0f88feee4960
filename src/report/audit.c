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

#define FOLLOWED_MAX 1000 /* entries of one piece */

struct audit_writer {
	struct spool *out;
	int64_t last; /* the greatest id */
};

static void write_audit(void *arg, const struct catalog_audit *entry)
{
	struct audit_writer *w = arg;
	struct json *j = json_object_new();

	json_set_time(j, "at", entry->at_us);
	set_number(j, "uid", entry->uid);
	set_number(j, "pid", entry->pid);
	json_set_string(j, "command", entry->command);
	json_set_string(j, "action", entry->action);
	json_set_string(j, "object", entry->object);
	json_set_string(j, "result", entry->result);
	json_set_string(j, "detail", entry->detail);
	line_json(w->out, j);
	if (entry->id > w->last)
		w->last = entry->id;
}

int report_audit_since(const struct report_sources *from, int64_t *position, struct spool *out)
{
	struct audit_writer w = {.out = out, .last = *position == REPORT_WHOLE ? 0 : *position};
	int r = *position == REPORT_WHOLE
	                ? catalog_audits(from->catalog, write_audit, &w)
	                : catalog_audits_since(from->catalog, w.last, FOLLOWED_MAX, write_audit, &w);

	if (r < 0)
		return r;
	*position = w.last;
	return spool_error(out);
}

int report_audit_jsonl(const struct report_sources *from, struct spool *out)
{
	int64_t position = REPORT_WHOLE;

	return report_audit_since(from, &position, out);
}
