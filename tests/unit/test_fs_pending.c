// SPDX-License-Identifier: Apache-2.0
/* Requests that are answered later, and the interrupts that come in between. */
#include "fs_test.h"

#include <dlfcn.h>

static struct pending pending;
static bool setting; /* fuse_req_interrupt_func() runs: it still needs the request */
static bool replied_while_setting;

/* In front of libfuse's own. */
void fuse_req_interrupt_func(fuse_req_t req, fuse_interrupt_func_t func, void *data)
{
	void (*real)(fuse_req_t, fuse_interrupt_func_t, void *);

	*(void **)&real = dlsym(RTLD_NEXT, "fuse_req_interrupt_func");
	setting = true;
	real(req, func, data);
	setting = false;
}

static ssize_t device_read(int fd, void *buf, size_t len, void *userdata)
{
	return read(fd, buf, len);
}

static ssize_t device_write(int fd, struct iovec *iov, int count, void *userdata)
{
	replied_while_setting |= setting;
	return writev(fd, iov, count);
}

static void begin(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	assert_false(pending_init(&pending, req, NULL));
}

/* The kernel's interrupt may overtake the request that it is for. */
static void an_interrupt_that_came_first(void **state)
{
	static const struct fuse_lowlevel_ops operations = {.getattr = begin};
	static const struct fuse_custom_io io = {.read = device_read, .writev = device_write};
	const struct {
		struct fuse_in_header head;
		struct fuse_init_in body;
	} init = {.head = {.len = sizeof(init), .opcode = FUSE_INIT, .unique = 2},
	          .body = {.major = 7, .minor = 31, .max_readahead = 65536}};
	const struct {
		struct fuse_in_header head;
		struct fuse_interrupt_in body;
	} interrupt = {.head = {.len = sizeof(interrupt), .opcode = FUSE_INTERRUPT, .unique = 5},
	               .body = {.unique = 4}};
	const struct {
		struct fuse_in_header head;
		struct fuse_getattr_in body;
	} request = {.head = {.len = sizeof(request), .opcode = FUSE_GETATTR, .unique = 4, .nodeid = 1}};
	char *argv[] = {(char *)"test", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_session *session;
	struct fuse_out_header *reply;
	char out[512];
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	session = fuse_session_new(&args, &operations, sizeof(operations), NULL);
	fuse_opt_free_args(&args);
	assert_non_null(session);
	assert_int_equal(fuse_session_custom_io(session, &io, ends[0]), 0);
	assert_int_equal(write(ends[1], &init, sizeof(init)), sizeof(init));
	assert_int_equal(write(ends[1], &interrupt, sizeof(interrupt)), sizeof(interrupt));
	assert_int_equal(write(ends[1], &request, sizeof(request)), sizeof(request));
	for (int i = 0; i < 3; i++)
		serve_one(session);
	assert_true(recv(ends[1], out, sizeof(out), 0) > 0); /* to FUSE_INIT */
	assert_int_equal(recv(ends[1], out, sizeof(out), 0), sizeof(*reply));
	reply = (struct fuse_out_header *)out;
	assert_int_equal(reply->unique, 4);
	assert_int_equal(reply->error, -EINTR);
	assert_false(replied_while_setting);
	assert_false(pending_claim(&pending));
	fuse_session_destroy(session);
	close(ends[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_interrupt_that_came_first),
	};

	return cmocka_run_group_tests_name("fs_pending", tests, NULL, NULL);
}
