// SPDX-License-Identifier: Apache-2.0
/* The types of values that only receivers of notices have: addresses, servers of mail, URLs with secrets in them, headers,
 * events, templates. What is wrong is told without the value, since most of these are secrets. */
#include "value_ops.h"
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/conf/events.h>

#include <ctype.h>
#include <errno.h>
#include <string.h>

static int set_secret(char **field, const char *text)
{
	mem_free_secret(*field);
	*field = mem_strdup(text);
	return 0;
}

static void format_plain(const struct conf_key *key, const void *field, struct str *out)
{
	str_append(out, str_or_empty(*(char *const *)field));
}

/* Addresses of mail: what may stand between "<" and ">" without quotes; RFC 5321, of ASCII. */

static bool is_address(const char *text)
{
	size_t len = strlen(text);
	const char *at = strrchr(text, '@');

	if (len == 0 || len > 254 || (at && (at == text || !at[1])))
		return false;
	for (const char *p = text; *p; p++)
		if (!isgraph((unsigned char)*p) || strchr("<>()[]\\,;:\"", *p))
			return false;
	return text[0] != '-';
}

static int parse_addresses(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	char **words = conf_words_parse(text, wrong);

	for (size_t i = 0; words && words[i]; i++) {
		if (is_address(words[i]))
			continue;
		str_appendf(wrong, "holds '%s', which is no address", words[i]);
		conf_words_free(words);
		words = NULL;
	}
	if (!words)
		return -EINVAL;
	conf_words_free(*(char ***)field);
	*(char ***)field = words;
	return 0;
}

static void allow_addresses(const struct conf_key *key, struct str *out)
{
	str_append(out, "different addresses like ops@example.com, separated by commas or spaces");
}

static void format_addresses(const struct conf_key *key, const void *field, struct str *out)
{
	conf_words_format(*(char **const *)field, out);
}

const struct value_ops conf_addresses_ops = {parse_addresses, allow_addresses, format_addresses};

static int parse_address(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	if (*text && !is_address(text))
		return conf_value_wrong(wrong, "is no address");
	return set_secret(field, text);
}

static void allow_address(const struct conf_key *key, struct str *out)
{
	str_append(out, "one address like keepfs@example.com");
}

const struct value_ops conf_address_ops = {parse_address, allow_address, format_plain};

/* Servers. */

/* "host", "host:port", "[::1]:port", up to the end or one of @ends. */
static bool is_host_and_port(const char *text, const char *ends)
{
	size_t len = *text == '[' ? strcspn(text, "]") : strcspn(text, ":/?#@");
	const char *port = text + len + (text[len] == ']');
	size_t digits = *port == ':' ? strspn(port + 1, "0123456789") : 0;

	if (len == 0)
		return false;
	for (const char *p = text; p < text + len; p++)
		if (!isgraph((unsigned char)*p) || strchr("\\\"<>^`{|}", *p))
			return false;
	if (*port == ':' && (digits < 1 || digits > 5))
		return false;
	port += *port == ':' ? digits + 1 : 0;
	return !*port || strchr(ends, *port);
}

static int parse_mail_server(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	const char *host = strstr(text, "://");

	if (*text && !str_starts(text, "smtp://") && !str_starts(text, "smtps://"))
		return conf_value_wrong(wrong, "does not begin with smtps:// or smtp://");
	if (*text && strchr(host + 3, '@'))
		return conf_value_wrong(wrong, "holds an '@': user and password are keys of their own");
	if (*text && !is_host_and_port(host + 3, ""))
		return conf_value_wrong(wrong, "is no server");
	return set_secret(field, text);
}

static void allow_mail_server(const struct conf_key *key, struct str *out)
{
	str_append(out, "smtps://HOST[:PORT] or smtp://HOST[:PORT]");
}

const struct value_ops conf_mail_server_ops = {parse_mail_server, allow_mail_server, format_plain};

static int parse_web_url(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	const char *host = strstr(text, "://");

	if (!*text)
		return set_secret(field, text);
	if (!str_starts(text, "https://") && !str_starts(text, "http://"))
		return conf_value_wrong(wrong, "does not begin with https:// or http://");
	for (const char *p = text; *p; p++)
		if (!isgraph((unsigned char)*p))
			return conf_value_wrong(
			        wrong, "holds a blank, or a letter that has to be written as %XX in a URL");
	if (memchr(host + 3, '@', strcspn(host + 3, "/?#")))
		return conf_value_wrong(
		        wrong,
		        "holds a user before its host: use the key headers with Authorization in its place");
	if (!is_host_and_port(host + 3, "/?"))
		return conf_value_wrong(wrong, "is no URL");
	return set_secret(field, text);
}

char *conf_web_url_wrong(const char *url)
{
	_cleanup(str) struct str wrong = {0};
	char *field = NULL;
	int r = *url ? parse_web_url(NULL, url, &field, &wrong) : conf_value_wrong(&wrong, "is empty");

	mem_free_secret(field);
	return r < 0 ? str_take(&wrong) : NULL;
}

static void allow_web_url(const struct conf_key *key, struct str *out)
{
	str_append(out, "https://HOST[:PORT]/PATH, or http:// within a network that you trust");
}

const struct value_ops conf_web_url_ops = {parse_web_url, allow_web_url, format_plain};

/* Headers of a request. */

static bool is_header(const char *text)
{
	size_t len =
	        strspn(text, "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

	return len > 0 && text[len] == ':';
}

static int parse_headers(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	_cleanup(str) struct str unsaid = {0}; /* it may quote the value */
	char **words = conf_words_parse(text, &unsaid);

	for (size_t i = 0; words && words[i]; i++) {
		if (is_header(words[i]))
			continue;
		conf_words_free(words);
		words = NULL;
	}
	if (!words)
		return conf_value_wrong(wrong, "is no list of headers");
	conf_words_free(*(char ***)field);
	*(char ***)field = words;
	return 0;
}

static bool header_has_control_character(const char *text)
{
	for (; *text; text++)
		if (iscntrl((unsigned char)*text) && *text != '\t')
			return true;
	return false;
}

char **conf_headers_parse_lines(const char *text, char **ret_wrong)
{
	size_t count = 0;
	char **headers = mem_array(1, sizeof(*headers));

	for (int line = 1; *text; line++) {
		size_t len = strcspn(text, "\n");
		char *one = mem_printf("%.*s", (int)(len > 0 && text[len - 1] == '\r' ? len - 1 : len), text);

		text += len + (text[len] == '\n');
		if (!*one) {
			free(one);
			continue;
		}
		headers = mem_resize(headers, count + 2, sizeof(*headers));
		headers[count] = one;
		headers[++count] = NULL;
		if (is_header(one) && !header_has_control_character(one))
			continue;
		*ret_wrong = mem_printf("its line %d is no header, \"Name: value\"", line);
		conf_words_free(headers);
		return NULL;
	}
	return headers;
}

void conf_headers_free(char **headers)
{
	conf_words_free(headers);
}

static void allow_headers(const struct conf_key *key, struct str *out)
{
	str_append(out, "\"NAME: VALUE\", each in double quotes, separated by commas");
}

const struct value_ops conf_headers_ops = {parse_headers, allow_headers, format_addresses};

/* Events. */

static int parse_events(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	return conf_events_parse(text, field, wrong);
}

static void allow_events(const struct conf_key *key, struct str *out)
{
	str_append(out, "all");
	for (int i = 0; i < EVENT_COUNT; i++)
		str_appendf(out, ", %s", conf_event_name((enum conf_event)i));
	str_append(out, "; with ! before a word all but that");
}

static void format_events(const struct conf_key *key, const void *field, struct str *out)
{
	conf_events_format(*(const uint32_t *)field, out);
}

const struct value_ops conf_events_ops = {parse_events, allow_events, format_events};

/* Templates: the name of one that came with keepfs, or a file. */

static int parse_template(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	if (*text && *text != '/' && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(text))
		return conf_value_wrong(wrong, "is neither a name nor an absolute path");
	return set_secret(field, text);
}

static void allow_template(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "the name of a template that came with keepfs, such as slack, or the absolute path of a file");
}

const struct value_ops conf_template_ops = {parse_template, allow_template, format_plain};
