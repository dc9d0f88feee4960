// SPDX-License-Identifier: Apache-2.0
/*
 * A message as a mail (RFC 5322): text in UTF-8 as quoted-printable (RFC 2045), a subject that is not ASCII as encoded words
 * (RFC 2047). Nothing of what others wrote becomes part of a header but within the subject, and there every character that
 * could end it is encoded.
 */
#include "notify_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LINE_COLUMNS  76 /* of quoted-printable and of encoded words */
#define WORD_PREFIX   "=?UTF-8?Q?"
#define WORD_SUFFIX   "?="
#define SUBJECT_PLAIN 60 /* of a subject that needs no folding */

static bool is_plain_subject(const char *text)
{
	for (const char *p = text; *p; p++)
		if (*p < ' ' || *p > '~')
			return false;
	return strlen(text) <= SUBJECT_PLAIN && !strstr(text, "=?");
}

/* What may stand in an encoded word as it is: less than is allowed, so that it may in any. */
static bool is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* One character of UTF-8, which must not be cut in two, as it stands in an encoded word. */
static size_t encode_word_char(const char *text, char buf[static 16])
{
	size_t len = str_utf8_char(text), used = 0;

	if (len == 1 && is_word_char(*text)) {
		buf[0] = *text;
		buf[1] = '\0';
		return 1;
	}
	if (len == 1 && *text == ' ') {
		memcpy(buf, "_", 2);
		return 1;
	}
	len = len ? len : 1;
	for (size_t i = 0; i < len; i++)
		used += (size_t)snprintf(buf + used, 16 - used, "=%02X", (unsigned char)text[i]);
	return len;
}

static void append_subject(struct str *out, const char *text)
{
	size_t column = strlen("Subject: ") + strlen(WORD_PREFIX);

	if (is_plain_subject(text)) {
		str_appendf(out, "Subject: %s\r\n", text);
		return;
	}
	str_append(out, "Subject: " WORD_PREFIX);
	while (*text) {
		char buf[16];
		size_t len = encode_word_char(text, buf);

		if (column + strlen(buf) + strlen(WORD_SUFFIX) > LINE_COLUMNS) {
			str_append(out, WORD_SUFFIX "\r\n " WORD_PREFIX);
			column = 1 + strlen(WORD_PREFIX);
		}
		str_append(out, buf);
		column += strlen(buf);
		text += len;
	}
	str_append(out, WORD_SUFFIX "\r\n");
}

static void append_date(struct str *out, int64_t at_us)
{
	static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
	                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t at = (time_t)(at_us / US_PER_S);
	struct tm t = {0};

	gmtime_r(&at, &t);
	str_appendf(out, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[t.tm_wday], t.tm_mday,
	            months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

/* Its right side is the sender's: somebody's who may name messages there. */
static void append_message_id(struct str *out, const struct message *m, const char *from)
{
	const char *at = strrchr(from, '@');

	str_appendf(out, "Message-ID: <keepfs.%s@%s>\r\n", m->id, at ? at + 1 : "localhost");
}

/* A byte as it stands in a line of quoted-printable; a blank at the end of a line would be lost. */
static size_t encode_byte(unsigned char byte, bool at_end, char buf[static 4])
{
	bool plain = (byte >= 33 && byte <= 126 && byte != '=') || ((byte == ' ' || byte == '\t') && !at_end);

	return (size_t)snprintf(buf, 4, plain ? "%c" : "=%02X", byte);
}

static void append_body(struct str *out, const char *text)
{
	size_t column = 0;

	for (const char *p = text; *p; p++) {
		char buf[4];
		size_t len;

		if (*p == '\n') {
			str_append(out, "\r\n");
			column = 0;
			continue;
		}
		len = encode_byte((unsigned char)*p, p[1] == '\n' || !p[1], buf);
		if (column + len > LINE_COLUMNS - 1) {
			str_append(out, "=\r\n");
			column = 0;
		}
		str_append(out, buf);
		column += len;
	}
	if (column > 0)
		str_append(out, "\r\n");
}

char *mail_make(const struct message *m, const char *from, const char *to, int64_t at_us)
{
	struct str out = {0};

	append_date(&out, at_us);
	str_appendf(&out, "From: keepfs <%s>\r\nTo: <%s>\r\n", from, to);
	append_subject(&out, m->subject);
	append_message_id(&out, m, from);
	str_append(&out, "MIME-Version: 1.0\r\n"
	                 "Content-Type: text/plain; charset=utf-8\r\n"
	                 "Content-Transfer-Encoding: quoted-printable\r\n"
	                 "Auto-Submitted: auto-generated\r\n");
	str_appendf(&out, "X-Keepfs-Event: %s\r\n", m->event);
	if (m->level_number == REPORT_CRIT)
		str_append(&out, "Importance: high\r\n");
	str_append(&out, "\r\n");
	append_body(&out, m->text);
	return str_take(&out);
}
