// SPDX-License-Identifier: Apache-2.0
/*
 * Templates. A template of JSON is parsed first, and then the placeholders within its strings are filled: so whatever a text
 * holds, what comes out is JSON of the same shape. {{name|filter|filter}}; filters:
 *
 *   cut:N    at most N bytes, never half a character
 *   line     in one line
 *   quiet    an '@' calls nobody, since a space of no width stands behind it
 *   slack    quiet; '&', '<' and '>' are written so that Slack shows them (and calls nobody), and an address is no link. Slack
 *            has nothing that would keep a '*' or '_' from being markup: such a text belongs into code
 *   mattermost  quiet; and a '<' begins none of what Mattermost takes over from Slack, "<!channel>" and "<address|text>", which
 *            it does in code as well
 *   code     a '`' ends no code, so nothing in it is markup: that is how the subject and the text of a message stand in the
 *            templates of Slack, Mattermost and Discord
 *   url      as part of a URL's query
 *   number   of a string that is nothing else: a number of JSON
 */
#include "notify_private.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <config.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEMPLATE_MAX_BYTES ((size_t)64 << 10)
#define NO_WIDTH           "\xe2\x80\x8b" /* U+200B */

int template_load(const char *name, char **ret_text, struct error *err)
{
	_cleanup(free) char *path =
	        *name == '/' ? mem_strdup(name) : mem_printf("%s/%s.json", KEEPFS_TEMPLATES, name);
	_cleanup(str) struct str text = {0};
	int r = fd_read_file(path, TEMPLATE_MAX_BYTES, &text);

	if (r < 0 && *name != '/')
		return error_system(
		        err, -r, "there is no template %s; those that came with keepfs are in %s: its file",
		        name, KEEPFS_TEMPLATES);
	if (r < 0)
		return error_system(err, -r, "the template %s cannot be read", path);
	if (strlen(str_text(&text)) != text.len)
		return error_set(err, ERROR_USAGE, EINVAL, "the template %s is no text", path);
	*ret_text = str_take(&text);
	return 0;
}

/* Filters. */

static void filter_line(struct str *value, const char *argument)
{
	_cleanup(str) struct str out = {0};

	(void)argument;
	str_append_line(&out, str_text(value));
	str_clear(value);
	str_append(value, str_text(&out));
}

/* Each character of @set gets what stands for it; text without any stays. */
static void replace_characters(struct str *value, const char *set, const char *const *replacements)
{
	_cleanup(str) struct str out = {0};

	for (const char *p = str_text(value); *p; p++) {
		const char *found = strchr(set, *p);

		if (found)
			str_append(&out, replacements[found - set]);
		else
			str_append_char(&out, *p);
	}
	str_clear(value);
	str_append(value, str_text(&out));
}

static void filter_quiet(struct str *value, const char *argument)
{
	static const char *const with[] = {"@" NO_WIDTH};

	(void)argument;
	replace_characters(value, "@", with);
}

/* Slack makes links of them by itself, also in code. */
static void break_addresses(struct str *value)
{
	_cleanup(str) struct str out = {0};

	for (const char *p = str_text(value); *p; p++) {
		str_append_char(&out, *p);
		if (str_starts(p, "://"))
			str_append(&out, NO_WIDTH);
	}
	str_clear(value);
	str_append(value, str_text(&out));
}

static void filter_slack(struct str *value, const char *argument)
{
	static const char *const with[] = {"&amp;", "&lt;", "&gt;", "@" NO_WIDTH};

	(void)argument;
	break_addresses(value);
	replace_characters(value, "&<>@", with);
}

static void filter_mattermost(struct str *value, const char *argument)
{
	static const char *const with[] = {"<" NO_WIDTH, "@" NO_WIDTH};

	(void)argument;
	replace_characters(value, "<@", with);
}

static void filter_code(struct str *value, const char *argument)
{
	static const char *const with[] = {"'"};

	(void)argument;
	replace_characters(value, "`", with);
}

static void filter_url(struct str *value, const char *argument)
{
	_cleanup(str) struct str out = {0};

	(void)argument;
	for (const char *p = str_text(value); *p; p++) {
		if (isalnum((unsigned char)*p) || strchr("-._~", *p))
			str_append_char(&out, *p);
		else
			str_appendf(&out, "%%%02X", (unsigned char)*p);
	}
	str_clear(value);
	str_append(value, str_text(&out));
}

static void filter_cut(struct str *value, const char *argument)
{
	size_t max = strtoul(argument, NULL, 10) + 1;
	_cleanup(free) char *cut = NULL;

	if (value->len < max)
		return;
	cut = mem_alloc(max < 4 ? 4 : max);
	str_cut(cut, max < 4 ? 4 : max, str_text(value));
	str_clear(value);
	str_append(value, cut);
}

static void filter_number(struct str *value, const char *argument)
{
	(void)value;
	(void)argument;
}

static const struct {
	const char *name;
	bool has_argument;
	void (*run)(struct str *value, const char *argument);
} filters[] = {
        {"cut", true, filter_cut},
        {"line", false, filter_line},
        {"quiet", false, filter_quiet},
        {"slack", false, filter_slack},
        {"mattermost", false, filter_mattermost},
        {"code", false, filter_code},
        {"url", false, filter_url},
        {"number", false, filter_number},
};

static int unknown_filter(const char *word, struct error *err)
{
	_cleanup(str) struct str known = {0};

	for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
		str_appendf(&known, "%s%s%s", i > 0 ? ", " : "", filters[i].name,
		            filters[i].has_argument ? ":N" : "");
	return error_set(err, ERROR_USAGE, EINVAL, "there is no filter '%s'; allowed: %s", word,
	                 str_text(&known));
}

/* "cut:100" */
static int apply_filter(const char *word, struct str *value, struct error *err)
{
	size_t len = strcspn(word, ":");
	const char *argument = word[len] ? word + len + 1 : "";

	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		if (strlen(filters[i].name) != len || strncmp(filters[i].name, word, len) != 0 ||
		    filters[i].has_argument !=
		            (*argument && strspn(argument, "0123456789") == strlen(argument)))
			continue;
		filters[i].run(value, argument);
		return 0;
	}
	return unknown_filter(word, err);
}

static const struct template_value *find_value(const struct template_value *values, const char *name)
{
	for (; values->name; values++)
		if (strcmp(values->name, name) == 0)
			return values;
	return NULL;
}

static int unknown_placeholder(const struct template_value *values, const char *name, struct error *err)
{
	_cleanup(str) struct str known = {0};

	for (; values->name; values++)
		str_appendf(&known, "%s%s", known.len > 0 ? ", " : "", values->name);
	return error_set(err, ERROR_USAGE, EINVAL, "there is no placeholder {{%s}}; allowed: %s", name,
	                 str_text(&known));
}

/* What stands between the braces. */
static int fill_placeholder(const char *inside, const struct template_value *values, struct str *out,
                            struct error *err)
{
	_cleanup(free) char *copy = mem_strdup(inside);
	_cleanup(str) struct str value = {0};
	char *rest = copy, *name = strsep(&rest, "|");
	const struct template_value *found = find_value(values, name);
	int r = 0;

	if (!found)
		return unknown_placeholder(values, name, err);
	str_append(&value, str_or_empty(found->value));
	while (r == 0 && rest)
		r = apply_filter(strsep(&rest, "|"), &value, err);
	if (r == 0)
		str_append(out, str_text(&value));
	return r;
}

int template_fill(const char *text, const struct template_value *values, struct str *out, struct error *err)
{
	int r = 0;

	while (r == 0 && *text) {
		const char *open = strstr(text, "{{"), *close = open ? strstr(open, "}}") : NULL;
		_cleanup(free) char *inside = NULL;

		if (!close) {
			str_append(out, text);
			break;
		}
		str_append_bytes(out, text, (size_t)(open - text));
		inside = mem_printf("%.*s", (int)(close - open - 2), open + 2);
		r = fill_placeholder(inside, values, out, err);
		text = close + 2;
	}
	return r;
}

struct filling {
	const struct template_value *values;
	struct error *err;
	int result;
};

/* Is @text one placeholder, that is to be a number? */
static bool is_number_placeholder(const char *text)
{
	const char *close = str_starts(text, "{{") ? strstr(text, "}}") : NULL;

	return close && !close[2] && str_ends(text, "|number}}");
}

static struct json *fill_string(void *arg, const char *text)
{
	struct filling *f = arg;
	_cleanup(str) struct str out = {0};
	int r = template_fill(text, f->values, &out, f->result == 0 ? f->err : NULL);

	if (r < 0 && f->result == 0)
		f->result = r;
	if (is_number_placeholder(text))
		return json_int_new(strtoll(str_text(&out), NULL, 10));
	return json_string_new(str_text(&out));
}

struct json *template_fill_json(const struct json *j, const struct template_value *values, struct error *err)
{
	struct filling f = {.values = values, .err = err};
	struct json *filled = json_replace_strings(j, fill_string, &f);

	return f.result < 0 ? json_free(filled) : filled;
}

/* "https://host/path" of a URL with a query, and without a slash at its end. */
static char *base_of(const char *url)
{
	size_t len = strcspn(url, "?#");

	while (len > 0 && url[len - 1] == '/')
		len--;
	return mem_printf("%.*s", (int)len, url);
}

struct template_value *template_values_of(const struct message *m, const char *to, const char *url,
                                          char **ret_base)
{
	static const char *const levels[] = {"0", "1", "2"};
	static const char *const priorities[] = {"3", "4", "5"}; /* of ntfy, and of Gotify's users */
	const struct json *host = json_get(m->json, "host");
	char *base = base_of(str_or_empty(url));
	const struct template_value all[] = {
	        {"event", m->event},
	        {"level", m->level},
	        {"level_number", levels[m->level_number]},
	        {"priority", priorities[m->level_number]},
	        {"subject", m->subject},
	        {"text", m->text},
	        {"job", m->job},
	        {"database", m->database},
	        {"since", m->since},
	        {"at", m->at},
	        {"run", m->run},
	        {"what_to_do", m->what_to_do},
	        {"host", json_text(host)},
	        {"version", KEEPFS_VERSION},
	        {"id", m->id},
	        {"to", to},
	        {"url", url},
	        {"base", base},
	        {"beat", m->beat},
	        {"state", m->state},
	        {"error", m->error},
	        {"log", m->log},
	        {"exit_code", m->exit_code},
	        {"seconds", m->seconds},
	        {"milliseconds", m->milliseconds},
	        {NULL, NULL},
	};
	struct template_value *values = mem_alloc(sizeof(all));

	memcpy(values, all, sizeof(all));
	*ret_base = base;
	return values;
}
