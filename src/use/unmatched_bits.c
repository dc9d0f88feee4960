// SPDX-License-Identifier: Apache-2.0
#include "unmatched_private.h"

#include <keepfs/base/fd.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

/* A page of a mapped file for which there is no space would end the process when it is written to. */
static int map_bits(struct unmatched_bits *b, const char *directory)
{
	_cleanup(fd) int fd = fd_open_unlinked(directory);
	void *map;
	int r;

	if (fd < 0)
		return fd;
	r = posix_fallocate(fd, 0, (off_t)b->bytes);
	if (r != 0)
		return -r;
	map = mmap(NULL, b->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	b->map = map;
	return 0;
}

int unmatched_bits_open(struct unmatched_bits *b, const char *directory, uint64_t rows, struct error *err)
{
	int r;

	*b = (struct unmatched_bits){.rows = rows, .bytes = (size_t)(rows / 8 + 1)};
	r = map_bits(b, directory);
	return r < 0 ? error_system(err, -r, "a file for the rows that differ cannot be made in %s",
	                            directory)
	             : 0;
}

void unmatched_bits_finish(struct unmatched_bits *b)
{
	if (b->map)
		munmap(b->map, b->bytes);
	b->map = NULL;
}

void unmatched_bits_set(struct unmatched_bits *b, uint64_t number)
{
	b->map[number / 8] |= (uint8_t)(1u << (number % 8));
	b->count++;
}

void unmatched_bits_clear(struct unmatched_bits *b, uint64_t number)
{
	b->map[number / 8] &= (uint8_t) ~(1u << (number % 8));
	b->count--;
}

bool unmatched_bits_has(const struct unmatched_bits *b, uint64_t number)
{
	return b->map && number < b->rows && (b->map[number / 8] >> (number % 8) & 1);
}
