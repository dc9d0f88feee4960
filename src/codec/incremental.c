// SPDX-License-Identifier: Apache-2.0
/* Incremental files: a head of three numbers, the numbers of the pages, what fills these up to a page, and the pages. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/incremental.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MAGIC        0xd3ae1f0dU
#define NUMBER_BYTES sizeof(uint32_t)
#define HEAD_NUMBERS 3

struct incremental_reader {
	struct incremental_to to;
	struct incremental_head head;
	uint32_t *pages;
	uint32_t numbers;                          /* of the head that were read */
	uint32_t read;                             /* numbers of pages that were read */
	uint32_t passed;                           /* pages that were passed on */
	uint64_t padding;                          /* bytes that are still to come before the first page */
	unsigned char buf[INCREMENTAL_PAGE_BYTES]; /* a number, or a page, that is gathered */
	size_t have;
};

struct incremental_reader *incremental_reader_new(const struct incremental_to *to)
{
	struct incremental_reader *r = mem_alloc(sizeof(*r));

	r->to = *to;
	return r;
}

struct incremental_reader *incremental_reader_free(struct incremental_reader *r)
{
	if (!r)
		return NULL;
	free(r->pages);
	free(r);
	return NULL;
}

static int refuse_incremental(const char *what, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "the incremental file is damaged: %s", what);
}

static uint32_t read_little_endian(const unsigned char *b)
{
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static bool is_numbers_end(const struct incremental_reader *r)
{
	return r->numbers == HEAD_NUMBERS && r->read == r->head.count;
}

/* All numbers came. */
static int pass_incremental_head(struct incremental_reader *r, struct error *err)
{
	uint64_t bytes = (HEAD_NUMBERS + (uint64_t)r->head.count) * NUMBER_BYTES;

	if (r->head.count > 0)
		r->padding = -bytes & (INCREMENTAL_PAGE_BYTES - 1);
	r->head.pages = r->pages;
	r->head.total_pages = r->head.truncation_pages;
	if (r->head.count > 0 && r->pages[r->head.count - 1] >= r->head.total_pages)
		r->head.total_pages = r->pages[r->head.count - 1] + 1;
	return r->to.head(r->to.arg, &r->head, err);
}

static int take_incremental_head(struct incremental_reader *r, uint32_t number, struct error *err)
{
	switch (r->numbers++) {
	case 0:
		return number == MAGIC ? 0 : refuse_incremental("it does not begin as one does", err);
	case 1:
		r->head.count = number;
		return number <= INCREMENTAL_PAGES_MAX ? 0 : refuse_incremental("it has too many pages", err);
	default:
		r->head.truncation_pages = number;
		if (number > INCREMENTAL_PAGES_MAX)
			return refuse_incremental("it is too long", err);
		r->pages = mem_array(r->head.count ? r->head.count : 1, sizeof(*r->pages));
		return 0;
	}
}

static int take_page_number(struct incremental_reader *r, uint32_t number, struct error *err)
{
	if (number >= INCREMENTAL_PAGES_MAX)
		return refuse_incremental("a page is too far behind", err);
	if (r->read > 0 && number <= r->pages[r->read - 1])
		return refuse_incremental("its pages do not ascend", err);
	r->pages[r->read++] = number;
	return 0;
}

static int take_incremental_number(struct incremental_reader *r, struct error *err)
{
	uint32_t number = read_little_endian(r->buf);
	int result = r->numbers < HEAD_NUMBERS ? take_incremental_head(r, number, err)
	                                       : take_page_number(r, number, err);

	return result < 0 || !is_numbers_end(r) ? result : pass_incremental_head(r, err);
}

static bool is_incremental_end(const struct incremental_reader *r)
{
	return is_numbers_end(r) && r->passed == r->head.count;
}

/* A number or a page is whole. */
static int take_gathered_bytes(struct incremental_reader *r, struct error *err)
{
	uint32_t number;

	r->have = 0;
	if (!is_numbers_end(r))
		return take_incremental_number(r, err);
	number = r->pages[r->passed++];
	return r->to.page(r->to.arg, number, r->buf, err);
}

static size_t least_of_incremental(uint64_t a, size_t b)
{
	return a < b ? (size_t)a : b;
}

int incremental_reader_feed(struct incremental_reader *r, const void *data, size_t len, struct error *err)
{
	const unsigned char *p = data;
	int result = 0;

	while (result == 0 && len > 0) {
		size_t whole = is_numbers_end(r) ? INCREMENTAL_PAGE_BYTES : NUMBER_BYTES, n;

		if (is_incremental_end(r))
			return refuse_incremental("there is something behind its last page", err);
		if (r->padding > 0) {
			n = least_of_incremental(r->padding, len);
			r->padding -= n;
		} else {
			n = least_of_incremental(whole - r->have, len);
			memcpy(r->buf + r->have, p, n);
			r->have += n;
			if (r->have == whole)
				result = take_gathered_bytes(r, err);
		}
		p += n;
		len -= n;
	}
	return result;
}

int incremental_reader_end(const struct incremental_reader *r, struct error *err)
{
	return is_incremental_end(r) ? 0 : refuse_incremental("it was cut off", err);
}

char *incremental_file_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (!str_starts(name, INCREMENTAL_PREFIX) || !name[strlen(INCREMENTAL_PREFIX)])
		return NULL;
	return mem_printf("%.*s%s", (int)(name - path), path, name + strlen(INCREMENTAL_PREFIX));
}
