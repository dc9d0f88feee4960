// SPDX-License-Identifier: Apache-2.0
#include "looks.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/zone.h>
#include <keepfs/codec/decompression.h>
#include <keepfs/codec/pg_archive.h>
#include <keepfs/files/tar_check.h>
#include <keepfs/inbox.h>

#include <ctype.h>
#include <string.h>

#define FIRST_YEAR 1996 /* PostgreSQL has that name since then */
#define LAST_YEAR  2199
#define DAY_S      86400
#define USTAR_AT   257

/* Names. */

static const char *const unfinished[] = {".part", ".partial", ".filepart", ".tmp"};

static const char *unfinished_ending(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(unfinished); i++)
		if (str_ends(name, unfinished[i]) && strlen(name) > strlen(unfinished[i]))
			return unfinished[i];
	return NULL;
}

bool inbox_name_is_temporary(const char *name)
{
	return name[0] == '.' || unfinished_ending(name);
}

/* rsync and mkstemp(3) put six characters behind a '.', and rclone eight. */
static bool is_random_ending(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]))
			return false;
	return len == 6 || len == 8;
}

char *inbox_plain_name(const char *name)
{
	const char *ending = unfinished_ending(name);
	char *plain = mem_strdup(name), *dot;
	bool is_hidden = name[0] == '.' && name[1];

	if (ending)
		plain[strlen(plain) - strlen(ending)] = '\0';
	if (is_hidden)
		memmove(plain, plain + 1, strlen(plain));
	dot = strrchr(plain, '.');
	if ((is_hidden || ending) && dot && dot != plain && is_random_ending(dot + 1) &&
	    strchr(plain, '.') != dot)
		*dot = '\0';
	return plain;
}

/* @count digits at @at as a number; -1: there are others. */
static int digits(const char *at, size_t count)
{
	int value = 0;

	for (size_t i = 0; i < count; i++) {
		if (!isdigit((unsigned char)at[i]))
			return -1;
		value = value * 10 + (at[i] - '0');
	}
	return value;
}

static const char *behind_one_of(const char *at, const char *set)
{
	return *at && strchr(set, *at) ? at + 1 : at;
}

static bool is_date(int year, int month, int day)
{
	return year >= FIRST_YEAR && year <= LAST_YEAR && month >= 1 && month <= 12 && day >= 1 &&
	       day <= zone_month_days(year, month);
}

/* "2024-01-05", "20240105": behind it; NULL: it is none. */
static const char *take_date(const char *at, int64_t *ret_local_s)
{
	int year = digits(at, 4), month, day;

	if (year < 0)
		return NULL;
	at = behind_one_of(at + 4, "-_.");
	month = digits(at, 2);
	if (month < 0)
		return NULL;
	at = behind_one_of(at + 2, "-_.");
	day = digits(at, 2);
	if (day < 0 || !is_date(year, month, day) || isdigit((unsigned char)at[2]))
		return NULL;
	*ret_local_s = zone_local_midnight(year, month, day);
	return at + 2;
}

/* "T023000Z", "_02-30", " 02:30:00", or nothing. */
static void take_time_of_name(const char *at, int64_t *io_local_s, bool *ret_is_utc)
{
	const char *begin = behind_one_of(at, "Tt_- .");
	int hour = digits(begin, 2), minute, second;

	*ret_is_utc = false;
	if (hour < 0 || hour > 23)
		return;
	begin = behind_one_of(begin + 2, ":-_.h");
	minute = digits(begin, 2);
	if (minute < 0 || minute > 59)
		return;
	*io_local_s += hour * 3600 + minute * 60;
	begin = behind_one_of(begin + 2, ":-_.m");
	second = digits(begin, 2);
	if (second >= 0 && second <= 59) {
		*io_local_s += second;
		begin += 2;
	}
	*ret_is_utc = *begin == 'Z';
}

/* A date and its time without anything in between: fourteen digits. */
static bool take_fourteen(const char *at, int64_t *ret_local_s, bool *ret_is_utc)
{
	char date[9] = {0};

	for (size_t i = 0; i < 14; i++)
		if (!isdigit((unsigned char)at[i]))
			return false;
	memcpy(date, at, 8);
	if (!take_date(date, ret_local_s))
		return false;
	take_time_of_name(at + 8, ret_local_s, ret_is_utc);
	return true;
}

bool inbox_time_in_name(const char *name, int64_t *ret_local_s, bool *ret_is_utc)
{
	for (const char *at = name; *at; at++) {
		const char *behind;

		if (at > name && isdigit((unsigned char)at[-1]))
			continue;
		if (strlen(at) >= 14 && take_fourteen(at, ret_local_s, ret_is_utc))
			return true;
		behind = take_date(at, ret_local_s);
		if (!behind)
			continue;
		take_time_of_name(behind, ret_local_s, ret_is_utc);
		return true;
	}
	return false;
}

/* Content. */

static int keep_plain_head(void *arg, const void *data, size_t len, struct error *err)
{
	struct str *plain = arg;
	size_t room = INBOX_HEAD_BYTES - plain->len;

	str_append_bytes(plain, data, len < room ? len : room);
	return 0;
}

static enum compression_method method_of_head(const uint8_t *head, size_t len)
{
	static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd};

	if (len >= 3 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8)
		return COMPRESSION_GZIP;
	return len >= sizeof(zstd) && memcmp(head, zstd, sizeof(zstd)) == 0 ? COMPRESSION_ZSTD
	                                                                    : COMPRESSION_NONE;
}

/* The sum of the bytes of a header, with blanks in the place of the sum itself. */
static bool is_tar_header(const char *head, size_t len)
{
	unsigned sum = 0, said = 0;

	if (len < TAR_BLOCK_BYTES)
		return false;
	if (memcmp(head + USTAR_AT, "ustar", 5) == 0)
		return true;
	for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
		sum += i >= 148 && i < 156 ? ' ' : (unsigned char)head[i];
	for (size_t i = 148; i < 156 && (head[i] == ' ' || (head[i] >= '0' && head[i] <= '7')); i++)
		said = head[i] == ' ' ? said : said * 8 + (unsigned)(head[i] - '0');
	return head[0] && said == sum;
}

static void take_archive_facts(const struct pg_archive_facts *f, struct inbox_look *look)
{
	const int *d = f->date; /* of a struct tm */
	int year = d[5] + 1900, month = d[4] + 1;

	if (is_date(year, month, d[3]) && d[2] >= 0 && d[2] < 24 && d[1] >= 0 && d[1] < 60 && d[0] >= 0 &&
	    d[0] < 61) {
		look->has_time = look->time_is_of_content = true;
		look->local_s = zone_local_midnight(year, month, d[3]) + d[2] * 3600 + d[1] * 60 + d[0];
	}
	str_copy(look->database, sizeof(look->database), f->database);
	str_copy(look->server_version, sizeof(look->server_version), f->server_version);
	str_copy(look->tool_version, sizeof(look->tool_version), f->tool_version);
}

/* What is wrong behind the header is for the check of the whole to say. */
static bool look_at_archive(const char *head, size_t len, struct inbox_look *look)
{
	struct pg_archive_scan *scan;
	const struct pg_archive_facts *facts;
	bool is_known;

	if (len < 5 || memcmp(head, "PGDMP", 5) != 0)
		return false;
	scan = pg_archive_scan_new(NULL);
	is_known = pg_archive_scan_feed(scan, head, len, NULL) == 0 ||
	           pg_archive_scan_facts(scan)->toc_entries > 0;
	facts = pg_archive_scan_facts(scan);
	if (is_known)
		take_archive_facts(facts, look);
	pg_archive_scan_free(scan);
	return is_known;
}

/* "-- Dumped from database version 15.3\n": what stands behind @label on its line. */
static void take_sql_comment(const char *text, const char *label, char *buf, size_t size)
{
	const char *at = strstr(text, label);

	if (!at)
		return;
	at += strlen(label);
	snprintf(buf, size, "%.*s", (int)strcspn(at, "\r\n"), at);
}

/* "-- Started on 2024-01-05 02:30:00 CET", of pg_dump --verbose. */
static void look_at_sql(const char *text, struct inbox_look *look)
{
	char started[64] = "";

	take_sql_comment(text, "\n-- Dumped from database version ", look->server_version,
	                 sizeof(look->server_version));
	take_sql_comment(text, "\n-- Dumped by pg_dump version ", look->tool_version,
	                 sizeof(look->tool_version));
	take_sql_comment(text, "\n-- Started on ", started, sizeof(started));
	if (!inbox_time_in_name(started, &look->local_s, &look->is_utc))
		return;
	look->has_time = look->time_is_of_content = true;
	look->is_utc = str_ends(started, " UTC") || str_ends(started, " GMT");
}

static bool is_sql_of_cluster(const char *text)
{
	return str_starts(text, "--\n-- PostgreSQL database cluster dump\n");
}

static bool is_sql(const char *text)
{
	return str_starts(text, "--\n-- PostgreSQL database dump\n") || is_sql_of_cluster(text);
}

static enum inbox_shape shape_of(const struct str *plain, struct inbox_look *look)
{
	const char *head = str_text(plain);

	if (look_at_archive(head, plain->len, look))
		return INBOX_ARCHIVE;
	if (is_sql(head)) {
		look->is_cluster = is_sql_of_cluster(head);
		look_at_sql(head, look);
		return INBOX_SQL;
	}
	if (!is_tar_header(head, plain->len))
		return INBOX_OTHER;
	/* pg_dump -Ft: its table of contents comes first. */
	if (str_equal(head, "toc.dat"))
		look_at_archive(head + TAR_BLOCK_BYTES, plain->len - TAR_BLOCK_BYTES, look);
	return INBOX_TAR;
}

/* Where the ending before @last begins; @last where there is none. */
static const char *dot_before(const char *name, const char *last)
{
	for (const char *at = last; at > name + 1; at--) {
		if (at[-1] == '.')
			return at - 1;
		if (!isalnum((unsigned char)at[-1]))
			break;
	}
	return last;
}

/* The last ending of a name, with the one before it where it is one of compression: ".xml.xz". What does not look like an ending is none. */
static void take_ending(const char *name, char suffix[static INBOX_SUFFIX_BYTES])
{
	static const char *const compressions[] = {".gz", ".zst", ".xz", ".bz2", ".lz4", ".age", ".gpg"};
	const char *last = strrchr(name, '.'), *begin = last;
	bool is_plain = true, has_letter = false;

	for (size_t i = 0; last && i < ARRAY_SIZE(compressions); i++)
		if (str_equal(last, compressions[i]))
			begin = dot_before(name, last);
	for (const char *at = begin; at && *at; at++) {
		is_plain &= *at == '.' || isalnum((unsigned char)*at);
		has_letter |= isalpha((unsigned char)*at) != 0;
	}
	if (!begin || begin == name || !is_plain || !has_letter || strlen(begin) < 2 || strlen(begin) > 16)
		begin = ".bin";
	str_copy(suffix, INBOX_SUFFIX_BYTES, begin);
}

static void choose_ending(const char *name, struct inbox_look *look)
{
	static const char *const shapes[] = {
	        [INBOX_ARCHIVE] = ".dump", [INBOX_SQL] = ".sql", [INBOX_TAR] = ".tar"};
	static const char *const methods[] = {
	        [COMPRESSION_NONE] = "", [COMPRESSION_GZIP] = ".gz", [COMPRESSION_ZSTD] = ".zst"};

	if (look->shape == INBOX_OTHER)
		take_ending(name, look->suffix);
	else
		snprintf(look->suffix, sizeof(look->suffix), "%s%s", shapes[look->shape],
		         methods[look->method]);
}

void inbox_look_at(const void *head, size_t len, const char *name, struct inbox_look *ret)
{
	_cleanup(str) struct str plain = {0};

	*ret = (struct inbox_look){.method = method_of_head(head, len)};
	if (ret->method == COMPRESSION_NONE) {
		str_append_bytes(&plain, head, len);
	} else {
		const struct decompressor_out out = {.write = keep_plain_head, .arg = &plain};
		_cleanup(decompressor) struct decompressor *d = decompressor_new(ret->method, &out);

		(void)decompressor_write(d, head, len, NULL);
	}
	ret->shape = shape_of(&plain, ret);
	choose_ending(name, ret);
	if (!ret->has_time)
		ret->has_time = inbox_time_in_name(name, &ret->local_s, &ret->is_utc);
}
