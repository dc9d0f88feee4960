// SPDX-License-Identifier: Apache-2.0
/* Proxies, for messages: which one curl was told of by the environment. Whether it was used (NO_PROXY) curl knows;
 * what is said here takes that from curl's words. */
#include "transfer.h"

#include <keepfs/base/mem.h>
#include <stdlib.h>
#include <string.h>

/* The variable that curl takes for @url, as its documentation has it: HTTP_PROXY in capitals is not read, since a
 * web server may set it by a header. NULL: none is set. */
static const char *proxy_variable(const char *url)
{
	static const char *const https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
	static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};

	for (const char *const *name = str_starts(url, "https://") ? https : http; *name; name++) {
		const char *value = getenv(*name);

		if (value && *value)
			return *name;
	}
	return NULL;
}

/* "http://user:password@host:port/" without what is before the host and behind the port. */
static char *proxy_place(const char *value)
{
	const char *scheme_end = strstr(value, "://");
	const char *begin = scheme_end ? scheme_end + strlen("://") : value;
	size_t len = strcspn(begin, "/");
	const char *at = memrchr(begin, '@', len);

	if (at) {
		len -= (size_t)(at + 1 - begin);
		begin = at + 1;
	}
	return mem_printf("%.*s%.*s", scheme_end ? (int)(scheme_end + strlen("://") - value) : 0, value,
	                  (int)len, begin);
}

char *proxy_name(const char *url)
{
	const char *variable = proxy_variable(url);
	_cleanup(free) char *place = variable ? proxy_place(getenv(variable)) : NULL;

	return place ? mem_printf("the proxy %s (from %s)", place, variable) : NULL;
}

/* curl's "HOST port PORT" of "http://host:port"; an IPv6 address without its brackets. */
static char *proxy_in_curls_words(const char *place)
{
	const char *scheme_end = strstr(place, "://");
	const char *host = scheme_end ? scheme_end + strlen("://") : place;
	const char *colon = strrchr(host, ':');
	size_t len = colon ? (size_t)(colon - host) : strlen(host);

	if (*host == '[' && len > 2) {
		host++;
		len -= 2;
	}
	return mem_printf("%.*s port %s", (int)len, host, colon ? colon + 1 : "");
}

bool proxy_is_meant(const char *url, const char *curl_text)
{
	const char *variable = proxy_variable(url);
	_cleanup(free) char *place = variable ? proxy_place(getenv(variable)) : NULL;
	_cleanup(free) char *words = place ? proxy_in_curls_words(place) : NULL;

	return place &&
	       (strstr(curl_text, "proxy") || strstr(curl_text, "CONNECT") || strstr(curl_text, words));
}
