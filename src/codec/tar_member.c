// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/tar_member.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define FIELD_MAX ((UINT64_C(1) << 33) - 1) /* eleven octal digits */

#define ID_MAX 07777777U /* seven */

static uint64_t member_seconds(const struct tar_member *m)
{
	return m->modified_us > 0 ? (uint64_t)(m->modified_us / US_PER_S) : 0;
}

static void put_octal(char *field, size_t len, uint64_t value)
{
	field[--len] = '\0';
	for (; len > 0; value >>= 3)
		field[--len] = (char)('0' + (value & 7));
}

static void append_member_header(struct str *out, const char *name, char type, uint64_t bytes,
                                 const struct tar_member *m)
{
	struct tar_header h = {.type = type};
	uint64_t mtime_s = member_seconds(m);
	unsigned sum = 0;

	memcpy(h.name, name, strnlen(name, sizeof(h.name)));
	put_octal(h.mode, sizeof(h.mode), m->mode);
	put_octal(h.uid, sizeof(h.uid), m->uid > ID_MAX ? 0 : m->uid);
	put_octal(h.gid, sizeof(h.gid), m->gid > ID_MAX ? 0 : m->gid);
	put_octal(h.size, sizeof(h.size), bytes > FIELD_MAX ? 0 : bytes);
	put_octal(h.mtime, sizeof(h.mtime), mtime_s > FIELD_MAX ? 0 : mtime_s);
	memcpy(h.magic, "ustar", sizeof(h.magic));
	memcpy(h.version, "00", sizeof(h.version));
	if (m->owner) {
		str_copy(h.uname, sizeof(h.uname), m->owner);
		str_copy(h.gname, sizeof(h.gname), m->owner);
	}
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

static void append_pax_number(struct str *records, const char *keyword, uint64_t value, uint64_t most)
{
	_cleanup(free) char *text = value > most ? mem_printf("%" PRIu64, value) : NULL;

	if (text)
		append_pax(records, keyword, text);
}

void tar_member_append(struct str *out, const struct tar_member *m)
{
	_cleanup(str) struct str records = {0};
	_cleanup(free) char *name =
	        mem_printf("%s%s", *m->name || !m->is_directory ? m->name : ".", m->is_directory ? "/" : "");
	uint64_t bytes = m->is_directory ? 0 : m->bytes;

	if (strlen(name) > sizeof(((struct tar_header *)0)->name) || !is_ascii(name))
		append_pax(&records, "path", name);
	append_pax_number(&records, "size", bytes, FIELD_MAX);
	append_pax_number(&records, "uid", m->uid, ID_MAX);
	append_pax_number(&records, "gid", m->gid, ID_MAX);
	if (records.len > 0) {
		append_member_header(out, "././@PaxHeader", 'x', records.len, m);
		str_append_bytes(out, records.data, records.len);
		pad(out, tar_member_padding(records.len));
	}
	append_member_header(out, name, m->is_directory ? '5' : '0', bytes, m);
}

size_t tar_member_padding(uint64_t bytes)
{
	return (size_t)(-bytes & (TAR_BLOCK - 1));
}
