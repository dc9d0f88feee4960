// SPDX-License-Identifier: Apache-2.0
/* Connection strings, hints and the choice of programs, and what becomes of a server that keeps silent: all
 * that needs no real one. */
#include "../../src/pg/session.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ALIVE "keepalives_idle='60' keepalives_interval='15' keepalives_count='4'"

static void expect_child(const char *conninfo, const char *database, const char *expected,
                         const char *expected_env)
{
	_cleanup(free) char *text = NULL;
	struct error err = {0};
	char *env = NULL;

	assert_int_equal(pg_child_conninfo(conninfo, database, NULL, &text, &env, &err), 0);
	assert_string_equal(text, expected);
	assert_true(str_equal(env, expected_env));
	mem_free_secret(env);
}

static void test_child_conninfo(void **state)
{
	/* A server that vanished is noticed, unless somebody has said how. */
	expect_child("", NULL, ALIVE, NULL);
	expect_child("mydb", NULL, "dbname='mydb' " ALIVE, NULL);
	expect_child("it's", NULL, "dbname='it\\'s' " ALIVE, NULL);
	expect_child("", "other", "dbname='other' " ALIVE, NULL);
	expect_child("host=h dbname=one", "two", "dbname='two' host='h' " ALIVE, NULL);
	expect_child("service=prod password='a b\\'c'", NULL, "service='prod'", "PGPASSWORD=a b'c");
	expect_child("postgresql://me:s%40cret@h:5433/db?sslmode=require", "x\\y",
	             "dbname='x\\\\y' user='me' host='h' "
	             "port='5433' sslmode='require' " ALIVE,
	             "PGPASSWORD=s@cret");
	expect_child("host=h keepalives=0", NULL, "host='h' keepalives='0'", NULL);
	expect_child("host=h tcp_user_timeout=5000", NULL, "host='h' tcp_user_timeout='5000'", NULL);
	setenv("PGSERVICE", "prod", 1);
	expect_child("host=h", NULL, "host='h'", NULL);
	unsetenv("PGSERVICE");
}

/* Those of the connection are part of the new ones already. */
static void test_child_options(void **state)
{
	_cleanup(free) char *text = NULL, *env = NULL;

	assert_int_equal(pg_child_conninfo("host=h options='-c a=b' dbname=x", NULL,
	                                   "-c a=b -c lc_messages=C", &text, &env, NULL),
	                 0);
	assert_string_equal(text, "options='-c a=b -c lc_messages=C' dbname='x' host='h' " ALIVE);
	assert_null(env);
}

/* No part of a string that may hold a password is told. */
static void test_wrong_conninfo(void **state)
{
	static const char *const wrong[] = {
	        "host=h password=my hunter2 x",
	        "postgresql://me:hunter2@h:port:/db\"?x=y",
	        "password=x hunter2",
	        "postgresql://me:hunter2@h/db?hunter2=1",
	        "password='hunter2",
	        "host=h hunter2=x password=y",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct error err = {0};
		struct pg_facts facts;
		char *text = NULL, *env = NULL;

		assert_int_equal(pg_child_conninfo(wrong[i], NULL, NULL, &text, &env, &err), -EINVAL);
		assert_int_equal(err.class, ERROR_USAGE);
		assert_null(strstr(err.message, "hunter2"));
		assert_int_equal(pg_learn(wrong[i], NULL, NULL, &facts, &err), -EINVAL);
		assert_null(strstr(err.message, "hunter2"));
		assert_null(text);
		assert_null(env);
	}
}

static void test_wrong_conninfo_is_told(void **state)
{
	char *text = NULL, *env = NULL;
	struct error err = {0};

	assert_int_equal(pg_child_conninfo("hots=h", NULL, NULL, &text, &env, &err), -EINVAL);
	assert_non_null(strstr(err.message, "hots"));
}

static void test_key_password_is_refused(void **state)
{
	char *text = NULL, *env = NULL;
	struct error err = {0};

	assert_int_equal(pg_child_conninfo("dbname=x sslpassword=hunter2", NULL, NULL, &text, &env, &err),
	                 -EINVAL);
	assert_non_null(strstr(err.message, "sslpassword"));
	assert_null(strstr(err.message, "hunter2"));
}

static void expect_database(const char *conninfo, const char *expected)
{
	_cleanup(free) char *name = pg_conninfo_database(conninfo);

	assert_string_equal(name, expected);
}

static void test_conninfo_database(void **state)
{
	setenv("PGDATABASE", "fromenv", 1);
	expect_database("postgresql://h/db", "db");
	expect_database("plain", "plain");
	expect_database("host=h dbname='a b'", "a b");
	expect_database("service=prod", "prod");
	expect_database("", "fromenv");
	expect_database("dbname='", "");
	unsetenv("PGDATABASE");
	expect_database("user=me", "me");
	setenv("PGUSER", "you", 1);
	expect_database("", "you");
	unsetenv("PGUSER");
}

static void test_unreachable(void **state)
{
	struct pg_facts facts = {.version_num = 1};
	struct error err = {0};

	assert_true(pg_learn("host=/nonexistent dbname=x password=hunter2", NULL, NULL, &facts, &err) < 0);
	assert_int_equal(err.class, ERROR_UNAVAILABLE);
	assert_true(err.retry);
	assert_non_null(strstr(err.message, "/nonexistent"));
	assert_null(strstr(err.message, "hunter2"));
	assert_int_equal(facts.version_num, 1);
}

/* A server that lets everybody in, at most so far, and then keeps silent until it is hung up on. */
struct mute {
	int fd;
	int port;
	int answers;           /* how many messages get an answer */
	struct cancel *cancel; /* set when one got none */
	pthread_t thread;
};

static int listen_on_any_port(int backlog, int *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static void *mute_main(void *arg)
{
	/* AuthenticationOk, ParameterStatus, ReadyForQuery */
	static const char welcome[] = "R\0\0\0\x08\0\0\0\0"
	                              "S\0\0\0\x18server_version\0"
	                              "15.1\0"
	                              "Z\0\0\0\x05I";
	struct mute *m = arg;
	int fd = accept(m->fd, NULL, NULL);
	char message[4096];

	for (int i = 0; read(fd, message, sizeof(message)) > 0; i++) {
		if (i < m->answers)
			(void)!write(fd, welcome, sizeof(welcome) - 1);
		else if (m->cancel)
			cancel_set(m->cancel);
	}
	close(fd);
	return NULL;
}

static void mute_start(struct mute *m)
{
	m->fd = listen_on_any_port(8, &m->port);
	assert_int_equal(pthread_create(&m->thread, NULL, mute_main, m), 0);
}

static void mute_finish(struct mute *m)
{
	pthread_join(m->thread, NULL);
	close(m->fd);
}

#define PLAIN "user=x dbname=x password=hunter2 sslmode=disable gssencmode=disable host=127.0.0.1"

/* For ever, as far as the connection's settings go. */
static void expect_cancelled(int answers)
{
	_cleanup(free) char *conninfo = NULL;
	struct mute mute = {.answers = answers};
	struct pg_facts facts = {.version_num = 1};
	int64_t began_ms = clock_mono_ms();
	struct error err = {0};
	struct cancel cancel;

	cancel_init(&cancel);
	mute.cancel = &cancel;
	mute_start(&mute);
	conninfo = mem_printf(PLAIN " port=%d connect_timeout=0", mute.port);
	assert_int_equal(pg_learn(conninfo, NULL, &cancel, &facts, &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
	assert_true(clock_mono_ms() - began_ms < 10000);
	assert_int_equal(facts.version_num, 1);
	mute_finish(&mute);
	/* Not even begun. */
	assert_int_equal(pg_learn(conninfo, NULL, &cancel, &facts, &err), -ECANCELED);
	cancel_finish(&cancel);
}

static void test_cancelled_while_connecting(void **state)
{
	expect_cancelled(0);
}

static void test_cancelled_while_asking(void **state)
{
	expect_cancelled(1);
}

/* A server that answers nothing, not even the request to stop, keeps nobody for long. */
static void test_session_cancelled(void **state)
{
	_cleanup(free) char *conninfo = NULL;
	struct pg_session *session = NULL;
	struct mute mute = {.answers = 1};
	int64_t began_ms = clock_mono_ms();
	struct error err = {0};
	struct cancel cancel;

	cancel_init(&cancel);
	mute.cancel = &cancel;
	mute_start(&mute);
	conninfo = mem_printf(PLAIN " port=%d", mute.port);
	assert_int_equal(pg_session_open(conninfo, NULL, "test", &cancel, &session, &err), 0);
	assert_int_equal(pg_session_run(session, "SELECT 1", &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
	assert_null(pg_session_free(session));
	assert_null(pg_session_free(NULL));
	assert_true(clock_mono_ms() - began_ms < 30000);
	mute_finish(&mute);
	cancel_finish(&cancel);
}

static void test_silent_while_connecting(void **state)
{
	_cleanup(free) char *conninfo = NULL;
	_cleanup(free) char *name = NULL;
	struct mute mute = {0};
	struct pg_facts facts;
	int64_t began_ms = clock_mono_ms();
	struct error err = {0};

	mute_start(&mute);
	conninfo = mem_printf(PLAIN " port=%d connect_timeout=1", mute.port);
	name = mem_printf("host \"127.0.0.1\", port %d, took the connection", mute.port);
	assert_int_equal(pg_learn(conninfo, NULL, NULL, &facts, &err), -ETIMEDOUT);
	assert_in_range(clock_mono_ms() - began_ms, 1000, 9000);
	assert_int_equal(err.class, ERROR_TIMEOUT);
	assert_true(err.retry);
	assert_non_null(strstr(err.message, name));
	assert_non_null(strstr(err.message, "within 1 s (the server is overloaded or hangs"));
	assert_null(strstr(err.message, "hunter2"));
	mute_finish(&mute);
}

static void test_silent_while_asking(void **state)
{
	_cleanup(free) char *conninfo = NULL;
	struct mute mute = {.answers = 1};
	struct error err = {0};
	const struct session_query query = {.sql = "SELECT 1", .limit_ms = 50};
	PGresult *result = NULL;
	struct pg_session session;

	mute_start(&mute);
	conninfo = mem_printf(PLAIN " port=%d", mute.port);
	assert_int_equal(session_connect(&session, conninfo, NULL, "test", NULL, &err), 0);
	assert_int_equal(session_ask(&session, &query, &result, &err), -ETIMEDOUT);
	assert_null(result);
	assert_int_equal(err.class, ERROR_TIMEOUT);
	assert_non_null(strstr(err.message, "took the connection but gave no answer"));
	session_disconnect(&session);
	mute_finish(&mute);
}

/* A host that takes no connection is followed by the next one. */
static void test_next_host_after_a_silent_one(void **state)
{
	_cleanup(free) char *conninfo = NULL;
	struct mute mute = {.answers = 1};
	int clients[3], full_port, full = listen_on_any_port(0, &full_port);
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	                              .sin_port = htons((uint16_t)full_port)};
	struct error err = {0};
	struct pg_session session;

	/* Those that its queue has no room for are not answered at all. */
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)!connect(clients[i], (struct sockaddr *)&address, sizeof(address));
	}
	mute_start(&mute);
	conninfo = mem_printf(PLAIN ",127.0.0.1 port=%d,%d connect_timeout=1", full_port, mute.port);
	assert_int_equal(session_connect(&session, conninfo, NULL, "test", NULL, &err), 0);
	assert_int_equal(strtol(PQport(session.conn), NULL, 10), mute.port);
	session_disconnect(&session);
	mute_finish(&mute);
	{
		_cleanup(free) char *alone = mem_printf(PLAIN " port=%d connect_timeout=1", full_port);

		assert_int_equal(session_connect(&session, alone, NULL, "test", NULL, &err), -ETIMEDOUT);
		assert_non_null(strstr(err.message, "gave no answer within 1 s (is its address right"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		close(clients[i]);
	close(full);
}

static void test_wrong_connect_timeout(void **state)
{
	struct pg_facts facts;
	struct error err = {0};

	assert_int_equal(pg_learn(PLAIN " port=1 connect_timeout=soon", NULL, NULL, &facts, &err), -EINVAL);
	assert_int_equal(err.class, ERROR_USAGE);
	assert_non_null(strstr(err.message, "connect_timeout"));
}

static const char *hint_of(const char *words)
{
	return pg_hint(&(struct pg_complaint){.words = words});
}

static void test_hints(void **state)
{
	static const struct {
		const char *words, *hint;
	} hints[] = {
	        {"ERROR:  out of shared memory", "max_locks_per_transaction"},
	        {"ERROR:  canceling statement due to lock timeout", "lock_wait_timeout"},
	        {"ERROR:  could not obtain lock on relation \"t\"", "quieter time"},
	        {"pg_dump: error: aborting because of server version mismatch", "pg_bindir"},
	        {"ERROR:  permission denied for schema s", "USAGE on its schema"},
	        {"ERROR:  permission denied for sequence s", "GRANT SELECT on it"},
	        {"ERROR:  permission denied for large object 5", "as their owner"},
	        {"FATAL:  terminating connection due to administrator command", "run the backup again"},
	        {"server closed the connection unexpectedly", "run the backup again"},
	        {"could not write to file: No space left on device", "full"},
	        {"FATAL:  sorry, too many clients already", "max_connections"},
	        {"FATAL:  remaining connection slots are reserved for", "max_connections"},
	        {"FATAL:  too many connections for role \"x\"", "CONNECTION LIMIT"},
	        {"ERROR:  canceling statement due to conflict with recovery", "hot_standby_feedback"},
	        {"FATAL:  terminating connection due to conflict with recovery",
	         "max_standby_streaming_delay"},
	        {"ERROR:  snapshot too old", "old_snapshot_threshold"},
	        {"ERROR:  could not import the requested snapshot", "another server"},
	        {"ERROR:  invalid snapshot identifier: \"x\"", "another server"},
	        {"ERROR:  snapshot \"00000003-0000001B-1\" does not exist", "another server"},
	        {"ERROR:  invalid page in block 7 of relation base/5/16384", "damaged"},
	        {"ERROR:  could not read block 7 in file \"base/5/16384\"", "damaged"},
	        {"ERROR:  missing chunk number 0 for toast value 5 in pg_toast_1", "damaged"},
	        {"ERROR:  character with byte sequence 0xc3 0xa4 in encoding \"UTF8\" has no equivalent in "
	         "encoding \"LATIN2\"",
	         "PGCLIENTENCODING"},
	        {"ERROR:  invalid byte sequence for encoding \"UTF8\": 0xff", "mend that row"},
	};

	assert_non_null(strstr(
	        hint_of("ERROR:  query would be affected by row-level security policy for table \"t\""),
	        "BYPASSRLS"));
	assert_non_null(strstr(hint_of("ERROR:  permission denied for table t"), "pg_read_all_data"));
	assert_non_null(
	        strstr(hint_of("HINT: You might need to increase max_locks_per_transaction."), "restart"));
	assert_non_null(strstr(hint_of("FATAL:  database \"x\" does not exist"), "psql -l"));
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
		const char *hint = hint_of(hints[i].words);

		if (!hint || !strstr(hint, hints[i].hint))
			fail_msg("%s: %s", hints[i].words, hint ? hint : "no hint");
	}
	assert_null(hint_of("ERROR:  column \"x\" does not exist"));
	assert_null(hint_of(""));
}

/* A directory with a program that says which version it is. */
static void make_program(const char *root, const char *directory, const char *name, const char *says)
{
	_cleanup(free) char *bin = mem_printf("%s/%s", root, directory);
	_cleanup(free) char *path = mem_printf("%s/%s", bin, name);
	_cleanup(free) char *script = mem_printf("#!/bin/sh\necho '%s'\n", says);
	int fd;

	assert_int_equal(fd_make_dirs(bin, 0700), 0);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, script, strlen(script)), 0);
	close(fd);
}

static void expect_zstd(const char *directory, const char *name, int expected)
{
	_cleanup(free) char *path = mem_printf("%s/%s/pg_restore", directory, name);
	struct error err = {0};

	assert_int_equal(pg_program_takes_zstd(path, NULL, &err), expected);
	assert_true((err.class == ERROR_NONE) == (expected >= 0));
}

/* A program that says (as in its source) what pg_restore says of an archive, if it gets one at all. */
static void make_restore(const char *root, const char *name, const char *then)
{
	static const char looks[] =
	        "x'; [ \"$1\" = --list ] || exit 9; [ \"$(head -c 8 \"$2\" | od -An -tx1 | tr -d "
	        "\" \")\" = 5047444d50010f00 ] || exit 8; "
	        "[ \"$(stat -c %%s \"$2\")\" = 67 ] || exit 7; %s #";
	_cleanup(free) char *script = mem_printf(looks, then);

	make_program(root, name, "pg_restore", script);
}

static void test_takes_zstd(void **state)
{
	char root[] = "/tmp/keepfs-test-zstd-XXXXXX";
	_cleanup(free) char *command = NULL;
	_cleanup(free) char *leftovers = NULL;

	assert_non_null(mkdtemp(root));
	command = mem_printf("rm -rf '%s'", root);
	leftovers = mem_printf("[ -z \"$(find '%s' -name 'keepfs-zstd-*')\" ]", root);
	setenv("TMPDIR", root, 1);
	make_restore(root, "good", "exit 0");
	make_restore(
	        root, "without",
	        "echo \"pg_restore: warning: archive is compressed, but this installation does not support "
	        "compression (this build does not support compression with zstd) -- no data will be "
	        "available\" >&2");
	make_restore(root, "old",
	             "echo \"pg_restore: error: unsupported version (1.15) in file header\" >&2; exit 1");
	make_restore(root, "broken", "echo \"cannot load libpq\" >&2; exit 127");
	expect_zstd(root, "good", 1);
	expect_zstd(root, "without", 0);
	expect_zstd(root, "old", 0);
	expect_zstd(root, "broken", -EIO);
	expect_zstd(root, "none", -ENOENT);
	assert_int_equal(system(leftovers), 0);
	setenv("TMPDIR", "/nonexistent", 1);
	expect_zstd(root, "good", -ENOENT);
	unsetenv("TMPDIR");
	assert_int_equal(system(command), 0);
}

struct place {
	char root[64];
	char *path; /* the variable's old value */
};

static int set_up(void **state)
{
	struct place *place = mem_alloc(sizeof(*place));
	_cleanup(free) char *path = NULL;

	str_copy(place->root, sizeof(place->root), "/tmp/keepfs-test-pg-XXXXXX");
	assert_non_null(mkdtemp(place->root));
	place->path = mem_strdup(getenv("PATH"));
	make_program(place->root, "a", "pg_dump", "pg_dump (PostgreSQL) 97.4 (Custom 97.4-1)");
	make_program(place->root, "b", "pg_dump", "pg_dump (PostgreSQL) 99beta1");
	make_program(place->root, "c", "pg_dump", "pg_dump (PostgreSQL) 98.12");
	make_program(place->root, "d", "pg_dump", "this is something else");
	make_program(place->root, "old", "pg_dump", "pg_dump (PostgreSQL) 9.6.24");
	make_program(place->root, "e", "wrapper", "pg_dump (PostgreSQL) 98.99");
	path = mem_printf("%s/e/pg_dump", place->root);
	assert_int_equal(symlink("wrapper", path), 0);
	free(path);
	path = mem_printf("%s/e:%s/a:relative:%s/b::%s/c:%s/d:%s/none:/usr/bin:/bin", place->root,
	                  place->root, place->root, place->root, place->root, place->root);
	setenv("PATH", path, 1);
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;
	_cleanup(free) char *command = mem_printf("rm -rf '%s'", place->root);
	int r;

	setenv("PATH", place->path, 1);
	r = system(command);
	free(place->path);
	free(place);
	return r;
}

static void expect_program(const struct place *place, int version_num, const char *directory,
                           const char *expected)
{
	_cleanup(free) char *path = mem_printf("%s/%s/pg_dump", place->root, directory);
	char found[PG_PATH_BYTES], version[128];
	struct error err = {0};

	assert_int_equal(pg_find_program("pg_dump", NULL, version_num, found, version, &err), 0);
	assert_string_equal(found, path);
	assert_string_equal(version, expected);
}

static void test_nearest_program(void **state)
{
	expect_program(*state, 970001, "a", "97.4 (Custom 97.4-1)");
	expect_program(*state, 980003, "c", "98.12");
	expect_program(*state, 990000, "b", "99beta1");
}

static void test_no_program(void **state)
{
	char path[PG_PATH_BYTES], version[128];
	struct error err = {0};

	assert_int_equal(pg_find_program("pg_dump", "", 1000000, path, version, &err), -ENOENT);
	assert_non_null(strstr(err.message, "postgresql-client-100"));
	assert_non_null(strstr(err.message, "98.12"));
	assert_non_null(strstr(err.message, "97.4"));
	assert_null(strstr(err.message, "wrapper"));
	assert_null(strstr(err.message, "98.99"));
}

static void test_directory_of_programs(void **state)
{
	const struct place *place = *state;
	_cleanup(free) char *directory = mem_printf("%s/old", place->root);
	char path[PG_PATH_BYTES], version[128];
	struct error err = {0};

	assert_int_equal(pg_find_program("pg_dump", directory, 90610, path, version, &err), 0);
	assert_string_equal(version, "9.6.24");
	assert_int_equal(pg_find_program("pg_dump", directory, 100000, path, version, &err), -ENOENT);
	assert_non_null(strstr(err.message, "only"));
	assert_non_null(strstr(err.message, "pg_bindir"));
	assert_int_equal(pg_find_program("pg_dump", place->root, 90610, path, version, &err), -ENOENT);
	assert_non_null(strstr(err.message, "none"));
}

/* What is shown is libpq's again, and bears no password. */
static void test_shown_conninfo(void **state)
{
	_cleanup(free) char *other =
	        pg_conninfo_with_database("host=h password=hunter2 dbname=x user='a b'", "y z");
	_cleanup(free) char *uri =
	        pg_conninfo_with_database("postgresql://u:hunter2@h:5433/x?sslmode=require", "y");
	_cleanup(free) char *user = pg_conninfo_with_user("host=/tmp dbname=x", "o'hara");
	_cleanup(free) char *wrong = pg_conninfo_with_database("hots=h", "y");

	assert_string_equal(other, "user='a b' host=h dbname='y z'");
	assert_null(strstr(uri, "hunter2"));
	expect_database(uri, "y");
	assert_non_null(strstr(uri, "sslmode=require"));
	assert_non_null(strstr(user, "user='o\\'hara'"));
	assert_string_equal(wrong, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_shown_conninfo),
	        cmocka_unit_test(test_child_conninfo),
	        cmocka_unit_test(test_child_options),
	        cmocka_unit_test(test_wrong_conninfo),
	        cmocka_unit_test(test_wrong_conninfo_is_told),
	        cmocka_unit_test(test_key_password_is_refused),
	        cmocka_unit_test(test_conninfo_database),
	        cmocka_unit_test(test_unreachable),
	        cmocka_unit_test(test_cancelled_while_connecting),
	        cmocka_unit_test(test_cancelled_while_asking),
	        cmocka_unit_test(test_silent_while_connecting),
	        cmocka_unit_test(test_silent_while_asking),
	        cmocka_unit_test(test_next_host_after_a_silent_one),
	        cmocka_unit_test(test_wrong_connect_timeout),
	        cmocka_unit_test(test_hints),
	        cmocka_unit_test(test_takes_zstd),
	        cmocka_unit_test(test_session_cancelled),
	        cmocka_unit_test_setup_teardown(test_nearest_program, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_no_program, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_directory_of_programs, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("pg", tests, NULL, NULL);
}
