// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The names of one directory, in the order of their bytes. More than DIR_NAMES_AT_ONCE come in pieces of that many, each in order. */
#include <dirent.h>
#include <keepfs/base/cancel.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stdint.h>

#define DIR_NAMES_AT_ONCE ((size_t)100000)

struct dir_names {        /* start with {0} */
	DIR *dir;         /* NULL once everything was read */
	struct str bytes; /* the names of this piece, each with its type before it and its NUL */
	size_t *sorted;   /* where the names begin */
	size_t room, count, next;
	size_t at_once; /* 0: DIR_NAMES_AT_ONCE */
};

/** dir_names_open() - @fd stays the caller's, and must stay open while dir_names_ended() is false. 0 or negative errno. */
int dir_names_open(struct dir_names *l, int fd);
/** dir_names_next() - borrowed until the next call; NULL at the end. *@ret_errnum, with a name or without: 0, or why there will be
 * fewer names than there are (ECANCELED when it was cancelled). Told once. */
const char *dir_names_next(struct dir_names *l, struct cancel *cancel, int *ret_errnum);
/** dir_names_type() - what @name, as dir_names_next() returned it, was when the directory was read: DT_REG, DT_DIR, …; DT_UNKNOWN where the file system does not say. */
static inline unsigned char dir_names_type(const char *name)
{
	return (unsigned char)name[-1];
}
static inline bool dir_names_ended(const struct dir_names *l)
{
	return !l->dir;
}
void dir_names_finish(struct dir_names *l);
