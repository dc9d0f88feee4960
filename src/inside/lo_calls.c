// SPDX-License-Identifier: Apache-2.0
/*
 * Large objects in a text: pg_dump writes a call that opens one, a call for each piece of it, and one that closes it. Only what has
 * exactly this form, in this order, and behind the comment that announces large objects, is taken for one. Whatever else is there is odd, and
 * nothing is said of any large object then: a database user, or whoever has edited the text, must not be able to have one shown that psql would not make.
 * Source: pg_backup_null.c (_StartLO, _WriteLOData, _EndLO), pg_backup_archiver.c (StartRestoreLO, dump_lo_buf), string_utils.c (appendByteaLiteral).
 */
#include "inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

#define OPENS      "lo_open('"
#define OPENS_NEW  "lo_open(pg_catalog.lo_create('"
#define IS_OPENED  "', 131072);\n" /* INV_WRITE */
#define NEW_OPENED "'), 131072);\n"
#define WRITES     "lowrite(0, '"
#define IS_WRITTEN "');\n"
#define CLOSES     "lo_close(0);\n"

/* What is to be matched yet of a line. */
struct rest_of_line {
	const char *at;
	size_t len;
};

static bool skip(struct rest_of_line *rest, const char *text)
{
	size_t len = strlen(text);

	if (rest->len < len || memcmp(rest->at, text, len) != 0)
		return false;
	rest->at += len;
	rest->len -= len;
	return true;
}

/* All of them are statements of a single call. */
static bool skip_call(struct rest_of_line *rest, const char *call)
{
	return skip(rest, "SELECT") && skip(rest, " pg_catalog.") && skip(rest, call);
}

static bool calls(const struct lo_line *line, const char *call)
{
	struct rest_of_line rest = {line->text, line->len};

	return skip_call(&rest, call);
}

static bool closes(const struct lo_line *line)
{
	struct rest_of_line rest = {line->text, line->len};

	return skip_call(&rest, CLOSES) && rest.len == 0;
}

static void find_odd(struct lo_calls *c, const char *why)
{
	if (!c->odd)
		c->odd = why;
	c->oid = 0;
}

/* Without a sign or leading zeros, as it is listed. */
static bool take_opened_oid(struct rest_of_line *rest, uint32_t *ret)
{
	uint64_t oid = 0;

	if (rest->len == 0 || *rest->at == '0')
		return false;
	for (; rest->len > 0 && *rest->at >= '0' && *rest->at <= '9'; rest->at++, rest->len--) {
		oid = oid * 10 + (uint64_t)(*rest->at - '0');
		if (oid > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)oid;
	return oid > 0;
}

/* 0: it is no such call. */
static uint32_t opened_by(const struct lo_line *line)
{
	struct rest_of_line plain = {line->text, line->len}, made = plain;
	uint32_t oid = 0;

	if (skip_call(&plain, OPENS) && take_opened_oid(&plain, &oid) && skip(&plain, IS_OPENED) &&
	    plain.len == 0)
		return oid;
	if (skip_call(&made, OPENS_NEW) && take_opened_oid(&made, &oid) && skip(&made, NEW_OPENED) &&
	    made.len == 0)
		return oid;
	return 0;
}

bool lo_digit_value(char c, uint8_t *ret)
{
	bool is_letter = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');

	if (is_letter)
		*ret = (uint8_t)((c | 0x20) - 'a' + 10);
	else if (c >= '0' && c <= '9')
		*ret = (uint8_t)(c - '0');
	return is_letter || (c >= '0' && c <= '9');
}

static int take_lowrite(struct lo_calls *c, const struct lo_line *line, struct error *err)
{
	struct rest_of_line rest = {line->text, line->len};
	uint64_t digits_at;
	size_t digits = 0;
	uint8_t value;

	if (!skip_call(&rest, WRITES) || !skip(&rest, line->escapes ? "\\\\x" : "\\x")) {
		find_odd(c, "a call of lowrite() is not as pg_dump writes it");
		return 0;
	}
	digits_at = line->begin + (uint64_t)(rest.at - line->text);
	for (; rest.len > 0 && lo_digit_value(*rest.at, &value); rest.at++, rest.len--)
		digits++;
	if (digits == 0 || digits % 2 != 0 || !skip(&rest, IS_WRITTEN) || rest.len > 0) {
		find_odd(c, "the bytes in a call of lowrite() are not as pg_dump writes them");
		return 0;
	}
	return c->events.blob_piece ? c->events.blob_piece(c->events.arg, digits_at, digits / 2, err) : 0;
}

static int end_large_object(struct lo_calls *c, struct error *err)
{
	c->oid = 0;
	return c->events.blob_end ? c->events.blob_end(c->events.arg, err) : 0;
}

static int line_of_large_object(struct lo_calls *c, const struct lo_line *line, struct error *err)
{
	if (line->len > LO_CALL_MAX_BYTES)
		find_odd(c, "a call of lowrite() is longer than pg_dump writes it");
	else if (calls(line, WRITES))
		return take_lowrite(c, line, err);
	else if (closes(line))
		return end_large_object(c, err);
	else
		find_odd(c, "a large object is not closed before something else comes");
	return 0;
}

static int begin_large_object(struct lo_calls *c, const struct lo_line *line, struct error *err)
{
	uint32_t oid = opened_by(line);

	if (oid == 0) {
		/* An old pg_dump removes it first, and other settings are none of ours. */
		if (calls(line, "lo") && !calls(line, "lo_unlink("))
			find_odd(c, "a call for a large object is not as, or not where, pg_dump writes it");
		return 0;
	}
	c->oid = oid;
	return c->events.blob ? c->events.blob(c->events.arg, oid, err) : 0;
}

static bool says_nothing(const struct lo_line *line)
{
	return line->len == 1 && line->text[0] == '\n';
}

int lo_calls_take(struct lo_calls *c, const struct lo_line *line, struct error *err)
{
	if (c->odd || says_nothing(line))
		return 0;
	if (c->oid != 0)
		return line_of_large_object(c, line, err);
	if (line->announced)
		return begin_large_object(c, line, err);
	/* psql would write it: so it is not passed over in silence. */
	if (calls(line, OPENS) || calls(line, OPENS_NEW) || calls(line, WRITES))
		find_odd(c, "a call for a large object is not announced by a comment of pg_dump");
	return 0;
}

const char *lo_calls_end(struct lo_calls *c)
{
	if (c->oid != 0)
		find_odd(c, "the text ends within a large object");
	return c->odd;
}
