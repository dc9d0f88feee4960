// SPDX-License-Identifier: Apache-2.0
/* Many readers at once, with fewer buffers than they need: each request has one answer, and its bytes are right. */
#include "reader_test.h"

struct stress {
	struct bench *b;
	uint64_t size;
	unsigned seed;
};

static void *stress_main(void *arg)
{
	struct stress *s = arg;
	struct reader_file *f = open_file(s->b, 1 + s->seed % 3);

	for (int i = 0; i < 60; i++) {
		uint64_t offset = ((uint64_t)(unsigned)rand_r(&s->seed) * 4099) % (s->size + 100);
		size_t len = (size_t)rand_r(&s->seed) % (i % 8 ? 70000 : MIB) + 1;

		/* Some in order, too, so that read-ahead competes. */
		for (int n = 0; n < (i % 16 ? 1 : 12); n++, offset += len)
			assert_int_equal(read_range(f, s->size, offset, len), 0);
	}
	reader_close(f, NULL);
	return NULL;
}

static void test_every_byte_under_load(void **state)
{
	uint64_t size = 20 * MIB + 4711;
	pthread_t threads[8];
	struct stress stress[8];
	struct bench b;

	bench_init(&b, size, odd_extents, ARRAY_SIZE(odd_extents), 16, 4);
	for (unsigned i = 0; i < 8; i++) {
		stress[i] = (struct stress){.b = &b, .size = size, .seed = i + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, stress_main, &stress[i]), 0);
	}
	for (unsigned i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	bench_finish(&b);
}

static void test_more_readers_than_buffers(void **state)
{
	enum { READERS = 40, EACH = 5 };
	uint64_t size = 8 * MIB;
	struct reader_file *files[READERS];
	struct test_request(*reqs)[EACH] = calloc(READERS, sizeof(*reqs));
	struct bench b;

	/* Each request covers two blocks, each reader has an artifact of its own: 400 blocks, 8 buffers. */
	bench_init(&b, size, full_extents, 1, 8, 3);
	hold(&b.store, true);
	for (unsigned i = 0; i < READERS; i++) {
		files[i] = open_file(&b, 100 + i);
		for (unsigned n = 0; n < EACH; n++)
			start(&reqs[i][n], files[i], MIB / 2 + n * MIB, MIB);
	}
	hold(&b.store, false);
	for (unsigned i = 0; i < READERS; i++) {
		for (unsigned n = 0; n < EACH; n++) {
			assert_int_equal(finish(&reqs[i][n]), 0);
			assert_false(reqs[i][n].wrong);
			assert_int_equal(reqs[i][n].bytes, MIB);
		}
	}
	for (unsigned i = 0; i < READERS; i++)
		reader_close(files[i], NULL);
	for (unsigned i = 0; i < READERS; i++)
		for (unsigned n = 0; n < EACH; n++)
			assert_int_equal(reqs[i][n].answers, 1);
	bench_finish(&b);
	free(reqs);
}

/* In any order and by several readers, while blocks come and go: the last byte always comes. */
static void test_whole_under_load(void **state)
{
	uint64_t size = 20 * MIB + 4711;
	pthread_t threads[8];
	struct stress stress[8];
	struct bench b;

	bench_init_whole(&b, size, odd_extents, ARRAY_SIZE(odd_extents), 10, 4, true);
	for (unsigned i = 0; i < 8; i++) {
		stress[i] = (struct stress){.b = &b, .size = size, .seed = i + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, stress_main, &stress[i]), 0);
	}
	for (unsigned i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(read_range(b.file, size, size - 1, 1), 0);
	bench_finish(&b);
}

/* Files are opened and closed, requests answered, cancelled and failed, gets slow: each request has one
 * answer, and its bytes are right. */
struct chaos {
	struct bench *b;
	uint64_t size;
	unsigned seed;
	unsigned rounds;
};

#define CHAOS_REQUESTS 6

static void chaos_round(struct chaos *c)
{
	struct reader_file *f = open_file(c->b, 1 + (uint64_t)rand_r(&c->seed) % 3);
	struct test_request reqs[CHAOS_REQUESTS];
	bool in_order = rand_r(&c->seed) % 2;
	uint64_t at = rand_r(&c->seed) % 3 ? 0 : (uint64_t)rand_r(&c->seed) % c->size;

	for (unsigned k = 0; k < 12; k++) {
		for (unsigned i = 0; i < CHAOS_REQUESTS; i++) {
			size_t len = 1 + (size_t)rand_r(&c->seed) % MIB;

			if (!in_order)
				at = rand_r(&c->seed) % 4 ? (uint64_t)rand_r(&c->seed) % c->size
				                          : c->size - 10;
			start(&reqs[i], f, at, len);
			at += len;
		}
		for (unsigned i = 0; i < CHAOS_REQUESTS; i++)
			if (rand_r(&c->seed) % 3 == 0)
				reader_cancel(f, reqs[i].base.tag);
		if (k == 11 && rand_r(&c->seed) % 2)
			break;
		for (unsigned i = 0; i < CHAOS_REQUESTS; i++) {
			finish(&reqs[i]);
			assert_false(reqs[i].wrong);
		}
	}
	reader_close(f, NULL);
	for (unsigned i = 0; i < CHAOS_REQUESTS; i++) {
		assert_int_equal(reqs[i].answers, 1);
		assert_false(reqs[i].wrong);
	}
}

static void *chaos_main(void *arg)
{
	struct chaos *c = arg;

	for (unsigned i = 0; i < c->rounds; i++) {
		chaos_round(c);
		if (i % 5 == 0) {
			pthread_mutex_lock(&c->b->store.lock);
			c->b->store.fail = 1;
			pthread_mutex_unlock(&c->b->store.lock);
		}
	}
	return NULL;
}

static void test_chaos(void **state)
{
	unsigned rounds = getenv("CHAOS") ? (unsigned)atoi(getenv("CHAOS")) : 20;
	uint64_t size = 7 * MIB + 4711;
	pthread_t threads[4];
	struct chaos chaos[4];
	struct bench b;

	bench_init_whole(&b, size, odd_extents, ARRAY_SIZE(odd_extents), 10, 3, true);
	for (unsigned i = 0; i < 4; i++) {
		chaos[i] = (struct chaos){.b = &b, .size = size, .seed = i + 1, .rounds = rounds};
		assert_int_equal(pthread_create(&threads[i], NULL, chaos_main, &chaos[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	bench_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_every_byte_under_load),
	        cmocka_unit_test(test_more_readers_than_buffers),
	        cmocka_unit_test(test_whole_under_load),
	        cmocka_unit_test(test_chaos),
	};

	make_content();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
