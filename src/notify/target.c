// SPDX-License-Identifier: Apache-2.0
/* Where a request goes, and with which headers: secrets, mostly, which may be in files, printed by commands, or sealed. */
#include "target.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

void target_finish(struct target *t)
{
	secret_text_finish(&t->url);
	conf_headers_free(t->headers);
	*t = (struct target){0};
}

static int open_url(const struct conf_secret *url, const char *section, struct cancel *cancel,
                    struct target *ret, struct error *err)
{
	_cleanup(free) char *what = mem_printf("%s url", section);
	int r = secret_get(url, &(struct secret_use){.what = what}, cancel, &ret->url, err);
	_cleanup(free) char *wrong = r == 0 ? conf_web_url_wrong(ret->url.data) : NULL;

	if (wrong)
		return error_set(err, ERROR_USAGE, EINVAL, "%s (from elsewhere) %s", what, wrong);
	return r < 0 ? r : 0;
}

/* Those of the file or the command; of a sealed value, which is a text of lines, too. */
static int open_headers(const struct target_conf *conf, struct cancel *cancel, struct target *ret,
                        struct error *err)
{
	_cleanup(free) char *what = mem_printf("%s headers", conf->section), *wrong = NULL;
	_cleanup(secret_text) struct secret_text lines = {0};
	const struct conf_secret sealed = {.value = conf->headers ? conf->headers[0] : NULL};
	bool is_sealed = sealed.value && conf_is_sealed(sealed.value);
	const struct secret_use use = {.what = what, .whole = true};
	int r;

	if (!is_sealed && !conf_secret_is_set(conf->more_headers))
		return 0;
	r = secret_get(is_sealed ? &sealed : conf->more_headers, &use, cancel, &lines, err);
	if (r < 0)
		return r;
	if (memchr(lines.data, '\0', lines.len))
		return error_set(err, ERROR_USAGE, EINVAL, "%s: they hold a character 0", what);
	ret->headers = conf_headers_parse_lines(lines.data, &wrong);
	return ret->headers ? 0 : error_set(err, ERROR_USAGE, EINVAL, "%s: %s", what, wrong);
}

int target_open(const struct target_conf *conf, struct cancel *cancel, struct target *ret, struct error *err)
{
	int r = open_url(conf->url, conf->section, cancel, ret, err);

	return r < 0 ? r : open_headers(conf, cancel, ret, err);
}

char *const *target_headers(const struct target *t, const struct target_conf *conf)
{
	return t->headers ? t->headers : conf->headers;
}

bool target_asks_anew(const struct target_conf *conf, const struct error *err)
{
	bool url = secret_is_printed(conf->url), headers = secret_is_printed(conf->more_headers);
	bool worth_it = false;

	if (err->http_status != 401 && err->http_status != 403 && err->http_status != 404)
		return false;
	if (url)
		worth_it |= secret_forget(conf->url);
	if (headers)
		worth_it |= secret_forget(conf->more_headers);
	return worth_it;
}
