// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/json_bytes.h>

#include <string.h>

static void append_ascii(char c, struct str *out)
{
	if (c == '"' || c == '\\')
		str_appendf(out, "\\%c", c);
	else if (c == '\t')
		str_append(out, "\\t");
	else if ((unsigned char)c < 0x20 || c == 0x7f)
		str_appendf(out, "\\u%04x", (unsigned)(unsigned char)c);
	else
		str_append_char(out, c);
}

/* The length of the character that begins with that byte; 1: none does. */
static size_t length_by_lead(char c)
{
	unsigned char lead = (unsigned char)c;

	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	if (lead >= 0xe0 && lead <= 0xef)
		return 3;
	return lead >= 0xf0 && lead <= 0xf4 ? 4 : 1;
}

/* May what is held become a character? */
static bool is_begin_of_char(const struct json_bytes *j)
{
	for (size_t i = 1; i < j->count; i++)
		if (((unsigned char)j->held[i] & 0xc0) != 0x80)
			return false;
	return j->count < length_by_lead(j->held[0]);
}

static size_t append_held_char(const struct json_bytes *j, struct str *out)
{
	char text[5] = {0};
	size_t len;

	memcpy(text, j->held, j->count);
	len = str_utf8_char(text);
	if (len > 1) {
		str_append_bytes(out, text, len);
		return len;
	}
	if ((unsigned char)text[0] < 0x80)
		append_ascii(text[0], out);
	else
		str_appendf(out, "\\udc%02x", (unsigned)(unsigned char)text[0]);
	return 1;
}

static void settle_held(struct json_bytes *j, bool ends, struct str *out)
{
	while (j->count > 0 && (ends || !is_begin_of_char(j))) {
		size_t len = append_held_char(j, out);

		j->count -= len;
		memmove(j->held, j->held + len, j->count);
	}
}

void json_bytes_append(struct json_bytes *j, const void *data, size_t len, struct str *out)
{
	const char *p = data;

	for (size_t i = 0; i < len; i++) {
		if (j->count == 0 && (unsigned char)p[i] < 0x80) {
			append_ascii(p[i], out);
			continue;
		}
		j->held[j->count++] = p[i];
		settle_held(j, false, out);
	}
}

void json_bytes_end(struct json_bytes *j, struct str *out)
{
	settle_held(j, true, out);
}
