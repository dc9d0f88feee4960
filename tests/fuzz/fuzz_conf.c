// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as keepfs.conf. What is refused is refused with problems, each on a line of its
 * own that a terminal can show; the configuration in force is a file that says the same; and a secret
 * is never shown.
 */
#include "fuzz.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/conf.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_MIN_BYTES 8 /* a shorter one may be anywhere by chance */

/* The environment overrides files, and must not matter here. */
static void forget_environment(void)
{
	static bool forgotten;

	if (!forgotten)
		fuzz_must(clearenv() == 0 && setenv("HOME", "/nonexistent", 1) == 0, "an empty environment",
		          NULL);
	forgotten = true;
}

static int load(const void *text, size_t len, struct conf *ret, struct str *problems)
{
	_cleanup(fd) int fd = memfd_create("keepfs.conf", MFD_CLOEXEC);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fuzz_must(fd >= 0 && fchmod(fd, 0600) == 0 && fd_write_all(fd, text, len) == 0, "a file in memory",
	          NULL);
	return conf_load(path, ret, problems);
}

static void must_be_lines(const char *problems)
{
	fuzz_must(!*problems || str_ends(problems, "\n"), "problems end with a line end", problems);
	for (const char *at = problems; *at; at++)
		fuzz_must(*at == '\n' || *at == '\t' || !iscntrl((unsigned char)*at),
		          "problems hold no control characters", problems);
}

/* Where a secret is in the file once, it is told nowhere. */
static void must_hide(const char *secret, const char *text, const char *told)
{
	const char *at = secret ? strstr(text, secret) : NULL;

	if (at && strlen(secret) >= SECRET_MIN_BYTES && !strstr(at + 1, secret))
		fuzz_must(!strstr(told, secret), "a secret is not shown", told);
}

/* The lines of @effective without what follows: "  # where it came from". */
static char *without_origins(const char *effective)
{
	_cleanup(str) struct str out = {0};

	while (*effective) {
		size_t len = strcspn(effective, "\n");
		const char *origin = memmem(effective, len, "  # ", 4);

		str_append_bytes(&out, effective, origin ? (size_t)(origin - effective) : len);
		str_append_char(&out, '\n');
		effective += len + (effective[len] == '\n');
	}
	return str_take(&out);
}

static void must_say_the_same(const char *effective)
{
	_cleanup(conf) struct conf c = {0};
	_cleanup(str) struct str problems = {0}, again = {0};
	_cleanup(free) char *before = without_origins(effective), *after = NULL;

	fuzz_must(load(effective, strlen(effective), &c, &problems) == 0, "what is in force can be loaded",
	          str_text(&problems));
	conf_write_effective(&c, &again);
	after = without_origins(str_text(&again));
	fuzz_must(str_equal(before, after), "what is in force says the same again", after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(conf) struct conf c = {0};
	_cleanup(str) struct str problems = {0}, effective = {0};
	_cleanup(free) char *text = fuzz_text(data, size);
	int r;

	forget_environment();
	r = load(data, size, &c, &problems);
	must_be_lines(str_text(&problems));
	if (r != 0) {
		fuzz_must(r == -EINVAL && problems.len > 0, "a refused file has problems",
		          str_text(&problems));
		return 0;
	}
	conf_write_effective(&c, &effective);
	must_hide(c.store.secret_key.value, text, str_text(&effective));
	must_hide(c.store.session_token.value, text, str_text(&effective));
	must_hide(c.store.secret_key.value, text, str_text(&problems));
	must_say_the_same(str_text(&effective));
	return 0;
}
