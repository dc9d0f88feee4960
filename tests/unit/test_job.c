/* Jobs over a real catalog, with a maker that does as it is told: it waits, fails, counts, and moves no byte.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>

#include "../../src/job/command.h"
#include "../../src/job/job_private.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

struct bench {
	struct make_context ctx; /* first: the maker finds the bench by it */
	char state_dir[64];
	struct conf conf;
	struct jobs_events events;
	struct jobs *jobs;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* All below: lock. */
	bool hold;                      /* makers wait until it is cleared, or they are cancelled */
	unsigned pass;                  /* so many of them go on all the same */
	unsigned made;                  /* makers that began */
	unsigned running;               /* makers that are at work */
	char order[512];                /* the directories they were given, in order */
	uint64_t add_bytes;             /* what each maker adds to its progress before it waits */
	struct make_progress *progress; /* of the maker that is at work */
	unsigned events_told;
	char directories[512];
	unsigned ends_told; /* events of a run whose end the catalog held already */
};

struct held_make {
	struct bench *bench;
	bool cancelled; /* bench->lock */
};

static void wake_make(void *arg)
{
	struct held_make *held = arg;

	pthread_mutex_lock(&held->bench->lock);
	held->cancelled = true;
	pthread_cond_broadcast(&held->bench->changed);
	pthread_mutex_unlock(&held->bench->lock);
}

static bool wait_held(struct bench *b, const struct make_dump *dump)
{
	struct held_make held = {.bench = b};
	struct cancel_hook hook = {.wake = wake_make, .arg = &held};

	cancel_add_hook(dump->cancel, &hook);
	pthread_mutex_lock(&b->lock);
	b->made++;
	b->running++;
	b->progress = dump->progress;
	str_copy(b->order + strlen(b->order), sizeof(b->order) - strlen(b->order), dump->directory);
	str_copy(b->order + strlen(b->order), sizeof(b->order) - strlen(b->order), " ");
	atomic_fetch_add(&dump->progress->read_bytes, b->add_bytes);
	atomic_fetch_add(&dump->progress->sent_bytes, b->add_bytes / 2);
	pthread_cond_broadcast(&b->changed);
	while (b->hold && b->pass == 0 && !held.cancelled)
		pthread_cond_wait(&b->changed, &b->lock);
	b->pass -= b->pass > 0;
	b->progress = NULL;
	b->running--;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	cancel_remove_hook(dump->cancel, &hook);
	return held.cancelled;
}

static int fake_make(const struct make_context *ctx, const struct make_dump *dump, struct manifest *ret,
                     struct error *err)
{
	struct bench *b = (struct bench *)ctx;

	dump->log(dump->log_arg, "pg_dump: saving");
	if (wait_held(b, dump))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (dump->database && str_starts(dump->database, "bad"))
		return error_set(err, ERROR_DENIED, EACCES, "pg_dump: error: no rights on %s",
		                 dump->database);
	if (dump->database && str_starts(dump->database, "silent"))
		return -ENOMEM;
	*ret = (struct manifest){
	        .path = mem_printf("%s/20261120T020000Z.dump", dump->directory),
	        .size_bytes = 1000,
	};
	return 0;
}

static void on_run_changed(void *arg, int64_t run_id)
{
	struct bench *b = arg;
	struct catalog_run run;

	assert_int_equal(catalog_run(b->ctx.catalog, run_id, &run), 0);
	pthread_mutex_lock(&b->lock);
	if (run.state != RUN_PENDING && run.state != RUN_RUNNING)
		b->ends_told++;
	b->events_told++;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

static void on_directory_changed(void *arg, const char *path)
{
	struct bench *b = arg;

	pthread_mutex_lock(&b->lock);
	str_copy(b->directories + strlen(b->directories), sizeof(b->directories) - strlen(b->directories),
	         path);
	str_copy(b->directories + strlen(b->directories), sizeof(b->directories) - strlen(b->directories),
	         " ");
	pthread_mutex_unlock(&b->lock);
}

static char *no_databases[] = {NULL};
static char *tenants[] = {(char *)"acme", (char *)"bad one", (char *)"silent", (char *)"zeta", NULL};

static struct conf_backup backups[] = {
        {.name = (char *)"full", .database = (char *)"postgresql:///primary", .databases = no_databases},
        {.name = (char *)"tenants", .database = (char *)"postgresql:///", .databases = tenants},
};

static void bench_init(struct bench *b, int64_t parallel_runs)
{
	struct jobs_options options = {.make = fake_make};
	struct error err = {0};

	*b = (struct bench){0};
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->changed, NULL);
	log_set_level(0);
	str_copy(b->state_dir, sizeof(b->state_dir), "/tmp/keepfs-test-job-XXXXXX");
	assert_non_null(mkdtemp(b->state_dir));
	assert_int_equal(catalog_open(b->state_dir, &b->ctx.catalog, &err), 0);
	b->conf = (struct conf){.parallel_runs = parallel_runs, .backups = backups, .backup_count = 2};
	b->ctx.conf = &b->conf;
	b->events = (struct jobs_events){on_run_changed, on_directory_changed, b};
	options.ctx = &b->ctx;
	options.events = &b->events;
	assert_int_equal(jobs_start(&options, &b->jobs, &err), 0);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void bench_finish(struct bench *b)
{
	assert_null(jobs_free(b->jobs));
	catalog_free(b->ctx.catalog);
	assert_int_equal(nftw(b->state_dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
	pthread_cond_destroy(&b->changed);
	pthread_mutex_destroy(&b->lock);
}

static void hold(struct bench *b, bool on)
{
	pthread_mutex_lock(&b->lock);
	b->hold = on;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

static void wait_running(struct bench *b, unsigned count)
{
	pthread_mutex_lock(&b->lock);
	while (b->running != count)
		pthread_cond_wait(&b->changed, &b->lock);
	pthread_mutex_unlock(&b->lock);
}

static int64_t trigger(struct bench *b, const char *command)
{
	struct catalog_run run;
	struct error err = {0};

	assert_int_equal(jobs_trigger(b->jobs, command, "uid 0 (test)", &run, &err), 0);
	assert_true(run.id > 0);
	return run.id;
}

static void test_command_words_and_options(void **state)
{
	_cleanup(command) struct command c = {0};
	struct error err = {0};

	assert_int_equal(command_parse(" full\tnote=\"before the \\\"big\\\" one\" 'two words' a\\ b x='' "
	                               "y=1=2 /p=q 'k'=v k\\=v \"\" =v\n",
	                               &c, &err),
	                 0);
	assert_int_equal(c.word_count, 8);
	assert_string_equal(c.words[0], "full");
	assert_string_equal(c.words[1], "two words");
	assert_string_equal(c.words[2], "a b");
	assert_string_equal(c.words[3], "/p=q");
	assert_string_equal(c.words[4], "k=v");
	assert_string_equal(c.words[5], "k=v");
	assert_string_equal(c.words[6], "");
	assert_string_equal(c.words[7], "=v");
	assert_int_equal(c.option_count, 3);
	assert_string_equal(c.options[0].key, "note");
	assert_string_equal(c.options[0].value, "before the \"big\" one");
	assert_string_equal(c.options[1].key, "x");
	assert_string_equal(c.options[1].value, "");
	assert_string_equal(c.options[2].key, "y");
	assert_string_equal(c.options[2].value, "1=2");
	command_finish(&c);
	assert_int_equal(command_parse(" \n\t", &c, &err), 0);
	assert_int_equal(c.word_count + c.option_count, 0);
}

static void test_command_refuses(void **state)
{
	static const char *const bad[] = {"'open", "\"open", "full \"a\\\"", "a\\",     "a\x01",
	                                  "'\n'",  "\"\t\"", "k='\x7f'",     "\x1b[0m", "a\\\n"};
	_cleanup(free) char *longest = malloc(COMMAND_MAX_BYTES + 2);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct command c = {0};
		struct error err = {0};

		assert_int_equal(command_parse(bad[i], &c, &err), -EINVAL);
		assert_int_equal(err.class, ERROR_USAGE);
		assert_true(strlen(err.message) > 10);
		assert_null(c.words);
	}
	memset(longest, 'x', COMMAND_MAX_BYTES + 1);
	longest[COMMAND_MAX_BYTES + 1] = '\0';
	{
		struct command c = {0};

		assert_int_equal(command_parse(longest, &c, NULL), -EINVAL);
		longest[COMMAND_MAX_BYTES] = '\0';
		assert_int_equal(command_parse(longest, &c, NULL), 0);
		assert_int_equal(c.word_count, 1);
		command_finish(&c);
	}
}

static void test_command_cut_at_every_byte(void **state)
{
	static const char whole[] = "full a=\"b \\\" c\" 'd \\ e' f\\ g h=i\\\\ ''";
	/* Where a cut leaves a quote open or a backslash alone. */
	for (size_t len = 0; len <= strlen(whole); len++) {
		_cleanup(free) char *text = strndup(whole, len);
		bool single = false, twice = false, escaped = false;
		struct command c = {0};

		for (const char *p = text; *p; p++) {
			if (escaped)
				escaped = false;
			else if (*p == '\\' && !single)
				escaped = true;
			else if (*p == '\'' && !twice)
				single = !single;
			else if (*p == '"' && !single)
				twice = !twice;
		}
		assert_int_equal(command_parse(text, &c, NULL), single || twice || escaped ? -EINVAL : 0);
		command_finish(&c);
	}
}

static void count_line(void *arg, int64_t at_us, const char *line)
{
	unsigned *found = arg;

	*found += strcmp(line, "pg_dump: saving") == 0 || strcmp(line, "run completed") == 0;
}

static void test_run_completes(void **state)
{
	struct catalog_target target;
	struct catalog_run run;
	unsigned lines = 0;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	id = trigger(&b, "now\n");
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_string_equal(run.job, "full");
	assert_string_equal(run.triggered_by, "uid 0 (test)");
	assert_string_equal(run.error, "");
	assert_int_equal(run.size_bytes, 1000);
	assert_int_equal(catalog_run_targets(b.ctx.catalog, id, 0, &target, 1), 1);
	assert_string_equal(target.database, "primary");
	assert_string_equal(target.path, "backups/full/20261120T020000Z.dump");
	assert_int_equal(target.state, RUN_COMPLETED);
	assert_int_equal(catalog_run_log(b.ctx.catalog, id, count_line, &lines), 0);
	assert_int_equal(lines, 2);
	assert_string_equal(b.order, "backups/full ");
	assert_string_equal(b.directories, "backups/full ");
	/* Its name does as well, and again when the first has ended. */
	assert_int_equal(jobs_wait(b.jobs, trigger(&b, "'full'"), &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	jobs_stop(b.jobs, 0);
	/* The last event of each run came after its end. */
	assert_int_equal(b.ends_told, 2);
	bench_finish(&b);
}

static void test_trigger_refuses(void **state)
{
	static const char *const bad[] = {"",       " \n",   "nothing",    "full tenants", "full note=x",
	                                  "note=x", "'full", "full\nfull", "NOW"};
	struct catalog_run run;
	struct bench b;

	bench_init(&b, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = {0};

		assert_int_equal(jobs_trigger(b.jobs, bad[i], "test", &run, &err), -EINVAL);
		assert_int_equal(err.class, ERROR_USAGE);
		if (bad[i][0] != '\'')
			assert_non_null(strstr(err.message, "now, full, tenants"));
	}
	assert_int_equal(catalog_runs(b.ctx.catalog, NULL, 0, &run, 1), 0);
	b.conf.backup_count = 0;
	{
		struct error err = {0};

		assert_int_equal(jobs_trigger(b.jobs, "now", "test", &run, &err), -EINVAL);
		assert_non_null(strstr(err.message, "[backup NAME]"));
	}
	b.conf.backup_count = 2;
	bench_finish(&b);
}

static void test_one_run_of_a_job(void **state)
{
	struct catalog_run run;
	struct error err = {0};
	struct bench b;
	int64_t id;

	bench_init(&b, 2);
	hold(&b, true);
	id = trigger(&b, "full");
	wait_running(&b, 1);
	assert_int_equal(jobs_trigger(b.jobs, "now", "test", &run, &err), -EBUSY);
	/* Another job runs beside it. */
	trigger(&b, "tenants");
	wait_running(&b, 2);
	hold(&b, false);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	bench_finish(&b);
}

static void test_one_that_fails_does_not_stop_the_others(void **state)
{
	struct catalog_target targets[5];
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	id = trigger(&b, "tenants");
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_FAILED);
	assert_int_equal(run.targets, 4);
	assert_int_equal(run.targets_failed, 2);
	assert_int_equal(run.size_bytes, 2000);
	assert_non_null(strstr(run.error,
	                       "2 of 4 databases failed: bad one: pg_dump: error: no rights on bad one; "
	                       "silent: the backup of silent failed"));
	assert_string_equal(b.order, "backups/tenants/acme backups/tenants/bad=20one backups/tenants/silent "
	                             "backups/tenants/zeta ");
	assert_string_equal(b.directories, "backups/tenants/acme backups/tenants/zeta ");
	assert_int_equal(catalog_run_targets(b.ctx.catalog, id, 0, targets, 5), 4);
	assert_int_equal(targets[0].state, RUN_COMPLETED);
	assert_int_equal(targets[1].state, RUN_FAILED);
	assert_string_equal(targets[1].error, "pg_dump: error: no rights on bad one");
	assert_string_equal(targets[1].path, "");
	assert_int_equal(targets[2].state, RUN_FAILED);
	assert_int_equal(targets[3].state, RUN_COMPLETED);
	bench_finish(&b);
}

static void test_many_failures_fit_the_history(void **state)
{
	static char long_name[] = "bad-0123456789012345678901234567890123456789012345678901234567890";
	char *names[41];
	char copies[40][80];
	struct conf_backup many = {.name = (char *)"many", .database = (char *)"", .databases = names};
	struct catalog_run run;
	struct bench b;

	for (size_t i = 0; i < 40; i++) {
		snprintf(copies[i], sizeof(copies[i]), "%s%zu", long_name, i);
		names[i] = copies[i];
	}
	names[40] = NULL;
	bench_init(&b, 1);
	b.conf.backups = &many;
	b.conf.backup_count = 1;
	assert_int_equal(jobs_wait(b.jobs, trigger(&b, "many"), &run), 0);
	assert_non_null(strstr(run.error, "40 of 40 databases failed: bad-0123"));
	assert_true(str_ends(run.error, "; and others"));
	bench_finish(&b);
}

static void test_cancel_running(void **state)
{
	struct catalog_target targets[4];
	struct catalog_run run;
	struct error err = {0};
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	hold(&b, true);
	id = trigger(&b, "tenants");
	wait_running(&b, 1);
	assert_int_equal(jobs_cancel(b.jobs, id, &err), 0);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_int_equal(run.state, RUN_CANCELLED);
	assert_string_equal(run.error, "cancelled");
	assert_string_equal(b.order, "backups/tenants/acme ");
	assert_int_equal(catalog_run_targets(b.ctx.catalog, id, 0, targets, 4), 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(targets[i].state, RUN_CANCELLED);
	assert_int_equal(jobs_cancel(b.jobs, id, &err), -ESRCH);
	assert_non_null(strstr(err.message, "is cancelled"));
	assert_int_equal(jobs_cancel(b.jobs, id + 1, &err), -ESRCH);
	bench_finish(&b);
}

static void test_cancel_pending(void **state)
{
	struct catalog_run run;
	struct bench b;
	int64_t first, second;

	bench_init(&b, 1);
	hold(&b, true);
	first = trigger(&b, "full");
	wait_running(&b, 1);
	second = trigger(&b, "tenants");
	assert_int_equal(jobs_cancel(b.jobs, second, NULL), 0);
	/* While the other one still runs. */
	assert_int_equal(jobs_wait(b.jobs, second, &run), 0);
	assert_int_equal(run.state, RUN_CANCELLED);
	assert_string_equal(run.error, "cancelled before it began");
	assert_int_equal(jobs_cancel(b.jobs, second, NULL), -ESRCH);
	hold(&b, false);
	assert_int_equal(jobs_wait(b.jobs, first, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_string_equal(b.order, "backups/full ");
	bench_finish(&b);
}

/* No file can be written: as on a full disk. */
static void refuse_writes(bool on)
{
	static struct rlimit before;
	struct rlimit none;

	if (on) {
		signal(SIGXFSZ, SIG_IGN);
		assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
		none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, on ? &none : &before), 0);
}

static void test_cancel_pending_on_a_full_disk(void **state)
{
	struct catalog_run run;
	struct bench b;
	int64_t first, second;

	bench_init(&b, 1);
	hold(&b, true);
	first = trigger(&b, "full");
	wait_running(&b, 1);
	second = trigger(&b, "tenants");
	refuse_writes(true);
	/* It does not wait for room, and may be asked again. */
	assert_int_equal(jobs_cancel(b.jobs, second, NULL), 0);
	assert_int_equal(jobs_cancel(b.jobs, second, NULL), 0);
	assert_int_equal(catalog_run(b.ctx.catalog, second, &run), 0);
	assert_int_equal(run.state, RUN_PENDING);
	refuse_writes(false);
	assert_int_equal(jobs_wait(b.jobs, second, &run), 0);
	assert_int_equal(run.state, RUN_CANCELLED);
	hold(&b, false);
	assert_int_equal(jobs_wait(b.jobs, first, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_string_equal(b.order, "backups/full ");
	bench_finish(&b);
}

/* What cannot be kept does not keep keepfs from leaving. */
static void test_stop_on_a_full_disk(void **state)
{
	struct catalog_run run;
	struct bench b;
	int64_t first, second;

	bench_init(&b, 1);
	hold(&b, true);
	first = trigger(&b, "full");
	wait_running(&b, 1);
	second = trigger(&b, "tenants");
	refuse_writes(true);
	assert_int_equal(jobs_cancel(b.jobs, second, NULL), 0);
	jobs_stop(b.jobs, 0);
	refuse_writes(false);
	assert_int_equal(jobs_wait(b.jobs, first, &run), -ESRCH);
	assert_int_equal(run.state, RUN_RUNNING);
	assert_int_equal(jobs_wait(b.jobs, second, &run), -ESRCH);
	assert_int_equal(run.state, RUN_PENDING);
	bench_finish(&b);
}

static void *stop_main(void *arg)
{
	struct bench *b = arg;

	jobs_stop(b->jobs, 600000);
	return NULL;
}

static void test_stop_within_grace(void **state)
{
	struct catalog_run run;
	struct error err = {0};
	pthread_t stopper;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	hold(&b, true);
	id = trigger(&b, "full");
	wait_running(&b, 1);
	assert_int_equal(pthread_create(&stopper, NULL, stop_main, &b), 0);
	hold(&b, false);
	pthread_join(stopper, NULL);
	assert_int_equal(catalog_run(b.ctx.catalog, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_int_equal(b.ends_told, 1);
	assert_int_equal(jobs_trigger(b.jobs, "full", "test", &run, &err), -ESHUTDOWN);
	bench_finish(&b);
}

static void test_stop_cancels(void **state)
{
	struct catalog_run run;
	struct bench b;
	int64_t first, second;

	bench_init(&b, 1);
	hold(&b, true);
	first = trigger(&b, "full");
	wait_running(&b, 1);
	second = trigger(&b, "tenants");
	jobs_stop(b.jobs, 0);
	assert_int_equal(catalog_run(b.ctx.catalog, first, &run), 0);
	assert_int_equal(run.state, RUN_CANCELLED);
	assert_string_equal(run.error, "cancelled: keepfs was stopped");
	assert_int_equal(catalog_run(b.ctx.catalog, second, &run), 0);
	assert_int_equal(run.state, RUN_CANCELLED);
	assert_non_null(strstr(run.error, "before it began"));
	assert_int_equal(b.ends_told, 2);
	bench_finish(&b);
}

static void add_artifact(struct bench *b, uint64_t size_bytes)
{
	struct manifest m = {
	        .path = (char *)"backups/full/20261119T020000Z.dump",
	        .job = (char *)"full",
	        .kind = (char *)"dump",
	        .database = (char *)"primary",
	        .server_version = (char *)"15.1",
	        .tool_version = (char *)"15.1",
	        .triggered_by = (char *)"test",
	        .format = (char *)"custom",
	        .content = (char *)"full",
	        .compression = (char *)"gzip",
	        .keepfs_version = (char *)"0",
	        .started_at_us = 1,
	        .finished_at_us = 2,
	        .size_bytes = size_bytes,
	        .stored_bytes = size_bytes,
	};
	struct error err = {0};

	memset(m.sha256, '0', SHA256_HEX_BYTES - 1);
	memset(m.stored_sha256, '0', SHA256_HEX_BYTES - 1);
	while (m.extents.total_bytes < size_bytes)
		extents_append(&m.extents, 1000, 0);
	m.extents_count = m.extents.count;
	assert_int_equal(catalog_ensure_directory(b->ctx.catalog, "backups/full", 1, &err), 0);
	assert_int_equal(catalog_add_artifact(b->ctx.catalog, &m, &err), 0);
	extents_finish(&m.extents);
}

static void test_progress(void **state)
{
	struct report_progress p;
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	add_artifact(&b, 5000);
	hold(&b, true);
	b.add_bytes = 2000;
	id = trigger(&b, "full");
	wait_running(&b, 1);
	assert_true(jobs_progress(b.jobs, id, &p));
	assert_int_equal(p.read_bytes, 2000);
	assert_int_equal(p.sent_bytes, 1000);
	assert_int_equal(p.expected_bytes, 5000);
	assert_int_equal(p.targets_done, 0);
	assert_string_equal(p.database, "primary");
	assert_in_range(p.elapsed_ms, 0, 60000);
	hold(&b, false);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	assert_false(jobs_progress(b.jobs, id, &p));
	assert_int_equal(p.read_bytes, 0);
	bench_finish(&b);
}

/* The bytes of databases that are done count on. */
static void test_progress_over_databases(void **state)
{
	struct report_progress p;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	b.add_bytes = 300;
	hold(&b, true);
	id = trigger(&b, "tenants");
	wait_running(&b, 1);
	/* Let the first one through. */
	pthread_mutex_lock(&b.lock);
	b.pass = 1;
	pthread_cond_broadcast(&b.changed);
	while (b.made < 2)
		pthread_cond_wait(&b.changed, &b.lock);
	pthread_mutex_unlock(&b.lock);
	assert_true(jobs_progress(b.jobs, id, &p));
	assert_int_equal(p.targets_done, 1);
	assert_int_equal(p.read_bytes, 600);
	assert_string_equal(p.database, "bad one");
	hold(&b, false);
	bench_finish(&b);
}

static void test_events_are_few(void **state)
{
	int64_t began_ms = clock_mono_ms();
	struct report_progress p;
	struct catalog_run run;
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	hold(&b, true);
	id = trigger(&b, "full");
	wait_running(&b, 1);
	/* There is progress after each event, so there could be another one at any time. */
	pthread_mutex_lock(&b.lock);
	for (unsigned told = 0; b.events_told < 4;) {
		if (told < b.events_told)
			atomic_fetch_add(&b.progress->read_bytes, 100000);
		told = b.events_told;
		pthread_cond_wait(&b.changed, &b.lock);
	}
	assert_true(b.events_told - 1 <= (clock_mono_ms() - began_ms) / 200);
	pthread_mutex_unlock(&b.lock);
	assert_true(jobs_progress(b.jobs, id, &p));
	assert_true(p.rate_bytes_per_s > 0);
	assert_int_equal(p.eta_s, -1);
	hold(&b, false);
	assert_int_equal(jobs_wait(b.jobs, id, &run), 0);
	jobs_stop(b.jobs, 0);
	assert_int_equal(b.ends_told, 1);
	bench_finish(&b);
}

static void test_wait_for_what_is_not_there(void **state)
{
	struct catalog_run run;
	struct error err = {0};
	struct bench b;
	int64_t id;

	bench_init(&b, 1);
	assert_int_equal(jobs_wait(b.jobs, 4711, &run), -ENOENT);
	/* One that a crash left and that nobody runs. */
	assert_int_equal(
	        catalog_add_run(b.ctx.catalog,
	                        &(struct catalog_run){.job = "gone", .kind = "dump", .triggered_by = "test"},
	                        &id, &err),
	        0);
	assert_int_equal(jobs_wait(b.jobs, id, &run), -ESRCH);
	assert_null(jobs_free(NULL));
	bench_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_command_words_and_options),
	        cmocka_unit_test(test_command_refuses),
	        cmocka_unit_test(test_command_cut_at_every_byte),
	        cmocka_unit_test(test_run_completes),
	        cmocka_unit_test(test_trigger_refuses),
	        cmocka_unit_test(test_one_run_of_a_job),
	        cmocka_unit_test(test_one_that_fails_does_not_stop_the_others),
	        cmocka_unit_test(test_many_failures_fit_the_history),
	        cmocka_unit_test(test_cancel_running),
	        cmocka_unit_test(test_cancel_pending),
	        cmocka_unit_test(test_cancel_pending_on_a_full_disk),
	        cmocka_unit_test(test_stop_on_a_full_disk),
	        cmocka_unit_test(test_stop_within_grace),
	        cmocka_unit_test(test_stop_cancels),
	        cmocka_unit_test(test_progress),
	        cmocka_unit_test(test_progress_over_databases),
	        cmocka_unit_test(test_events_are_few),
	        cmocka_unit_test(test_wait_for_what_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
