// SPDX-License-Identifier: Apache-2.0
/* Pages of their own: they can be kept out of core dumps, and nothing of what grew is left behind on the heap. */
#include "secret_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void secret_text_finish(struct secret_text *t)
{
	if (!t->data)
		return;
	explicit_bzero(t->data, t->room);
	munmap(t->data, t->room);
	*t = (struct secret_text){0};
}

static void take_pages(struct secret_text *t, size_t bytes)
{
	secret_text_finish(t);
	t->data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t->data == MAP_FAILED)
		abort(); /* as mem_alloc() does, for the same reason */
	t->room = bytes;
	(void)madvise(t->data, bytes, MADV_DONTDUMP);
}

void secret_text_room(struct secret_text *t)
{
	take_pages(t, SECRET_MAX_BYTES + 2); /* one to see that there is more, and a NUL */
}

int secret_text_read(struct secret_text *t, int fd)
{
	ssize_t n;
	int r = 0;

	secret_text_room(t);
	do {
		n = read(fd, t->data + t->len, SECRET_MAX_BYTES + 1 - t->len);
		t->len += n > 0 ? (size_t)n : 0;
	} while ((n > 0 && t->len <= SECRET_MAX_BYTES) || (n < 0 && errno == EINTR));
	if (n < 0)
		r = -errno;
	else if (t->len > SECRET_MAX_BYTES)
		r = -EFBIG;
	if (r < 0)
		secret_text_finish(t);
	return r;
}

void secret_text_set(struct secret_text *t, const void *bytes, size_t len)
{
	struct secret_text copy = {0};

	take_pages(&copy, len + 1);
	memcpy(copy.data, bytes, len);
	copy.len = len;
	secret_text_finish(t);
	*t = copy;
}
