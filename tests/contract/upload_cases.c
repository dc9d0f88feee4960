// SPDX-License-Identifier: Apache-2.0
/* Multipart uploads. */
#include "suite.h"

#include <keepfs/base/mem.h>

#include <stdio.h>
#include <string.h>

#define MOST 8

/* An upload under way, and what its object shall be. */
struct job {
	struct suite *t;
	struct store_upload *up;
	char key[STORE_KEY_BYTES];
	unsigned numbers[MOST]; /* of the parts, ascending */
	size_t count;
	uint8_t *data; /* count - 1 parts of t->part_bytes + their index, then a short one */
	size_t offset[MOST + 1];
	struct store_part parts[MOST];
	int result[MOST];
};

static size_t part_len(const struct job *j, size_t i)
{
	return i + 1 < j->count ? (size_t)j->t->part_bytes + i : 1000;
}

static void job_begin(struct job *j, struct suite *t, const char *name, const unsigned *numbers, size_t count)
{
	*j = (struct job){.t = t, .count = count};
	memcpy(j->numbers, numbers, count * sizeof(*numbers));
	for (size_t i = 0; i < count; i++)
		j->offset[i + 1] = j->offset[i] + part_len(j, i);
	j->data = mem_alloc(j->offset[count]);
	suite_fill(j->data, j->offset[count], count);
	assert_ok(store_upload_begin(t->store, NULL, suite_key(t, j->key, name), &j->up, &err));
}

static void job_send(void *arg, unsigned i)
{
	struct job *j = arg;
	size_t len = part_len(j, i), half = len / 2;
	uint8_t *data = j->data + j->offset[i];
	struct iovec iov[] = {{data, half}, {data + half, len - half}};

	j->result[i] = store_upload_part(j->up, NULL, j->numbers[i], iov, 2, &j->parts[i], NULL);
}

static void job_complete(struct job *j)
{
	for (size_t i = 0; i < j->count; i++) {
		assert_int_equal(j->result[i], 0);
		assert_int_equal(j->parts[i].number, j->numbers[i]);
		assert_int_equal(j->parts[i].bytes, part_len(j, i));
		assert_true(j->parts[i].etag[0] != '\0');
	}
	suite_expect_absent(j->t, j->key);
	assert_ok(store_upload_complete(j->up, NULL, j->parts, j->count, &err));
	suite_expect(j->t, j->key, j->data, j->offset[j->count]);
}

static void job_finish(struct job *j)
{
	store_upload_free(j->up);
	free(j->data);
}

static void in_order(void **state)
{
	struct job j;

	job_begin(&j, *state, "in/order", (unsigned[]){1, 2, 3}, 3);
	for (unsigned i = 0; i < 3; i++)
		job_send(&j, i);
	job_complete(&j);
	job_finish(&j);
}

static void reverse_order(void **state)
{
	struct job j;

	job_begin(&j, *state, "reverse", (unsigned[]){1, 2, 3, 4}, 4);
	for (unsigned i = 4; i-- > 0;)
		job_send(&j, i);
	job_complete(&j);
	job_finish(&j);
}

static void mixed_order(void **state)
{
	static const unsigned order[] = {0, 2, 1, 4, 5, 3};
	struct job j;

	job_begin(&j, *state, "mixed", (unsigned[]){1, 2, 3, 4, 5, 6}, 6);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		job_send(&j, order[i]);
	job_complete(&j);
	job_finish(&j);
}

static void gaps_in_numbers(void **state)
{
	struct job j;

	job_begin(&j, *state, "gaps", (unsigned[]){2, 5, 9}, 3);
	job_send(&j, 1);
	job_send(&j, 2);
	job_send(&j, 0);
	job_complete(&j);
	job_finish(&j);
}

static void gap_after_the_first(void **state)
{
	struct job j;

	job_begin(&j, *state, "gap", (unsigned[]){1, 2, 9999, 10000}, 4);
	for (unsigned i = 0; i < 4; i++)
		job_send(&j, i);
	job_complete(&j);
	job_finish(&j);
}

static void parallel_parts(void **state)
{
	struct job j;

	job_begin(&j, *state, "parallel", (unsigned[]){1, 2, 3, 4, 5, 6}, 6);
	suite_threads(6, job_send, &j);
	job_complete(&j);
	job_finish(&j);
}

static void single_part(void **state)
{
	struct job j;

	job_begin(&j, *state, "single", (unsigned[]){1}, 1);
	job_send(&j, 0);
	job_complete(&j);
	job_finish(&j);
}

static void replaces_an_object(void **state)
{
	struct job j;

	job_begin(&j, *state, "there-already", (unsigned[]){1, 2}, 2);
	job_send(&j, 0);
	job_send(&j, 1);
	suite_put(j.t, j.key, "old");
	suite_expect(j.t, j.key, "old", 3);
	assert_ok(store_upload_complete(j.up, NULL, j.parts, 2, &err));
	suite_expect(j.t, j.key, j.data, j.offset[2]);
	job_finish(&j);
}

/* Parts 1 and 3 are sent again, with other bytes; the second sending counts. */
static void replaced_parts(void **state)
{
	_cleanup(free) uint8_t *other = NULL;
	struct store_part first;
	struct iovec iov;
	struct job j;

	job_begin(&j, *state, "replaced", (unsigned[]){1, 2, 3}, 3);
	other = mem_alloc(part_len(&j, 0) + 5);
	suite_fill(other, part_len(&j, 0) + 5, 99);
	for (unsigned i = 0; i < 3; i += 2) {
		iov = (struct iovec){other, part_len(&j, i) + (i ? 5 : 0)}; /* once of another length, too */
		assert_ok(store_upload_part(j.up, NULL, j.numbers[i], &iov, 1, &first, &err));
	}
	for (unsigned i = 0; i < 3; i++)
		job_send(&j, i);
	assert_string_not_equal(first.etag, j.parts[2].etag);
	job_complete(&j);
	job_finish(&j);
}

/* The first part is the last to come. */
static void announced_part(void **state)
{
	struct job j;

	job_begin(&j, *state, "announced", (unsigned[]){1, 2, 3, 4}, 4);
	store_upload_announce(j.up, 1, part_len(&j, 0));
	for (unsigned i = 1; i <= 4; i++)
		job_send(&j, i % 4);
	job_complete(&j);
	job_finish(&j);
}

static void announced_part_of_another_size(void **state)
{
	struct job j;

	for (uint64_t off = 0; off < 2; off++) {
		job_begin(&j, *state, "announced-wrongly", (unsigned[]){1, 2, 3}, 3);
		store_upload_announce(j.up, 1, part_len(&j, 0) - 1 + 2 * off);
		for (unsigned i = 1; i <= 3; i++)
			job_send(&j, i % 3);
		job_complete(&j);
		assert_ok(store_remove(j.t->store, NULL, j.key, &err));
		job_finish(&j);
	}
}

static void announced_part_never_comes(void **state)
{
	struct job j;

	job_begin(&j, *state, "announced-only", (unsigned[]){2, 3}, 2);
	store_upload_announce(j.up, 1, 1000);
	store_upload_announce(j.up, 9, 1000);
	store_upload_announce(j.up, 0, 1000); /* no part's number: nothing */
	store_upload_announce(j.up, STORE_MAX_PARTS + 1, 1000);
	job_send(&j, 0);
	job_send(&j, 1);
	job_complete(&j);
	job_finish(&j);
}

static void announced_too_late_or_twice(void **state)
{
	struct job j;

	job_begin(&j, *state, "announced-late", (unsigned[]){1, 2, 3}, 3);
	job_send(&j, 0);
	store_upload_announce(j.up, 1, 7);
	store_upload_announce(j.up, 2, part_len(&j, 1));
	store_upload_announce(j.up, 2, 7);
	job_send(&j, 2);
	job_send(&j, 1);
	job_complete(&j);
	job_finish(&j);
}

/* Dropped or refused, but never part of the object. */
static void parts_that_are_not_listed_stay_out(void **state)
{
	struct job j;
	int r;

	job_begin(&j, *state, "some", (unsigned[]){1, 2, 3}, 3);
	for (unsigned i = 0; i < 3; i++)
		job_send(&j, i);
	r = store_upload_complete(j.up, NULL, &j.parts[1], 2, NULL);
	if (r == -EINVAL) {
		assert_ok(store_upload_abort(j.t->store, NULL, j.key, store_upload_id(j.up), &err));
	} else {
		assert_int_equal(r, 0);
		suite_expect(j.t, j.key, j.data + j.offset[1], j.offset[3] - j.offset[1]);
	}
	job_finish(&j);
}

static void wrong_completions_are_refused(void **state)
{
	struct store_part swapped[2], unknown, other;
	struct suite *t = *state;
	struct job j;

	job_begin(&j, t, "wrong", (unsigned[]){1, 2}, 2);
	job_send(&j, 0);
	job_send(&j, 1);
	swapped[0] = j.parts[1];
	swapped[1] = j.parts[0];
	unknown = j.parts[0];
	unknown.number = 7;
	other = j.parts[0];
	other.etag[0] = other.etag[0] == 'a' ? 'b' : 'a';
	assert_fails(EINVAL, ERROR_USAGE, store_upload_complete(j.up, NULL, NULL, 0, &err));
	assert_fails(EINVAL, ERROR_USAGE, store_upload_complete(j.up, NULL, swapped, 2, &err));
	assert_fails(EINVAL, ERROR_USAGE, store_upload_complete(j.up, NULL, &unknown, 1, &err));
	assert_fails(EINVAL, ERROR_USAGE, store_upload_complete(j.up, NULL, &other, 1, &err));
	job_complete(&j); /* none of them did harm */
	job_finish(&j);
}

/* By bucket and whole key, as an object of another bucket is named. */
static void copy_by_bucket(struct job *j, const char *key)
{
	const char *name = j->t->store->name + strlen("s3://"), *slash = strchr(name, '/');
	_cleanup(free) char *bucket = mem_printf("%.*s", (int)(slash - name), name),
	                    *whole = mem_printf("%s/%s", slash + 1, key),
	                    *missing = mem_printf("%s-which-is-not-there", whole);
	struct store_range from = {.bucket = bucket, .key = missing, .offset = 3, .bytes = 5};
	struct store_part copied;

	assert_int_equal(store_upload_copy(j->up, NULL, 2, &from, &copied, NULL), -ENOENT);
	from.key = whole;
	assert_ok(store_upload_copy(j->up, NULL, 2, &from, &copied, &err));
	assert_true(copied.number == 2 && copied.bytes == 5 && copied.etag[0]);
	from.bucket = "no-bucket-of-this-name";
	assert_true(store_upload_copy(j->up, NULL, 2, &from, &copied, NULL) < 0);
}

/* A store that copies by itself makes of it what it is; another one says so. */
static void a_part_may_be_a_range_of_another_object(void **state)
{
	struct suite *t = *state;
	struct store_range from = {.offset = 3, .bytes = 5};
	struct store_part copied;
	struct store_object object;
	struct job source, j;
	char whole[8], part[5];
	const struct iovec all = {whole, sizeof(whole)}, five = {part, sizeof(part)};
	int r;

	job_begin(&source, t, "copied-from", (unsigned[]){1}, 1);
	job_send(&source, 0);
	job_complete(&source);
	from.key = source.key;
	job_begin(&j, t, "copied-to", (unsigned[]){1}, 1);
	r = store_upload_copy(j.up, NULL, 2, &from, &copied, NULL);
	if (r == -ENOTSUP) {
		assert_ok(store_upload_abort(t->store, NULL, j.key, store_upload_id(j.up), &err));
		job_finish(&j);
		job_finish(&source);
		return;
	}
	assert_int_equal(r, 0);
	assert_true(copied.number == 2 && copied.bytes == 5 && copied.etag[0]);
	assert_fails(EINVAL, ERROR_USAGE, store_upload_copy(j.up, NULL, 0, &from, &copied, &err));
	from.bytes = 0;
	assert_fails(EINVAL, ERROR_USAGE, store_upload_copy(j.up, NULL, 1, &from, &copied, &err));
	from = (struct store_range){.key = j.key, .bytes = 1};
	assert_int_equal(store_upload_copy(j.up, NULL, 1, &from, &copied, NULL), -ENOENT);
	copy_by_bucket(&j, source.key);
	from = (struct store_range){.key = source.key, .offset = 3, .bytes = 5};
	assert_ok(store_upload_copy(j.up, NULL, 2, &from, &copied, &err));
	assert_ok(store_upload_complete(j.up, NULL, &copied, 1, &err));
	assert_ok(store_get(t->store, NULL, source.key, 0, &all, 1, NULL, &err));
	assert_ok(store_get(t->store, NULL, j.key, 0, &five, 1, NULL, &err));
	assert_memory_equal(part, whole + 3, 5);
	assert_ok(store_head(t->store, NULL, j.key, &object, &err));
	assert_int_equal(object.bytes, 5);
	job_finish(&j);
	job_finish(&source);
}

static void wrong_part_numbers_are_refused(void **state)
{
	static const unsigned numbers[] = {0, STORE_MAX_PARTS + 1, UINT32_MAX};
	struct iovec iov = {"x", 1};
	struct store_part part;
	struct job j;

	job_begin(&j, *state, "numbers", (unsigned[]){1}, 1);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		assert_fails(EINVAL, ERROR_USAGE,
		             store_upload_part(j.up, NULL, numbers[i], &iov, 1, &part, &err));
	assert_ok(store_upload_abort(j.t->store, NULL, j.key, store_upload_id(j.up), &err));
	job_finish(&j);
}

static void expect_uploads(struct suite *t, const char *prefix, size_t expected)
{
	struct store_upload_info *uploads = NULL;
	size_t count = 0;

	assert_ok(store_upload_list(t->store, NULL, prefix, &uploads, &count, &err));
	assert_int_equal(count, expected);
	store_upload_list_free(uploads, count);
}

static void abort_removes_and_is_idempotent(void **state)
{
	struct suite *t = *state;
	struct job j;

	job_begin(&j, t, "aborted", (unsigned[]){1, 2}, 2);
	job_send(&j, 0);
	job_send(&j, 1);
	assert_ok(store_upload_abort(t->store, NULL, j.key, store_upload_id(j.up), &err));
	assert_ok(store_upload_abort(t->store, NULL, j.key, store_upload_id(j.up), &err));
	assert_fails(ENOENT, ERROR_NOT_FOUND, store_upload_complete(j.up, NULL, j.parts, 2, &err));
	job_send(&j, 0);
	assert_int_equal(j.result[0], -ENOENT);
	suite_expect_absent(t, j.key);
	expect_uploads(t, t->prefix, 0);
	job_finish(&j);
}

static void abort_after_complete_keeps_the_object(void **state)
{
	struct suite *t = *state;
	struct job j;

	job_begin(&j, t, "kept", (unsigned[]){1}, 1);
	job_send(&j, 0);
	job_complete(&j);
	assert_ok(store_upload_abort(t->store, NULL, j.key, store_upload_id(j.up), &err));
	suite_expect(t, j.key, j.data, j.offset[1]);
	expect_uploads(t, t->prefix, 0);
	job_finish(&j);
}

/* The handle is gone, as after a crash: the upload is found by its key, and nothing but abort ends it. */
static void lost_uploads_are_found(void **state)
{
	struct suite *t = *state;
	struct store_upload_info *uploads = NULL;
	char prefix[STORE_KEY_BYTES], id[2048];
	struct job j, other;
	size_t count = 0;

	job_begin(&j, t, "lost/upload", (unsigned[]){1}, 1);
	job_begin(&other, t, "other/upload", (unsigned[]){1}, 1);
	job_send(&j, 0);
	snprintf(id, sizeof(id), "%s", store_upload_id(j.up));
	job_finish(&j);
	suite_expect_absent(t, j.key);
	expect_uploads(t, t->prefix, 2);
	expect_uploads(t, suite_key(t, prefix, "none/"), 0);
	assert_ok(store_upload_list(t->store, NULL, suite_key(t, prefix, "lost/"), &uploads, &count, &err));
	assert_int_equal(count, 1);
	assert_string_equal(uploads[0].key, j.key);
	assert_string_equal(uploads[0].upload_id, id);
	assert_ok(store_upload_abort(t->store, NULL, uploads[0].key, uploads[0].upload_id, &err));
	store_upload_list_free(uploads, count);
	expect_uploads(t, t->prefix, 1);
	assert_ok(store_upload_abort(t->store, NULL, other.key, store_upload_id(other.up), &err));
	job_finish(&other);
}

static void two_uploads_of_one_key(void **state)
{
	struct suite *t = *state;
	struct job a, b;

	job_begin(&a, t, "twice", (unsigned[]){1, 2}, 2);
	job_begin(&b, t, "twice", (unsigned[]){1}, 1);
	assert_string_not_equal(store_upload_id(a.up), store_upload_id(b.up));
	job_send(&a, 0);
	job_send(&b, 0);
	job_send(&a, 1);
	job_complete(&a);
	assert_ok(store_upload_complete(b.up, NULL, b.parts, 1, &err));
	suite_expect(t, b.key, b.data, b.offset[1]);
	job_finish(&a);
	job_finish(&b);
}

const struct CMUnitTest upload_cases[] = {
        CASE(in_order),
        CASE(reverse_order),
        CASE(mixed_order),
        CASE(gaps_in_numbers),
        CASE(gap_after_the_first),
        CASE(parallel_parts),
        CASE(single_part),
        CASE(replaces_an_object),
        CASE(replaced_parts),
        CASE(announced_part),
        CASE(announced_part_of_another_size),
        CASE(announced_part_never_comes),
        CASE(announced_too_late_or_twice),
        CASE(parts_that_are_not_listed_stay_out),
        CASE(wrong_completions_are_refused),
        CASE(a_part_may_be_a_range_of_another_object),
        CASE(wrong_part_numbers_are_refused),
        CASE(abort_removes_and_is_idempotent),
        CASE(abort_after_complete_keeps_the_object),
        CASE(lost_uploads_are_found),
        CASE(two_uploads_of_one_key),
};
const size_t upload_case_count = ARRAY_SIZE(upload_cases);
