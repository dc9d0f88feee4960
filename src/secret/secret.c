// SPDX-License-Identifier: Apache-2.0
/* Where a secret is, and what may be in it. */
#include "secret_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define STAMP_MULTIPLIER UINT64_C(0x9E3779B97F4A7C15)

/* A password's line: without its end, and what stands behind it. */
static int take_first_line(const char *what, struct secret_text *t, struct error *err)
{
	size_t len = 0;

	while (len < t->len && t->data[len] != '\n' && t->data[len] != '\r')
		len++;
	if (memchr(t->data, '\0', len))
		return error_set(err, ERROR_USAGE, EINVAL, "%s: it holds a character 0: is it the right one?",
		                 what);
	if (len == 0)
		return error_set(err, ERROR_USAGE, EINVAL, "%s: its first line is empty", what);
	explicit_bzero(t->data + len, t->len - len);
	t->len = len;
	return 0;
}

static int take_shape(const char *what, const struct secret_use *use, struct secret_text *t,
                      struct error *err)
{
	int r = 0;

	if (!use->whole)
		r = take_first_line(what, t, err);
	if (r < 0)
		secret_text_finish(t);
	return r;
}

int secret_open_file(const char *path, const struct secret_use *use, struct secret_text *ret,
                     struct error *err)
{
	_cleanup(free) char *where = mem_printf("%s = %s", use->what, path);
	struct secret_text raw = {0};
	int r = secret_file_read(path, use->what, use->open_file, &raw, err);

	if (r == 0)
		r = secret_unseal_bytes(where, raw.data, raw.len, ret, err);
	secret_text_finish(&raw);
	return r < 0 ? r : take_shape(use->what, use, ret, err);
}

static int get_from_file(const char *file, const struct secret_use *use, struct secret_text *ret,
                         struct error *err)
{
	_cleanup(free) char *what = mem_printf("%s_file", use->what);
	struct secret_use of_file = *use;

	of_file.what = what;
	return secret_open_file(file, &of_file, ret, err);
}

static int get_from_command(const char *command, const struct secret_use *use, struct cancel *cancel,
                            struct secret_text *ret, struct error *err)
{
	_cleanup(free) char *what = mem_printf("%s_command", use->what);
	int r = secret_command_get(command, what, cancel, ret, err);

	return r < 0 ? r : take_shape(what, use, ret, err);
}

static int get_from_value(const char *value, const struct secret_use *use, struct secret_text *ret,
                          struct error *err)
{
	int r;

	if (!conf_is_sealed(value)) {
		secret_text_set(ret, value, strlen(value));
		return 0;
	}
	r = secret_unseal_value(use->what, value, ret, err);
	return r < 0 ? r : take_shape(use->what, use, ret, err);
}

/* A file comes first, as [mail] password_file has always done; of other secrets there is one place only. */
int secret_get(const struct conf_secret *s, const struct secret_use *use, struct cancel *cancel,
               struct secret_text *ret, struct error *err)
{
	if (*str_or_empty(s->file))
		return get_from_file(s->file, use, ret, err);
	if (*str_or_empty(s->command))
		return get_from_command(s->command, use, cancel, ret, err);
	if (!*str_or_empty(s->value))
		return SECRET_NOWHERE;
	return get_from_value(s->value, use, ret, err);
}

bool secret_is_printed(const struct conf_secret *s)
{
	return !*str_or_empty(s->file) && *str_or_empty(s->command);
}

bool secret_is_at_hand(const struct conf_secret *s)
{
	return !secret_is_printed(s) || secret_command_is_kept(s->command);
}

bool secret_may_change(const struct conf_secret *s)
{
	return *str_or_empty(s->file) || *str_or_empty(s->command);
}

bool secret_forget(const struct conf_secret *s)
{
	if (*str_or_empty(s->file))
		return true;
	return secret_is_printed(s) && secret_command_forget(s->command);
}

uint64_t secret_stamp(const struct conf_secret *s)
{
	_cleanup(free) char *path = *str_or_empty(s->file) ? secret_file_path(s->file, NULL) : NULL;
	uint64_t stamp = 0;
	struct stat st;

	if (!path || stat(path, &st) < 0)
		return 0;
	stamp = (stamp ^ (uint64_t)st.st_ino) * STAMP_MULTIPLIER;
	stamp = (stamp ^ (uint64_t)st.st_size) * STAMP_MULTIPLIER;
	stamp = (stamp ^ (uint64_t)st.st_mtim.tv_sec) * STAMP_MULTIPLIER;
	stamp = (stamp ^ (uint64_t)st.st_mtim.tv_nsec) * STAMP_MULTIPLIER;
	return stamp;
}
