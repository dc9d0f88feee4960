// SPDX-License-Identifier: Apache-2.0
/* All that is known of a run, in one object: what stays of it when it leaves the catalog. */
#include "line.h"
#include "runs.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/report/run.h>

#define PAGE_TARGETS 16

static struct json *target_object(const struct catalog_target *target)
{
	struct json *j = json_object_new();

	json_set_string(j, "target", target->label);
	json_set_string(j, "state", run_state_name(target->state));
	json_set_int(j, "size_bytes", (int64_t)target->size_bytes);
	json_set_string(j, "path", *target->path ? target->path : NULL);
	json_set_string(j, "error", *target->error ? target->error : NULL);
	return j;
}

static int add_database_objects(struct catalog *c, int64_t run_id, struct json *list)
{
	_cleanup(free) struct catalog_target *page = mem_array(PAGE_TARGETS, sizeof(*page));
	size_t offset = 0;
	ssize_t count;

	while ((count = catalog_run_targets(c, run_id, offset, page, PAGE_TARGETS)) > 0) {
		for (ssize_t i = 0; i < count; i++)
			json_append(list, target_object(&page[i]));
		offset += (size_t)count;
	}
	return (int)count;
}

static void add_log_line(void *arg, int64_t number, int64_t at_us, const char *line)
{
	_cleanup(str) struct str text = {0};

	run_log_line(&text, at_us, line);
	json_append_string(arg, str_text(&text));
}

int report_run_record(struct catalog *c, const struct catalog_run *run, struct json **ret_record)
{
	_cleanup(json) struct json *record = run_object(run);
	struct json *targets = json_array_new(), *log = json_array_new();
	int r;

	json_set(record, "databases", targets);
	json_set(record, "log", log);
	r = add_database_objects(c, run->id, targets);
	if (r == 0)
		r = catalog_run_log(c, run->id, 0, add_log_line, log);
	if (r < 0)
		return r;
	*ret_record = take_ptr(&record);
	return 0;
}
