// SPDX-License-Identifier: Apache-2.0
/* conf: what a daemon that runs takes over, and who may have which version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

#include <keepfs/base/workers.h>

struct reloaded {
	struct conf conf;
	struct conf_changes changes;
	struct str problems;
	int r;
};

static void cleanup_reloaded(struct reloaded *re)
{
	conf_finish(&re->conf);
	conf_changes_finish(&re->changes);
	str_finish(&re->problems);
}

/* What becomes of f->conf when the file holds @text. */
static void reload(struct fixture *f, const char *text, struct reloaded *re)
{
	cleanup_reloaded(re);
	*re = (struct reloaded){0};
	write_text(f->file, text, strlen(text), 0600);
	re->r = conf_reload(&f->conf, &re->conf, &re->changes, &re->problems);
}

static void expect(const struct reloaded *re, const char *taken, const char *need_restart)
{
	assert_int_equal(re->r, 0);
	assert_string_equal(str_text(&re->changes.taken), taken);
	assert_string_equal(str_text(&re->changes.need_restart), need_restart);
}

static void test_nothing_has_changed(void **state)
{
	static const char text[] =
	        "[store]\nurl = s3://bucket\naccess_key = a\nsecret_key = s\n[backup full]\n";
	_cleanup(reloaded) struct reloaded re = {0};
	struct fixture *f = *state;

	accept(f, text);
	reload(f, text, &re);
	expect(&re, "", "");
	/* In another order, with another spelling, it is the same. */
	reload(f, "[backup full]\nnice = 0\n[store]\nsecret_key = s\naccess_key = a\nurl = s3://bucket/\n",
	       &re);
	expect(&re, "", "");
}

static void test_jobs(void **state)
{
	_cleanup(reloaded) struct reloaded re = {0};
	struct fixture *f = *state;

	accept(f, "[backup a]\nnice = 5\n[backup b]\n[backup c]\n");
	reload(f,
	       "[backup c]\ndatabase = postgresql://u:secret@h/x\n[files b]\npath = /srv/b\n[backup a]\nnice = 6\n"
	       "[backup d]\n",
	       &re);
	expect(&re,
	       "[backup a] nice: 5 is now 6\n[backup b] is gone\n"
	       "[backup c] database:  is now postgresql://u:********@h/x\n[files b] is new\n[backup d] is new\n",
	       "");
	assert_int_equal(re.conf.job_count, 4);
	assert_string_equal(re.conf.jobs[0].name, "c");
	assert_string_equal(re.conf.jobs[0].dump.database, "postgresql://u:secret@h/x");
	assert_int_equal(re.conf.jobs[2].nice, 6);
	assert_int_equal(f->conf.jobs[0].nice, 5);
}

static void test_policy_is_told_apart(void **state)
{
	_cleanup(reloaded) struct reloaded re = {0};
	struct fixture *f = *state;

	accept(f,
	       "[keepfs]\ntrash = 3d\nlog_level = info\n[backup a]\nkeep_daily = 7\nnice = 5\n[class x]\n");
	reload(f,
	       "[keepfs]\ntrash = none\nlog_level = debug\n[backup a]\nkeep_daily = 3\nnice = 6\n[class x]\nkeep_last = 1\n",
	       &re);
	assert_string_equal(str_text(&re.changes.policy),
	                    "[keepfs] trash: 3d is now none\n[backup a] keep_daily: 7 is now 3\n"
	                    "[class x] keep_last: none is now 1\n");
}

static void test_needs_a_restart(void **state)
{
	_cleanup(reloaded) struct reloaded re = {0};
	_cleanup(str) struct str effective = {0};
	struct fixture *f = *state;

	accept(f, "[keepfs]\nmemory = 512M\n[store]\nurl = s3://bucket\naccess_key = a\nsecret_key = old\n");
	reload(f,
	       "[keepfs]\nmemory = 1G\nstop_grace = 5s\nlog_level = debug\n"
	       "[store]\nurl = s3://bucket\naccess_key = a\nsecret_key = new\n",
	       &re);
	expect(&re, "[keepfs] stop_grace: 30s is now 5s\n[keepfs] log_level: info is now debug\n",
	       "[keepfs] memory: 512M stays, not yet 1G\n[store] secret_key: ******** stays, not yet ********\n");
	assert_int_equal(re.conf.memory_bytes, 512 << 20);
	assert_string_equal(re.conf.store.secret_key.value, "old");
	assert_int_equal(re.conf.stop_grace_ms, 5000);
	/* What is shown has the place that it came from. */
	conf_write_effective(&re.conf, &effective);
	assert_non_null(strstr(str_text(&effective), "memory = 512M  # /"));
}

/* Only what has been read at the start, and nothing else, must be able to stay: each key of each single section. */
static void test_every_key_of_the_daemon(void **state)
{
	static const char *const taken[] = {"stop_grace",
	                                    "log_level",
	                                    "chain_compact",
	                                    "chain_compact_links",
	                                    "erasure_key",
	                                    "erasure_key_file",
	                                    "erasure_key_command",
	                                    "signing_key",
	                                    "signing_key_file",
	                                    "signing_key_command",
	                                    "signing_key_old",
	                                    "signing_key_old_file",
	                                    "signing_key_old_command",
	                                    "verify_key_file",
	                                    "encrypt_to",
	                                    "encrypt_to_file",
	                                    "encrypt_passphrase",
	                                    "encrypt_passphrase_file",
	                                    "encrypt_passphrase_command",
	                                    "identity",
	                                    "identity_file",
	                                    "identity_command",
	                                    "identity_passphrase",
	                                    "identity_passphrase_file",
	                                    "identity_passphrase_command",
	                                    "drill_dir",
	                                    "drill_user",
	                                    "drill_bindir",
	                                    "drill_memory",
	                                    "drill_disk",
	                                    "timezone",
	                                    "trash",
	                                    "policy_delay",
	                                    "ignore_databases",
	                                    "scrub_within",
	                                    "scrub_rate",
	                                    "to",
	                                    "server",
	                                    "tls",
	                                    "from",
	                                    "user",
	                                    "password",
	                                    "password_file",
	                                    "password_command",
	                                    "ca_file",
	                                    "events",
	                                    "gather",
	                                    "digest"};
	size_t count = 0;

	for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++) {
		struct conf_ref ref = {.section = s, .key = -1};

		while (!conf_sections[s].list && conf_next_key(&ref))
			if (conf_keys[ref.key].reload)
				assert_string_equal(conf_keys[ref.key].name, taken[count++]);
	}
	assert_int_equal(count, ARRAY_SIZE(taken));
}

static void test_wrong(void **state)
{
	_cleanup(reloaded) struct reloaded re = {0};
	struct fixture *f = *state;

	accept(f, "[backup full]\n");
	reload(f, "[backup full]\nnice = 99\n[store]\nnosuch = 1\n", &re);
	assert_int_equal(re.r, -EINVAL);
	assert_non_null(strstr(str_text(&re.problems), "[backup full] nice = 99"));
	assert_non_null(strstr(str_text(&re.problems), "nosuch"));
	assert_int_equal(remove(f->file), 0);
	str_clear(&re.problems);
	re.r = conf_reload(&f->conf, &re.conf, &re.changes, &re.problems);
	assert_int_equal(re.r, -ENOENT);
	assert_non_null(strstr(str_text(&re.problems), f->file));
}

/* With the file's own mountpoint the job would be right; with the one that stays it would archive the mount. */
static void test_contradicts_what_stays(void **state)
{
	_cleanup(reloaded) struct reloaded re = {0};
	struct fixture *f = *state;

	accept(f, "[keepfs]\nmountpoint = /mnt/keep\n");
	reload(f, "[keepfs]\nmountpoint = /mnt/other\n[files x]\npath = /mnt/keep/x\n", &re);
	assert_int_equal(re.r, -EINVAL);
	assert_non_null(
	        strstr(str_text(&re.problems),
	               "[files x] path = /mnt/keep/x: lies inside or at [keepfs] mountpoint = /mnt/keep"));
}

/* The command line's mountpoint is the one that counts, and is no change of the configuration. */
static void test_served_elsewhere(void **state)
{
	static const char own[] = "[keepfs]\nmountpoint = /mnt/keep\n[files a]\npath = /srv/a\n";
	_cleanup(reloaded) struct reloaded re = {0}, again = {0};
	struct fixture *f = *state;

	accept(f, own);
	conf_serve_at(&f->conf, "/run/served");
	reload(f, own, &re);
	expect(&re, "", "");
	assert_string_equal(re.conf.mountpoint, "/run/served");
	again.r = conf_reload(&re.conf, &again.conf, &again.changes, &again.problems);
	expect(&again, "", "");
	assert_string_equal(again.conf.mountpoint, "/run/served");
	reload(f, "[keepfs]\nmountpoint = /mnt/keep\n[files a]\npath = /run/served/backups\n", &re);
	assert_int_equal(re.r, -EINVAL);
	assert_non_null(strstr(str_text(&re.problems), "/run/served (the command line)"));
	reload(f, "[keepfs]\nmountpoint = /mnt/other\n[files a]\npath = /srv/a\n", &re);
	expect(&re, "", "[keepfs] mountpoint: /run/served stays, not yet /mnt/other\n");
	assert_string_equal(re.conf.mountpoint, "/run/served");
}

static void *read_versions(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		_cleanup(conf_ref) const struct conf *conf = conf_live_ref(arg);

		if (!conf_find_job(conf, "full") || conf->job_count != 1)
			return arg;
	}
	return NULL;
}

static void test_versions(void **state)
{
	struct fixture *f = *state;
	struct conf_live *live;
	const struct conf *first;
	pthread_t readers[3];
	void *wrong;

	accept(f, "[backup full]\nnice = 1\n");
	live = conf_live_new(&f->conf);
	assert_null(f->conf.jobs);
	first = conf_live_ref(live);
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
		assert_int_equal(thread_start(&readers[i], "reader", read_versions, live), 0);
	for (uint64_t i = 1; i <= 100; i++) {
		accept(f, "[backup full]\nnice = 2\n");
		conf_live_replace(live, &f->conf);
		assert_int_equal(conf_live_generation(live), i);
	}
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		pthread_join(readers[i], &wrong);
		assert_null(wrong);
	}
	assert_int_equal(first->jobs[0].nice, 1);
	assert_null(conf_live_free(live));
	assert_int_equal(first->jobs[0].nice, 1);
	assert_null(conf_unref(first));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_nothing_has_changed),
	        CONF_TEST(test_jobs),
	        CONF_TEST(test_policy_is_told_apart),
	        CONF_TEST(test_needs_a_restart),
	        CONF_TEST(test_every_key_of_the_daemon),
	        CONF_TEST(test_wrong),
	        CONF_TEST(test_contradicts_what_stays),
	        CONF_TEST(test_served_elsewhere),
	        CONF_TEST(test_versions),
	};

	return RUN_CONF_TESTS(tests);
}
