// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What was learnt about dumps with effort, in files below the state directory, so that a restart does not learn it again. A directory for each dump,
 * a file for each thing that was learnt; docs/formats.md says what is in one. Nothing here is needed, and nothing is trusted: a file whose
 * checksum, version, kind or subject is not what it must be counts as not there, and is removed. A file is written under another name and then
 * renamed, so several processes may write at once, and one that dies leaves no half of a file.
 *
 * There is a limit for all of them: those that were not used for longest go, and those of dumps that are gone. What cannot be written is not kept,
 * which is said in the log once. Any thread; blocks on the local disk.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEPT_LIMIT_BYTES ((uint64_t)256 << 20) /* of all files */
#define KEPT_FILE_PART   4                     /* of the limit: a file may have no more */
#define KEPT_ID_BYTES    32
#define KEPT_VERSION     1U

enum kept_kind { /* names and files have them; never changed */
	         KEPT_MEMBER = 1,
	         KEPT_TEXT = 2,
	         KEPT_BLOCKS = 3,
	         KEPT_CSV = 4,
	         KEPT_BLOBS = 5,
};

struct kept;

struct kept_options {
	const char *state_dir; /* borrowed */
	uint64_t limit_bytes;  /* 0: KEPT_LIMIT_BYTES */
	/* Is there still a dump of that number, finished at that time? NULL: nobody knows. */
	bool (*is_there)(void *arg, uint64_t dump_ino, int64_t finished_at_us);
	void *arg;
};

/** kept_new() - nothing is read or made yet. */
struct kept *kept_new(const struct kept_options *options);
struct kept *kept_free(struct kept *k); /* NULL allowed; returns NULL */
/** kept_tidy() - at a start: remove files of dumps that are gone, what a crash has left, and what is beyond the limit. */
void kept_tidy(struct kept *k);
/** kept_forget_dump() - all of a dump, whenever it was finished. */
void kept_forget_dump(struct kept *k, uint64_t dump_ino);

struct kept_name { /* of one thing */
	uint64_t dump_ino;
	int64_t finished_at_us;
	enum kept_kind kind;
	uint64_t key;
	uint8_t id[KEPT_ID_BYTES]; /* of the bytes that it is about: reader_cache_id() */
};

void kept_forget(struct kept *k, const struct kept_name *name);

/* Writing: begin, put, end. Nothing fails: what went wrong is told by kept_end(), in the log. */

struct kept_writer {
	struct kept *kept;
	struct kept_name name;
	char *directory, *temporary; /* paths */
	int dir_fd, fd;
	struct str pending;
	uint64_t bytes;
	uint32_t crc;
	int error; /* the first one */
};

void kept_begin(struct kept *k, const struct kept_name *name, struct kept_writer *ret);
void kept_put(struct kept_writer *w, const void *data, size_t len);
void kept_put_u32(struct kept_writer *w, uint32_t value);
void kept_put_u64(struct kept_writer *w, uint64_t value);
/** kept_end() - it has all that it is to have, and stands under its name from now on; with @whole false, or after a failure, nothing has changed. */
void kept_end(struct kept_writer *w, bool whole);

/** kept_exists() - there is a file of that name, whatever is in it. */
bool kept_exists(struct kept *k, const struct kept_name *name);

/* Reading: open, get, close. */

struct kept_reader {
	struct kept *kept;
	struct kept_name name;
	int fd;
	uint64_t at, end; /* in the file, of what comes next; where it ends */
	char *buf;
	size_t buf_at, buf_len;
	bool wrong; /* more was asked for than there is, or the disk does not give it */
};

/** kept_open() - false: it is not kept, or not as it must be. Else its checksum is right, and kept_close(). */
bool kept_open(struct kept *k, const struct kept_name *name, struct kept_reader *ret);
/** kept_get() - exactly so many bytes; false, and @data is not to be used: there are not so many, and kept_close() says so as well. */
bool kept_get(struct kept_reader *r, void *data, size_t len);
uint32_t kept_get_u32(struct kept_reader *r); /* 0 when there are none */
uint64_t kept_get_u64(struct kept_reader *r);
/** kept_left() - bytes that come yet. */
uint64_t kept_left(const struct kept_reader *r);
/** kept_close() - false: what it said makes no sense (@sound false), or there was more or less of it than was asked for: the file is removed. */
bool kept_close(struct kept_reader *r, bool sound);
