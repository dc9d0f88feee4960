// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the tests of the disk cache share: a cache of some slots in a directory of each test's own, and
 * pieces whose bytes follow from their names, so that whatever is read can be told from all others. */
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/cache.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../support/tree.h"

#define MIB    CACHE_SLOT_BYTES
#define RECORD 64 /* bytes, as docs/formats.md has it; the header has the same size */

struct fixture {
	char *root, *dir, *data, *table, *log;
	struct cache *cache;
};

static inline int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	f->root = mem_strdup("/tmp/keepfs-cache-XXXXXX");
	if (!mkdtemp(f->root))
		return -1;
	f->dir = mem_printf("%s/cache", f->root);
	f->data = mem_printf("%s/keepfs-cache.data", f->dir);
	f->table = mem_printf("%s/keepfs-cache.table", f->dir);
	f->log = mem_printf("%s/log", f->root);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	int r;

	cache_free(f->cache);
	r = remove_tree(f->root);
	free(f->root);
	free(f->dir);
	free(f->data);
	free(f->table);
	free(f->log);
	free(f);
	return r;
}

static inline void open_slots(struct fixture *f, unsigned slots)
{
	struct error err = {0};

	f->cache = cache_free(f->cache);
	if (cache_open(f->dir, slots * MIB, &f->cache, &err) < 0)
		fail_msg("%s", err.message);
}

static inline struct cache_piece piece_of(unsigned file, unsigned number, uint32_t bytes)
{
	struct cache_piece p = {.offset = number * (uint64_t)MIB, .bytes = bytes};

	sha256_once(&file, sizeof(file), p.id);
	return p;
}

/* The bytes of @p: none of its words is any other piece's. */
static inline void make_bytes(const struct cache_piece *p, void *ret)
{
	uint64_t word, first;

	memcpy(&first, p->id, sizeof(first));
	for (uint32_t i = 0; i < p->bytes; i += (uint32_t)sizeof(word)) {
		word = (first ^ (p->offset + i)) * UINT64_C(0x9E3779B97F4A7C15) + p->bytes;
		memcpy((char *)ret + i, &word, p->bytes - i < sizeof(word) ? p->bytes - i : sizeof(word));
	}
}

static inline void write_piece(struct cache *c, const struct cache_piece *p)
{
	_cleanup(free) char *bytes = mem_alloc(p->bytes);
	struct iovec iov = {bytes, p->bytes};

	make_bytes(p, bytes);
	cache_write(c, p, &iov, 1);
}

/* 1: there; 0: not there; -1: there, and wrong. */
static inline int look(struct cache *c, const struct cache_piece *p)
{
	_cleanup(free) char *want = mem_alloc(p->bytes), *have = mem_alloc(p->bytes);
	struct iovec iov = {have, p->bytes};

	if (!cache_read(c, p, 0, &iov, 1))
		return 0;
	make_bytes(p, want);
	return memcmp(want, have, p->bytes) == 0 ? 1 : -1;
}

static inline void expect(struct cache *c, const struct cache_piece *p, bool there)
{
	assert_int_equal(look(c, p), there);
}

static inline struct cache_stats stats_of(struct cache *c)
{
	struct cache_stats stats;

	cache_stats(c, &stats);
	return stats;
}

static inline uint64_t disk_bytes(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static inline void load_file(const char *path, struct str *out)
{
	str_clear(out);
	assert_int_equal(fd_read_file(path, 64 * MIB, out), 0);
}

static inline void store_file(const char *path, const void *data, size_t len)
{
	_cleanup(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, data, len), 0);
}

/* Standard error into a file; returns what to give to end_log(). */
static inline int begin_log(struct fixture *f)
{
	_cleanup(fd) int fd = open(f->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int saved = dup(STDERR_FILENO);

	assert_true(fd >= 0 && saved >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	return saved;
}

/* How many lines of the log hold @text; NULL: nobody asks. */
static inline unsigned end_log(struct fixture *f, int saved, const char *text)
{
	_cleanup(str) struct str log = {0};
	unsigned count = 0;

	dup2(saved, STDERR_FILENO);
	close(saved);
	load_file(f->log, &log);
	for (const char *p = str_text(&log); text && (p = strstr(p, text)); p += strlen(text))
		count++;
	return count;
}

static inline void expect_only(struct fixture *f, const char *there)
{
	for (unsigned i = 0; i < 10; i++) {
		struct cache_piece p = piece_of(7, i, 3000);
		int found = look(f->cache, &p);

		if (found != (strchr(there, '0' + (int)i) != NULL))
			fail_msg("piece %u: %d; expected only %s", i, found, there);
	}
}

static inline void write_numbered(struct cache *c, const char *numbers)
{
	for (; *numbers; numbers++) {
		struct cache_piece p = piece_of(7, (unsigned)(*numbers - '0'), 3000);

		write_piece(c, &p);
	}
}

static inline void read_numbered(struct cache *c, const char *numbers)
{
	for (; *numbers; numbers++) {
		struct cache_piece p = piece_of(7, (unsigned)(*numbers - '0'), 3000);

		expect(c, &p, true);
	}
}

static inline uint32_t next_random(uint32_t *x)
{
	*x = *x * 1664525 + 1013904223;
	return *x >> 8;
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
