// SPDX-License-Identifier: Apache-2.0
/*
 * A small object is written, created once more (which must not replace it), replaced on a condition, read back and
 * compared, deleted, and gone. Its name is new each time, below state/, where no artifact is ever looked for;
 * whatever happens after it was written, it is deleted.
 */
#include <keepfs/store.h>

#include <keepfs/base/clock.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define PROBE_BYTES 256
#define CLEAN_UP_MS 5000

struct canary {
	struct store_call call; /* a person waits: one deadline for all of it */
	char key[64];
	char data[PROBE_BYTES];
	char etag[STORE_ETAG_BYTES];
};

static int canary_init(struct canary *o, int64_t deadline_ms, struct cancel *cancel, struct error *err)
{
	uint8_t random[8];
	char hex[2 * sizeof(random) + 1];

	if (getrandom(random, sizeof(random), 0) != sizeof(random) ||
	    getrandom(o->data, sizeof(o->data), 0) != sizeof(o->data))
		return error_system(err, errno, "random bytes cannot be had");
	o->call = (struct store_call){.deadline_ms = clock_mono_ms() + deadline_ms, .cancel = cancel};
	hex_encode(random, sizeof(random), hex);
	snprintf(o->key, sizeof(o->key), "state/probe-%s", hex);
	return 0;
}

static int canary_write(struct store *s, struct canary *o, struct error *err)
{
	const struct store_put_options create = {.only_if_absent = true, .ret_etag = o->etag};
	int r = store_put_bytes(s, &o->call, o->key, o->data, sizeof(o->data), &create, err);

	if (r == STORE_EXISTS)
		return error_set(
		        err, ERROR_CORRUPT, EIO,
		        "the store says that an object of a name that is new is there already: its answers cannot be relied on");
	if (r < 0)
		error_prefix(err, "a small object cannot be written");
	return r;
}

/* Create it again, with the same bytes: does the store keep to 'only if absent'? */
static int canary_write_again(struct store *s, const struct canary *o, bool *ret_exclusive, struct error *err)
{
	const struct store_put_options create = {.only_if_absent = true};
	int r = store_put_bytes(s, &o->call, o->key, o->data, sizeof(o->data), &create, err);

	if (r < 0) {
		error_prefix(err, "an object that exists cannot be told from one that does not");
		return r;
	}
	*ret_exclusive = r == STORE_EXISTS;
	return 0;
}

/* By this a store finds out what the server makes of it, and store_features() tell. */
static int canary_replace(struct store *s, const struct canary *o, struct error *err)
{
	const struct store_put_options over = {.if_match = o->etag};
	int r = o->etag[0] ? store_put_bytes(s, &o->call, o->key, o->data, sizeof(o->data), &over, err) : 0;

	if (r < 0)
		error_prefix(err, "an object that exists cannot be replaced");
	return r;
}

static int canary_read_back(struct store *s, const struct canary *o, struct error *err)
{
	char found[PROBE_BYTES];
	const struct iovec iov = {found, sizeof(found)};
	const struct store_get_options options = {0};
	int r = store_get(s, &o->call, o->key, 0, &iov, 1, &options, err);

	if (r < 0) {
		error_prefix(err, "the object was written but cannot be read back");
		return r;
	}
	if (memcmp(found, o->data, sizeof(found)) != 0)
		return error_set(
		        err, ERROR_CORRUPT, EIO,
		        "the object that was written is read back with other bytes: the store damages or overwrites what it is given, do not use it");
	return 0;
}

static int canary_remove(struct store *s, const struct canary *o, struct error *err)
{
	struct store_object found;
	int r = store_remove(s, &o->call, o->key, err);

	if (r < 0) {
		error_prefix(err, "the object %s was written but cannot be deleted", o->key);
		return r;
	}
	r = store_head(s, &o->call, o->key, &found, err);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	return error_set(
	        err, ERROR_CONFLICT, EBUSY,
	        "the object %s is still there after it was deleted: the store locks or retains objects, so backups could never be removed",
	        o->key);
}

/* After a failure: the object may be there, even when the answer to its put was lost. */
static void canary_clean_up(struct store *s, const struct canary *o)
{
	const struct store_call call = {.deadline_ms = clock_mono_ms() + CLEAN_UP_MS};

	store_remove(s, &call, o->key, NULL);
}

static int canary_try(struct store *s, struct canary *o, struct store_tried *f, struct error *err)
{
	int64_t began_ms = clock_mono_ms();
	int r = canary_write(s, o, err);

	f->put_ms = clock_mono_ms() - began_ms;
	if (r == 0)
		r = canary_write_again(s, o, &f->exclusive, err);
	if (r == 0)
		r = canary_replace(s, o, err);
	began_ms = clock_mono_ms();
	if (r == 0)
		r = canary_read_back(s, o, err);
	f->get_ms = clock_mono_ms() - began_ms;
	began_ms = clock_mono_ms();
	if (r == 0)
		r = canary_remove(s, o, err);
	else
		canary_clean_up(s, o);
	f->remove_ms = clock_mono_ms() - began_ms;
	return r;
}

int store_try(struct store *s, int64_t deadline_ms, struct cancel *cancel, struct store_tried *ret,
              struct error *err)
{
	struct canary o;
	int r = canary_init(&o, deadline_ms, cancel, err);

	*ret = (struct store_tried){0};
	return r < 0 ? r : canary_try(s, &o, ret, err);
}
