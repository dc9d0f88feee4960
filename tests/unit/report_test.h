// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What tests of texts over a real catalog share; cmocka's headers come before. */
#include <ftw.h>
#include <stdio.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/spool.h>

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static inline void remove_tree(const char *directory)
{
	nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* What was written to *@out, on the heap; it is empty from then on. */
static inline char *take_text(struct spool **out, const char *directory)
{
	size_t size = spool_size(*out);
	char *text = mem_alloc(size + 1);

	assert_int_equal(spool_error(*out), 0);
	assert_int_equal(spool_read(*out, text, size, 0), size);
	spool_free(*out);
	*out = spool_new(directory);
	return text;
}
