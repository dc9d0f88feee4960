// SPDX-License-Identifier: Apache-2.0
/*
 * Rows in COPY's text format as CSV. Whether a field has to be quoted is known at its end, but its first byte comes before that. So a field
 * is written without quotes into the buffer of what goes out, and moved by one byte when it turns out to need them: what came before the first byte that
 * has to be quoted has no double quotes in it. The buffer is emptied up to the present field only, and that is short, because a long one is quoted in
 * any case. What quotes are for: CopyAttributeOutCSV() in src/backend/commands/copyto.c of PostgreSQL.
 *
 * Most bytes are copied 16 at a time. Only the six that mean something, in COPY's text or in CSV, are looked at.
 */
#include "copy_escape.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_text.h>

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define STEP_BYTES  16
#define FLUSH_BYTES (2 * COPY_CSV_FIELD_MAX) /* is handed out when there is as much */
#define OUT_BYTES   (FLUSH_BYTES + COPY_CSV_FIELD_MAX)
#define SLACK_BYTES 64 /* what one byte that means something may add, and a whole step behind the last byte */

enum field_state {
	IN_FIELD,
	IN_ESCAPE,
	IN_NULL /* "\N" came as its first bytes: nothing else may */
};

struct copy_csv {
	copy_take take;
	void *arg;
	size_t columns;
	uint64_t row;  /* the number of the present row, from 1; 0: the names */
	size_t fields; /* of the present row, that have ended */
	enum field_state state;
	struct copy_escape escape;
	bool quoted;
	bool began;      /* a byte of the present row came */
	size_t field_at; /* where in out the present field begins, while it is not quoted */
	size_t len;
	char out[OUT_BYTES + SLACK_BYTES];
};

/* What the field needs at most stays: FLUSH_BYTES - COPY_CSV_FIELD_MAX and more have room afterwards. */
static int hand_over_csv(struct copy_csv *c, struct error *err)
{
	size_t ready = c->quoted ? c->len : c->field_at;
	int r = ready > 0 ? c->take(c->arg, c->out, ready, err) : 0;

	if (r < 0)
		return r;
	memmove(c->out, c->out + ready, c->len - ready);
	c->len -= ready;
	c->field_at -= c->quoted ? c->field_at : ready;
	return 0;
}

static void begin_quotes(struct copy_csv *c)
{
	memmove(c->out + c->field_at + 1, c->out + c->field_at, c->len - c->field_at);
	c->out[c->field_at] = '"';
	c->len++;
	c->quoted = true;
}

static void quote_long(struct copy_csv *c)
{
	if (!c->quoted && c->len - c->field_at > COPY_CSV_FIELD_MAX)
		begin_quotes(c);
}

/* A byte of the value. */
static void put_csv_byte(struct copy_csv *c, char value)
{
	if (!c->quoted && (value == ',' || value == '"' || value == '\n' || value == '\r'))
		begin_quotes(c);
	if (value == '"')
		c->out[c->len++] = '"';
	c->out[c->len++] = value;
	quote_long(c);
}

static bool is_end_mark_field(const struct copy_csv *c)
{
	return c->columns == 1 && c->len - c->field_at == 2 && memcmp(c->out + c->field_at, "\\.", 2) == 0;
}

static inline void close_quotes(struct copy_csv *c)
{
	if (c->quoted)
		c->out[c->len++] = '"';
	c->quoted = false;
}

static inline void end_csv_field(struct copy_csv *c, char separator)
{
	if (!c->quoted && c->state != IN_NULL && c->columns > 0 &&
	    (c->len == c->field_at || is_end_mark_field(c)))
		begin_quotes(c);
	close_quotes(c);
	c->out[c->len++] = separator;
	c->field_at = c->len;
	c->state = IN_FIELD;
	c->fields++;
}

static int refuse_row(const struct copy_csv *c, const char *what, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "row %" PRIu64 " is damaged: %s", c->row, what);
}

static int end_csv_row(struct copy_csv *c, struct error *err)
{
	size_t expected = c->columns > 0 ? c->columns : 1, fields = c->fields + 1;

	/* The rows of a table without columns are empty lines: there is nothing in them that could be an empty text. */
	if (fields != expected || (c->columns == 0 && c->began))
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "row %" PRIu64
		                 " is damaged: it has %zu fields, and the table has %zu columns",
		                 c->row, fields, c->columns);
	end_csv_field(c, '\n');
	c->fields = 0;
	c->began = false;
	c->row++;
	return 0;
}

/* A bit for each byte of the eight whose lowest bit is set; the first byte is the lowest one. */
static inline unsigned bits_of_bytes(uint64_t bytes)
{
	return (unsigned)((le64toh(bytes) & 0x0101010101010101) * 0x0102040810204080 >> 56);
}

/* A bit for each of the step's bytes that means something. */
static inline unsigned special_bits(const char *p)
{
	typedef unsigned char step __attribute__((vector_size(STEP_BYTES)));
	uint64_t found[2];
	step b;

	memcpy(&b, p, sizeof(b));
	{
		__auto_type special =
		        (b == '\t') | (b == '\n') | (b == '\r') | (b == '"') | (b == ',') | (b == '\\');

		memcpy(found, &special, sizeof(found));
	}
	return bits_of_bytes(found[0]) | bits_of_bytes(found[1]) << 8;
}

static inline bool is_special(char c)
{
	return c == '\t' || c == '\n' || c == '\r' || c == '"' || c == ',' || c == '\\';
}

/* The commonest ends by far: of a field that had bytes, and needs no quotes, and is not alone in its row. @at: where the separator belongs. */
static inline bool end_simply(struct copy_csv *c, char *at, char byte)
{
	size_t bytes = (size_t)(at - c->out) - c->field_at;

	if (c->quoted || bytes == 0 || bytes > COPY_CSV_FIELD_MAX)
		return false;
	if (byte == '\t') {
		c->fields++;
		*at = ',';
	} else if (byte == '\n' && c->columns > 1 && c->fields + 1 == c->columns) {
		c->fields = 0;
		c->row++;
		*at = '\n';
	} else {
		return false;
	}
	c->field_at += bytes + 1;
	return true;
}

/* Up to a byte that means more than a simple end, or as many as there is room for. */
static const char *copy_plain(struct copy_csv *c, const char *p, const char *end)
{
	char *out = c->out + c->len;
	size_t room = OUT_BYTES - c->len;

	if ((size_t)(end - p) > room)
		end = p + room;
	for (; end - p >= STEP_BYTES; p += STEP_BYTES, out += STEP_BYTES) {
		memcpy(out, p, STEP_BYTES);
		for (unsigned bits = special_bits(p); bits; bits &= bits - 1) {
			unsigned n = (unsigned)__builtin_ctz(bits);

			if (!end_simply(c, out + n, p[n])) {
				c->len = (size_t)(out + n - c->out);
				return p + n;
			}
		}
	}
	while (p < end && !is_special(*p))
		*out++ = *p++;
	c->len = (size_t)(out - c->out);
	return p;
}

static int refuse_escape(const struct copy_csv *c, char first, struct error *err)
{
	return refuse_row(c,
	                  first == '.' ? "it has \"\\.\", which ends rows and is in none"
	                               : "a backslash is in front of the end of a line",
	                  err);
}

/* Behind a backslash. Bytes that are no part of the escape are left for later. */
static int take_escape(struct copy_csv *c, const char **p, const char *end, struct error *err)
{
	bool empty = !c->quoted && c->len == c->field_at;

	if (c->escape.kind == ESCAPE_BEGINS && (**p == '.' || **p == '\n'))
		return refuse_escape(c, **p, err);
	if (c->escape.kind == ESCAPE_BEGINS && **p == 'N' && empty) {
		(*p)++;
		c->state = IN_NULL;
		return 0;
	}
	while (*p < end && copy_escape_take(&c->escape, **p))
		(*p)++;
	if (*p == end && !copy_escape_is_whole(&c->escape))
		return 0;
	c->state = IN_FIELD;
	put_csv_byte(c, (char)copy_escape_value(&c->escape));
	return 0;
}

/* One byte that means something, in a field, or behind "\N". */
static inline int take_special(struct copy_csv *c, char byte, struct error *err)
{
	switch (byte) {
	case '\t':
		end_csv_field(c, ',');
		c->began = true;
		return 0;
	case '\n':
		return end_csv_row(c, err);
	case '\\':
		c->state = IN_ESCAPE;
		c->escape = (struct copy_escape){0};
		c->began = true;
		return 0;
	default:
		put_csv_byte(c, byte);
		c->began = true;
		return 0;
	}
}

/* Something came behind "\N", so it was none: a backslash in front of any other letter is left out. */
static void is_no_null(struct copy_csv *c)
{
	c->state = IN_FIELD;
	put_csv_byte(c, 'N');
}

static int take_plain_bytes(struct copy_csv *c, const char **p, const char *end, struct error *err)
{
	const char *start = *p;

	*p = copy_plain(c, start, end);
	if (*p > start)
		c->began = (*p)[-1] != '\n';
	quote_long(c);
	return *p < end && is_special(**p) ? take_special(c, *(*p)++, err) : 0;
}

int copy_csv_feed(struct copy_csv *c, const void *data, size_t len, struct error *err)
{
	const char *p = data, *end = p + len;
	int r = 0;

	while (r == 0 && p < end) {
		if (c->len >= FLUSH_BYTES)
			r = hand_over_csv(c, err);
		else if (c->state == IN_ESCAPE)
			r = take_escape(c, &p, end, err);
		else if (c->state == IN_NULL && *p != '\t' && *p != '\n')
			is_no_null(c);
		else
			r = take_plain_bytes(c, &p, end, err);
	}
	return r;
}

int copy_csv_end(struct copy_csv *c, struct error *err)
{
	if (c->began || c->state != IN_FIELD)
		return refuse_row(c, "the text ends within it", err);
	return hand_over_csv(c, err);
}

static int put_names(struct copy_csv *c, const struct copy_columns *columns, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < columns->count && r == 0; i++) {
		for (const char *p = columns->names[i]; *p; p++)
			put_csv_byte(c, *p);
		if (i + 1 < columns->count)
			end_csv_field(c, ',');
		if (c->len >= FLUSH_BYTES)
			r = hand_over_csv(c, err);
	}
	return r < 0 ? r : end_csv_row(c, err);
}

int copy_csv_new(const char *columns, copy_take take, void *arg, struct copy_csv **ret, struct error *err)
{
	_cleanup(copy_columns) struct copy_columns names = {0};
	_cleanup(copy_csv) struct copy_csv *c = NULL;
	int r = copy_columns_parse(columns, &names, err);

	if (r < 0)
		return r;
	c = mem_alloc(sizeof(*c));
	c->take = take;
	c->arg = arg;
	c->columns = names.count;
	r = put_names(c, &names, err);
	if (r == 0)
		*ret = take_ptr(&c);
	return r;
}

struct copy_csv *copy_csv_free(struct copy_csv *c)
{
	free(c);
	return NULL;
}
