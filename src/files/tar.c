// SPDX-License-Identifier: Apache-2.0
#include "tar.h"

#include <string.h>

static size_t decimal_digits(size_t n)
{
	size_t digits = 1;

	for (; n >= 10; n /= 10)
		digits++;
	return digits;
}

/* The length at the front of a record counts its own digits. */
static size_t record_bytes(size_t rest)
{
	size_t bytes = rest + decimal_digits(rest);

	return rest + decimal_digits(bytes);
}

/* By hand, as all numbers here: printf() would take a tenth of the time of an archive of small files. */
static void append_decimal(struct str *out, uint64_t number)
{
	char text[20];
	size_t at = sizeof(text);

	do
		text[--at] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	str_append_bytes(out, text + at, sizeof(text) - at);
}

void tar_append_record(struct str *out, const char *keyword, const void *value, size_t len)
{
	append_decimal(out, record_bytes(strlen(keyword) + len + 3));
	str_append_char(out, ' ');
	str_append(out, keyword);
	str_append_char(out, '=');
	str_append_bytes(out, value, len);
	str_append_char(out, '\n');
}

static void append_text_record(struct str *out, const char *keyword, const char *text)
{
	tar_append_record(out, keyword, text, strlen(text));
}

static void append_number_record(struct str *out, const char *keyword, uint64_t number)
{
	_cleanup(str) struct str text = {0};

	append_decimal(&text, number);
	append_text_record(out, keyword, str_text(&text));
}

uint64_t tar_checksum(const struct tar_header *h)
{
	const unsigned char *p = (const unsigned char *)h;
	uint32_t sum = sizeof(h->checksum) * ' ', own = 0;

	/* Without a condition in it, so that the compiler adds many bytes at once. */
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += p[i];
	for (size_t i = 0; i < sizeof(h->checksum); i++)
		own += (unsigned char)h->checksum[i];
	return sum - own;
}

/* A field that does not hold @value is filled with zeros, and a record has the value. */
static bool put_number(char *field, size_t len, uint64_t value)
{
	bool fits = value >> (3 * (len - 1)) == 0;

	field[--len] = '\0';
	for (value = fits ? value : 0; len > 0; value >>= 3)
		field[--len] = (char)('0' + (value & 7));
	return fits;
}

static bool put_text(char *field, size_t len, const char *text)
{
	size_t bytes = strlen(text);

	memcpy(field, text, bytes < len ? bytes : len);
	return bytes <= len;
}

/* A name in two fields, with a '/' between that is in neither. Return: it fits. */
static bool put_path(struct tar_header *h, const char *path)
{
	size_t len = strlen(path);
	const char *cut;

	if (put_text(h->name, sizeof(h->name), path))
		return true;
	if (len > sizeof(h->prefix) + 1 + sizeof(h->name))
		return false;
	/* Not the '/' at the end: what is behind the cut must not be empty. */
	cut = memchr(path + len - sizeof(h->name) - 1, '/', sizeof(h->name));
	if (!cut || cut == path || (size_t)(cut - path) > sizeof(h->prefix))
		return false;
	memcpy(h->prefix, path, (size_t)(cut - path));
	memset(h->name, 0, sizeof(h->name));
	return put_text(h->name, sizeof(h->name), cut + 1);
}

/* Who does not know about files with holes must not put a map where the file belongs. */
static bool put_name(struct tar_header *h, const struct tar_entry *e)
{
	char buf[sizeof(h->name) + 1];

	if (!e->sparse)
		return put_path(h, e->path);
	str_copy(buf, sizeof(buf), "GNUSparseFile.0/");
	str_copy(buf + strlen(buf), sizeof(buf) - strlen(buf), e->path);
	put_text(h->name, sizeof(h->name), buf);
	return false;
}

static void close_header(struct tar_header *h, char type)
{
	h->type = type;
	memcpy(h->magic, "ustar", sizeof(h->magic));
	memcpy(h->version, "00", sizeof(h->version));
	put_number(h->checksum, sizeof(h->checksum) - 1, tar_checksum(h));
	h->checksum[7] = ' ';
}

/* As GNU tar does: "-1.5" is half a second before -1, while the nanoseconds of a timespec count upwards. */
static void append_time_record(struct str *out, const char *keyword, struct timespec at)
{
	_cleanup(str) struct str text = {0};
	int64_t seconds = at.tv_sec;
	uint64_t nanoseconds = (uint64_t)at.tv_nsec;

	if (seconds < 0 && nanoseconds > 0) {
		seconds++;
		nanoseconds = 1000000000 - nanoseconds;
	}
	if (at.tv_sec < 0)
		str_append_char(&text, '-');
	append_decimal(&text, (uint64_t)(seconds < 0 ? -seconds : seconds));
	str_append_char(&text, '.');
	for (uint64_t place = 100000000; place > 0; place /= 10)
		str_append_char(&text, (char)('0' + nanoseconds / place % 10));
	append_text_record(out, keyword, str_text(&text));
}

/* @records: those of texts, which have to be announced when they are not UTF-8. */
static void put_texts(struct tar_header *h, const struct tar_entry *e, struct str *records)
{
	bool binary = false;
	const struct {
		const char *keyword, *text;
		bool fits;
	} texts[] = {
	        {e->sparse ? "GNU.sparse.name" : "path", e->path, put_name(h, e)},
	        {"linkpath", e->link ? e->link : "",
	         put_text(h->link, sizeof(h->link), e->link ? e->link : "")},
	        {"uname", e->uname, put_text(h->uname, sizeof(h->uname) - 1, e->uname)},
	        {"gname", e->gname, put_text(h->gname, sizeof(h->gname) - 1, e->gname)},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		binary = binary || (!texts[i].fits && !str_is_utf8(texts[i].text));
	if (binary)
		append_text_record(records, "hdrcharset", "BINARY");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!texts[i].fits)
			append_text_record(records, texts[i].keyword, texts[i].text);
}

static void put_numbers(struct tar_header *h, const struct tar_entry *e, struct str *records)
{
	put_number(h->mode, sizeof(h->mode), e->mode);
	put_number(h->major, sizeof(h->major), e->major);
	put_number(h->minor, sizeof(h->minor), e->minor);
	if (!put_number(h->uid, sizeof(h->uid), e->uid))
		append_number_record(records, "uid", e->uid);
	if (!put_number(h->gid, sizeof(h->gid), e->gid))
		append_number_record(records, "gid", e->gid);
	if (!put_number(h->size, sizeof(h->size), e->size))
		append_number_record(records, "size", e->size);
	if (!put_number(h->mtime, sizeof(h->mtime), (uint64_t)e->mtime.tv_sec) || e->mtime.tv_nsec != 0)
		append_time_record(records, "mtime", e->mtime);
}

static void append_sparse_records(struct str *out, const struct tar_entry *e)
{
	append_text_record(out, "GNU.sparse.major", "1");
	append_text_record(out, "GNU.sparse.minor", "0");
	append_number_record(out, "GNU.sparse.realsize", e->real_size);
}

static void append_padding(struct str *out)
{
	static const char zeros[TAR_BLOCK_BYTES];

	str_append_bytes(out, zeros, -out->len % TAR_BLOCK_BYTES);
}

/* The header that says: records follow, and are of the entry behind them. */
static void append_extended(struct str *out, const struct tar_entry *e, const struct str *records)
{
	struct tar_header h = {0};

	str_copy(h.name, sizeof(h.name),
	         e->type == TAR_DIRECTORY ? "PaxHeaders/directory" : "PaxHeaders/file");
	put_number(h.mode, sizeof(h.mode), 0644);
	put_number(h.uid, sizeof(h.uid), 0);
	put_number(h.gid, sizeof(h.gid), 0);
	put_number(h.size, sizeof(h.size), records->len);
	put_number(h.mtime, sizeof(h.mtime), 0);
	close_header(&h, TAR_EXTENDED);
	str_append_bytes(out, &h, sizeof(h));
	str_append_bytes(out, records->data, records->len);
	append_padding(out);
}

void tar_append_entry(struct str *out, const struct tar_entry *e)
{
	_cleanup(str) struct str records = {0};
	struct tar_header h = {0};

	if (e->sparse)
		append_sparse_records(&records, e);
	put_texts(&h, e, &records);
	put_numbers(&h, e, &records);
	if (e->attributes)
		str_append_bytes(&records, str_text(e->attributes), e->attributes->len);
	close_header(&h, e->type);
	if (records.len > 0)
		append_extended(out, e, &records);
	str_append_bytes(out, &h, sizeof(h));
}
