// SPDX-License-Identifier: Apache-2.0
/* A tar as a row of states: a header's block, data (which may be records), the zeros that fill its last block, the end. */
#include "tar.h"

#include <keepfs/files/tar_check.h>

#include <errno.h>
#include <string.h>

enum record_part { RECORD_LENGTH, RECORD_KEYWORD, RECORD_VALUE };

#define END_BLOCKS 2 /* of zeros end an archive */

void tar_check_init(struct tar_check *c)
{
	*c = (struct tar_check){0};
}

static int corrupt(const struct tar_check *c, struct error *err, const char *what)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "the archive is damaged near byte %llu: %s",
	                 (unsigned long long)c->at, what);
}

/* A number of a header: octal digits, or base 256 when the first bit is set. Return: -EBADMSG when it is none. */
static int header_number(const char *field, size_t len, uint64_t *ret)
{
	const unsigned char *p = (const unsigned char *)field, *end = p + len;
	uint64_t value = 0;

	if (*p & 0x80) {
		value = *p++ & 0x7f;
		for (; p < end; p++) {
			if (value >> 56)
				return -EBADMSG;
			value = value << 8 | *p;
		}
		*ret = value;
		return 0;
	}
	while (p < end && *p == ' ')
		p++;
	if (p == end || *p < '0' || *p > '7')
		return -EBADMSG;
	for (; p < end && *p >= '0' && *p <= '7'; p++)
		value = value << 3 | (*p - '0');
	if (p < end && *p != ' ' && *p != '\0')
		return -EBADMSG;
	*ret = value;
	return 0;
}

static bool checksum_is_right(const struct tar_header *h)
{
	uint64_t told;

	return header_number(h->checksum, sizeof(h->checksum), &told) == 0 && told == tar_checksum(h);
}

static bool describes_another(char type)
{
	return type == TAR_EXTENDED || type == TAR_GLOBAL || type == TAR_LONG_NAME || type == TAR_LONG_LINK;
}

static bool is_known(char type)
{
	return (type >= TAR_FILE && type <= TAR_CONTIGUOUS) || type == '\0' || describes_another(type);
}

static bool has_data(char type)
{
	return type == TAR_FILE || type == TAR_CONTIGUOUS || type == '\0' || describes_another(type);
}

static void begin_entry_data(struct tar_check *c, char type, uint64_t size)
{
	c->data_left = size;
	c->padding_left = -size % TAR_BLOCK_BYTES;
	c->extended = type == TAR_EXTENDED || type == TAR_GLOBAL;
	c->part = RECORD_LENGTH;
	c->record_bytes = c->record_at = 0;
	c->record_ended = true;
	if (describes_another(type)) {
		c->awaits = type != TAR_GLOBAL;
		return;
	}
	c->entries++;
	c->awaits = c->has_size = false;
}

static int take_header(struct tar_check *c, struct error *err)
{
	const struct tar_header *h = (const struct tar_header *)c->block;
	uint64_t size;

	if (c->zero_blocks > 0)
		return corrupt(c, err, "a block of zeros stands before the end");
	if (!checksum_is_right(h))
		return corrupt(c, err, "the checksum of a header is wrong");
	if (!is_known(h->type))
		return corrupt(c, err, "a header is of an unknown type");
	if (header_number(h->size, sizeof(h->size), &size) < 0)
		return corrupt(c, err, "the size in a header is no number");
	if (c->has_size && !describes_another(h->type))
		size = c->size;
	if (size > INT64_MAX)
		return corrupt(c, err, "the size in a header is too large");
	if (size > 0 && !has_data(h->type))
		return corrupt(c, err, "a header has a size, but is not of a file");
	begin_entry_data(c, h->type, size);
	return 0;
}

static bool is_zero(const char *block, size_t len)
{
	return len == 0 || (block[0] == 0 && memcmp(block, block + 1, len - 1) == 0);
}

static int take_block(struct tar_check *c, struct error *err)
{
	if (!is_zero(c->block, sizeof(c->block)))
		return take_header(c, err);
	if (c->awaits)
		return corrupt(c, err, "an extended header has no entry");
	c->zero_blocks++;
	return 0;
}

static int digit_of(struct tar_check *c, char byte, uint64_t *number, struct error *err)
{
	if (byte < '0' || byte > '9' || *number > (uint64_t)INT64_MAX / 10 - 1)
		return corrupt(c, err, "a record of an extended header has a bad number");
	*number = *number * 10 + (uint64_t)(byte - '0');
	return 0;
}

static int take_length(struct tar_check *c, char byte, struct error *err)
{
	if (byte != ' ')
		return digit_of(c, byte, &c->record_bytes, err);
	if (c->record_bytes <= c->record_at || c->record_bytes - c->record_at > c->data_left)
		return corrupt(c, err, "a record of an extended header has a bad length");
	c->part = RECORD_KEYWORD;
	c->keyword_bytes = 0;
	c->value = 0;
	return 0;
}

static void take_keyword(struct tar_check *c, char byte)
{
	if (byte == '=') {
		c->part = RECORD_VALUE;
		c->value_is_number = c->keyword_bytes == 4 && memcmp(c->keyword, "size", 4) == 0;
		return;
	}
	if (c->keyword_bytes < sizeof(c->keyword))
		c->keyword[c->keyword_bytes++] = byte;
}

static int end_record(struct tar_check *c, char byte, struct error *err)
{
	if (byte != '\n' || c->part != RECORD_VALUE)
		return corrupt(c, err, "a record of an extended header does not end where it should");
	if (c->value_is_number) {
		c->size = c->value;
		c->has_size = true;
	}
	c->part = RECORD_LENGTH;
	c->record_bytes = c->record_at = 0;
	return 0;
}

/* data_left counts this byte no more. */
static int take_record_byte(struct tar_check *c, char byte, struct error *err)
{
	c->record_ended = false;
	c->record_at++;
	if (c->part == RECORD_LENGTH)
		return take_length(c, byte, err);
	if (c->record_at == c->record_bytes) {
		c->record_ended = true;
		return end_record(c, byte, err);
	}
	if (c->part == RECORD_KEYWORD)
		take_keyword(c, byte);
	else if (c->value_is_number)
		return digit_of(c, byte, &c->value, err);
	return 0;
}

static size_t at_most(uint64_t left, size_t len)
{
	return left < len ? (size_t)left : len;
}

static int take_records(struct tar_check *c, const char *data, size_t len, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < len && r == 0; i++) {
		c->data_left--;
		r = take_record_byte(c, data[i], err);
	}
	if (r == 0 && c->data_left == 0 && !c->record_ended)
		return corrupt(c, err, "the last record of an extended header is cut");
	return r;
}

/* Return: how many of @len bytes it took, or negative. */
static ssize_t take_entry_data(struct tar_check *c, const char *data, size_t len, struct error *err)
{
	int r = 0;

	if (c->data_left == 0) {
		len = at_most(c->padding_left, len);
		c->padding_left -= len;
		return (ssize_t)len;
	}
	len = at_most(c->data_left, len);
	if (c->extended)
		r = take_records(c, data, len, err);
	else
		c->data_left -= len;
	return r < 0 ? r : (ssize_t)len;
}

static ssize_t take_header_bytes(struct tar_check *c, const char *data, size_t len, struct error *err)
{
	int r = 0;

	len = at_most(TAR_BLOCK_BYTES - c->block_bytes, len);
	memcpy(c->block + c->block_bytes, data, len);
	c->block_bytes += len;
	if (c->block_bytes == TAR_BLOCK_BYTES) {
		c->block_bytes = 0;
		r = take_block(c, err);
	}
	return r < 0 ? r : (ssize_t)len;
}

int tar_check_write(struct tar_check *c, const void *data, size_t len, struct error *err)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = c->data_left > 0 || c->padding_left > 0 ? take_entry_data(c, p, len, err)
		                                                    : take_header_bytes(c, p, len, err);

		if (n < 0)
			return (int)n;
		p += n;
		len -= (size_t)n;
		c->at += (uint64_t)n;
	}
	return 0;
}

int tar_check_finish(const struct tar_check *c, uint64_t *ret_entries, struct error *err)
{
	if (c->zero_blocks < END_BLOCKS || c->block_bytes > 0)
		return corrupt(c, err, "it is not whole, its end is missing");
	if (ret_entries)
		*ret_entries = c->entries;
	return 0;
}
