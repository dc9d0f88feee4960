// SPDX-License-Identifier: Apache-2.0
/*
 * Reading back: the store is asked for every byte that it was given. What comes is checked against the checksums of
 * what was sent, and the own file by whoever knows its structure; the SHA-256 that everybody can check later is that
 * of what the store holds.
 */
#include "draft_private.h"

#include <keepfs/artifact/sealed.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/stream/readback.h>

#include <errno.h>
#include <string.h>

#define OBJECTS_AT_ONCE 4U

/* The file of an object is found by the object's number. */
static void find_files(const struct manifest *m, struct manifest_file **files)
{
	for (size_t i = 0; i < m->file_count; i++)
		if (m->files[i].object != MANIFEST_NO_OBJECT)
			files[m->files[i].object] = &m->files[i];
}

struct reading { /* of all objects: of a directory there may be thousands, and each is mostly a wait */
	struct draft *draft;
	const struct draft_check *check;
	struct manifest_file **files; /* by the number of their objects */
	pthread_mutex_t lock;
	size_t next;          /* lock */
	int failed;           /* lock */
	struct error failure; /* lock */
};

/* What is encrypted is decrypted only where somebody wants the plain bytes: its structure, or a SHA-256 that is not known since the first
 * bytes came last. */
static struct sealed_opener *opener_of(const struct draft *d, const struct manifest_object *object,
                                       const struct draft_check *check, const char *plain_sha256)
{
	const struct sealed_opener_options options = {
	        .key = draft_secret_of(d, object->key),
	        .end = object->stored_bytes,
	        .what = object->key,
	        .take = check ? check->feed : NULL,
	        .arg = check ? check->arg : NULL,
	};

	return options.key && (check || !*plain_sha256) ? sealed_opener_new(&options) : NULL;
}

/* @plain_sha256: of its file: set when it is "". */
static int read_back_object(const struct draft *d, struct manifest_object *object,
                            const struct draft_check *check, char plain_sha256[static SHA256_HEX_BYTES],
                            struct error *err)
{
	_cleanup(sealed_opener) struct sealed_opener *opener = opener_of(d, object, check, plain_sha256);
	struct make_progress *progress = d->order->progress;
	const struct readback_options options = {
	        .store = d->store,
	        .pool = d->pool,
	        .key = object->key,
	        .extents = &object->extents,
	        .learn = d->copied_bytes > 0 ? &object->extents : NULL,
	        .learn_at = d->copied_at,
	        .learn_bytes = d->copied_bytes,
	        .cancel = d->order->cancel,
	        .done_bytes = progress ? &progress->verified_bytes : NULL,
	        .take = opener  ? sealed_opener_feed
	                : check ? check->feed
	                        : NULL,
	        .arg = opener  ? (void *)opener
	               : check ? check->arg
	                       : NULL,
	};
	char known[SHA256_HEX_BYTES], plain[SHA256_HEX_BYTES];
	int r;

	str_copy(known, sizeof(known), object->stored_sha256);
	r = stream_readback(&options, object->stored_sha256, err);
	if (r == 0 && known[0] && strcmp(known, object->stored_sha256) != 0)
		r = error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "%s: the store holds other bytes than were sent: their SHA-256 is %s, and not %s",
		        object->key, object->stored_sha256, known);
	if (r == 0 && opener)
		r = sealed_opener_end(opener, plain, err);
	if (r == 0 && opener && *plain_sha256 && strcmp(plain, plain_sha256) != 0)
		r = error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "%s: what is decrypted has the SHA-256 %s, and not that of what was encrypted, %s",
		        object->key, plain, plain_sha256);
	if (r == 0 && (opener || !object->cipher))
		str_copy(plain_sha256, SHA256_HEX_BYTES, opener ? plain : object->stored_sha256);
	return r == 0 && check ? check->end(check->arg, err) : r;
}

static struct manifest_object *next_object(struct reading *reading)
{
	struct manifest *m = &reading->draft->m;
	struct manifest_object *object = NULL;

	pthread_mutex_lock(&reading->lock);
	if (reading->failed == 0 && reading->next < m->object_count)
		object = &m->objects[reading->next++];
	pthread_mutex_unlock(&reading->lock);
	return object;
}

static void *read_some(void *arg)
{
	struct reading *reading = arg;
	const struct manifest_object *own = manifest_own_object(&reading->draft->m);
	struct manifest_object *object;

	while ((object = next_object(reading))) {
		struct error err = {0};
		size_t number = (size_t)(object - reading->draft->m.objects);
		char unknown[SHA256_HEX_BYTES] = ""; /* of an object without a file nobody wants it */
		struct manifest_file *file = reading->files[number];
		/* It was read where it lies, and nothing was sent. */
		int r = manifest_adopted_in(object->key, NULL)
		                ? 0
		                : read_back_object(reading->draft, object,
		                                   object == own ? reading->check : NULL,
		                                   file ? file->sha256 : unknown, &err);

		if (r == 0)
			continue;
		pthread_mutex_lock(&reading->lock);
		if (reading->failed == 0) {
			reading->failed = r;
			reading->failure = err;
		}
		pthread_mutex_unlock(&reading->lock);
	}
	return NULL;
}

static int read_all_objects(struct draft *d, const struct draft_check *check, struct error *err)
{
	_cleanup(free) struct manifest_file **files =
	        mem_array(d->m.object_count + 1, sizeof(struct manifest_file *));
	struct reading reading = {.draft = d,
	                          .check = check,
	                          .files = files,
	                          .next = d->read_objects,
	                          .lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t threads[OBJECTS_AT_ONCE - 1];
	unsigned started = 0;

	find_files(&d->m, files);
	draft_sort_secrets(d);
	while (started < OBJECTS_AT_ONCE - 1 && started + 1 < d->m.object_count &&
	       thread_start(&threads[started], "verify", read_some, &reading) == 0)
		started++;
	read_some(&reading);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&reading.lock);
	if (reading.failed < 0 && err)
		*err = reading.failure;
	return reading.failed;
}

static void prefix_unreadable(struct error *err)
{
	error_prefix(err, "the backup was written, but could not be read back");
}

int draft_read_copied(struct draft *d, const struct draft_check *check, struct error *err)
{
	size_t last = d->m.object_count - 1;
	int r = read_back_object(d, &d->m.objects[last], check, d->m.files[d->m.file_count - 1].sha256, err);

	d->copied_bytes = 0;
	d->read_objects = last + 1;
	if (r < 0)
		prefix_unreadable(err);
	return r;
}

int draft_read_back(struct draft *d, const struct draft_check *check, struct error *err)
{
	int64_t began_us = clock_mono_us();
	int r = read_all_objects(d, check, err);

	if (r < 0) {
		prefix_unreadable(err);
		return r;
	}
	d->m.verified_at_us = make_now_us(d->ctx);
	make_say(d->order, "read back and checked in %.1f s",
	         (double)(clock_mono_us() - began_us) / (double)US_PER_S);
	return 0;
}
