// SPDX-License-Identifier: Apache-2.0
/* credential_process: a program that writes credentials as JSON to its standard output. */
#include "source.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS       60000
#define OUTPUT_MAX_BYTES ((size_t)1 << 20)

/* AWS's own variables of ours, which children do not get by themselves: the program may need them to log in. The array
 * is heap, its strings are borrowed. */
static const char **aws_environment(void)
{
	const char **list = NULL;
	size_t count = 0;

	for (char **e = environ; e && *e; e++) {
		if (!str_starts(*e, "AWS_"))
			continue;
		list = mem_resize(list, count + 2, sizeof(*list));
		list[count++] = *e;
		list[count] = NULL;
	}
	return list;
}

static int64_t time_left_ms(const struct aws_ask *ask)
{
	int64_t left_ms = ask->deadline_ms ? ask->deadline_ms - clock_mono_ms() : TIMEOUT_MS;

	if (left_ms < 1)
		return 1;
	return left_ms < TIMEOUT_MS ? left_ms : TIMEOUT_MS;
}

#define MORE_FOR_ENDING_MS 1000

/* What the program leaves behind may keep its output open for ever: so it is waited for no longer than for the program. */
static int read_program(const struct aws_ask *ask, const struct proc *p, struct str *out, struct error *err)
{
	struct pollfd ready = {.fd = proc_stdout(p), .events = POLLIN};
	/* A little longer: what runs out of time itself is ended by then, and says so. */
	int64_t until_ms = clock_mono_ms() + time_left_ms(ask) + MORE_FOR_ENDING_MS;
	char piece[4096];
	ssize_t n;

	do {
		int64_t left_ms = until_ms - clock_mono_ms();
		int count = poll(&ready, 1, left_ms > 0 ? (int)left_ms : 0);

		if (count < 0 && errno == EINTR) {
			n = -1;
			continue;
		}
		if (count <= 0) {
			explicit_bzero(piece, sizeof(piece));
			return aws_fail(
			        err,
			        "its output has not ended in time: something that it started keeps it open");
		}
		n = read(proc_stdout(p), piece, sizeof(piece));
		if (n > 0)
			str_append_bytes(out, piece, (size_t)n);
		if (out->len > OUTPUT_MAX_BYTES) {
			n = 0;
			explicit_bzero(piece, sizeof(piece));
			return aws_fail(err, "its output is longer than 1 MiB");
		}
	} while (n > 0 || (n < 0 && errno == EINTR));
	explicit_bzero(piece, sizeof(piece));
	return n < 0 ? error_system(err, errno, "its output cannot be read") : 0;
}

static int run_program(const struct aws_ask *ask, const char *command, struct str *out, struct error *err)
{
	_cleanup(free) const char **environment = aws_environment();
	const struct proc_options options = {
	        .argv = (const char *const[]){"/bin/sh", "-c", command, NULL},
	        .env = PROC_ENV_HOOK,
	        .extra_env = environment,
	        .cancel = ask->cancel,
	        .timeout_ms = time_left_ms(ask),
	};
	_cleanup(proc) struct proc *p = NULL;
	int r = proc_start(&options, &p, err);

	if (r == 0)
		r = read_program(ask, p, out, err);
	if (r == 0)
		r = proc_wait(p, err);
	return r;
}

int aws_from_process(const struct aws_ask *ask, const char *profile, struct aws_credentials *ret,
                     struct error *err)
{
	const char *command = conf_profiles_get(ask->profiles, profile, "credential_process");
	_cleanup(free) char *place = conf_profiles_place_of(ask->profiles, profile, "credential_process");
	_cleanup(free) char *what = mem_printf("the credential_process of %s", place);
	const struct aws_answer_names names = {.token = "SessionToken",
	                                       .marker = "Version",
	                                       .expected = "1",
	                                       .must_have_marker = true,
	                                       .what = what};
	_cleanup(str) struct str out = {0};
	int r;

	if (!command)
		return -ENOENT;
	if (!ask->net)
		return -EAGAIN;
	r = run_program(ask, command, &out, err);
	if (r < 0)
		error_prefix(err, "%s", what);
	else
		r = aws_answer_parse(str_text(&out), out.len, &names, ret, err);
	if (out.data)
		explicit_bzero(out.data, out.cap);
	if (r == 0)
		ret->source = take_ptr(&what);
	return r;
}
