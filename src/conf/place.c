// SPDX-License-Identifier: Apache-2.0
/* Paths, the store's URL and its endpoint: checked and brought to one form, so that later code can compare
 * and append without looking again. */
#include "value.h"

#include <keepfs/base/mem.h>

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "units.h"

char *conf_home(void)
{
	const char *home = getenv("HOME");
	struct passwd entry, *found = NULL;
	char buf[4096];

	if (home && home[0] == '/')
		return mem_strdup(home);
	if (getpwuid_r(geteuid(), &entry, buf, sizeof(buf), &found) == 0 && found && found->pw_dir[0] == '/')
		return mem_strdup(found->pw_dir);
	return NULL;
}

/* Append the parts of @path, without empty and "." ones; ".." would make comparing a lie. */
static int append_parts(const char *path, struct str *out, struct str *wrong)
{
	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && memcmp(p, "..", 2) == 0) {
			str_append(wrong, "has a '..' in it");
			return -EINVAL;
		}
		if (len > 0 && !(len == 1 && *p == '.')) {
			str_append_char(out, '/');
			str_append_bytes(out, p, len);
		}
		p += len;
		p += *p == '/';
	}
	return 0;
}

char *conf_path_normalise(const char *text, struct str *wrong)
{
	_cleanup(str) struct str path = {0};
	_cleanup(free) char *home = NULL;

	if (str_starts(text, "~/")) {
		home = conf_home();
		if (!home) {
			str_append(wrong, "needs a home directory, and HOME is not set");
			return NULL;
		}
		if (append_parts(home, &path, wrong) < 0)
			return NULL;
		text++;
	}
	if (*text != '/') {
		str_append(wrong, "is not an absolute path");
		return NULL;
	}
	if (append_parts(text, &path, wrong) < 0)
		return NULL;
	if (path.len == 0)
		str_append_char(&path, '/');
	return str_take(&path);
}

static char *normalise_dir_url(const char *text, struct str *wrong)
{
	_cleanup(free) char *path = conf_path_normalise(text + strlen("dir:"), wrong);

	if (path && strcmp(path, "/") == 0)
		str_append(wrong, "is the root directory");
	return wrong->len ? NULL : mem_printf("dir:%s", path);
}

static bool is_bucket_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			return false;
	return len >= 3 && len <= 63 && isalnum((unsigned char)name[0]);
}

static char *normalise_s3_url(const char *text, struct str *wrong)
{
	const char *bucket = text + strlen("s3://");
	size_t bucket_len = strcspn(bucket, "/"), len = strlen(bucket);

	if (!is_bucket_name(bucket, bucket_len)) {
		str_append(
		        wrong,
		        "names no possible bucket: 3 to 63 of A-Z a-z 0-9 . _ -, beginning with a letter or digit");
		return NULL;
	}
	for (const char *p = bucket + bucket_len; *p; p++) {
		if (isalnum((unsigned char)*p) || strchr("._-/=+", *p))
			continue;
		str_append(
		        wrong,
		        "has a character in its prefix that makes trouble in S3 (A-Z a-z 0-9 . _ - = + / do not)");
		return NULL;
	}
	while (len > bucket_len && bucket[len - 1] == '/')
		len--;
	for (const char *p = bucket + bucket_len; p < bucket + len; p += 1 + strcspn(p + 1, "/")) {
		size_t part = strcspn(p + 1, "/");

		if (part == 0 || (part <= 2 && strspn(p + 1, ".") == part)) {
			str_append(wrong, "has an empty, '.' or '..' part in its prefix");
			return NULL;
		}
	}
	return mem_printf("s3://%.*s", (int)len, bucket);
}

char *conf_url_normalise(const char *text, struct str *wrong)
{
	if (str_starts(text, "dir:"))
		return normalise_dir_url(text, wrong);
	if (str_starts(text, "s3://"))
		return normalise_s3_url(text, wrong);
	str_append(wrong, "is no store that keepfs knows");
	return NULL;
}

static bool is_port(const char *text)
{
	int64_t port;

	return conf_int_parse(text, &port) == 0 && port >= 1 && port <= 65535;
}

char *conf_endpoint_normalise(const char *text, struct str *wrong)
{
	const char *host = strstr(text, "://");
	size_t len, host_len;

	if (!host || (!str_starts(text, "https://") && !str_starts(text, "http://"))) {
		str_append(wrong, "does not begin with https:// or http://");
		return NULL;
	}
	host += 3;
	len = strcspn(host, "/");
	host_len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
	if (host[len] && host[len + 1]) {
		str_append(wrong, "has a path behind the host: the bucket belongs into url");
		return NULL;
	}
	if (strcspn(host, "@?# \t") < len) {
		str_append(wrong, "holds more than a host and a port");
		return NULL;
	}
	if (host_len > len || host_len == 0 || (host_len < len && host[host_len] != ':')) {
		str_append(wrong, "names no host");
		return NULL;
	}
	if (host_len < len) {
		_cleanup(free) char *port =
		        mem_printf("%.*s", (int)(len - host_len - 1), host + host_len + 1);

		if (!is_port(port)) {
			str_append(wrong, "has a port that is no number from 1 to 65535");
			return NULL;
		}
	}
	return mem_printf("%.*s", (int)((size_t)(host - text) + len), text);
}
