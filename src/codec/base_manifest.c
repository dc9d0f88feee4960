// SPDX-License-Identifier: Apache-2.0
/* backup_manifest, line by line: head, files, ranges of WAL, and the SHA-256 of all lines before the last. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/base_manifest.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/json.h>

#include <errno.h>
#include <string.h>

#define HEAD         "{ \"PostgreSQL-Backup-Manifest-Version\": "
#define SYSTEM       "\"System-Identifier\": "
#define FILES        "\"Files\": ["
#define FILES_END    "],"
#define RANGES       "\"WAL-Ranges\": ["
#define CHECKSUM     "\"Manifest-Checksum\": \""
#define CHECKSUM_END "\"}"
#define VERSION_MAX  2

enum manifest_place { AT_HEAD, AT_FILES, IN_FILES, AT_RANGES, IN_RANGES, AT_CHECKSUM, AT_END };

struct base_manifest {
	struct base_manifest_to to;
	struct sha256 *sha256;
	struct str line;
	uint64_t number; /* of the line that is gathered, from 1 on */
	enum manifest_place place;
};

struct base_manifest *base_manifest_new(const struct base_manifest_to *to)
{
	struct base_manifest *m = mem_alloc(sizeof(*m));

	m->to = *to;
	m->sha256 = sha256_new();
	m->number = 1;
	return m;
}

struct base_manifest *base_manifest_free(struct base_manifest *m)
{
	if (!m)
		return NULL;
	sha256_free(m->sha256);
	str_finish(&m->line);
	free(m);
	return NULL;
}

static int refuse_manifest(const struct base_manifest *m, const char *what, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "backup_manifest, line %llu: %s",
	                 (unsigned long long)m->number, what);
}

static int manifest_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Two digits for each byte; false: it is nothing of the kind. */
static bool read_hex(const char *text, struct str *out)
{
	for (; text[0]; text += 2) {
		int high = manifest_hex_digit(text[0]), low = high < 0 ? -1 : manifest_hex_digit(text[1]);

		if (low < 0)
			return false;
		str_append_char(out, (char)(high << 4 | low));
	}
	return true;
}

/* The four bytes of the number as they lie in the memory of a little-endian machine. */
static bool read_crc32c(const char *text, uint32_t *ret)
{
	_cleanup(str) struct str bytes = {0};
	const unsigned char *b;

	if (!text || !read_hex(text, &bytes) || bytes.len != 4)
		return false;
	b = (const unsigned char *)bytes.data;
	*ret = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
	return true;
}

static int take_manifest_file(struct base_manifest *m, const struct json *j, struct error *err)
{
	const char *path = json_get_string(j, "Path"), *encoded = json_get_string(j, "Encoded-Path");
	_cleanup(str) struct str decoded = {0};
	struct base_manifest_file f = {.path = path};
	int64_t bytes;

	if (!path && encoded && read_hex(encoded, &decoded) && decoded.len > 0 &&
	    strlen(str_text(&decoded)) == decoded.len)
		f.path = str_text(&decoded);
	if (!f.path || !*f.path)
		return refuse_manifest(m, "a file without a path", err);
	if (!json_get_int(j, "Size", &bytes) || bytes < 0)
		return refuse_manifest(m, "a file without a size", err);
	if (!str_equal(str_or_empty(json_get_string(j, "Checksum-Algorithm")), "CRC32C") ||
	    !read_crc32c(json_get_string(j, "Checksum"), &f.crc32c))
		return refuse_manifest(m, "a file without a CRC32C", err);
	f.bytes = (uint64_t)bytes;
	return m->to.file(m->to.arg, &f, err);
}

static int take_file_line(struct base_manifest *m, struct error *err)
{
	size_t len = m->line.len;
	_cleanup(json) struct json *j = NULL;
	bool is_last = m->line.data[len - 1] != ',';

	j = json_parse(m->line.data, len - !is_last, NULL);
	if (!j)
		return refuse_manifest(m, "it is not one file on a line, as PostgreSQL 13 to 18 write it",
		                       err);
	return take_manifest_file(m, j, err);
}

static int take_manifest_head(struct base_manifest *m, const char *line, struct error *err)
{
	const char *number = str_starts(line, HEAD) ? line + strlen(HEAD) : "";

	if (number[0] < '1' || number[0] > '9' || strcmp(number + strspn(number, "0123456789"), ",") != 0)
		return refuse_manifest(m, "it does not begin with the version of a backup_manifest", err);
	if (number[1] != ',' || number[0] > '0' + VERSION_MAX)
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "backup_manifest has version %.20s of its format, and this keepfs knows 1 and 2",
		        number);
	m->place = AT_FILES;
	return 0;
}

static int take_manifest_checksum(struct base_manifest *m, const char *line, struct error *err)
{
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];
	const char *told = line + strlen(CHECKSUM);

	sha256_final(m->sha256, digest);
	hex_encode(digest, sizeof(digest), hex);
	m->place = AT_END;
	if (!str_starts(line, CHECKSUM) || strlen(told) != strlen(hex) + strlen(CHECKSUM_END) ||
	    strcmp(told + strlen(hex), CHECKSUM_END) != 0)
		return refuse_manifest(m, "it does not end with a checksum", err);
	return strncmp(told, hex, strlen(hex)) == 0
	               ? 0
	               : refuse_manifest(m, "its checksum is not that of the lines above", err);
}

/* @expected, and then comes @next. */
static int expect_line(struct base_manifest *m, const char *expected, enum manifest_place next,
                       struct error *err)
{
	if (strcmp(str_text(&m->line), expected) != 0)
		return refuse_manifest(m, "something else than what PostgreSQL 13 to 18 write there", err);
	m->place = next;
	return 0;
}

static int take_manifest_line(struct base_manifest *m, struct error *err)
{
	const char *line = str_text(&m->line);

	if (strlen(line) != m->line.len)
		return refuse_manifest(m, "a NUL", err);
	switch (m->place) {
	case AT_HEAD:
		return take_manifest_head(m, line, err);
	case AT_FILES:
		return str_starts(line, SYSTEM) ? 0 : expect_line(m, FILES, IN_FILES, err);
	case IN_FILES:
		return line[0] == '{' ? take_file_line(m, err) : expect_line(m, FILES_END, AT_RANGES, err);
	case AT_RANGES:
		return expect_line(m, RANGES, IN_RANGES, err);
	case IN_RANGES:
		return line[0] == '{' ? 0 : expect_line(m, FILES_END, AT_CHECKSUM, err);
	case AT_CHECKSUM:
		return take_manifest_checksum(m, line, err);
	default:
		return refuse_manifest(m, "something behind its end", err);
	}
}

static int end_manifest_line(struct base_manifest *m, struct error *err)
{
	int r;

	/* The last line has the checksum of those before it. */
	if (m->place != AT_CHECKSUM) {
		sha256_update(m->sha256, m->line.data, m->line.len);
		sha256_update(m->sha256, "\n", 1);
	}
	r = take_manifest_line(m, err);
	str_clear(&m->line);
	m->number++;
	return r;
}

int base_manifest_feed(struct base_manifest *m, const void *data, size_t len, struct error *err)
{
	const char *p = data;
	int r = 0;

	while (r == 0 && len > 0) {
		const char *end = memchr(p, '\n', len);
		size_t n = end ? (size_t)(end - p) : len;

		if (m->line.len + n > BASE_MANIFEST_LINE_BYTES)
			return refuse_manifest(m, "it is too long", err);
		str_append_bytes(&m->line, p, n);
		if (end)
			r = end_manifest_line(m, err);
		p += n + (end != NULL);
		len -= n + (end != NULL);
	}
	return r;
}

int base_manifest_end(struct base_manifest *m, struct error *err)
{
	if (m->place != AT_END || m->line.len > 0)
		return refuse_manifest(m, "it was cut off", err);
	return 0;
}
