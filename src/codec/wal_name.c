// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/wal_name.h>

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/str.h>

#define DIGITS         8 /* of each number in a name */
#define SEGMENT_DIGITS (3 * DIGITS)
#define PARTIAL        ".partial"
#define HISTORY        ".history"
#define BACKUP         ".backup"

static_assert(SEGMENT_DIGITS + 1 + DIGITS + sizeof(BACKUP) == WAL_NAME_BYTES, "the longest name");

bool wal_segment_bytes_valid(uint64_t bytes)
{
	return bytes >= WAL_SEGMENT_BYTES_MIN && bytes <= WAL_SEGMENT_BYTES_MAX && (bytes & (bytes - 1)) == 0;
}

static uint32_t segments_of_log(uint32_t segment_bytes)
{
	return (uint32_t)((UINT64_C(1) << 32) / segment_bytes);
}

/* The number in the next eight digits, and *@at behind them. */
static bool take_eight_digits(const char **at, uint32_t *ret)
{
	uint32_t number = 0;

	for (int i = 0; i < DIGITS; i++) {
		char c = (*at)[i];

		if (c >= '0' && c <= '9')
			number = number << 4 | (uint32_t)(c - '0');
		else if (c >= 'A' && c <= 'F')
			number = number << 4 | (uint32_t)(c - 'A' + 10);
		else
			return false;
	}
	*at += DIGITS;
	*ret = number;
	return true;
}

/* What stands behind the digits of a segment. */
static bool parse_wal_suffix(const char *at, struct wal_name *name)
{
	if (*at == '\0') {
		name->kind = WAL_NAME_SEGMENT;
		return true;
	}
	if (str_equal(at, PARTIAL)) {
		name->kind = WAL_NAME_PARTIAL;
		return true;
	}
	name->kind = WAL_NAME_BACKUP;
	return *at++ == '.' && take_eight_digits(&at, &name->offset) && str_equal(at, BACKUP);
}

static bool fits_some_size(const struct wal_name *name)
{
	for (uint32_t bytes = WAL_SEGMENT_BYTES_MIN; bytes <= WAL_SEGMENT_BYTES_MAX; bytes *= 2)
		if (wal_name_fits(name, bytes))
			return true;
	return false;
}

int wal_name_parse(const char *text, struct wal_name *ret)
{
	struct wal_name name = {.kind = WAL_NAME_HISTORY};
	const char *at = text;

	if (!take_eight_digits(&at, &name.timeline) || name.timeline == 0)
		return -EINVAL;
	if (!str_equal(at, HISTORY) &&
	    (!take_eight_digits(&at, &name.log) || !take_eight_digits(&at, &name.segment) ||
	     !parse_wal_suffix(at, &name) || !fits_some_size(&name)))
		return -EINVAL;
	*ret = name;
	return 0;
}

void wal_name_format(const struct wal_name *name, char ret[static WAL_NAME_BYTES])
{
	char segment[SEGMENT_DIGITS + 1];

	snprintf(segment, sizeof(segment), "%08" PRIX32 "%08" PRIX32 "%08" PRIX32, name->timeline, name->log,
	         name->segment);
	switch (name->kind) {
	case WAL_NAME_SEGMENT:
		str_copy(ret, WAL_NAME_BYTES, segment);
		break;
	case WAL_NAME_PARTIAL:
		snprintf(ret, WAL_NAME_BYTES, "%s" PARTIAL, segment);
		break;
	case WAL_NAME_HISTORY:
		snprintf(ret, WAL_NAME_BYTES, "%08" PRIX32 HISTORY, name->timeline);
		break;
	case WAL_NAME_BACKUP:
		snprintf(ret, WAL_NAME_BYTES, "%s.%08" PRIX32 BACKUP, segment, name->offset);
		break;
	}
}

bool wal_name_fits(const struct wal_name *name, uint32_t segment_bytes)
{
	if (name->kind == WAL_NAME_HISTORY)
		return true;
	/* The log of a cluster begins with its second segment, so that no place in it is 0. */
	if (name->log == 0 && name->segment == 0)
		return false;
	return name->segment < segments_of_log(segment_bytes) && name->offset < segment_bytes;
}

uint64_t wal_name_lsn(const struct wal_name *name, uint32_t segment_bytes)
{
	return ((uint64_t)name->log << 32) + (uint64_t)name->segment * segment_bytes + name->offset;
}

struct wal_name wal_name_of_lsn(uint32_t timeline, uint64_t lsn, uint32_t segment_bytes)
{
	return (struct wal_name){.kind = WAL_NAME_SEGMENT,
	                         .timeline = timeline,
	                         .log = (uint32_t)(lsn >> 32),
	                         .segment = (uint32_t)lsn / segment_bytes};
}

struct wal_name wal_name_of_end(uint32_t timeline, uint64_t lsn, uint32_t segment_bytes)
{
	return wal_name_of_lsn(timeline, lsn - 1, segment_bytes);
}

int wal_name_next(const struct wal_name *name, uint32_t segment_bytes, struct wal_name *ret)
{
	uint64_t begin = wal_name_lsn(name, segment_bytes) - name->offset;

	if (name->kind == WAL_NAME_HISTORY)
		return -EINVAL;
	if (begin > UINT64_MAX - segment_bytes)
		return -ERANGE;
	*ret = wal_name_of_lsn(name->timeline, begin + segment_bytes, segment_bytes);
	return 0;
}

int wal_name_previous(const struct wal_name *name, uint32_t segment_bytes, struct wal_name *ret)
{
	uint64_t begin = wal_name_lsn(name, segment_bytes) - name->offset;

	if (name->kind == WAL_NAME_HISTORY)
		return -EINVAL;
	if (begin < UINT64_C(2) * segment_bytes)
		return -ERANGE;
	*ret = wal_name_of_lsn(name->timeline, begin - segment_bytes, segment_bytes);
	return 0;
}

static int order_wal_numbers(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

int wal_name_compare_place(const struct wal_name *a, const struct wal_name *b)
{
	int order = order_wal_numbers(a->log, b->log);

	return order ? order : order_wal_numbers(a->segment, b->segment);
}

int wal_name_compare(const struct wal_name *a, const struct wal_name *b)
{
	int order = order_wal_numbers(a->timeline, b->timeline);

	if (order == 0)
		order = (b->kind == WAL_NAME_HISTORY) - (a->kind == WAL_NAME_HISTORY);
	if (order == 0)
		order = wal_name_compare_place(a, b);
	if (order == 0)
		order = order_wal_numbers(a->kind, b->kind);
	return order ? order : order_wal_numbers(a->offset, b->offset);
}

static int lsn_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One to eight digits. */
static bool take_lsn_half(const char **at, uint32_t *ret)
{
	uint32_t number = 0;
	int digits = 0;

	for (int value; (value = lsn_digit(**at)) >= 0; ++*at) {
		if (++digits > DIGITS)
			return false;
		number = number << 4 | (uint32_t)value;
	}
	*ret = number;
	return digits > 0;
}

int wal_lsn_parse(const char *text, uint64_t *ret)
{
	uint32_t high, low;

	if (!take_lsn_half(&text, &high) || *text++ != '/' || !take_lsn_half(&text, &low) || *text)
		return -EINVAL;
	*ret = (uint64_t)high << 32 | low;
	return 0;
}

const char *wal_lsn_format(uint64_t lsn, char ret[static WAL_LSN_BYTES])
{
	snprintf(ret, WAL_LSN_BYTES, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32), (uint32_t)lsn);
	return ret;
}
