// SPDX-License-Identifier: Apache-2.0
/*
 * What is in a segment, as its bytes pass. Segments come one behind the other, mostly: so the scans that ended last are kept, and the one whose segment follows goes on from a copy, by which a record that spans both
 * is told. Where several come at once the one before may not have been read yet; then that record is told by nobody.
 */
#include "wal_private.h"

#include <keepfs/base/log.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/wal_scan.h>

static int add_to_index(void *arg, const struct wal_record *record, struct error *err)
{
	(void)err;
	wal_index_add(arg, record);
	return 0;
}

void wal_indexing_begin(struct wal_indexing *i, const struct wal_scan *from, const struct wal_name *name)
{
	const struct wal_scan_options options = {.record = add_to_index, .arg = &i->index};

	*i = (struct wal_indexing){.scan = from ? wal_scan_copy(from, &options) : wal_scan_new(&options)};
	wal_index_start(&i->index, name);
	wal_scan_begin(i->scan, name);
}

void wal_indexing_feed(struct wal_indexing *i, const void *data, size_t len)
{
	struct error err = {0};
	int r;

	if (i->has_ended || i->has_failed)
		return;
	r = wal_scan_feed(i->scan, data, len, &err);
	i->has_ended = r == WAL_SCAN_ENDED;
	i->has_failed = r < 0;
	if (r < 0)
		log_info("what is in a segment of WAL cannot be told: %s", err.message);
}

const struct wal_index *wal_indexing_close(struct wal_indexing *i, uint64_t bytes, const char *sha256)
{
	if (!i->scan || i->has_failed)
		return NULL;
	wal_index_close(&i->index, i->scan);
	i->index.bytes = bytes;
	str_copy(i->index.sha256, sizeof(i->index.sha256), sha256);
	return &i->index;
}

void wal_indexing_finish(struct wal_indexing *i)
{
	i->scan = wal_scan_free(i->scan);
	wal_index_finish(&i->index);
}

void wal_indexing_follow(struct wal_indexing *i, struct wal *w, const char *job, const struct wal_name *name,
                         uint32_t segment_bytes)
{
	uint64_t begin = wal_name_lsn(name, segment_bytes);
	const struct wal_scan *from = NULL;

	pthread_mutex_lock(&w->lock);
	for (size_t k = 0; k < WAL_TRAILS; k++) {
		const struct wal_trail *t = &w->trails[k];

		/* Whether it really follows, the scan finds out. Of a timeline that branched off both may fit: its own is the newer one. */
		if (t->scan && str_equal(t->job, job) && wal_scan_state(t->scan)->position == begin &&
		    wal_scan_state(t->scan)->timeline <= name->timeline &&
		    (!from || wal_scan_state(t->scan)->timeline > wal_scan_state(from)->timeline))
			from = t->scan;
	}
	wal_indexing_begin(i, from, name);
	pthread_mutex_unlock(&w->lock);
}

void wal_indexing_keep(struct wal_indexing *i, struct wal *w, const char *job)
{
	struct wal_trail *t;

	if (!i->scan || i->has_ended || i->has_failed)
		return;
	pthread_mutex_lock(&w->lock);
	t = &w->trails[w->next_trail];
	w->next_trail = (w->next_trail + 1) % WAL_TRAILS;
	wal_scan_free(t->scan);
	t->scan = i->scan;
	str_copy(t->job, sizeof(t->job), job);
	i->scan = NULL;
	pthread_mutex_unlock(&w->lock);
}

void wal_trails_finish(struct wal *w)
{
	for (size_t k = 0; k < WAL_TRAILS; k++)
		w->trails[k].scan = wal_scan_free(w->trails[k].scan);
}
