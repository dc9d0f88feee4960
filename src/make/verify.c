// SPDX-License-Identifier: Apache-2.0
/*
 * Reading back: the store is asked for every byte that it was given. What comes is checked against the
 * checksums of what was sent, an archive's structure to its end; the SHA-256 that everybody can check later
 * is that of what the store holds.
 */
#include "dump.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/codec/pg_archive.h>
#include <keepfs/stream/readback.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define FILES_AT_ONCE 4U

static int feed_scan(void *arg, const void *data, size_t len, struct error *err)
{
	return pg_archive_scan_feed(arg, data, len, err);
}

static int read_object(const struct dump *d, const char *key, const struct extents *extents,
                       struct pg_archive_scan *scan, char sha256[static SHA256_HEX_BYTES], struct error *err)
{
	struct make_progress *progress = d->order->progress;
	const struct readback_options options = {
	        .store = d->ctx->store,
	        .pool = d->ctx->pool,
	        .key = key,
	        .extents = extents,
	        .cancel = d->order->cancel,
	        .done_bytes = progress ? &progress->verified_bytes : NULL,
	        .take = scan ? feed_scan : NULL,
	        .arg = scan,
	};
	char known[SHA256_HEX_BYTES];
	int r;

	str_copy(known, sizeof(known), sha256);
	r = stream_readback(&options, sha256, err);
	if (r < 0 || !known[0] || strcmp(known, sha256) == 0)
		return r;
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "%s: the store holds other bytes than were sent: their SHA-256 is %s, and not %s",
	                 key, sha256, known);
}

/* The artifact's own object. What is not known of an archive cannot be read to its end either. */
static int verify_object(struct dump *d, struct error *err)
{
	bool archive = d->job->dump.format == CONF_FORMAT_CUSTOM && !d->passed;
	struct pg_archive_scan *scan = archive ? pg_archive_scan_new(NULL) : NULL;
	int r = read_object(d, d->path, &d->m.extents, scan, d->m.sha256, err);

	if (r == 0 && scan)
		r = pg_archive_scan_end(scan, err);
	pg_archive_scan_free(scan);
	return r;
}

/* Its further files: of a directory there may be thousands, and each is mostly a wait. */
struct files {
	struct dump *dump;
	pthread_mutex_t lock;
	size_t next;          /* lock */
	int failed;           /* lock */
	struct error failure; /* lock */
};

static struct manifest_file *next_file(struct files *f)
{
	struct manifest_file *file = NULL;

	pthread_mutex_lock(&f->lock);
	if (f->failed == 0 && f->next < f->dump->m.file_count)
		file = &f->dump->m.files[f->next++];
	pthread_mutex_unlock(&f->lock);
	return file;
}

static void *verify_some(void *arg)
{
	struct files *f = arg;
	struct manifest_file *file;

	while ((file = next_file(f))) {
		_cleanup(free) char *key = dump_file_key(f->dump, file->name);
		struct error err = {0};
		int r = read_object(f->dump, key, &file->extents, NULL, file->sha256, &err);

		if (r == 0)
			continue;
		pthread_mutex_lock(&f->lock);
		if (f->failed == 0) {
			f->failed = r;
			f->failure = err;
		}
		pthread_mutex_unlock(&f->lock);
	}
	return NULL;
}

static int verify_files(struct dump *d, struct error *err)
{
	struct files f = {.dump = d};
	pthread_t threads[FILES_AT_ONCE - 1];
	unsigned started = 0;

	pthread_mutex_init(&f.lock, NULL);
	while (started < FILES_AT_ONCE - 1 && started + 1 < d->m.file_count &&
	       thread_start(&threads[started], "verify", verify_some, &f) == 0)
		started++;
	verify_some(&f);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&f.lock);
	if (f.failed < 0 && err)
		*err = f.failure;
	return f.failed;
}

int verify_artifact(struct dump *d, struct error *err)
{
	int64_t began_us = clock_mono_us();
	int r = d->m.is_directory ? 0 : verify_object(d, err);

	if (r == 0)
		r = verify_files(d, err);
	if (r < 0) {
		error_prefix(err, "the backup was written, but could not be read back");
		return r;
	}
	d->m.verified_at_us = clock_now_us();
	dump_say(d, "read back and checked in %.1f s",
	         (double)(clock_mono_us() - began_us) / (double)US_PER_S);
	return 0;
}
