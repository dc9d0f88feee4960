// SPDX-License-Identifier: Apache-2.0
/*
 * The text of a header, line by line. It comes from a store that others run, so nothing of it is believed before its MAC is checked
 * (age_header.c), and what it can cost is bounded here. It is read exactly as the format says: what is read otherwise would be
 * another header with the same MAC.
 *
 *     age-encryption.org/v1
 *     -> X25519 <share>              an argument line; the first argument is the kind of the recipient
 *     <body>                         lines of 64 columns, and a shorter one, which may be empty
 *     --- <mac>                      the MAC is of everything before the blank
 */
#include "age_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define VERSION_STEM     "age-encryption.org/"
#define VERSION_LINE     VERSION_STEM "v1"
#define MAC_DIGITS       43U
#define ARGUMENTS_KNOWN  3U /* of any stanza that is known here */
#define VERSION_SHOWN    20
#define LOG_N_DIGITS_MAX 2U

struct slice {
	const char *at;
	size_t len;
};

struct scan {
	const char *bytes;
	size_t len, at;
	unsigned number; /* of the line that was read last */
	struct slice line;
};

static int refuse_header(const struct scan *s, struct error *err, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

static int refuse_header(const struct scan *s, struct error *err, const char *fmt, ...)
{
	char what[160];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	return error_set(err, ERROR_CORRUPT, EBADMSG, "the age header is damaged: line %u %s", s->number,
	                 what);
}

static bool slice_is(const struct slice *s, const char *text)
{
	return s->len == strlen(text) && memcmp(s->at, text, s->len) == 0;
}

static bool slice_starts(const struct slice *s, const char *prefix)
{
	return s->len >= strlen(prefix) && memcmp(s->at, prefix, strlen(prefix)) == 0;
}

static int refuse_endless_header(struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "the age header has more than %u bytes, which keepfs does not read",
	                 AGE_HEADER_MAX_BYTES);
}

/* The next line, without its end. */
static int next_header_line(struct scan *s, struct error *err)
{
	size_t left = (s->len < AGE_HEADER_MAX_BYTES ? s->len : AGE_HEADER_MAX_BYTES) - s->at;
	const char *from = s->bytes + s->at, *end = left > 0 ? memchr(from, '\n', left) : NULL;

	if (!end && s->len >= AGE_HEADER_MAX_BYTES)
		return refuse_endless_header(err);
	if (!end)
		return error_set(err, ERROR_CORRUPT, EAGAIN,
		                 "the age header is cut off behind its first %zu bytes", s->len);
	s->line = (struct slice){from, (size_t)(end - from)};
	s->at += s->line.len + 1;
	s->number++;
	return 0;
}

/* Does what there is of the first line begin as @text does? */
static bool may_begin_with(const struct scan *s, const char *text)
{
	size_t n = strlen(text) < s->len ? strlen(text) : s->len;

	return memcmp(s->bytes, text, n) == 0;
}

bool age_is_header(const void *bytes, size_t len)
{
	struct slice s = {bytes, len};

	return slice_starts(&s, VERSION_STEM);
}

static int read_age_version(struct scan *s, struct error *err)
{
	int r;

	if (s->len > 0 && !may_begin_with(s, VERSION_STEM))
		return error_set(err, ERROR_CORRUPT, EBADMSG, "%s",
		                 age_is_armor(s->bytes, s->len)
		                         ? "this is age's armor, which is text: it has to be made binary"
		                         : "this is not encrypted by age: it does not begin with its header");
	r = next_header_line(s, err);
	if (r < 0 || slice_is(&s->line, VERSION_LINE))
		return r;
	for (size_t i = 0; i < s->line.len; i++)
		if (s->line.at[i] <= ' ' || s->line.at[i] > '~')
			return refuse_header(s, err, "has a character that no version has");
	return error_set(
	        err, ERROR_CORRUPT, EBADMSG, "this is version %.*s of age's format, and keepfs knows v1 only",
	        s->line.len - strlen(VERSION_STEM) < VERSION_SHOWN ? (int)(s->line.len - strlen(VERSION_STEM))
	                                                           : VERSION_SHOWN,
	        s->line.at + strlen(VERSION_STEM));
}

struct stanza {
	struct slice args[ARGUMENTS_KNOWN];
	unsigned count; /* of arguments, more than are kept perhaps */
	uint8_t body[AGE_BODY_BYTES];
	size_t body_bytes; /* more than are kept perhaps */
};

static int read_arguments(const struct scan *s, struct stanza *st, struct error *err)
{
	const char *at = s->line.at + 3, *end = s->line.at + s->line.len;

	for (;; at++) {
		const char *from = at;

		while (at<end && * at> ' ' && *at <= '~')
			at++;
		if (at < end && *at != ' ')
			return refuse_header(s, err, "has a character that no argument has");
		if (at == from)
			return refuse_header(s, err, "has an empty argument");
		if (st->count < ARGUMENTS_KNOWN)
			st->args[st->count] = (struct slice){from, (size_t)(at - from)};
		st->count++;
		if (at == end)
			return 0;
	}
}

static int read_body(struct scan *s, struct stanza *st, struct error *err)
{
	uint8_t bytes[AGE_LINE_BYTES];
	size_t n, room;
	int r;

	do {
		r = next_header_line(s, err);
		if (r < 0)
			return r;
		if (s->line.len > AGE_BASE64_COLUMNS)
			return refuse_header(s, err, "has more than 64 characters");
		if (!age_base64_decode(s->line.at, s->line.len, bytes, &n))
			return refuse_header(s, err, "is not canonical base64");
		room = st->body_bytes < AGE_BODY_BYTES ? AGE_BODY_BYTES - st->body_bytes : 0;
		memcpy(st->body + (AGE_BODY_BYTES - room), bytes, n < room ? n : room);
		st->body_bytes += n;
	} while (s->line.len == AGE_BASE64_COLUMNS);
	return 0;
}

/* An argument that is base64 of exactly @bytes bytes. */
static bool read_binary(const struct slice *arg, uint8_t *ret, size_t bytes)
{
	size_t n;

	return arg->len == (bytes * 4 + 2) / 3 && age_base64_decode(arg->at, arg->len, ret, &n) && n == bytes;
}

static int keep_x25519(const struct scan *s, const struct stanza *st, struct age_header *h, struct error *err)
{
	struct age_stanza *to;

	if (!h->items)
		h->items = mem_array(AGE_STANZAS_MAX, sizeof(*h->items));
	to = &h->items[h->count];
	if (st->count != 2 || !read_binary(&st->args[1], to->share, sizeof(to->share)) ||
	    st->body_bytes != AGE_BODY_BYTES)
		return refuse_header(s, err, "ends a recipient of kind X25519 that is not as they are");
	memcpy(to->body, st->body, sizeof(to->body));
	h->count++;
	return 0;
}

/* Digits without a leading 0. A number that has too many of them is too large. Return: 0: it is none. */
static unsigned read_log_n(const struct slice *arg)
{
	unsigned n = 0;

	if (arg->at[0] == '0')
		return 0;
	for (size_t i = 0; i < arg->len; i++) {
		if (arg->at[i] < '0' || arg->at[i] > '9')
			return 0;
		if (i < LOG_N_DIGITS_MAX)
			n = n * 10 + (unsigned)(arg->at[i] - '0');
	}
	return arg->len > LOG_N_DIGITS_MAX ? UINT32_MAX : n;
}

static int keep_scrypt(const struct scan *s, const struct stanza *st, struct age_header *h, struct error *err)
{
	if (st->count != 3 || !read_binary(&st->args[1], h->salt, sizeof(h->salt)) ||
	    st->body_bytes != AGE_BODY_BYTES)
		return refuse_header(s, err, "ends a recipient of kind scrypt that is not as they are");
	h->log_n = read_log_n(&st->args[2]);
	if (h->log_n == 0)
		return refuse_header(s, err,
		                     "ends a recipient of kind scrypt whose work factor is no number");
	if (h->log_n > AGE_SCRYPT_LOG_N_MAX)
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "the age header asks for a work factor of more than %u, which would cost gigabytes: keepfs does not try",
		        AGE_SCRYPT_LOG_N_MAX);
	memcpy(h->body, st->body, sizeof(h->body));
	h->scrypt = true;
	return 0;
}

/* Of the kinds that are not known here, the format says, nothing is to be said. */
static int read_stanza(struct scan *s, struct age_header *h, struct error *err)
{
	struct stanza st = {0};
	int r;

	if (h->stanzas == AGE_STANZAS_MAX)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the age header has more than %u recipients, which keepfs does not read",
		                 AGE_STANZAS_MAX);
	r = read_arguments(s, &st, err);
	if (r == 0)
		r = read_body(s, &st, err);
	if (r < 0)
		return r;
	h->stanzas++;
	if (slice_is(&st.args[0], "X25519"))
		r = keep_x25519(s, &st, h, err);
	else if (slice_is(&st.args[0], "scrypt"))
		r = keep_scrypt(s, &st, h, err);
	if (r == 0 && h->scrypt && h->stanzas > 1)
		return refuse_header(s, err, "ends a second recipient, and a passphrase stands alone");
	return r;
}

static int read_mac(const struct scan *s, struct age_header *h, struct error *err)
{
	const struct slice digits = {s->line.at + 4, s->line.len - 4};

	if (h->stanzas == 0)
		return refuse_header(s, err, "ends it, and there was no recipient");
	if (digits.len != MAC_DIGITS || !read_binary(&digits, h->mac, sizeof(h->mac)))
		return refuse_header(s, err, "has no MAC of 43 characters in canonical base64");
	h->bytes = (uint32_t)s->at;
	h->mac_bytes = (uint32_t)(s->at - s->line.len - 1 + 3);
	return 0;
}

int age_header_read(const void *bytes, size_t len, struct age_header *ret, struct error *err)
{
	struct scan s = {.bytes = bytes, .len = len};
	int r = read_age_version(&s, err);

	while (r == 0) {
		r = next_header_line(&s, err);
		if (r < 0)
			break;
		if (slice_starts(&s.line, "--- "))
			return read_mac(&s, ret, err);
		r = slice_starts(&s.line, "-> ")
		            ? read_stanza(&s, ret, err)
		            : refuse_header(&s, err, "begins neither a recipient nor the MAC");
	}
	return r;
}

void age_header_finish(struct age_header *h)
{
	free(h->items);
	h->items = NULL;
}
