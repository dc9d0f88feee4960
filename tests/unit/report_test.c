// SPDX-License-Identifier: Apache-2.0
#include "report_test.h"

#include "../support/manifests.h"

#include <keepfs/base/fd.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/name.h>

#include <fcntl.h>

#include "../support/tree.h"

#define FIRST_PAGE_BYTES 4096 /* of the catalog: its schema */

int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	str_copy(f->directory, sizeof(f->directory), "/tmp/keepfs-report-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
	f->jobs[0].name = (char *)"full";
	f->jobs[1].name = (char *)"tenants";
	f->conf.jobs = f->jobs;
	f->conf.job_count = 1;
	f->conf.state_dir = f->directory;
	f->conf.store.url = (char *)"s3://bucket";
	f->sources = (struct report_sources){
	        .catalog = f->catalog, .conf = &f->conf, .now_us = AT_US + 3 * 3600 * US_PER_S};
	f->out = spool_new(f->directory);
	*state = f;
	return 0;
}

int tear_down(void **state)
{
	struct fixture *f = *state;

	spool_free(f->out);
	catalog_free(f->catalog);
	remove_tree(f->directory);
	free(f);
	return 0;
}

char *text_of(struct fixture *f)
{
	size_t size = spool_size(f->out);
	char *text = mem_alloc(size + 1);

	assert_int_equal(spool_error(f->out), 0);
	assert_int_equal(spool_read(f->out, text, size, 0), size);
	spool_free(f->out);
	f->out = spool_new(f->directory);
	return text;
}

char *written_by(struct fixture *f, int (*writer)(const struct report_sources *, struct spool *))
{
	assert_int_equal(writer(&f->sources, f->out), 0);
	return text_of(f);
}

int64_t add_changed_run(struct fixture *f, const char *job, const char *options, enum run_state state,
                        const char *error)
{
	struct catalog_run run = {.kind = "dump", .triggered_by = "uid 0 (bash)"};
	int64_t id = 0;

	str_copy(run.job, sizeof(run.job), job);
	str_copy(run.options, sizeof(run.options), options);
	assert_int_equal(catalog_add_run(f->catalog, &run, &id, NULL), 0);
	if (state != RUN_PENDING && state != RUN_CANCELLED)
		assert_int_equal(catalog_start_run(f->catalog, id, NULL), 0);
	if (state > RUN_RUNNING)
		assert_int_equal(catalog_finish_run(f->catalog, id, state, error, NULL), 0);
	return id;
}

int64_t add_run(struct fixture *f, const char *job, enum run_state state, const char *error)
{
	return add_changed_run(f, job, "", state, error);
}

int64_t add_warned_run(struct fixture *f, const char *job, const char *warning)
{
	int64_t id = add_run(f, job, RUN_RUNNING, NULL);

	assert_int_equal(catalog_warn_run(f->catalog, id, warning, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_COMPLETED, NULL, NULL), 0);
	return id;
}

int64_t finished_at(struct fixture *f, int64_t run_id)
{
	struct catalog_run run;

	assert_int_equal(catalog_run(f->catalog, run_id, &run), 0);
	assert_true(run.finished_at_us > 0);
	return run.finished_at_us;
}

static uint64_t add_artifact_as(struct fixture *f, const char *job, int64_t second, int64_t run_id,
                                uint32_t size, bool partial)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *directory = mem_printf("backups/%s", job), *path = NULL;
	char name[NAME_MAX_BYTES], sha256[SHA256_HEX_BYTES] = "";
	uint8_t digest[SHA256_BYTES];

	name_format((AT_S + second) * 1000, partial ? ".schema.dump" : ".dump", name);
	path = mem_printf("%s/%s", directory, name);
	manifest_describe(&m, path, run_id, "primary");
	mem_replace_string(&m.job, job);
	m.partial = partial;
	m.started_at_us = m.finished_at_us = AT_US + second * US_PER_S;
	sha256_once(path, strlen(path), digest);
	if (!partial) /* else not read back */
		hex_encode(digest, sizeof(digest), sha256);
	manifest_put_own(&m, size, 1, sha256);
	manifest_seal(&m);
	assert_int_equal(catalog_ensure_directory(f->catalog, directory, AT_US, NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	return ino_of_artifact(path);
}

uint64_t add_artifact(struct fixture *f, const char *job, int64_t second, int64_t run_id, uint32_t size)
{
	return add_artifact_as(f, job, second, run_id, size, false);
}

uint64_t add_partial_artifact(struct fixture *f, const char *job, int64_t second, int64_t run_id,
                              uint32_t size)
{
	return add_artifact_as(f, job, second, run_id, size, true);
}

void set_probe(struct fixture *f, const char *check, bool ok, int64_t at_us)
{
	struct catalog_probe probe = {.ok = ok, .at_us = at_us};

	str_copy(probe.check, sizeof(probe.check), check);
	str_copy(probe.detail, sizeof(probe.detail), ok ? "fine" : "refused\nreally");
	assert_int_equal(catalog_set_probes(f->catalog, f->conf.store.url, &probe, 1, NULL), 0);
}

static void add_long_history(struct fixture *f)
{
	char error[1400];

	memset(error, 'x', sizeof(error) - 1);
	error[sizeof(error) - 1] = '\0';
	for (int i = 0; i < 20; i++)
		add_run(f, "full", RUN_CANCELLED, error);
}

void break_catalog(struct fixture *f)
{
	_cleanup(free) char *path = mem_printf("%s/catalog.db", f->directory), *garbage = NULL;
	_cleanup(fd) int fd = -1;
	size_t len;

	add_long_history(f);
	catalog_free(take_ptr(&f->catalog));
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
	f->sources.catalog = f->catalog;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	len = (size_t)lseek(fd, 0, SEEK_END) - FIRST_PAGE_BYTES;
	garbage = mem_alloc(len);
	memset(garbage, 'x', len);
	assert_int_equal(fd_pwrite_all(fd, garbage, len, FIRST_PAGE_BYTES), 0);
}

struct health gather(struct fixture *f)
{
	struct health h = {0};

	health_gather(&f->sources, &h);
	return h;
}

const struct health_item *find_item(const struct health *h, const char *check, const char *subject)
{
	for (size_t i = 0; i < h->count; i++)
		if (strcmp(h->items[i].check, check) == 0 && strcmp(h->items[i].subject, subject) == 0)
			return &h->items[i];
	return NULL;
}

void assert_no_item(struct fixture *f, const char *check)
{
	_cleanup(health) struct health h = gather(f);

	for (size_t i = 0; i < h.count; i++)
		if (strcmp(h.items[i].check, check) == 0)
			fail_msg("%s %s: %s", check, h.items[i].subject, h.items[i].text);
}

void assert_item(struct fixture *f, const char *check, const char *subject, enum report_health level,
                 int64_t since_us, const char *what_to_do)
{
	_cleanup(health) struct health h = gather(f);
	const struct health_item *item = find_item(&h, check, subject);

	if (!item)
		fail_msg("there is no %s '%s'", check, subject);
	if (item->level != level)
		fail_msg("%s '%s' is %s: %s", check, subject, health_level_name(item->level), item->text);
	assert_int_equal(item->since_us, since_us);
	if (!what_to_do != !item->what_to_do || (what_to_do && !strstr(item->what_to_do, what_to_do)))
		fail_msg("%s '%s' says to do: %s", check, subject, item->what_to_do);
}

void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("want: %s\nin:\n%s", part, text);
}

const struct catalog_run sample_run = {
        .id = 17,
        .job = "full",
        .kind = "dump",
        .tier = "daily,weekly",
        .org = "shop",
        .state = RUN_FAILED,
        .triggered_by = "uid 0 (bash)",
        .queued_at_us = AT_US,
        .started_at_us = AT_US + US_PER_S,
        .finished_at_us = AT_US + 2 * US_PER_S + 500000,
        .size_bytes = 12,
        .targets = 2,
        .targets_failed = 1,
        .error = "pg_dump: \"no\", it said\nand more",
        .note = "before the release",
        .options = "format=plain",
        .warning = "look at it",
        .damaged = "x.dump: flipped",
};
