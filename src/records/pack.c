// SPDX-License-Identifier: Apache-2.0
/*
 * One object: lines of JSON as one gzip member (RFC 1952). Its key sorts by the time and the number of its first line, and ends in
 * a part of its SHA-256, so that the same key can only mean the same bytes: it does not matter how often, or by whom, it is put.
 */
#include "records_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/compression.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/manifest.h>

#include <inttypes.h>

#define GZIP_LEVEL 6

void pack_add(struct pack *p, int64_t id, int64_t at_us, struct json *object)
{
	_cleanup(json) struct json *owned = object;

	if (p->count == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 64;
		p->ids = mem_resize(p->ids, p->cap, sizeof(*p->ids));
	}
	if (p->count == 0)
		p->first_us = at_us;
	p->ids[p->count++] = id;
	json_write(owned, 0, &p->text);
	str_append_char(&p->text, '\n');
}

bool pack_is_full(const struct pack *p)
{
	return p->count >= PACK_ROWS_MAX || p->text.len >= PACK_BYTES;
}

void pack_finish(struct pack *p)
{
	str_finish(&p->text);
	free(p->ids);
	*p = (struct pack){0};
}

/* The lines as segments of one deflate stream; *@ret_crc is of all of them. */
static int compress_lines(const struct str *text, struct str *out, uint32_t *ret_crc, struct error *err)
{
	const struct compression how = {.method = COMPRESSION_GZIP, .level = GZIP_LEVEL};
	_cleanup(compressor) struct compressor *c = compressor_new(&how, SEGMENT_CHECK_CRC32);
	size_t room = compressor_bound(&how, SEGMENT_RAW_BYTES), len;
	_cleanup(free) uint8_t *buf = mem_alloc(room);
	uint32_t crc = segment_check_empty(SEGMENT_CHECK_CRC32);

	for (size_t at = 0; at < text->len; at += len) {
		struct segment segment;
		int r;

		len = text->len - at < SEGMENT_RAW_BYTES ? text->len - at : SEGMENT_RAW_BYTES;
		r = compressor_run(c, text->data + at, len, buf, room, &segment, err);
		if (r < 0)
			return r;
		str_append_bytes(out, buf, segment.bytes);
		crc = segment_check_join(SEGMENT_CHECK_CRC32, crc, segment.check, len);
	}
	*ret_crc = crc;
	return 0;
}

static int compress_text(const struct str *text, struct str *out, struct error *err)
{
	uint8_t head[GZIP_HEAD_BYTES], tail[GZIP_TAIL_BYTES];
	uint32_t crc = 0;
	int r;

	gzip_head(head);
	str_append_bytes(out, head, sizeof(head));
	r = compress_lines(text, out, &crc, err);
	if (r < 0)
		return r;
	gzip_tail(crc, text->len, tail);
	str_append_bytes(out, tail, sizeof(tail));
	return 0;
}

/* "records/audit/20261120T020000Z-000000000017-0123456789abcdef.jsonl.gz", with ".age" where it is encrypted. */
static char *pack_key(const struct pack *p, const char *directory, const struct str *content,
                      const char *ending)
{
	uint8_t digest[SHA256_BYTES];
	char first[CLOCK_NAME_BYTES], hash[RECORD_HASH_HEX + 1];

	sha256_once(content->data, content->len, digest);
	hex_encode(digest, RECORD_HASH_BYTES, hash);
	return mem_printf(RECORDS_PREFIX "%s/%s-%012" PRId64 "-%s.jsonl.gz%s", directory,
	                  clock_format_name(p->first_us, first), p->ids[0], hash, ending);
}

static int encrypt_content(const struct age_recipients *recipients, struct str *content, struct error *err)
{
	_cleanup(str) struct str stored = {0};
	int r = age_encrypt(recipients, content->data, content->len, &stored, err);

	if (r < 0)
		return r;
	str_finish(content);
	*content = stored;
	stored = (struct str){0};
	return 0;
}

int pack_record(const struct pack *p, const char *directory, const struct age_recipients *recipients,
                struct catalog_record *ret, struct error *err)
{
	_cleanup(str) struct str content = {0};
	int r = compress_text(&p->text, &content, err);

	if (r == 0 && recipients)
		r = encrypt_content(recipients, &content, err);
	if (r < 0)
		return r;
	*ret = (struct catalog_record){
	        .key = pack_key(p, directory, &content, recipients ? MANIFEST_SEALED_SUFFIX : ""),
	        .bytes = content.len};
	ret->content = str_take(&content);
	return 0;
}
