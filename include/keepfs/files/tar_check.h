// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Is a tar stream whole? It is told the bytes as they come, in pieces of any size, and keeps one block of them. It knows POSIX's
 * formats (ustar and pax, https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html) and GNU's long names and sizes; it
 * checks the sum of each header, each record of an extended header, that every entry has all its data, and that the end is
 * there with nothing but zeros behind it. Pure: no I/O. One thread.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAR_BLOCK_BYTES 512

struct tar_check {   /* in the caller's memory; nothing to free; its fields are private */
	uint64_t at; /* how many bytes there were */
	uint64_t entries;
	char block[TAR_BLOCK_BYTES];
	size_t block_bytes;
	uint64_t data_left, padding_left;
	bool extended; /* the data are records of an extended header */
	bool awaits;   /* an extended header or a long name was there, its entry was not yet */
	unsigned zero_blocks;
	uint64_t size; /* what a record "size" said of the next entry */
	bool has_size;
	/* The record that is being read: "LENGTH KEYWORD=VALUE\n". */
	int part;
	uint64_t record_bytes, record_at, value;
	char keyword[8]; /* as much as is needed to know "size" */
	size_t keyword_bytes;
	bool value_is_number, record_ended;
};

void tar_check_init(struct tar_check *c);
/** tar_check_write() - the next @len bytes. -EBADMSG (ERROR_CORRUPT) when they are no tar: the text says what, and at which
 * byte; the check is of no use then. */
int tar_check_write(struct tar_check *c, const void *data, size_t len, struct error *err);
/** tar_check_finish() - 0 when everything was there, and in @ret_entries (NULL allowed) how many files, directories and others;
 * -EBADMSG when it was cut. */
int tar_check_finish(const struct tar_check *c, uint64_t *ret_entries, struct error *err);
