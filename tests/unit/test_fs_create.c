// SPDX-License-Identifier: Apache-2.0
/*
 * A class and a kind of handle that only this test has: its files are created, written, and answer in flush,
 * from another thread. No other file of the room knows of it, and none has to.
 */
#include "fs_test.h"

#define OWN_INO    4711
#define LONGEST    8 /* more bytes are refused when the file is closed */
#define DIRECTORY  "wal"
#define NEVER_MADE "never"
#define REFUSED    "refused"

struct own_handle {
	struct handle base;
	struct str written;
};

struct flush_request { /* of the worker alone: an interrupted caller may have closed the file */
	struct pending pending;
	size_t bytes;
};

static int live; /* handles */

static void write_own(fuse_req_t req, struct handle *h, const char *buf, size_t size, off_t off,
                      uint64_t owner)
{
	str_append_bytes(&((struct own_handle *)h)->written, buf, size);
	fuse_reply_write(req, size);
}

static void store(void *arg)
{
	struct flush_request *fr = arg;

	if (pending_claim(&fr->pending))
		fuse_reply_err(fr->pending.req, fr->bytes > LONGEST ? EFBIG : 0);
	free(fr);
}

static void flush_own(fuse_req_t req, struct handle *h, uint64_t owner)
{
	struct flush_request *fr = mem_alloc(sizeof(*fr));

	fr->bytes = ((struct own_handle *)h)->written.len;
	pending_init(&fr->pending, req, NULL);
	workers_add(h->fs->workers, store, fr);
}

static void release_own(struct handle *h)
{
	struct own_handle *own = (struct own_handle *)h;

	str_finish(&own->written);
	free(own);
	live--;
}

static int stat_own(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= 0600;
	return node->ino == OWN_INO ? 0 : -EIO;
}

static int create_own(struct fuse_req *req, const struct node *directory, const char *name,
                      const struct fuse_file_info *fi, struct node *ret, struct handle **ret_handle,
                      struct error *err)
{
	static const struct handle_ops ops = {.write = write_own, .flush = flush_own, .release = release_own};
	static const struct node_class file = {.type = S_IFREG, .stat = stat_own, .writable = true};
	struct own_handle *own;

	if (str_equal(name, REFUSED))
		return error_set(err, ERROR_CONFLICT, EEXIST, "another segment of this name was archived");
	own = mem_alloc(sizeof(*own));
	handle_init(&own->base, fs_of(req), &ops, OWN_INO);
	live++;
	*ret = (struct node){.ino = str_equal(name, NEVER_MADE) ? OWN_INO + 1 : OWN_INO, .class = &file};
	*ret_handle = &own->base;
	return 0;
}

static char *path_own(struct fs *fs, const struct node *node)
{
	return mem_strdup(DIRECTORY);
}

static void op_create_own(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                          struct fuse_file_info *fi)
{
	static const struct node_class class = {.type = S_IFDIR, .create = create_own, .path = path_own};
	const struct node directory = {.ino = parent, .class = &class};

	node_create(req, &directory, name, fi);
}

static int set_up_own(void **state)
{
	static const struct fuse_lowlevel_ops operations = {
	        .create = op_create_own,
	        .read = op_read,
	        .write = op_write,
	        .flush = op_flush,
	        .release = op_release,
	};

	live = 0;
	return set_up_with(state, &operations);
}

static char answer[MESSAGE_BYTES];

static int create(struct fixture *f, const char *name, uint64_t *ret_fh)
{
	struct {
		struct fuse_create_in in;
		char name[64];
	} body = {.in = {.flags = O_WRONLY | O_CREAT | O_EXCL, .mode = S_IFREG | 0644}};
	ssize_t n;

	str_copy(body.name, sizeof(body.name), name);
	n = ask(f, FUSE_CREATE, 99, &body, sizeof(body.in) + strlen(name) + 1, answer);
	if (n < 0)
		return (int)n;
	assert_int_equal(n, sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out));
	assert_int_equal(((const struct fuse_entry_out *)answer)->nodeid, OWN_INO);
	assert_int_equal(((const struct fuse_entry_out *)answer)->attr.mode, S_IFREG | 0600);
	*ret_fh = ((const struct fuse_open_out *)(answer + sizeof(struct fuse_entry_out)))->fh;
	return 0;
}

static int write_text(struct fixture *f, uint64_t fh, const char *text)
{
	struct {
		struct fuse_write_in in;
		char text[64];
	} body = {.in = {.fh = fh, .size = (uint32_t)strlen(text)}};
	ssize_t n;

	str_copy(body.text, sizeof(body.text), text);
	n = ask(f, FUSE_WRITE, OWN_INO, &body, sizeof(body.in) + strlen(text), answer);
	return n < 0 ? (int)n : (int)((const struct fuse_write_out *)answer)->size;
}

static int flush(struct fixture *f, uint64_t fh)
{
	struct fuse_flush_in in = {.fh = fh};

	return (int)ask(f, FUSE_FLUSH, OWN_INO, &in, sizeof(in), answer);
}

static int read_some(struct fixture *f, uint64_t fh)
{
	struct fuse_read_in in = {.fh = fh, .size = 16};

	return (int)ask(f, FUSE_READ, OWN_INO, &in, sizeof(in), answer);
}

static int release(struct fixture *f, uint64_t fh)
{
	struct fuse_release_in in = {.fh = fh};

	return (int)ask(f, FUSE_RELEASE, OWN_INO, &in, sizeof(in), answer);
}

static void created_written_and_closed(void **state)
{
	struct fixture *f = *state;
	uint64_t fh;

	assert_int_equal(create(f, "0001", &fh), 0);
	assert_int_equal(flush(f, fh), 0);
	assert_int_equal(write_text(f, fh, "1234"), 4);
	assert_int_equal(read_some(f, fh), -EBADF);
	assert_int_equal(flush(f, fh), 0);
	assert_int_equal(write_text(f, fh, "56789"), 5);
	assert_int_equal(flush(f, fh), -EFBIG);
	assert_int_equal(live, 1);
	assert_int_equal(release(f, fh), 0);
	assert_int_equal(live, 0);
}

static void a_refusal_says_why(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *why = NULL;
	uint64_t fh;

	assert_int_equal(create(f, REFUSED, &fh), -EEXIST);
	why = last_error(f);
	assert_string_equal(why,
	                    "EEXIST " DIRECTORY "/" REFUSED ": another segment of this name was archived\n");
	assert_int_equal(live, 0);
}

/* No release follows, so the handle is freed at once. */
static void what_has_no_attributes_is_not_open(void **state)
{
	struct fixture *f = *state;
	uint64_t fh;

	assert_int_equal(create(f, NEVER_MADE, &fh), -EIO);
	assert_int_equal(live, 0);
}

static void what_is_open_at_the_end_is_released(void **state)
{
	uint64_t fh;

	assert_int_equal(set_up_own(state), 0);
	assert_int_equal(create(*state, "0001", &fh), 0);
	assert_int_equal(live, 1);
	tear_down(state);
	assert_int_equal(live, 0);
}

int main(void)
{
#define OWN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_own, tear_down)
	static const struct CMUnitTest tests[] = {
	        OWN_TEST(created_written_and_closed),
	        OWN_TEST(a_refusal_says_why),
	        OWN_TEST(what_has_no_attributes_is_not_open),
	        cmocka_unit_test(what_is_open_at_the_end_is_released),
	};

	return cmocka_run_group_tests_name("fs_create", tests, NULL, NULL);
}
