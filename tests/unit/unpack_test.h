// SPDX-License-Identifier: Apache-2.0
#pragma once
/** An archive of the disk held against a directory, or unpacked into it, in pieces of an odd size. */
#include <keepfs/base/fd.h>
#include <keepfs/files/unpack.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define UNPACK_PIECE 70001

/** give_file() - all of the file @path; then the end. */
static inline int give_file(struct files_unpack *u, const char *path, struct error *err)
{
	_cleanup(free) char *piece = malloc(UNPACK_PIECE);
	FILE *file = fopen(path, "re");
	int r = file && piece ? 0 : -ENOENT;
	size_t n;

	while (r == 0 && (n = fread(piece, 1, UNPACK_PIECE, file)) > 0)
		r = files_unpack_write(u, piece, n, err);
	if (file)
		fclose(file);
	return r < 0 ? r : files_unpack_finish(u, err);
}

static inline int compare_file_with(const struct files_unpack_options *options, const char *path,
                                    struct files_comparison *ret, struct error *err)
{
	_cleanup(files_unpack) struct files_unpack *u = NULL;
	int r = files_compare_begin(options, ret, &u, err);

	return r < 0 ? r : give_file(u, path, err);
}

static inline int extract_file_to(const struct files_unpack_options *options, const char *path,
                                  const struct files_comparison *known, struct files_outcome *ret,
                                  struct error *err)
{
	_cleanup(files_unpack) struct files_unpack *u = NULL;
	int r = files_extract_begin(options, known, ret, &u, err);

	return r < 0 ? r : give_file(u, path, err);
}
