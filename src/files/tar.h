// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The format of an archive: POSIX's ustar header, with records of pax before it for what does not fit into it, and what GNU tar,
 * star and libarchive agreed on for attributes (SCHILY.xattr.NAME, SCHILY.acl.access, SCHILY.acl.default) and for files with holes
 * (GNU.sparse, version 1.0: https://www.gnu.org/software/tar/manual/html_node/PAX-1.html).
 *
 * Names are bytes. They stand in the header itself whenever they fit (100 bytes, or 255 with a '/' at the right place), where no
 * reader converts them; a record is UTF-8 for readers, so one that is not is announced by hdrcharset=BINARY.
 */
#include <keepfs/base/str.h>
#include <keepfs/codec/tar_header.h>
#include <keepfs/files/tar_check.h>
#include <stdint.h>
#include <time.h>

#define TAR_FILE       '0'
#define TAR_HARD_LINK  '1'
#define TAR_SYMLINK    '2'
#define TAR_CHARACTER  '3'
#define TAR_BLOCK      '4'
#define TAR_DIRECTORY  '5'
#define TAR_FIFO       '6'
#define TAR_CONTIGUOUS '7'
#define TAR_EXTENDED   'x'
#define TAR_GLOBAL     'g'
#define TAR_LONG_NAME  'L'
#define TAR_LONG_LINK  'K'

struct tar_entry {
	const char *path; /* a directory's ends in '/' */
	const char *link; /* what a link leads to; NULL */
	const char *uname, *gname;
	char type;
	unsigned mode; /* permissions with setuid, setgid and sticky */
	uint64_t uid, gid;
	uint64_t size; /* of the data that follow */
	struct timespec mtime;
	unsigned major, minor;
	/* A file with holes: the data that follow begin with a map; readers that know the format give it @path and @real_size. */
	bool sparse;
	uint64_t real_size;
	const struct str *attributes; /* records that are complete, from tar_append_record(); NULL */
};

/** tar_append_entry() - append all headers of @e, a whole number of blocks, to whole blocks. */
void tar_append_entry(struct str *out, const struct tar_entry *e);
/** tar_append_record() - append one record of pax; @value may hold any bytes. */
void tar_append_record(struct str *out, const char *keyword, const void *value, size_t len);
/** tar_checksum() - what the header's checksum has to be. */
uint64_t tar_checksum(const struct tar_header *h);
