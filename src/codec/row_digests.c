// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/row_digests.h>

#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct row_digests {
	int (*row)(void *arg, const struct row_digest *digest, struct error *err);
	void *arg;
	bool within; /* a row that began in an earlier piece */
	XXH3_state_t *partial;
};

struct row_digests *row_digests_new(int (*row)(void *arg, const struct row_digest *digest, struct error *err),
                                    void *arg)
{
	struct row_digests *d = mem_alloc(sizeof(*d));

	d->row = row;
	d->arg = arg;
	d->partial = XXH3_createState();
	if (!d->partial)
		abort();
	return d;
}

struct row_digests *row_digests_free(struct row_digests *d)
{
	if (!d)
		return NULL;
	XXH3_freeState(d->partial);
	free(d);
	return NULL;
}

static int tell_digest(struct row_digests *d, XXH128_hash_t hash, struct error *err)
{
	const struct row_digest digest = {.high = hash.high64, .low = hash.low64};

	return d->row(d->arg, &digest, err);
}

static void add_part_of_row(struct row_digests *d, const char *p, size_t len)
{
	if (!d->within)
		XXH3_128bits_reset(d->partial);
	d->within = true;
	XXH3_128bits_update(d->partial, p, len);
}

static int end_row_in_parts(struct row_digests *d, const char *p, size_t len, struct error *err)
{
	add_part_of_row(d, p, len);
	d->within = false;
	return tell_digest(d, XXH3_128bits_digest(d->partial), err);
}

int row_digests_feed(struct row_digests *d, const void *data, size_t len, struct error *err)
{
	const char *p = data, *end = p + len;
	int r = 0;

	while (r == 0 && p < end) {
		const char *feed = memchr(p, '\n', (size_t)(end - p));
		size_t bytes = (size_t)((feed ? feed : end) - p);

		if (!feed)
			add_part_of_row(d, p, bytes);
		else if (d->within)
			r = end_row_in_parts(d, p, bytes, err);
		else
			r = tell_digest(d, XXH3_128bits(p, bytes), err);
		p = feed ? feed + 1 : end;
	}
	return r;
}

int row_digests_end(struct row_digests *d, struct error *err)
{
	if (!d->within)
		return 0;
	d->within = false;
	return error_set(err, ERROR_CORRUPT, EBADMSG, "the rows end within one");
}

struct row_digest row_digest_of(const void *data, size_t len)
{
	XXH128_hash_t hash = XXH3_128bits(data, len);

	return (struct row_digest){.high = hash.high64, .low = hash.low64};
}
