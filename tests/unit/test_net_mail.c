// SPDX-License-Identifier: Apache-2.0
/* Mail to a server that says no more: who cancels, and who has waited for long enough, gets away at once. */
#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/net/mail.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LONG_MS INT64_C(60000)
#define SOON_MS INT64_C(20000)

struct world {
	int listener, connection;
	char url[64];
	struct cancel cancel;
	struct net_mail mail;
	pthread_t thread;
	int result;
	struct error err;
};

static void set_up_world(struct world *w)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	*w = (struct world){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	assert_int_equal(bind(w->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(w->listener, 4), 0);
	assert_int_equal(getsockname(w->listener, (struct sockaddr *)&at, &len), 0);
	snprintf(w->url, sizeof(w->url), "smtp://127.0.0.1:%d", ntohs(at.sin_port));
	cancel_init(&w->cancel);
	w->mail = (struct net_mail){
	        .server = w->url,
	        .clear_text = true,
	        .from = "keepfs@example.com",
	        .to = "ops@example.com",
	        .message = "Subject: x\r\n\r\nx\r\n",
	        .connect_timeout_ms = LONG_MS,
	        .timeout_ms = LONG_MS,
	        .cancel = &w->cancel,
	};
}

static void *send_in_thread(void *arg)
{
	struct world *w = arg;

	w->result = net_send_mail(&w->mail, &w->err);
	return NULL;
}

static void begin_to_send(struct world *w)
{
	assert_int_equal(pthread_create(&w->thread, NULL, send_in_thread, w), 0);
	w->connection = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(w->connection >= 0);
}

/* The server's side: what it says, and the line for which it waits then. */
static void say(const struct world *w, const char *text, const char *awaited)
{
	char line[512];
	size_t len = 0;

	assert_int_equal(fd_write_all(w->connection, text, strlen(text)), 0);
	while (len == 0 || line[len - 1] != '\n') {
		assert_true(len < sizeof(line) - 1);
		assert_int_equal(read(w->connection, line + len, 1), 1);
		len++;
	}
	line[len] = '\0';
	assert_non_null(strstr(line, awaited));
}

static void assert_ends_soon(struct world *w, int result)
{
	int64_t began_ms = clock_mono_ms();

	pthread_join(w->thread, NULL);
	assert_int_equal(w->result, result);
	if (clock_mono_ms() - began_ms >= SOON_MS)
		fail_msg("it took %lld ms", (long long)(clock_mono_ms() - began_ms));
	close(w->connection);
	close(w->listener);
	cancel_finish(&w->cancel);
}

static void test_cancelled_before_a_greeting(void **state)
{
	struct world w;

	set_up_world(&w);
	begin_to_send(&w);
	cancel_set(&w.cancel);
	assert_ends_soon(&w, -ECANCELED);
}

static void test_cancelled_within_a_dialogue(void **state)
{
	struct world w;

	set_up_world(&w);
	begin_to_send(&w);
	say(&w, "220 h ESMTP\r\n", "EHLO");
	say(&w, "250 h\r\n", "MAIL FROM");
	say(&w, "250 OK\r\n", "RCPT TO");
	cancel_set(&w.cancel);
	assert_ends_soon(&w, -ECANCELED);
}

static void test_no_answer_in_time(void **state)
{
	struct world w;

	set_up_world(&w);
	w.mail.timeout_ms = 1500;
	begin_to_send(&w);
	say(&w, "220 h ESMTP\r\n", "EHLO");
	say(&w, "250 h\r\n", "MAIL FROM");
	assert_ends_soon(&w, -ETIMEDOUT);
	assert_non_null(strstr(w.err.message, "no answer in time from smtp://127.0.0.1:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_cancelled_before_a_greeting),
	        cmocka_unit_test(test_cancelled_within_a_dialogue),
	        cmocka_unit_test(test_no_answer_in_time),
	};

	/* As in the daemon. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
