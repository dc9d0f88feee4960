// SPDX-License-Identifier: Apache-2.0
/* Bytes from one who never blocks to one who does. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/stream/intake.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

#define NOT_DONE 1
#define PIECES   2000

struct piece { /* as a writer has it */
	struct intake_piece base;
	int result;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

static void note_done(struct intake_piece *piece, int r)
{
	struct piece *p = (struct piece *)piece;

	pthread_mutex_lock(&p->lock);
	p->result = r;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static void offer(struct intake *in, struct piece *p, const char *text)
{
	*p = (struct piece){
	        .base = {.data = text, .len = text ? strlen(text) : 0, .is_end = !text, .done = note_done},
	        .result = NOT_DONE};
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	intake_offer(in, &p->base);
}

static int wait_done(struct piece *p)
{
	int r;

	pthread_mutex_lock(&p->lock);
	while (p->result == NOT_DONE)
		pthread_cond_wait(&p->changed, &p->lock);
	r = p->result;
	pthread_mutex_unlock(&p->lock);
	return r;
}

static void *write_pieces(void *arg)
{
	struct piece p;

	for (unsigned i = 0; i < PIECES; i++) {
		offer(arg, &p, "0123456789");
		if (wait_done(&p) < 0)
			return NULL;
	}
	offer(arg, &p, NULL);
	return wait_done(&p) == -ENOSPC ? arg : NULL;
}

static void test_pieces_pass_in_order(void **state)
{
	struct intake *in = intake_new();
	_cleanup(str) struct str taken = {0};
	struct error err = {0};
	const void *data;
	void *result;
	pthread_t thread;
	size_t len;

	assert_int_equal(thread_start(&thread, "writer", write_pieces, in), 0);
	while (intake_next(in, NULL, -1, &data, &len, &err) == INTAKE_PIECE)
		str_append_bytes(&taken, data, len);
	assert_int_equal(taken.len, PIECES * 10);
	assert_int_equal(intake_result(in, NULL), -EINPROGRESS);
	error_set(&err, ERROR_NO_SPACE, ENOSPC, "full");
	intake_finish(in, -ENOSPC, &err);
	pthread_join(thread, &result);
	assert_ptr_equal(result, in);
	/* The first word counts. */
	intake_finish(in, 0, NULL);
	err = (struct error){0};
	assert_int_equal(intake_result(in, &err), -ENOSPC);
	assert_string_equal(err.message, "full");
	intake_unref(in);
}

static void test_what_comes_behind_the_end(void **state)
{
	struct intake *in = intake_ref(intake_new());
	const void *data;
	struct piece p;
	size_t len;

	offer(in, &p, NULL);
	assert_int_equal(intake_next(in, NULL, -1, &data, &len, NULL), INTAKE_END);
	intake_answer(in, 0);
	assert_int_equal(wait_done(&p), 0);
	assert_int_equal(intake_next(in, NULL, 1, &data, &len, NULL), -ETIMEDOUT);
	offer(in, &p, NULL);
	assert_int_equal(intake_next(in, NULL, -1, &data, &len, NULL), INTAKE_END);
	intake_finish(in, 0, NULL);
	assert_int_equal(wait_done(&p), 0);
	offer(in, &p, NULL);
	assert_int_equal(wait_done(&p), 0);
	offer(in, &p, "late");
	assert_int_equal(wait_done(&p), -EPIPE);
	intake_unref(in);
	intake_unref(in);
}

static void test_a_writer_that_gives_up(void **state)
{
	struct intake *in = intake_new();
	struct error err = {0};
	const void *data;
	struct piece p;
	size_t len;

	/* Taken: it is the reader's until he asks for the next. */
	offer(in, &p, "x");
	assert_int_equal(intake_next(in, NULL, -1, &data, &len, NULL), INTAKE_PIECE);
	intake_give_up(in, "killed");
	assert_int_equal(p.result, NOT_DONE);
	assert_int_equal(intake_next(in, NULL, -1, &data, &len, &err), -EPIPE);
	assert_string_equal(err.message, "killed");
	assert_int_equal(wait_done(&p), 0);
	offer(in, &p, "more");
	assert_int_equal(wait_done(&p), -EPIPE);
	intake_unref(in);
	/* Not taken: at once. */
	in = intake_new();
	offer(in, &p, "x");
	intake_give_up(in, "killed");
	assert_int_equal(wait_done(&p), -EPIPE);
	offer(in, &p, NULL);
	assert_int_equal(wait_done(&p), -EPIPE);
	intake_unref(in);
}

static void *set_cancel(void *arg)
{
	cancel_set(arg);
	return NULL;
}

static void test_a_reader_that_is_cancelled(void **state)
{
	struct intake *in = intake_new();
	struct cancel cancel;
	const void *data;
	pthread_t thread;
	struct piece p;
	size_t len;

	cancel_init(&cancel);
	assert_int_equal(thread_start(&thread, "canceller", set_cancel, &cancel), 0);
	assert_int_equal(intake_next(in, &cancel, -1, &data, &len, NULL), -ECANCELED);
	pthread_join(thread, NULL);
	offer(in, &p, "x");
	assert_int_equal(intake_next(in, &cancel, -1, &data, &len, NULL), -ECANCELED);
	intake_finish(in, -ECANCELED, NULL);
	assert_int_equal(wait_done(&p), -ECANCELED);
	cancel_finish(&cancel);
	intake_unref(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_pieces_pass_in_order),
	        cmocka_unit_test(test_what_comes_behind_the_end),
	        cmocka_unit_test(test_a_writer_that_gives_up),
	        cmocka_unit_test(test_a_reader_that_is_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
