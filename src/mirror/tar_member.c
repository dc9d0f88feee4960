// SPDX-License-Identifier: Apache-2.0
#include "tar_member.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/tar_header.h>

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define FIELD_MAX ((UINT64_C(1) << 33) - 1) /* eleven octal digits */

static void put_octal(char *field, size_t len, uint64_t value)
{
	field[--len] = '\0';
	for (; len > 0; value >>= 3)
		field[--len] = (char)('0' + (value & 7));
}

static void append_member_header(struct str *out, const char *name, char type, uint64_t bytes,
                                 uint64_t mtime_s)
{
	struct tar_header h = {.type = type};
	unsigned sum = 0;

	memcpy(h.name, name, strnlen(name, sizeof(h.name)));
	put_octal(h.mode, sizeof(h.mode), 0644);
	put_octal(h.uid, sizeof(h.uid), 0);
	put_octal(h.gid, sizeof(h.gid), 0);
	put_octal(h.size, sizeof(h.size), bytes > FIELD_MAX ? 0 : bytes);
	put_octal(h.mtime, sizeof(h.mtime), mtime_s > FIELD_MAX ? 0 : mtime_s);
	memcpy(h.magic, "ustar", sizeof(h.magic));
	memcpy(h.version, "00", sizeof(h.version));
	memset(h.checksum, ' ', sizeof(h.checksum));
	for (size_t i = 0; i < sizeof(h); i++)
		sum += ((const unsigned char *)&h)[i];
	put_octal(h.checksum, 7, sum);
	str_append_bytes(out, &h, sizeof(h));
}

/* The length at the front of a record counts its own digits. */
static void append_pax(struct str *records, const char *keyword, const char *value)
{
	size_t rest = strlen(keyword) + strlen(value) + 3, digits = 1;

	while (snprintf(NULL, 0, "%zu", rest + digits) > (int)digits)
		digits++;
	str_appendf(records, "%zu %s=%s\n", rest + digits, keyword, value);
}

static void pad(struct str *out, size_t bytes)
{
	static const char zeros[TAR_BLOCK];

	str_append_bytes(out, zeros, bytes);
}

static bool is_ascii(const char *text)
{
	while (*text && (unsigned char)*text < 0x80)
		text++;
	return !*text;
}

void tar_member_append(struct str *out, const char *name, uint64_t bytes, int64_t modified_us)
{
	_cleanup(str) struct str records = {0};
	uint64_t mtime_s = modified_us > 0 ? (uint64_t)(modified_us / US_PER_S) : 0;

	if (strlen(name) > sizeof(((struct tar_header *)0)->name) || !is_ascii(name))
		append_pax(&records, "path", name);
	if (bytes > FIELD_MAX) {
		_cleanup(free) char *text = mem_printf("%" PRIu64, bytes);

		append_pax(&records, "size", text);
	}
	if (records.len > 0) {
		append_member_header(out, "././@PaxHeader", 'x', records.len, mtime_s);
		str_append_bytes(out, records.data, records.len);
		pad(out, tar_member_padding(records.len));
	}
	append_member_header(out, name, '0', bytes, mtime_s);
}

size_t tar_member_padding(uint64_t bytes)
{
	return (size_t)(-bytes & (TAR_BLOCK - 1));
}
