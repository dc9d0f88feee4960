// SPDX-License-Identifier: Apache-2.0
#include "demo_history.h"

#include "manifests.h"

#include <keepfs/base/clock.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/rebuild.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/name.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES ((uint64_t)1 << 30)

int64_t demo_now_us;

int64_t __real_clock_now_us(void);
int64_t __wrap_clock_now_us(void);

int64_t __wrap_clock_now_us(void)
{
	return demo_now_us ? demo_now_us : __real_clock_now_us();
}

/* There is nobody who could do anything about a failure. */
static void must(int r, const struct error *err)
{
	if (r >= 0)
		return;
	fprintf(stderr, "demo_history: %s\n", err->message);
	abort();
}

void demo_begin(struct catalog *c)
{
	struct error err = {0};

	must(catalog_begin_rebuild(c, &err), &err);
}

void demo_end(struct catalog *c)
{
	struct error err = {0};

	must(catalog_end_rebuild(c, true, &err), &err);
	demo_now_us = 0;
}

static char *demo_path(const struct demo_run *run, const struct demo_target *target)
{
	char name[NAME_MAX_BYTES];

	name_format(run->at_us / US_PER_S * 1000, run->suffix, name);
	return mem_printf("%s/%s", target->directory, name);
}

/* Three tables make up most of it, one of which is called like the target. */
static void add_table_facts(struct manifest *m, const struct demo_target *target)
{
	static const struct {
		const char *name; /* NULL: like the target */
		int64_t percent;
	} tables[] = {{"public.events", 55}, {"public.order_lines", 25}, {NULL, 10}};
	_cleanup(json) struct json *list = json_array_new();
	_cleanup(str) struct str text = {0};

	manifest_set_fact_int(m, "rows", target->rows);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		struct json *entry = json_array_new();

		json_append(entry, json_string_new(tables[i].name ? tables[i].name : target->label));
		json_append(entry, json_int_new(target->rows * tables[i].percent / 100));
		json_append(entry, json_int_new((int64_t)target->size_bytes * 4 / 100 * tables[i].percent));
		json_append(list, entry);
	}
	json_write(list, 0, &text);
	manifest_set_fact(m, "largest_tables", str_text(&text));
}

static void add_demo_artifact(struct catalog *c, int64_t id, const struct demo_run *run,
                              const struct demo_target *target, const char *path)
{
	_cleanup(manifest) struct manifest m = {0};
	uint32_t pieces = (uint32_t)(target->size_bytes / PIECE_BYTES + 1);
	char sha256[SHA256_HEX_BYTES] = "";
	struct error err = {0};

	memset(sha256, 'a', SHA256_HEX_BYTES - 1);
	manifest_describe(&m, path, id, target->label);
	mem_replace_string(&m.job, run->job);
	mem_replace_string(&m.kind, run->kind);
	m.started_at_us = run->at_us;
	m.finished_at_us = m.verified_at_us = run->at_us + run->duration_us;
	if (target->rows >= 0)
		add_table_facts(&m, target);
	manifest_put_own(&m, target->size_bytes / pieces * pieces, pieces, sha256);
	manifest_seal(&m);
	must(catalog_ensure_directory(c, target->directory, run->at_us, &err), &err);
	must(catalog_add_artifact(c, &m, &err), &err);
}

static void add_demo_target(struct catalog *c, int64_t id, const struct demo_run *run,
                            const struct demo_target *target)
{
	_cleanup(free) char *path = demo_path(run, target);
	struct catalog_target row = {.state = target->error ? RUN_FAILED : RUN_COMPLETED,
	                             .size_bytes = target->error ? 0 : target->size_bytes};
	struct error err = {0};

	str_copy(row.label, sizeof(row.label), target->label);
	str_copy(row.path, sizeof(row.path), target->error ? "" : path);
	str_copy(row.error, sizeof(row.error), str_or_empty(target->error));
	must(catalog_set_target(c, id, &row, &err), &err);
	if (!target->error && run->keeps_artifacts)
		add_demo_artifact(c, id, run, target, path);
}

int64_t demo_add_run(struct catalog *c, const struct demo_run *run)
{
	_cleanup(free) struct catalog_run *row = mem_alloc(sizeof(*row));
	struct error err = {0};
	int64_t id = 0;

	str_copy(row->job, sizeof(row->job), run->job);
	str_copy(row->kind, sizeof(row->kind), run->kind);
	str_copy(row->triggered_by, sizeof(row->triggered_by), "scheduled");
	demo_now_us = run->at_us;
	must(catalog_add_run(c, row, &id, &err), &err);
	must(catalog_start_run(c, id, &err), &err);
	demo_now_us = run->at_us + run->duration_us;
	for (const char *const *line = run->log; line && *line; line++)
		must(catalog_log_run(c, id, *line, &err), &err);
	for (size_t i = 0; i < run->count; i++)
		add_demo_target(c, id, run, &run->targets[i]);
	if (run->warning)
		must(catalog_warn_run(c, id, run->warning, &err), &err);
	must(catalog_finish_run(c, id, run->error ? RUN_FAILED : RUN_COMPLETED, run->error, &err), &err);
	return id;
}
