// SPDX-License-Identifier: Apache-2.0
/* One value of a key: a table by type of how to read, write and free a field. An empty text is a value only
 * where the default is empty: there it means 'not set'. */
#include "value.h"

#include <keepfs/base/account.h>
#include <keepfs/base/mem.h>

#include "units.h"
#include "value_ops.h"
#include "words.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int conf_value_wrong(struct str *wrong, const char *what)
{
	str_append(wrong, what);
	return -EINVAL;
}

int conf_control_wrong(struct str *wrong, char c)
{
	const char *name = c == '\n' ? "line feed, " : c == '\r' ? "carriage return, " : "";

	str_appendf(wrong, "holds a control character (%s0x%02x)", name, (unsigned char)c);
	return -EINVAL;
}

/* Text of any kind; replaces the field, which may hold an older value. */

static int set_text(const struct conf_key *key, char **field, char *value)
{
	if (!value)
		return -EINVAL;
	conf_value_finish(key, (char *)field - key->offset);
	*field = value;
	return 0;
}

static int parse_string(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	return set_text(key, field, mem_strdup(text));
}

/* Behind the value at @text, as libpq reads keyword=value pairs; NULL when its quote is never closed. */
static const char *connection_value_end(const char *text)
{
	bool quoted = *text == '\'';

	for (text += quoted; *text && (quoted ? *text != '\'' : !isspace((unsigned char)*text)); text++)
		text += *text == '\\' && text[1];
	if (!quoted)
		return text;
	return *text ? text + 1 : NULL;
}

static bool has_open_quote(const char *text)
{
	while (text && *text) {
		text += strcspn(text, "=");
		text += *text == '=';
		text += strspn(text, " \t");
		text = connection_value_end(text);
	}
	return !text;
}

static bool is_connection_uri(const char *text)
{
	return str_starts(text, "postgresql://") || str_starts(text, "postgres://");
}

static int parse_connection(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	size_t scheme = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-.");

	if (strncmp(text + scheme, "://", 3) == 0 && !is_connection_uri(text))
		return conf_value_wrong(wrong, "is a URI of something that is not PostgreSQL");
	if (!is_connection_uri(text) && has_open_quote(text))
		return conf_value_wrong(
		        wrong,
		        "has a quote that is never closed (outside of closed quotes, a '#' or ';' behind a space begins a comment)");
	return set_text(key, field, mem_strdup(text));
}

static int parse_path(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	return set_text(key, field, *text ? conf_path_normalise(text, wrong) : mem_strdup(""));
}

/* As systemd takes the names of credentials, so that one cannot lead out of their directory. */
static bool is_credential_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < 256 && *name != '.' &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

static int parse_secret_file(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	if (!str_starts(text, CONF_CREDENTIAL))
		return parse_path(key, text, field, wrong);
	if (!is_credential_name(text + strlen(CONF_CREDENTIAL)))
		return conf_value_wrong(wrong, "names no credential of systemd");
	return set_text(key, field, mem_strdup(text));
}

static int parse_url_value(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	bool may_be_none = key->fallback && !*key->fallback;

	return set_text(key, field, !*text && may_be_none ? mem_strdup("") : conf_url_normalise(text, wrong));
}

static int parse_mirror_url(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	return str_equal(text, CONF_MIRROR_NONE) ? set_text(key, field, mem_strdup(text))
	                                         : parse_url_value(key, text, field, wrong);
}

static int parse_endpoint_value(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	return set_text(key, field, *text ? conf_endpoint_normalise(text, wrong) : mem_strdup(""));
}

static void format_text(const struct conf_key *key, const void *field, struct str *out)
{
	const char *text = *(char *const *)field;

	str_append(out, text ? text : "");
}

static void allow_string(const struct conf_key *key, struct str *out)
{
	str_append(out, "any text on one line");
}

static void allow_connection(const struct conf_key *key, struct str *out)
{
	str_append(out, "postgresql://USER@HOST/DATABASE, or keyword=value pairs as libpq takes them");
}

static void allow_path(const struct conf_key *key, struct str *out)
{
	str_append(out, "an absolute path without '..', or one that begins with ~/");
}

static void allow_secret_file(const struct conf_key *key, struct str *out)
{
	allow_path(key, out);
	str_append(out, "; credential:NAME for a credential of systemd (LoadCredential=)");
}

static void allow_url(const struct conf_key *key, struct str *out)
{
	str_append(out, "dir:/ABSOLUTE/PATH or s3://BUCKET/PREFIX");
}

static void allow_mirror_url(const struct conf_key *key, struct str *out)
{
	allow_url(key, out);
	str_append(out, ", or none");
}

static void allow_endpoint(const struct conf_key *key, struct str *out)
{
	str_append(out, "https://HOST or https://HOST:PORT (http:// with allow_http = yes)");
}

/* Yes and no, numbers. */

static int parse_bool(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	static const char *const words[][4] = {{"no", "false", "off", "0"}, {"yes", "true", "on", "1"}};

	for (int value = 0; value <= 1; value++) {
		for (size_t i = 0; i < ARRAY_SIZE(words[0]); i++) {
			if (strcasecmp(text, words[value][i]) == 0) {
				*(bool *)field = value;
				return 0;
			}
		}
	}
	return conf_value_wrong(wrong, "is neither yes nor no");
}

static void allow_bool(const struct conf_key *key, struct str *out)
{
	str_append(out, "yes or no");
}

static void format_bool(const struct conf_key *key, const void *field, struct str *out)
{
	str_append(out, *(const bool *)field ? "yes" : "no");
}

int conf_value_check_range(const struct conf_key *key, int r, int64_t value, const char *what,
                           struct str *wrong)
{
	if (r == -ERANGE || (r == 0 && value > key->max))
		return conf_value_wrong(wrong, "is too large");
	if (r < 0)
		return conf_value_wrong(wrong, what);
	if (value < key->min)
		return conf_value_wrong(wrong, "is too small");
	return 0;
}

static int parse_bytes(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	uint64_t value = 0;
	int r = conf_bytes_parse(text, &value);

	r = conf_value_check_range(key, r, (int64_t)value, "is no size", wrong);
	if (r == 0)
		*(uint64_t *)field = value;
	return r;
}

static void allow_bytes(const struct conf_key *key, struct str *out)
{
	str_append(out, "a number of bytes, or with K, M, G or T (powers of 1024)");
	if (key->min == 0) {
		str_append(out, ", or none");
		return;
	}
	str_append(out, ", from ");
	conf_bytes_format((uint64_t)key->min, out);
	str_append(out, " to ");
	conf_bytes_format((uint64_t)key->max, out);
}

static void format_bytes(const struct conf_key *key, const void *field, struct str *out)
{
	conf_bytes_format(*(const uint64_t *)field, out);
}

/* Is @text the word that stands for 0? Then the number itself need not be allowed. */
static bool is_zero_word(const struct conf_key *key, const char *text)
{
	return key->zero && strcasecmp(text, key->zero) == 0;
}

static bool is_never_word(const struct conf_key *key, const char *text)
{
	return key->never && strcasecmp(text, key->never) == 0;
}

static void allow_zero_word(const struct conf_key *key, struct str *out)
{
	if (key->never)
		str_appendf(out, "%s, ", key->never);
	if (key->zero)
		str_appendf(out, "%s, or ", key->zero);
}

static int parse_duration(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	int64_t value = is_never_word(key, text) ? -1 : 0;
	int r = 0;

	if (value == 0 && !is_zero_word(key, text)) {
		r = conf_duration_parse(text, &value);
		r = conf_value_check_range(key, r, value, "is no duration", wrong);
	}
	if (r == 0)
		*(int64_t *)field = value;
	return r;
}

static void allow_duration(const struct conf_key *key, struct str *out)
{
	allow_zero_word(key, out);
	str_append(out, "a number with ms, s, m, h or d, from ");
	conf_duration_format(key->min, out);
	str_append(out, " to ");
	conf_duration_format(key->max, out);
}

static void format_duration(const struct conf_key *key, const void *field, struct str *out)
{
	int64_t value = *(const int64_t *)field;

	if (value == 0 && key->zero)
		str_append(out, key->zero);
	else if (value < 0 && key->never)
		str_append(out, key->never);
	else
		conf_duration_format(value, out);
}

static int parse_int(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	int64_t value = 0;
	int r = 0;

	if (!is_zero_word(key, text)) {
		r = conf_int_parse(text, &value);
		r = conf_value_check_range(key, r, value, "is no whole number", wrong);
	}
	if (r == 0)
		*(int64_t *)field = value;
	return r;
}

static void allow_int(const struct conf_key *key, struct str *out)
{
	allow_zero_word(key, out);
	str_appendf(out, "a whole number from %" PRId64 " to %" PRId64, key->min, key->max);
}

static void format_int(const struct conf_key *key, const void *field, struct str *out)
{
	int64_t value = *(const int64_t *)field;

	if (value == 0 && key->zero)
		str_append(out, key->zero);
	else
		str_appendf(out, "%" PRId64, value);
}

/* Words of a fixed set, permissions, users, groups. */

static int parse_enum(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	for (const struct conf_choice *c = key->choices; c->word; c++) {
		if (strcasecmp(text, c->word) == 0) {
			*(int *)field = c->value;
			return 0;
		}
	}
	return conf_value_wrong(wrong, "is none of the words that are allowed");
}

static void allow_enum(const struct conf_key *key, struct str *out)
{
	for (const struct conf_choice *c = key->choices; c->word; c++)
		str_appendf(out, "%s%s", c == key->choices ? "" : c[1].word ? ", " : " or ", c->word);
}

static void format_enum(const struct conf_key *key, const void *field, struct str *out)
{
	for (const struct conf_choice *c = key->choices; c->word; c++)
		if (c->value == *(const int *)field)
			str_append(out, c->word);
}

static int parse_mode(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	size_t len = strlen(text);
	mode_t mode = 0;

	if (len < 3 || len > 4 || strspn(text, "01234567") != len)
		return conf_value_wrong(wrong, "is no octal mode");
	for (; *text; text++)
		mode = mode << 3 | (mode_t)(*text - '0');
	if (mode > 0777)
		return conf_value_wrong(wrong, "has bits beyond the permissions");
	*(mode_t *)field = mode;
	return 0;
}

static void allow_mode(const struct conf_key *key, struct str *out)
{
	str_append(out, "three octal digits, from 0000 to 0777");
}

static void format_mode(const struct conf_key *key, const void *field, struct str *out)
{
	str_appendf(out, "%04o", (unsigned)*(const mode_t *)field);
}

static int parse_user(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	return account_user(text, field) < 0 ? conf_value_wrong(wrong, "is no user of this system") : 0;
}

static int parse_group(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	return account_group(text, field) < 0 ? conf_value_wrong(wrong, "is no group of this system") : 0;
}

static void allow_id(const struct conf_key *key, struct str *out)
{
	str_appendf(out, "a %s's name or number", key->type == CONF_USER ? "user" : "group");
}

static void format_user(const struct conf_key *key, const void *field, struct str *out)
{
	struct passwd entry, *found = NULL;
	char buf[4096];

	if (getpwuid_r(*(const uid_t *)field, &entry, buf, sizeof(buf), &found) == 0 && found)
		str_append(out, found->pw_name);
	else
		str_appendf(out, "%u", *(const uid_t *)field);
}

static void format_group(const struct conf_key *key, const void *field, struct str *out)
{
	struct group entry, *found = NULL;
	char buf[16384];

	if (getgrgid_r(*(const gid_t *)field, &entry, buf, sizeof(buf), &found) == 0 && found)
		str_append(out, found->gr_name);
	else
		str_appendf(out, "%u", *(const gid_t *)field);
}

static const struct value_ops ops[] = {
        [CONF_STRING] = {parse_string, allow_string, format_text},
        [CONF_CONNECTION] = {parse_connection, allow_connection, format_text},
        [CONF_PATH] = {parse_path, allow_path, format_text},
        [CONF_SECRET_FILE] = {parse_secret_file, allow_secret_file, format_text},
        [CONF_STORE_URL] = {parse_url_value, allow_url, format_text},
        [CONF_MIRROR_URL] = {parse_mirror_url, allow_mirror_url, format_text},
        [CONF_ENDPOINT] = {parse_endpoint_value, allow_endpoint, format_text},
        [CONF_BOOL] = {parse_bool, allow_bool, format_bool},
        [CONF_BYTES] = {parse_bytes, allow_bytes, format_bytes},
        [CONF_DURATION] = {parse_duration, allow_duration, format_duration},
        [CONF_INT] = {parse_int, allow_int, format_int},
        [CONF_ENUM] = {parse_enum, allow_enum, format_enum},
        [CONF_MODE] = {parse_mode, allow_mode, format_mode},
        [CONF_USER] = {parse_user, allow_id, format_user},
        [CONF_GROUP] = {parse_group, allow_id, format_group},
};

static const struct value_ops *ops_of(const struct conf_key *key)
{
	switch (key->type) {
	case CONF_WORDS:
		return &conf_words_ops;
	case CONF_RECIPIENTS:
		return &conf_recipients_ops;
	case CONF_DATABASES:
		return &conf_databases_ops;
	case CONF_NAME_PATTERNS:
		return &conf_name_patterns_ops;
	case CONF_PATTERNS:
		return &conf_patterns_ops;
	case CONF_FILE_PATTERNS:
		return &conf_file_patterns_ops;
	case CONF_SUBDIRECTORIES:
		return &conf_subdirectories_ops;
	case CONF_COMPRESSION:
		return &conf_compression_ops;
	case CONF_RATE:
		return &conf_rate_ops;
	case CONF_SCHEDULE:
		return &conf_schedule_ops;
	case CONF_TIMEZONE:
		return &conf_timezone_ops;
	case CONF_ADDRESSES:
		return &conf_addresses_ops;
	case CONF_ADDRESS:
		return &conf_address_ops;
	case CONF_MAIL_SERVER:
		return &conf_mail_server_ops;
	case CONF_WEB_URL:
		return &conf_web_url_ops;
	case CONF_HEADERS:
		return &conf_headers_ops;
	case CONF_EVENTS:
		return &conf_events_ops;
	case CONF_TEMPLATE:
		return &conf_template_ops;
	case CONF_BLACKOUT:
		return &conf_blackout_ops;
	case CONF_QUERY:
		return &conf_query_ops;
	case CONF_COLUMN:
		return &conf_column_ops;
	case CONF_COLUMNS:
		return &conf_columns_ops;
	case CONF_TABLE_PATTERNS:
		return &conf_table_patterns_ops;
	case CONF_REFERENCES:
		return &conf_references_ops;
	case CONF_REDACTIONS:
		return &conf_redactions_ops;
	case CONF_COLUMN_PATTERNS:
		return &conf_column_patterns_ops;
	case CONF_TYPE_REDACTIONS:
		return &conf_type_redactions_ops;
	case CONF_CLASSES:
		return &conf_classes_ops;
	case CONF_SETTINGS:
		return &conf_settings_ops;
	case CONF_ADMINS:
		return &conf_admins_ops;
	case CONF_CONTROL_RULES:
		return &conf_control_rules_ops;
	case CONF_PEOPLE:
		return &conf_people_ops;
	case CONF_TENANT_NAME:
		return &conf_tenant_name_ops;
	default:
		return &ops[key->type];
	}
}

static bool is_base64(const char *text)
{
	size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");

	return strspn(text + len, "=") == strlen(text + len) && strlen(text) % 4 == 0 &&
	       strlen(text + len) <= 2;
}

/* What it will be is seen when it is opened. */
static int parse_sealed(const struct conf_key *key, const char *text, void *base, struct str *wrong)
{
	void *field = (char *)base + key->offset;

	if (!conf_is_sealed(text) || !is_base64(text + strlen(CONF_SEALED)))
		return conf_value_wrong(
		        wrong,
		        "begins as a sealed value, but is none, or is cut (one that really begins so has to be put into a file)");
	if (key->type == CONF_HEADERS)
		return ops_of(key)->parse(key, text, field, wrong);
	return set_text(key, field, mem_strdup(text));
}

int conf_value_parse(const struct conf_key *key, const char *text, void *base, struct str *wrong)
{
	if (!*text && !(key->fallback && !*key->fallback))
		return conf_value_wrong(wrong, "is empty");
	for (const char *p = text; *p; p++)
		if (iscntrl((unsigned char)*p) && *p != '\t')
			return conf_control_wrong(wrong, *p);
	if (key->secret && str_starts(text, CONF_SEALED))
		return parse_sealed(key, text, base, wrong);
	return ops_of(key)->parse(key, text, (char *)base + key->offset, wrong);
}

void conf_value_allowed(const struct conf_key *key, struct str *out)
{
	ops_of(key)->allowed(key, out);
}

void conf_value_format(const struct conf_key *key, const void *base, struct str *out)
{
	ops_of(key)->format(key, (const char *)base + key->offset, out);
}

void conf_value_show(const struct conf_key *key, const char *text, struct str *out)
{
	if (key->secret && *text)
		str_append(out, CONF_MASK);
	else if (key->type == CONF_CONNECTION)
		conf_mask_connection(text, out);
	else if (key->type == CONF_RECIPIENTS && strcasestr(text, "AGE-SECRET-KEY-"))
		str_append(out, CONF_MASK);
	else
		str_append(out, text);
}

/* What a field holds on the heap. */
enum heap { HEAP_NOTHING, HEAP_TEXT, HEAP_WORDS };

static enum heap heap_of(const struct conf_key *key)
{
	switch (key->type) {
	case CONF_STRING:
	case CONF_CONNECTION:
	case CONF_PATH:
	case CONF_SECRET_FILE:
	case CONF_STORE_URL:
	case CONF_MIRROR_URL:
	case CONF_ENDPOINT:
	case CONF_SUBDIRECTORIES:
	case CONF_SCHEDULE:
	case CONF_TIMEZONE:
	case CONF_ADDRESS:
	case CONF_MAIL_SERVER:
	case CONF_WEB_URL:
	case CONF_TEMPLATE:
	case CONF_BLACKOUT:
	case CONF_QUERY:
	case CONF_COLUMN:
	case CONF_TENANT_NAME:
		return HEAP_TEXT;
	case CONF_ADDRESSES:
	case CONF_HEADERS:
	case CONF_WORDS:
	case CONF_DATABASES:
	case CONF_NAME_PATTERNS:
	case CONF_PATTERNS:
	case CONF_FILE_PATTERNS:
	case CONF_COLUMNS:
	case CONF_TABLE_PATTERNS:
	case CONF_REFERENCES:
	case CONF_REDACTIONS:
	case CONF_COLUMN_PATTERNS:
	case CONF_TYPE_REDACTIONS:
	case CONF_SETTINGS:
	case CONF_CLASSES:
	case CONF_ADMINS:
	case CONF_RECIPIENTS:
	case CONF_CONTROL_RULES:
	case CONF_PEOPLE:
		return HEAP_WORDS;
	default:
		return HEAP_NOTHING;
	}
}

bool conf_value_same(const struct conf_key *key, const void *base, const void *other)
{
	_cleanup(str) struct str a = {0}, b = {0};

	if (heap_of(key) == HEAP_WORDS)
		return conf_words_same(*(char **const *)((const char *)base + key->offset),
		                       *(char **const *)((const char *)other + key->offset));
	conf_value_format(key, base, &a);
	conf_value_format(key, other, &b);
	return str_equal(str_text(&a), str_text(&b));
}

static size_t field_bytes(const struct conf_key *key)
{
	switch (key->type) {
	case CONF_BOOL:
		return sizeof(bool);
	case CONF_ENUM:
		return sizeof(int);
	case CONF_MODE:
		return sizeof(mode_t);
	case CONF_USER:
		return sizeof(uid_t);
	case CONF_GROUP:
		return sizeof(gid_t);
	case CONF_COMPRESSION:
		return sizeof(struct compression_choice);
	case CONF_BYTES:
	case CONF_RATE:
		return sizeof(uint64_t);
	case CONF_DURATION:
	case CONF_INT:
		return sizeof(int64_t);
	default:
		return sizeof(char *); /* of a text, or of a list of them */
	}
}

void conf_value_borrow(const struct conf_key *key, const void *from, void *to)
{
	memcpy((char *)to + key->offset, (const char *)from + key->offset, field_bytes(key));
}

void conf_value_detach(const struct conf_key *key, void *base)
{
	void *field = (char *)base + key->offset;

	if (heap_of(key) == HEAP_TEXT)
		*(char **)field = mem_strdup(*(char **)field);
	if (heap_of(key) == HEAP_WORDS)
		*(char ***)field = conf_words_copy(*(char ***)field);
}

void conf_value_finish(const struct conf_key *key, void *base)
{
	void *field = (char *)base + key->offset;

	if (heap_of(key) == HEAP_TEXT)
		mem_free_secret(take_ptr((char **)field));
	if (heap_of(key) == HEAP_WORDS)
		conf_words_free(take_ptr((char ***)field));
}
