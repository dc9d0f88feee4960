// SPDX-License-Identifier: Apache-2.0
/* The types of values that only the job of exports has: a query, columns, patterns of tables, rules, settings. */
#include <keepfs/base/mem.h>
#include <keepfs/policy/databases.h>
#include <keepfs/policy/redaction.h>
#include <keepfs/policy/tenancy.h>

#include "value_ops.h"
#include "words.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static int replace_words(void *field, char **words)
{
	char ***slot = field;

	conf_words_free(*slot);
	*slot = words;
	return 0;
}

static void format_own_text(const struct conf_key *key, const void *field, struct str *out)
{
	str_append(out, str_or_empty(*(char *const *)field));
}

/* Names, with their double quotes. */
static void format_own_names(const struct conf_key *key, const void *field, struct str *out)
{
	conf_patterns_format(*(char **const *)field, out);
}

static void format_own_words(const struct conf_key *key, const void *field, struct str *out)
{
	conf_words_format(*(char **const *)field, out);
}

/* What a policy has against a value begins with the name of its key, which is told already. */
static int wrong_by_policy(const struct conf_key *key, const struct error *err, struct str *wrong)
{
	size_t len = strlen(key->name);
	const char *text = err->message;

	if (str_starts(text, key->name) && text[len] == ':' && text[len + 1] == ' ')
		text += len + 2;
	return conf_value_wrong(wrong, text);
}

static int parse_query(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	if (!databases_are_query(text))
		return conf_value_wrong(wrong, "is no query");
	mem_replace_string(field, text);
	return 0;
}

static void allow_query(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "a query that begins with SELECT or WITH, with columns named id and slug, and name, class, uid and gid "
	        "if there are such");
}

const struct value_ops conf_query_ops = {parse_query, allow_query, format_own_text};

/* How many parts a dotted name has, quotes aside; 0: one of them is empty. */
static size_t count_parts(const char *name)
{
	bool quoted = false;
	size_t count = 1;

	for (const char *p = name; *p; p++) {
		quoted ^= *p == '"';
		if (*p != '.' || quoted)
			continue;
		if (p == name || p[-1] == '.')
			return 0;
		count++;
	}
	return *name && !str_ends(name, ".") ? count : 0;
}

static int check_name_parts(const char *name, size_t least, size_t most, const char *shape, struct str *wrong)
{
	size_t count = count_parts(name);

	if (count >= least && count <= most)
		return 0;
	str_appendf(wrong, "has %s, which is not %s", name, shape);
	return -EINVAL;
}

static int check_column_name(const char *name, size_t least, struct str *wrong)
{
	if (!strpbrk(name, "*?"))
		return check_name_parts(name, least, 3,
		                        least == 1 ? "COLUMN, TABLE.COLUMN or SCHEMA.TABLE.COLUMN"
		                                   : "TABLE.COLUMN or SCHEMA.TABLE.COLUMN",
		                        wrong);
	str_appendf(wrong, "has %s, a pattern, where one column is to be named", name);
	return -EINVAL;
}

static int parse_column(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	if (*text && check_column_name(text, 2, wrong) < 0)
		return -EINVAL;
	mem_replace_string(field, text);
	return 0;
}

static void allow_column(const struct conf_key *key, struct str *out)
{
	str_append(out, "empty, TABLE.COLUMN or SCHEMA.TABLE.COLUMN");
}

const struct value_ops conf_column_ops = {parse_column, allow_column, format_own_text};

/* A list whose entries pass @check. */
static int take_checked(char **words, void *field, int (*check)(const char *word, struct str *wrong),
                        struct str *wrong)
{
	for (size_t i = 0; words && words[i]; i++) {
		if (check(words[i], wrong) == 0)
			continue;
		conf_words_free(words);
		return -EINVAL;
	}
	return words ? replace_words(field, words) : -EINVAL;
}

static int check_any_column(const char *word, struct str *wrong)
{
	return check_column_name(word, 1, wrong);
}

static int parse_columns(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	return take_checked(conf_patterns_parse(text, wrong), field, check_any_column, wrong);
}

static void allow_columns(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "different columns, as COLUMN (of any table), TABLE.COLUMN or SCHEMA.TABLE.COLUMN, separated by "
	        "commas or spaces");
}

const struct value_ops conf_columns_ops = {parse_columns, allow_columns, format_own_names};

static int check_table_pattern(const char *word, struct str *wrong)
{
	return check_name_parts(word, 1, 2, "TABLE or SCHEMA.TABLE", wrong);
}

static int parse_table_patterns(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	return take_checked(conf_patterns_parse(text, wrong), field, check_table_pattern, wrong);
}

static void allow_table_patterns(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "different tables, as TABLE (of any schema) or SCHEMA.TABLE, with the wildcards * and ?, separated "
	        "by commas or spaces");
}

const struct value_ops conf_table_patterns_ops = {parse_table_patterns, allow_table_patterns,
                                                  format_own_names};

/* Soft references hold commas and spaces, so semicolons separate them; one in a literal does not. */

static size_t reference_len(const char *text)
{
	char quote = 0; /* of a literal, or of a name, which may hold the other one */
	size_t len = 0;

	for (; text[len] && (quote || text[len] != ';'); len++) {
		if (quote)
			quote = text[len] == quote ? '\0' : quote;
		else if (text[len] == '\'' || text[len] == '"')
			quote = text[len];
	}
	return len;
}

static char *trimmed_copy(const char *text, size_t len)
{
	while (len > 0 && isspace((unsigned char)*text)) {
		text++;
		len--;
	}
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	return mem_printf("%.*s", (int)len, text);
}

static int add_reference(char ***list, size_t *count, const char *text, size_t len, struct str *wrong)
{
	_cleanup(free) char *one = trimmed_copy(text, len);

	if (!*one)
		return conf_value_wrong(wrong, "has an empty entry");
	if (conf_words_find(*list, one)) {
		str_appendf(wrong, "names %s twice", one);
		return -EINVAL;
	}
	*list = mem_resize(*list, *count + 2, sizeof(**list));
	(*list)[(*count)++] = take_ptr(&one);
	(*list)[*count] = NULL;
	return 0;
}

static int parse_references(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	char **list = mem_array(1, sizeof(*list));
	size_t count = 0;

	struct error err = {0};
	int r = 0;

	while (r == 0 && *text) {
		size_t len = reference_len(text);

		r = add_reference(&list, &count, text, len, wrong);
		text += len;
		text += *text == ';';
		/* One at the end separates nothing. */
		text += strspn(text, " \t");
	}
	if (r == 0 && tenancy_references_check(list, &err) < 0)
		r = wrong_by_policy(key, &err, wrong);
	if (r == 0)
		return replace_words(field, list);
	conf_words_free(list);
	return r;
}

static void allow_references(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "references as TABLE.COLUMN -> TABLE.COLUMN, with a schema in front, ->>'KEY' behind the first column and when "
	        "COLUMN = 'VALUE' at the end where it has to be, separated by semicolons");
}

static void format_references(const struct conf_key *key, const void *field, struct str *out)
{
	char *const *list = *(char **const *)field;

	for (size_t i = 0; list && list[i]; i++)
		str_appendf(out, "%s%s", i > 0 ? "; " : "", list[i]);
}

const struct value_ops conf_references_ops = {parse_references, allow_references, format_references};

/* Rules that policy/redaction.h judges; those of the other lists are no part of @rules. */
static int replace_rules(const struct conf_key *key, void *field, char **words,
                         const struct redaction_rules *rules, struct str *wrong)
{
	struct error err = {0};

	if (!words)
		return -EINVAL;
	if (redaction_rules_check(rules, &err) == 0)
		return replace_words(field, words);
	conf_words_free(words);
	return wrong_by_policy(key, &err, wrong);
}

static int parse_redactions(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	char **words = conf_patterns_parse(text, wrong);
	const struct redaction_rules rules = {.columns = words};

	return replace_rules(key, field, words, &rules, wrong);
}

static void allow_redactions(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "different rules, as WHAT or WHAT:HOW, separated by commas or spaces: WHAT is COLUMN (of any table), "
	        "TABLE.COLUMN or SCHEMA.TABLE.COLUMN, with the wildcards * and ?, and with ->KEY behind it for what is within "
	        "json; HOW is omit, null, mask or hash");
}

const struct value_ops conf_redactions_ops = {parse_redactions, allow_redactions, format_own_names};

static void allow_column_patterns(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "different columns, as COLUMN (of any table), TABLE.COLUMN or SCHEMA.TABLE.COLUMN, with the wildcards * "
	        "and ?, separated by commas or spaces");
}

static int parse_column_patterns(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	char **words = conf_patterns_parse(text, wrong);
	const struct redaction_rules rules = {.allowed = words};

	return replace_rules(key, field, words, &rules, wrong);
}

const struct value_ops conf_column_patterns_ops = {parse_column_patterns, allow_column_patterns,
                                                   format_own_names};

static void allow_type_redactions(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "different types, as TYPE or TYPE:HOW, separated by commas or spaces; HOW is omit, null, mask or hash");
}

static int parse_type_redactions(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	char **words = conf_words_parse(text, wrong);
	const struct redaction_rules rules = {.types = words};

	return replace_rules(key, field, words, &rules, wrong);
}

const struct value_ops conf_type_redactions_ops = {parse_type_redactions, allow_type_redactions,
                                                   format_own_words};

/* "{id}" and "{slug}" are replaced; what looks the same and is neither, was meant to be. Braces around anything but one word of
 * letters, such as those of JSON, are text. */

static int check_placeholders(const char *text, bool *ret_any, struct str *wrong)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";

	*ret_any = false;
	for (const char *p = strchr(text, '{'); p; p = strchr(p + 1, '{')) {
		size_t len = strspn(p + 1, letters);

		if (len == 0 || p[1 + len] != '}')
			continue;
		*ret_any = str_starts(p, "{id}") || str_starts(p, "{slug}") || *ret_any;
		if (str_starts(p, "{id}") || str_starts(p, "{slug}"))
			continue;
		str_appendf(wrong, "has %.*s, where only {id} and {slug} are replaced", (int)len + 2, p);
		return -EINVAL;
	}
	return 0;
}

/* A name of PostgreSQL's settings: words of letters, digits and '_', with dots between them. */
static bool is_setting_name(const char *text, size_t len)
{
	bool begins = true;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '.' ? begins : !(isalpha(c) || c == '_' || (!begins && (isdigit(c) || c == '$'))))
			return false;
		begins = c == '.';
	}
	return len > 0 && !begins;
}

static int check_setting(const char *word, struct str *wrong)
{
	size_t len = strcspn(word, "=");
	bool any;

	if (!word[len]) {
		str_appendf(wrong, "has %s, which is no NAME=VALUE", word);
		return -EINVAL;
	}
	if (!is_setting_name(word, len)) {
		str_appendf(wrong, "has %s, where '%.*s' is no name of a setting", word, (int)len, word);
		return -EINVAL;
	}
	return check_placeholders(word + len + 1, &any, wrong);
}

static int parse_settings(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	char **words = NULL;

	if (take_checked(conf_words_parse(text, wrong), &words, check_setting, wrong) < 0)
		return -EINVAL;
	for (size_t i = 0; words[i]; i++) {
		for (size_t j = 0; j < i; j++) {
			size_t len = strcspn(words[i], "=");

			if (strncmp(words[i], words[j], len + 1) != 0)
				continue;
			str_appendf(wrong, "sets %.*s twice", (int)len, words[i]);
			conf_words_free(words);
			return -EINVAL;
		}
	}
	return replace_words(field, words);
}

static void allow_settings(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "different settings, as NAME=VALUE with {id} or {slug} where the tenant's stands, separated by commas or "
	        "spaces (one with these in double quotes)");
}

const struct value_ops conf_settings_ops = {parse_settings, allow_settings, format_own_words};

/* A slug may have a ':' in it. Whether there are such users is seen where the mount is: a configuration is read on other hosts, too. */
static int check_admin(const char *word, struct str *wrong)
{
	const char *colon = strrchr(word, ':');
	bool is_group = colon && colon[1] == '@';

	if (colon && colon != word && colon[1 + is_group])
		return 0;
	str_appendf(wrong, "has %s, which is not TENANT:USER or TENANT:@GROUP", word);
	return -EINVAL;
}

static int parse_admins(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	return take_checked(conf_words_parse(text, wrong), field, check_admin, wrong);
}

static void allow_admins(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "the slug of a tenant, ':', and a user or @ and a group, by name or number, separated by commas or spaces");
}

const struct value_ops conf_admins_ops = {parse_admins, allow_admins, format_own_words};

static int parse_tenant_name(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	bool any;

	if (check_placeholders(text, &any, wrong) < 0)
		return -EINVAL;
	if (!any)
		return conf_value_wrong(wrong, "is the same for all tenants");
	mem_replace_string(field, text);
	return 0;
}

static void allow_tenant_name(const struct conf_key *key, struct str *out)
{
	str_append(out, "a name with {id} or {slug} in it, such as tenant_{slug}");
}

const struct value_ops conf_tenant_name_ops = {parse_tenant_name, allow_tenant_name, format_own_text};
