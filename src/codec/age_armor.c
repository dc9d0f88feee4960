// SPDX-License-Identifier: Apache-2.0
/* Armor: strict PEM (RFC 7468, section 3), in lines of 64 columns that end in LF or CR LF. There is one text for any bytes, but for
 * these ends, and for white space before and behind. */
#include "age_private.h"

#include <errno.h>
#include <string.h>

#define BEGIN "-----BEGIN AGE ENCRYPTED FILE-----"
#define END   "-----END AGE ENCRYPTED FILE-----"

void age_armor(const void *stored, size_t len, struct str *ret)
{
	const uint8_t *p = stored;

	str_append(ret, BEGIN "\n");
	for (; len > 0;) {
		size_t n = len < AGE_LINE_BYTES ? len : AGE_LINE_BYTES;

		age_base64_append(ret, p, n);
		for (size_t padding = (3 - n % 3) % 3; padding > 0; padding--)
			str_append_char(ret, '=');
		str_append_char(ret, '\n');
		p += n;
		len -= n;
	}
	str_append(ret, END "\n");
}

struct armor {
	const char *at, *end;
	unsigned number;  /* of the line that was read last */
	const char *line; /* without its end */
	size_t len;
};

static bool is_white(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

static void skip_white(struct armor *a)
{
	for (; a->at < a->end && is_white(*a->at); a->at++)
		a->number += *a->at == '\n';
}

bool age_is_armor(const void *text, size_t len)
{
	struct armor a = {.at = text, .end = (const char *)text + len};

	skip_white(&a);
	return (size_t)(a.end - a.at) >= sizeof(BEGIN) - 1 && memcmp(a.at, BEGIN, sizeof(BEGIN) - 1) == 0;
}

static int refuse_armor(const struct armor *a, const char *what, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "the armor of age is damaged: line %u %s", a->number,
	                 what);
}

static int next_armor_line(struct armor *a, struct error *err)
{
	const char *end;

	a->number++;
	if (a->at == a->end)
		return refuse_armor(a, "is missing, and with it the end", err);
	end = memchr(a->at, '\n', (size_t)(a->end - a->at));
	a->line = a->at;
	a->at = end ? end + 1 : a->end;
	a->len = (size_t)((end ? end : a->end) - a->line);
	if (end && a->len > 0 && a->line[a->len - 1] == '\r')
		a->len--;
	return 0;
}

static bool armor_line_is(const struct armor *a, const char *text)
{
	return a->len == strlen(text) && memcmp(a->line, text, a->len) == 0;
}

/* Padding is there to make the line's length a multiple of four, and no more than that. */
static bool decode_armor_line(const struct armor *a, uint8_t ret[static AGE_LINE_BYTES], size_t *ret_len)
{
	size_t digits = a->len;

	if (a->len % 4 != 0 || a->len > AGE_BASE64_COLUMNS)
		return false;
	while (digits > 0 && a->len - digits < 2 && a->line[digits - 1] == '=')
		digits--;
	return age_base64_decode(a->line, digits, ret, ret_len);
}

static int read_armor(struct armor *a, struct str *ret, struct error *err)
{
	size_t n = AGE_LINE_BYTES;
	uint8_t bytes[AGE_LINE_BYTES];
	int r;

	for (;;) {
		r = next_armor_line(a, err);
		if (r < 0 || armor_line_is(a, END))
			return r;
		if (n < AGE_LINE_BYTES)
			return refuse_armor(
			        a,
			        "follows one that is shorter than 64 characters, which only the last may be",
			        err);
		if (a->len == 0)
			return refuse_armor(a, "is empty", err);
		if (!decode_armor_line(a, bytes, &n))
			return refuse_armor(a, "is not base64 in at most 64 characters", err);
		str_append_bytes(ret, bytes, n);
	}
}

static int read_around_armor(struct armor *a, struct str *ret, struct error *err)
{
	int r;

	skip_white(a);
	r = next_armor_line(a, err);
	if (r == 0 && !armor_line_is(a, BEGIN))
		r = refuse_armor(a, "is not -----BEGIN AGE ENCRYPTED FILE-----", err);
	if (r == 0)
		r = read_armor(a, ret, err);
	if (r < 0)
		return r;
	skip_white(a);
	a->number++;
	return a->at == a->end ? 0 : refuse_armor(a, "follows the end", err);
}

int age_dearmor(const void *text, size_t len, struct str *ret, struct error *err)
{
	struct armor a = {.at = text, .end = (const char *)text + len};
	size_t before = ret->len;
	int r = read_around_armor(&a, ret, err);

	if (r < 0 && ret->data) {
		ret->len = before;
		ret->data[before] = '\0';
	}
	return r;
}
