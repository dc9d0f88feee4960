// SPDX-License-Identifier: Apache-2.0
#include "dir_names.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASK_EVERY 4096 /* names, for a cancel */

int dir_names_open(struct dir_names *l, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int r;

	if (copy < 0)
		return -errno;
	l->dir = fdopendir(copy);
	if (l->dir)
		return 0;
	r = -errno;
	close(copy);
	return r;
}

static void close_dir(struct dir_names *l)
{
	if (l->dir)
		closedir(l->dir);
	l->dir = NULL;
}

static void add_name(struct dir_names *l, const char *name, unsigned char type)
{
	if (str_equal(name, ".") || str_equal(name, ".."))
		return;
	if (l->count == l->room) {
		l->room = l->room ? l->room * 2 : 16;
		l->sorted = mem_resize(l->sorted, l->room, sizeof(*l->sorted));
	}
	str_append_char(&l->bytes, (char)type);
	l->sorted[l->count++] = l->bytes.len;
	str_append_bytes(&l->bytes, name, strlen(name) + 1);
}

static int compare_listed(const void *a, const void *b, void *bytes)
{
	return strcmp((const char *)bytes + *(const size_t *)a, (const char *)bytes + *(const size_t *)b);
}

/* Return: why the end came early, or 0. */
static int read_name_piece(struct dir_names *l, struct cancel *cancel)
{
	const struct dirent *entry = NULL;
	size_t most = l->at_once ? l->at_once : DIR_NAMES_AT_ONCE;
	int errnum = 0;

	l->count = l->next = 0;
	str_clear(&l->bytes);
	while (l->count < most) {
		if (l->count % ASK_EVERY == 0 && cancel_is_set(cancel))
			return ECANCELED;
		errno = 0;
		entry = readdir(l->dir);
		errnum = errno;
		if (!entry)
			break;
		add_name(l, entry->d_name, entry->d_type);
	}
	if (!entry)
		close_dir(l);
	if (l->count > 0)
		qsort_r(l->sorted, l->count, sizeof(*l->sorted), compare_listed, l->bytes.data);
	return entry ? 0 : errnum;
}

const char *dir_names_next(struct dir_names *l, struct cancel *cancel, int *ret_errnum)
{
	*ret_errnum = 0;
	while (l->next == l->count) {
		if (!l->dir)
			return NULL;
		*ret_errnum = read_name_piece(l, cancel);
		if (*ret_errnum == ECANCELED)
			return NULL;
	}
	return l->bytes.data + l->sorted[l->next++];
}

void dir_names_finish(struct dir_names *l)
{
	close_dir(l);
	str_finish(&l->bytes);
	free(l->sorted);
}
