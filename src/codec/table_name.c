// SPDX-License-Identifier: Apache-2.0
/* See table_name.h. A '%' that begins no escape is only ever one of the marks below, so no table's name has them. */
#include <keepfs/codec/table_name.h>

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>

#define MAX_BYTES      (NAME_MAX_BYTES - 1)
#define CUT_MARK       "%~"
#define HASH_HEX_BYTES 16
#define CUT_BYTES      (sizeof(CUT_MARK) - 1 + HASH_HEX_BYTES)
#define ESCAPE_BYTES   3    /* "%2E" */
#define NOTHING        "%-" /* a file has to have a name, whatever a dump says */

static bool is_written_escaped(unsigned char c)
{
	return c < ' ' || c == 0x7f || c == '/' || c == '%' || c == '.';
}

static void append_escaped(struct str *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (is_written_escaped(c))
			str_appendf(out, "%%%02X", c);
		else
			str_append_char(out, *text);
	}
}

/* How much of the first @max bytes can stay, so that neither an escape nor a character of UTF-8 is taken apart. */
static size_t whole_bytes(const char *text, size_t max)
{
	size_t len = 0;

	for (;;) {
		size_t next = text[len] == '%' ? ESCAPE_BYTES : str_utf8_char(text + len);

		if (next == 0)
			next = 1;
		if (len + next > max)
			return len;
		len += next;
	}
}

static void cut(struct str *name, size_t max)
{
	_cleanup(str) struct str whole = {.data = str_take(name)};
	size_t kept = whole_bytes(whole.data, max - CUT_BYTES);

	str_append_bytes(name, whole.data, kept);
	str_appendf(name, "%s%016llX", CUT_MARK, (unsigned long long)hash64(whole.data));
}

void table_name_format(const char *schema, const char *table, const char *suffix,
                       char ret[static NAME_MAX_BYTES])
{
	_cleanup(str) struct str name = {0};

	append_escaped(&name, schema);
	if (*schema)
		str_append_char(&name, '.');
	append_escaped(&name, table);
	if (name.len == 0)
		str_append(&name, NOTHING);
	if (name.len + strlen(suffix) > MAX_BYTES)
		cut(&name, MAX_BYTES - strlen(suffix));
	str_append(&name, suffix);
	str_copy(ret, NAME_MAX_BYTES, str_text(&name));
}

static int name_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that is escaped at @at; -1: none is, or one that is never escaped. */
static int escaped_byte(const char *at)
{
	int high = name_hex_digit(at[1]), low = high < 0 ? -1 : name_hex_digit(at[2]);
	int byte = low < 0 ? -1 : high << 4 | low;

	return byte > 0 && is_written_escaped((unsigned char)byte) ? byte : -1;
}

/* One of the two, @len bytes of the name, into @out. */
static int unescape(const char *text, size_t len, struct str *out)
{
	for (const char *at = text; at < text + len; at++) {
		int byte = (unsigned char)*at;

		if (*at == '%') {
			byte = at + ESCAPE_BYTES <= text + len ? escaped_byte(at) : -1;
			if (byte < 0)
				return -EINVAL;
			at += ESCAPE_BYTES - 1;
		} else if (is_written_escaped((unsigned char)*at)) {
			return -EINVAL;
		}
		str_append_char(out, (char)byte);
	}
	return 0;
}

/* Behind the mark there is a hash, and nothing else. */
static bool is_cut(const char *name, size_t len)
{
	const char *mark = len < CUT_BYTES ? NULL : name + len - CUT_BYTES, *hash;

	if (!mark || strncmp(mark, CUT_MARK, strlen(CUT_MARK)) != 0)
		return false;
	hash = mark + strlen(CUT_MARK);
	for (int i = 0; i < HASH_HEX_BYTES; i++)
		if (name_hex_digit(hash[i]) < 0)
			return false;
	return true;
}

static int parse_both(const char *name, size_t len, struct str *schema, struct str *table)
{
	const char *dot = memchr(name, '.', len);
	const char *rest = dot ? dot + 1 : name;
	size_t schema_bytes = dot ? (size_t)(dot - name) : 0;
	int r;

	/* Nothing stands before a '.' that a table without a schema has not. */
	if (dot && schema_bytes == 0)
		return -EINVAL;
	r = unescape(name, schema_bytes, schema);
	return r < 0 ? r : unescape(rest, (size_t)(name + len - rest), table);
}

int table_name_parse(const char *name, const char *suffix, char **ret_schema, char **ret_table)
{
	_cleanup(str) struct str schema = {0}, table = {0};
	size_t len;
	int r = 0;

	if (!str_ends(name, suffix) || strlen(name) > MAX_BYTES)
		return -EINVAL;
	len = strlen(name) - strlen(suffix);
	if (is_cut(name, len))
		return TABLE_NAME_CUT;
	if (len != strlen(NOTHING) || strncmp(name, NOTHING, len) != 0)
		r = len == 0 ? -EINVAL : parse_both(name, len, &schema, &table);
	if (r < 0)
		return r;
	*ret_schema = str_take(&schema);
	*ret_table = str_take(&table);
	return 0;
}
