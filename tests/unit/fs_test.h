// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What the tests of the mount share: a tree over a real catalog, and its kernel, which the test plays over a
 * socket. fs_test.c is compiled into each program that is named test_fs_….c.
 */
#include "../../src/fs/fs_private.h"
#include "../../src/fs/handle.h"
#include "../../src/fs/made_file.h"
#include "../../src/fs/text.h"

#include <keepfs/artifact.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#define MESSAGE_BYTES 65536

struct fixture {
	char directory[64];
	char *url;
	struct conf conf;
	struct store *store;
	struct catalog *catalog;
	struct repository repository; /* of both */
	struct report_troubles *troubles;
	struct fs *fs;
	int kernel; /* the kernel's end of the session */
	uint64_t unique;
	/* names that the kernel was told to forget, each with a line end; "links/" before one that was
	 * there */
	struct str told;
};

/** set_up() - over a store that is a directory; set_up_s3(): over S3, without a network, so no request is
 * made. */
int set_up(void **state);
int set_up_s3(void **state);
/** set_up_with() - as set_up(), with @ops as what the kernel's requests come to. */
int set_up_with(void **state, const struct fuse_lowlevel_ops *ops);
int tear_down(void **state);

#define TREE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define LINK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_s3, tear_down)

/** serve_one() - keepfs takes one request of the kernel's. */
void serve_one(struct fuse_session *session);
/** ask() - send a request and serve it: 0 and up the length of the answer's body in @answer (MESSAGE_BYTES),
 * negative the error. */
ssize_t ask(struct fixture *f, uint32_t opcode, uint64_t ino, const void *body, size_t len, char *answer);
/** receive() - the body of one message from keepfs: 0 and up its length, negative the error that it carries;
 * -EAGAIN: there is none. What answers no request goes to f->told, and the next message is awaited. */
ssize_t receive(struct fixture *f, char *body, size_t size, int flags);
/** told() - once the workers are done, all that they had to tell the kernel. */
const char *told(struct fixture *f);

/** add() - an artifact "full/20261120T020000Z.dump" with further files (NULL-terminated; may be NULL). One
 * without a suffix is a directory. Its own file has 100 bytes, a further one 10, and is
 * secret when its name says so, or is GLOBALS. */
void add(struct fixture *f, const char *name, bool partial, const char *const *files);
/** add_some() - a dump with two files beside it, a newer one that is a directory, and one that is newer
 * still, but partial. */
void add_some(struct fixture *f);

#define DUMP     "20261120T020000Z.dump"
#define TABLES   "20261120T020000Z.tables.csv"
#define GLOBALS  "20261120T020000Z.globals.sql.gz"
#define TREE     "20261121T020000Z"
#define SCHEMA   "20261122T020000Z.schema.dump"
#define NEWER    "20261125T020000Z.dump"
#define FINISHED (INT64_C(1795140000) + 5) /* DUMP */
#define A_DAY_S  86400

extern const char *const dump_files[3]; /* of DUMP */
extern const char *const tree_files[4]; /* of TREE */

/** find() - the node at @path ("": the root of the mount), name by name; negative errno. */
int find(struct fixture *f, const char *path, struct node *ret);
uint64_t ino_at(struct fixture *f, const char *path);
struct stat stat_at(struct fixture *f, const char *path);
/** list() - heap: all names of a directory in the order in which they come, each with a blank behind it, a
 * directory's with a slash, read @size bytes at a time. */
char *list(struct fixture *f, const char *path, uint32_t size, bool plus);
void assert_lists(struct fixture *f, const char *path, const char *names);
/** attribute() - heap: user.keepfs.@name of @path; NULL when it has none. */
char *attribute(struct fixture *f, const char *path, const char *name);
/** try_remove() - @opcode: FUSE_UNLINK or FUSE_RMDIR. */
int try_remove(struct fixture *f, uint32_t opcode, const char *directory, const char *name);
/** last_error() - heap: the lines of status/last-error without their times. */
char *last_error(struct fixture *f);
