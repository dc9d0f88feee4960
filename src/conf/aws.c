// SPDX-License-Identifier: Apache-2.0
/* AWS's credentials, found in AWS's order. The shared credentials file is rotated by other programs while
 * keepfs runs, and some of them write it in place: a profile that lacks one of its two keys, or a file
 * without a byte, is taken for half-written, and worth another look. */
#include "load.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include "lines.h"
#include "value.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX_BYTES ((size_t)1 << 20)

void aws_credentials_finish(struct aws_credentials *c)
{
	mem_free_secret(c->access_key);
	mem_free_secret(c->secret_key);
	mem_free_secret(c->session_token);
	free(c->source);
	*c = (struct aws_credentials){0};
}

const char *aws_profile(const struct conf_store *store)
{
	const char *named = str_or_empty(store->profile), *env = str_or_empty(getenv("AWS_PROFILE"));

	return *named ? named : *env ? env : "default";
}

/* The file named by @variable, or ~/.aws/<name>; NULL when there is no home either. */
static char *aws_file(const char *variable, const char *name)
{
	const char *env = str_or_empty(getenv(variable));
	_cleanup(free) char *home = conf_home();

	if (*env)
		return mem_strdup(env);
	return home ? mem_printf("%s/.aws/%s", home, name) : NULL;
}

/* A section of such a file, and the keys that are wanted from it. */

struct wanted {
	const char *section;
	bool inside, found;
	const char *keys[3];
	char **values[3];
};

static void on_profile(void *arg, int line, const char *name)
{
	struct wanted *w = arg;

	w->inside = strcmp(name, w->section) == 0;
	w->found = w->found || w->inside;
}

static void on_profile_pair(void *arg, int line, const char *key, const char *value)
{
	struct wanted *w = arg;

	for (size_t i = 0; w->inside && i < ARRAY_SIZE(w->keys) && w->keys[i]; i++) {
		if (strcmp(key, w->keys[i]) != 0 || !*value)
			continue;
		mem_free_secret(*w->values[i]);
		*w->values[i] = mem_strdup(value);
	}
}

/* Lines that keepfs does not understand are other programs' business. */
static void skip_bad_line(void *arg, int line, const char *what)
{
}

static const struct conf_lines_events file_events = {on_profile, on_profile_pair, skip_bad_line};

static int read_section(const char *path, struct wanted *w, size_t *ret_bytes)
{
	struct str text = {0};
	int r = fd_read_file(path, FILE_MAX_BYTES, &text);

	if (r == 0)
		conf_lines_parse(str_text(&text), text.len, &file_events, w);
	*ret_bytes = text.len;
	if (text.data)
		explicit_bzero(text.data, text.cap);
	str_finish(&text);
	return r;
}

char *aws_profile_region(const struct conf_store *store, char **ret_source)
{
	const char *profile = aws_profile(store);
	_cleanup(free) char *path = aws_file("AWS_CONFIG_FILE", "config");
	_cleanup(free) char *section =
	        strcmp(profile, "default") == 0 ? mem_strdup(profile) : mem_printf("profile %s", profile);
	char *region = NULL;
	struct wanted w = {.section = section, .keys = {"region"}, .values = {&region}};
	size_t bytes;

	if (path && read_section(path, &w, &bytes) == 0 && region)
		*ret_source = mem_printf("%s [%s]", path, section);
	return region;
}

/* The three places. Each returns 0, -ENOENT when it holds nothing, or -ENOKEY with @err. */

static int from_conf(const struct conf_store *conf, struct aws_credentials *c)
{
	const char *token = str_or_empty(conf->session_token);

	if (!*str_or_empty(conf->access_key) || !*str_or_empty(conf->secret_key))
		return -ENOENT;
	c->access_key = mem_strdup(conf->access_key);
	c->secret_key = mem_strdup(conf->secret_key);
	c->session_token = *token ? mem_strdup(token) : NULL;
	c->source = mem_strdup("[store] access_key");
	return 0;
}

static int from_environment(struct aws_credentials *c, struct error *err)
{
	const char *id = str_or_empty(getenv("AWS_ACCESS_KEY_ID"));
	const char *secret = str_or_empty(getenv("AWS_SECRET_ACCESS_KEY"));
	const char *token = str_or_empty(getenv("AWS_SESSION_TOKEN"));

	if (!*id && !*secret)
		return -ENOENT;
	if (!*id || !*secret)
		return error_set(err, ERROR_DENIED, ENOKEY,
		                 "the environment variable %s is set, but %s is not: set both, or none",
		                 *id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
		                 *id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	c->access_key = mem_strdup(id);
	c->secret_key = mem_strdup(secret);
	c->session_token = *token ? mem_strdup(token) : NULL;
	c->source = mem_strdup("AWS_ACCESS_KEY_ID");
	return 0;
}

static int incomplete(struct error *err, const char *path, const char *what)
{
	int r = error_set(
	        err, ERROR_DENIED, ENOKEY,
	        "the shared credentials file %s %s; it may be half-written: if this stays so, complete it",
	        path, what);

	if (err)
		err->retry = true;
	return r;
}

static int from_file(const struct conf_store *conf, struct aws_credentials *c, struct error *err)
{
	_cleanup(free) char *path = aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
	_cleanup(free) char *what = NULL;
	struct wanted w = {
	        .section = aws_profile(conf),
	        .keys = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"},
	        .values = {&c->access_key, &c->secret_key, &c->session_token},
	};
	size_t bytes = 0;
	int r = path ? read_section(path, &w, &bytes) : -ENOENT;

	if (r < 0)
		return error_set(
		        err, ERROR_DENIED, ENOKEY,
		        "no S3 credentials: neither in the configuration ([store] access_key and secret_key), nor in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), and the shared credentials file %s cannot be read: %s",
		        path ? path : "~/.aws/credentials", path ? strerror(-r) : "HOME is not set");
	if (bytes == 0)
		return incomplete(err, path, "is empty");
	if (!w.found)
		return error_set(
		        err, ERROR_DENIED, ENOKEY,
		        "no S3 credentials: neither in the configuration ([store] access_key and secret_key), nor in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), and the shared credentials file %s has no profile [%s] (it is chosen by [store] profile or AWS_PROFILE)",
		        path, w.section);
	if (!c->access_key || !c->secret_key) {
		what = mem_printf("has no %s in its profile [%s]",
		                  c->access_key ? "aws_secret_access_key" : "aws_access_key_id", w.section);
		return incomplete(err, path, what);
	}
	c->source = mem_printf("%s [%s]", path, w.section);
	return 0;
}

int aws_credentials_load(const struct conf_store *conf, struct aws_credentials *ret, struct error *err)
{
	struct aws_credentials c = {0};
	int r = from_conf(conf, &c);

	if (r == -ENOENT)
		r = from_environment(&c, err);
	if (r == -ENOENT)
		r = from_file(conf, &c, err);
	if (r == 0)
		*ret = c;
	else
		aws_credentials_finish(&c);
	return r;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15) + (hash >> 29);
}

uint64_t aws_credentials_stamp(const struct conf_store *conf)
{
	_cleanup(free) char *path = aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
	uint64_t hash = 1;
	struct stat st;

	if (!path || stat(path, &st) < 0)
		return 0;
	hash = mix(hash, (uint64_t)st.st_ino);
	hash = mix(hash, (uint64_t)st.st_size);
	hash = mix(hash, (uint64_t)st.st_mtim.tv_sec);
	return mix(hash, (uint64_t)st.st_mtim.tv_nsec);
}
