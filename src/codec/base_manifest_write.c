// SPDX-License-Identifier: Apache-2.0
/* A line for each file, joined by commas; each part is passed through the checksum as it is appended. */
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/base_manifest_write.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/json.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIME_BYTES 32

struct base_manifest_writer {
	struct str *out;
	struct sha256 *sha256;
	bool has_files;
};

/* What @out has since @from. */
static void sum_manifest_text(struct base_manifest_writer *w, size_t from)
{
	sha256_update(w->sha256, w->out->data + from, w->out->len - from);
}

struct base_manifest_writer *base_manifest_writer_new(uint64_t system_id, struct str *out)
{
	struct base_manifest_writer *w = mem_alloc(sizeof(*w));
	size_t from = out->len;

	w->out = out;
	w->sha256 = sha256_new();
	str_appendf(out, "{ \"PostgreSQL-Backup-Manifest-Version\": %d,\n", system_id ? 2 : 1);
	if (system_id)
		str_appendf(out, "\"System-Identifier\": %" PRIu64 ",\n", system_id);
	str_append(out, "\"Files\": [");
	sum_manifest_text(w, from);
	return w;
}

struct base_manifest_writer *base_manifest_writer_free(struct base_manifest_writer *w)
{
	if (!w)
		return NULL;
	sha256_free(w->sha256);
	free(w);
	return NULL;
}

static void append_manifest_path(struct str *out, const char *path)
{
	_cleanup(json) struct json *name = NULL;

	if (str_is_utf8(path)) {
		name = json_string_new(path);
		str_append(out, "\"Path\": ");
		json_write(name, 0, out);
		return;
	}
	str_append(out, "\"Encoded-Path\": \"");
	for (const char *p = path; *p; p++)
		str_appendf(out, "%02x", (unsigned char)*p);
	str_append_char(out, '"');
}

static void append_modified(struct str *out, int64_t at_us)
{
	time_t seconds = (time_t)(at_us / US_PER_S);
	char text[TIME_BYTES];
	struct tm parts;

	gmtime_r(&seconds, &parts);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S GMT", &parts);
	str_appendf(out, ", \"Last-Modified\": \"%s\"", text);
}

void base_manifest_writer_add(struct base_manifest_writer *w, const struct base_manifest_written *f)
{
	size_t from = w->out->len;

	str_append(w->out, w->has_files ? ",\n{ " : "\n{ ");
	append_manifest_path(w->out, f->path);
	str_appendf(w->out, ", \"Size\": %" PRIu64, f->bytes);
	append_modified(w->out, f->modified_us);
	/* The bytes of the number as they lie in the memory of a little-endian machine. */
	if (f->has_crc32c)
		str_appendf(w->out,
		            ", \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"%02x%02x%02x%02x\"",
		            f->crc32c & 0xff, f->crc32c >> 8 & 0xff, f->crc32c >> 16 & 0xff, f->crc32c >> 24);
	str_append(w->out, " }");
	w->has_files = true;
	sum_manifest_text(w, from);
}

void base_manifest_writer_end(struct base_manifest_writer *w, const struct base_manifest_range *range)
{
	size_t from = w->out->len;
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	str_appendf(w->out,
	            "\n],\n\"WAL-Ranges\": [\n{ \"Timeline\": %" PRIu32 ", \"Start-LSN\": \"%" PRIX32
	            "/%" PRIX32 "\", \"End-LSN\": \"%" PRIX32 "/%" PRIX32 "\" }\n],\n",
	            range->timeline, (uint32_t)(range->start_lsn >> 32), (uint32_t)range->start_lsn,
	            (uint32_t)(range->end_lsn >> 32), (uint32_t)range->end_lsn);
	sum_manifest_text(w, from);
	sha256_final(w->sha256, digest);
	hex_encode(digest, sizeof(digest), hex);
	str_appendf(w->out, "\"Manifest-Checksum\": \"%s\"}\n", hex);
}
