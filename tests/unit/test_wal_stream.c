// SPDX-License-Identifier: Apache-2.0
/* Streaming the log from a server that says what a script says: messages, bad ones, ends of timelines, failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/replication.h>
#include <keepfs/pg/replication_stream.h>

#define US_2000 INT64_C(946684800000000)

/* A message of the server, of type @type. */
static void add_message(struct str *out, char type, const void *body, size_t len)
{
	uint32_t whole = htonl((uint32_t)len + 4);

	str_append_char(out, type);
	str_append_bytes(out, &whole, sizeof(whole));
	str_append_bytes(out, body, len);
}

static void add_be(struct str *out, uint64_t value, unsigned bytes)
{
	while (bytes-- > 0)
		str_append_char(out, (char)(value >> (8 * bytes)));
}

static void add_copy_both(struct str *out)
{
	add_message(out, 'W', "\0\0\0", 3);
}

static void add_ready(struct str *out)
{
	add_message(out, 'C', "OK", 3);
	add_message(out, 'Z', "I", 1);
}

static void add_wal(struct str *out, uint64_t lsn, const char *data)
{
	struct str body = {0};

	str_append_char(&body, 'w');
	add_be(&body, lsn, 8);
	add_be(&body, lsn + 100, 8);
	add_be(&body, 1000000, 8);
	str_append(&body, data);
	add_message(out, 'd', body.data, body.len);
	str_finish(&body);
}

static void add_keepalive(struct str *out, uint64_t lsn, bool wants_reply)
{
	struct str body = {0};

	str_append_char(&body, 'k');
	add_be(&body, lsn, 8);
	add_be(&body, 2000000, 8);
	str_append_char(&body, wants_reply);
	add_message(out, 'd', body.data, body.len);
	str_finish(&body);
}

/* One row of two columns, as texts. */
static void add_row(struct str *out, const char *a, const char *b)
{
	const char *const values[] = {a, b};
	struct str body = {0};

	add_be(&body, 2, 2);
	for (int i = 0; i < 2; i++) {
		str_append(&body, i ? "b" : "a");
		add_be(&body, 0, 1 + 4 + 2);
		add_be(&body, 25, 4);
		add_be(&body, 0xFFFF, 2);
		add_be(&body, 0xFFFFFFFF, 4);
		add_be(&body, 0, 2);
	}
	add_message(out, 'T', body.data, body.len);
	str_clear(&body);
	add_be(&body, 2, 2);
	for (int i = 0; i < 2; i++) {
		add_be(&body, strlen(values[i]), 4);
		str_append(&body, values[i]);
	}
	add_message(out, 'D', body.data, body.len);
	str_finish(&body);
}

static void add_error(struct str *out, const char *code, const char *words)
{
	struct str body = {0};

	str_appendf(&body, "SERROR%cVERROR%cC%s%cM%s%c%c", 0, 0, code, 0, words, 0, 0);
	add_message(out, 'E', body.data, body.len);
	str_finish(&body);
}

/* The server: one connection; what it is asked is kept, and each query is answered with the next answer. */
struct script {
	char directory[64];
	int listener;
	pthread_t thread;
	struct str answers[8];
	size_t count, given;
	bool hangs_up; /* behind the last answer */
	struct str asked;
	struct pg_replication *session;
	struct str reports; /* what came as CopyData */
};

static bool read_exactly(int fd, void *buf, size_t len)
{
	for (size_t got = 0; got < len;) {
		ssize_t n = read(fd, (char *)buf + got, len - got);

		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

static bool send_all(int fd, const struct str *s)
{
	return s->len == 0 || send(fd, s->data, s->len, MSG_NOSIGNAL) == (ssize_t)s->len;
}

static bool greet(int fd)
{
	_cleanup(str) struct str hello = {0};
	char startup[1024];
	uint32_t len;

	if (!read_exactly(fd, &len, 4) || ntohl(len) > sizeof(startup) ||
	    !read_exactly(fd, startup, ntohl(len) - 4))
		return false;
	add_message(&hello, 'R', "\0\0\0\0", 4);
	add_message(&hello, 'S',
	            "server_version\0"
	            "15.4",
	            20);
	add_message(&hello, 'K', "\0\0\0\1\0\0\0\2", 8);
	add_message(&hello, 'Z', "I", 1);
	return send_all(fd, &hello);
}

static void take_request(struct script *s, int fd, char type, const char *body, size_t len)
{
	if (type == 'd')
		str_append_bytes(&s->reports, body, len);
	if (type != 'Q')
		return;
	str_appendf(&s->asked, "%s\n", body);
	if (s->given < s->count)
		(void)send_all(fd, &s->answers[s->given++]);
}

static void *serve_script(void *arg)
{
	struct script *s = arg;
	int fd = accept(s->listener, NULL, NULL);
	char type, body[4096];
	uint32_t len;

	if (fd >= 0 && greet(fd))
		while (!(s->hangs_up && s->given == s->count) && read_exactly(fd, &type, 1) &&
		       read_exactly(fd, &len, 4) && ntohl(len) - 4 < sizeof(body) &&
		       read_exactly(fd, body, ntohl(len) - 4)) {
			body[ntohl(len) - 4] = '\0';
			take_request(s, fd, type, body, ntohl(len) - 4);
		}
	if (fd >= 0)
		close(fd);
	return NULL;
}

static struct script *begin_script(void)
{
	struct script *s = mem_alloc(sizeof(*s));
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	str_copy(s->directory, sizeof(s->directory), "/tmp/keepfs-stream-XXXXXX");
	assert_non_null(mkdtemp(s->directory));
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/.s.PGSQL.5432", s->directory);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(s->listener, 4), 0);
	return s;
}

static struct str *next_answer(struct script *s)
{
	return &s->answers[s->count++];
}

static struct pg_replication *connect_to_script(struct script *s)
{
	_cleanup(free) char *conninfo =
	        mem_printf("host=%s port=5432 user=x sslmode=disable gssencmode=disable", s->directory);
	struct error err = {0};

	assert_int_equal(pthread_create(&s->thread, NULL, serve_script, s), 0);
	if (pg_replication_open(conninfo, "test", NULL, &s->session, &err) < 0)
		fail_msg("%s", err.message);
	return s->session;
}

/* All that was sent has been read. */
static void disconnect_from_script(struct script *s)
{
	if (!s->session)
		return;
	/* Nobody answers the request that ends a statement. */
	shutdown(s->listener, SHUT_RDWR);
	close(s->listener);
	s->session = pg_replication_free(s->session);
	pthread_join(s->thread, NULL);
}

static void end_script(struct script *s)
{
	_cleanup(free) char *path = mem_printf("%s/.s.PGSQL.5432", s->directory);

	disconnect_from_script(s);
	unlink(path);
	rmdir(s->directory);
	for (size_t i = 0; i < s->count; i++)
		str_finish(&s->answers[i]);
	str_finish(&s->asked);
	str_finish(&s->reports);
	free(s);
}

static int next_message(struct pg_replication *session, struct pg_stream_message *m, struct error *err)
{
	const struct pg_stream_wait wait = {.until_ms = clock_mono_ms() + 20000, .wake_fd = -1};
	int r = PG_STREAM_NOTHING;

	while (r == PG_STREAM_NOTHING && clock_mono_ms() < wait.until_ms)
		r = pg_stream_next(session, &wait, m, err);
	return r;
}

static void a_timeline_is_streamed_to_its_end(void **state)
{
	struct script *s = begin_script();
	struct str *answer = next_answer(s);
	struct pg_stream_message m;
	struct error err = {0};
	struct pg_replication *session;
	uint32_t timeline = 7;
	uint64_t lsn = 0;
	bool over;

	add_copy_both(answer);
	add_wal(answer, 0x3000000, "abc");
	add_keepalive(answer, 0x3000003, true);
	add_message(answer, 'c', NULL, 0);
	add_row(answer, "2", "0/3000003");
	add_ready(answer);
	session = connect_to_script(s);
	assert_int_equal(pg_stream_start(session, "mine", 0x3000000, 1, &over, &err), 0);
	assert_false(over);
	assert_int_equal(next_message(session, &m, &err), PG_STREAM_MESSAGE);
	assert_int_equal(m.kind, PG_STREAM_DATA);
	assert_int_equal(m.lsn, 0x3000000);
	assert_int_equal(m.server_lsn, 0x3000064);
	assert_int_equal(m.server_us, US_2000 + 1000000);
	assert_int_equal(m.len, 3);
	assert_memory_equal(m.data, "abc", 3);
	assert_int_equal(next_message(session, &m, &err), PG_STREAM_MESSAGE);
	assert_int_equal(m.kind, PG_STREAM_KEEPALIVE);
	assert_true(m.wants_reply);
	assert_int_equal(pg_stream_report(session, 0x3000003, true, &err), 0);
	assert_int_equal(next_message(session, &m, &err), PG_STREAM_OVER);
	assert_int_equal(pg_stream_end(session, &timeline, &lsn, &err), 0);
	assert_int_equal(timeline, 2);
	assert_int_equal(lsn, 0x3000003);
	assert_non_null(
	        strstr(str_text(&s->asked), "START_REPLICATION SLOT \"mine\" PHYSICAL 0/3000000 TIMELINE 1"));
	disconnect_from_script(s);
	assert_int_equal(s->reports.len, 34);
	assert_int_equal(s->reports.data[0], 'r');
	assert_memory_equal(s->reports.data + 1, "\0\0\0\0\3\0\0\3", 8);  /* written */
	assert_memory_equal(s->reports.data + 9, "\0\0\0\0\3\0\0\3", 8);  /* flushed */
	assert_memory_equal(s->reports.data + 17, "\0\0\0\0\0\0\0\0", 8); /* nothing is applied */
	assert_int_equal(s->reports.data[33], 1);
	end_script(s);
}

static void a_timeline_of_which_nothing_is_left_ends_at_once(void **state)
{
	struct script *s = begin_script();
	struct str *answer = next_answer(s);
	struct error err = {0};
	struct pg_replication *session;
	uint32_t timeline = 0;
	uint64_t lsn = 0;
	bool over;

	add_row(answer, "3", "1/2000000");
	add_ready(answer);
	session = connect_to_script(s);
	assert_int_equal(pg_stream_start(session, NULL, 0x102000000, 2, &over, &err), 0);
	assert_true(over);
	assert_int_equal(pg_stream_end(session, &timeline, &lsn, &err), 0);
	assert_int_equal(timeline, 3);
	assert_int_equal(lsn, 0x102000000);
	assert_non_null(strstr(str_text(&s->asked), "START_REPLICATION PHYSICAL 1/2000000 TIMELINE 2"));
	end_script(s);
}

static void what_was_removed_is_told_in_place_of_data(void **state)
{
	struct script *s = begin_script();
	struct str *answer = next_answer(s);
	struct pg_stream_message m;
	struct error err = {0};
	struct pg_replication *session;
	uint32_t timeline = 0;
	uint64_t lsn = 0;
	bool over;

	add_copy_both(answer);
	add_error(answer, "58P01", "requested WAL segment 000000010000000000000003 has already been removed");
	session = connect_to_script(s);
	assert_int_equal(pg_stream_start(session, "mine", 0x3000000, 1, &over, &err), 0);
	assert_int_equal(next_message(session, &m, &err), PG_STREAM_OVER);
	assert_int_equal(pg_stream_end(session, &timeline, &lsn, &err), -ENOENT);
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	assert_non_null(strstr(err.message, "has already been removed"));
	end_script(s);
}

static void a_slot_that_another_one_has_is_busy(void **state)
{
	struct script *s = begin_script();
	struct str *answer = next_answer(s);
	struct error err = {0};
	bool over;

	add_error(answer, "55006", "replication slot \"mine\" is active for PID 4711");
	add_message(answer, 'Z', "I", 1);
	assert_int_equal(pg_stream_start(connect_to_script(s), "mine", 0x3000000, 1, &over, &err), -EBUSY);
	assert_int_equal(err.class, ERROR_CONFLICT);
	assert_non_null(strstr(err.message, "give each a slot of its own"));
	end_script(s);
}

static void a_server_that_hangs_up_is_no_end_of_a_timeline(void **state)
{
	struct script *s = begin_script();
	struct str *answer = next_answer(s);
	struct pg_stream_message m;
	struct error err = {0};
	struct pg_replication *session;
	uint32_t timeline = 0;
	uint64_t lsn = 0;
	bool over;
	int r;

	add_copy_both(answer);
	s->hangs_up = true;
	session = connect_to_script(s);
	assert_int_equal(pg_stream_start(session, "mine", 0x3000000, 1, &over, &err), 0);
	r = next_message(session, &m, &err);
	if (r == PG_STREAM_OVER)
		r = pg_stream_end(session, &timeline, &lsn, &err);
	assert_true(r < 0);
	assert_true(err.retry);
	end_script(s);
}

static void a_server_that_shuts_down_has_no_next_timeline(void **state)
{
	struct script *s = begin_script();
	struct str *answer = next_answer(s);
	struct pg_stream_message m;
	struct error err = {0};
	struct pg_replication *session;
	uint32_t timeline = 7;
	uint64_t lsn = 0;
	bool over;

	add_copy_both(answer);
	add_message(answer, 'c', NULL, 0);
	add_ready(answer);
	session = connect_to_script(s);
	assert_int_equal(pg_stream_start(session, "mine", 0x3000000, 1, &over, &err), 0);
	assert_int_equal(next_message(session, &m, &err), PG_STREAM_OVER);
	assert_int_equal(pg_stream_end(session, &timeline, &lsn, &err), 0);
	assert_int_equal(timeline, 0);
	end_script(s);
}

static void rows_that_say_nothing_useful_are_refused(void **state)
{
	static const char *const rows[][2] = {
	        {"x", "0/3000003"}, {"2", "0-3000003"}, {"4294967296", "0/1"}, {"", ""}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct script *s = begin_script();
		struct str *answer = next_answer(s);
		struct error err = {0};
		struct pg_replication *session;
		uint32_t timeline = 0;
		uint64_t lsn = 0;
		bool over;

		add_row(answer, rows[i][0], rows[i][1]);
		add_ready(answer);
		session = connect_to_script(s);
		assert_int_equal(pg_stream_start(session, "mine", 0x3000000, 1, &over, &err), 0);
		assert_int_equal(pg_stream_end(session, &timeline, &lsn, &err), -EPROTO);
		end_script(s);
	}
}

static void slots_are_read_made_and_dropped(void **state)
{
	struct script *s = begin_script();
	struct pg_slot slot = {0};
	struct error err = {0};
	struct pg_replication *session;
	struct str *answer = next_answer(s);

	add_row(answer, "physical", "0/3000028");
	add_ready(answer);
	answer = next_answer(s);
	add_error(answer, "42710", "replication slot \"mine\" already exists");
	add_message(answer, 'Z', "I", 1);
	answer = next_answer(s);
	add_error(answer, "55006", "replication slot \"mine\" is active for PID 4711");
	add_message(answer, 'Z', "I", 1);
	answer = next_answer(s);
	add_row(answer, "00000002.history", "1\t0/3000028\tx\n");
	add_ready(answer);
	session = connect_to_script(s);
	assert_int_equal(pg_slot_read(session, "mine", &slot, &err), 0);
	assert_true(slot.is_there);
	assert_int_equal(slot.restart_lsn, 0x3000028);
	assert_int_equal(pg_slot_create(session, "mine", &err), -EEXIST);
	assert_int_equal(pg_slot_drop(session, "mine", &err), -EBUSY);
	{
		_cleanup(free) char *text = NULL;
		size_t len;

		assert_int_equal(pg_stream_history(session, 2, &text, &len, &err), 0);
		assert_string_equal(text, "1\t0/3000028\tx\n");
		assert_int_equal(len, strlen(text));
	}
	assert_string_equal(
	        str_text(&s->asked),
	        "READ_REPLICATION_SLOT \"mine\"\nCREATE_REPLICATION_SLOT \"mine\" PHYSICAL RESERVE_WAL\n"
	        "DROP_REPLICATION_SLOT \"mine\"\nTIMELINE_HISTORY 2\n");
	end_script(s);
}

static void bad_messages_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} messages[] = {
	        {"", 0},
	        {"w", 1},
	        {"wxxxxxxxxxxxxxxxxxxxxxxxx", 25}, /* no data */
	        {"k", 1},
	        {"kxxxxxxxxxxxxxxxx", 17},
	        {"kxxxxxxxxxxxxxxxxxx", 19},
	        {"rxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 29},
	        {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 29},
	};

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		struct pg_stream_message m = {.lsn = 1};
		struct error err = {0};

		assert_int_equal(pg_stream_message_parse(messages[i].bytes, messages[i].len, &m, &err),
		                 -EPROTO);
		assert_int_equal(m.lsn, 1);
	}
}

static void settings_are_read_as_a_server_shows_them(void **state)
{
	int64_t ms = -1;
	uint64_t bytes = 0;

	assert_int_equal(pg_setting_ms("1min", &ms), 0);
	assert_int_equal(ms, 60000);
	assert_int_equal(pg_setting_ms("0", &ms), 0);
	assert_int_equal(ms, 0);
	assert_int_equal(pg_setting_ms("1500ms", &ms), 0);
	assert_int_equal(ms, 1500);
	assert_int_equal(pg_setting_ms("1 min", &ms), -EINVAL);
	assert_int_equal(pg_setting_ms("", &ms), -EINVAL);
	assert_int_equal(pg_setting_ms("-1", &ms), -EINVAL);
	assert_int_equal(pg_setting_ms("99999999999999999999s", &ms), -EINVAL);
	assert_int_equal(pg_setting_bytes("16MB", &bytes), 0);
	assert_int_equal(bytes, 16 << 20);
	assert_int_equal(pg_setting_bytes("1GB", &bytes), 0);
	assert_int_equal(bytes, 1 << 30);
	assert_int_equal(pg_setting_bytes("16mb", &bytes), -EINVAL);
	assert_true(pg_slot_name_valid("keepfs_main_1"));
	assert_false(pg_slot_name_valid(""));
	assert_false(pg_slot_name_valid("Main"));
	assert_false(pg_slot_name_valid("a\"b"));
	assert_false(pg_slot_name_valid("a234567890123456789012345678901234567890123456789012345678901234"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_timeline_is_streamed_to_its_end),
	        cmocka_unit_test(a_timeline_of_which_nothing_is_left_ends_at_once),
	        cmocka_unit_test(what_was_removed_is_told_in_place_of_data),
	        cmocka_unit_test(a_slot_that_another_one_has_is_busy),
	        cmocka_unit_test(a_server_that_hangs_up_is_no_end_of_a_timeline),
	        cmocka_unit_test(a_server_that_shuts_down_has_no_next_timeline),
	        cmocka_unit_test(rows_that_say_nothing_useful_are_refused),
	        cmocka_unit_test(slots_are_read_made_and_dropped),
	        cmocka_unit_test(bad_messages_are_refused),
	        cmocka_unit_test(settings_are_read_as_a_server_shows_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
