// SPDX-License-Identifier: Apache-2.0
/* The audit: a line for each row of the catalog. */
#include "line.h"

#include <keepfs/report/status.h>

#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>

#define FOLLOWED_MAX 1000 /* entries of one piece */

struct audit_writer {
	struct spool *out;
	int64_t last; /* the greatest id */
	size_t left;  /* of FOLLOWED_MAX */
};

static void write_audit(void *arg, const struct catalog_audit *entry)
{
	struct audit_writer *w = arg;

	line_json(w->out, catalog_audit_object(entry));
	if (entry->id > w->last)
		w->last = entry->id;
}

static bool write_followed_audit(void *arg, const struct catalog_audit *entry)
{
	struct audit_writer *w = arg;

	write_audit(w, entry);
	return --w->left > 0;
}

int report_audit_since(const struct report_sources *from, int64_t *position, struct spool *out)
{
	struct audit_writer w = {.out = out, .left = FOLLOWED_MAX};
	int r;

	if (*position == REPORT_WHOLE) {
		r = catalog_audits(from->catalog, report_rows_shown(from->conf->audit_keep), write_audit, &w);
	} else {
		w.last = *position;
		r = catalog_audits_after(from->catalog, *position, write_followed_audit, &w);
	}
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
