// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Through a directory, depth first, each directory before what is in it, names in order. Every name is opened (O_PATH, or a file for reading; no link is
 * followed) relative to the descriptor of its directory, so a path may have any length, and what is being walked may be moved.
 * The descriptors of the deepest 64 directories stay open; one further up is opened again by "..", and is compared.
 */
#include <keepfs/files.h>
#include <sys/stat.h>

#define WALK_LEAVE_OUT 1

struct walk_entry {       /* borrowed for the call */
	const char *path; /* relative to the root, which is "" */
	int fd;           /* of O_PATH, unless is_open */
	const struct statx *st;
	bool is_open; /* a file, and @fd can be read */
	bool other_mount; /* of another mount than the root, and mounts are not to be crossed: it is not entered */
};

enum walk_trouble { WALK_VANISHED, WALK_UNREADABLE, WALK_EXCLUDED };

struct walk_visitor {
	/* Return: 0 to go on (into a directory), WALK_LEAVE_OUT not to enter it, negative to end everything. */
	int (*visit)(void *arg, const struct walk_entry *e, struct error *err);
	/* Files are read: what the directory says is a file is opened for that at once, instead of with O_PATH first, which takes twice as many calls. One that must not be read comes with O_PATH, like
	 * everything else. */
	bool reads_files;
	/* A name that cannot be visited, or a directory that was visited and cannot be entered, or not to its end. */
	void (*trouble)(void *arg, enum walk_trouble what, const char *path, int errnum);
	void *arg;
};

/** walk_directory() - visit the root of @source and everything in it. 0; what the visitor returned; negative errno when the root itself
 * cannot be opened; -ECANCELED. */
int walk_directory(const struct files_source *source, const struct walk_visitor *visitor, struct error *err);

/** walk_stat() - all that we ask of a file, of an open descriptor; 0 or negative errno. */
int walk_stat(int fd, struct statx *ret);
/** walk_device() - the number of the file system, for comparing. */
uint64_t walk_device(const struct statx *st);
