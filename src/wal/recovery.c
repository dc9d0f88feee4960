// SPDX-License-Identifier: Apache-2.0
/* What can be recovered: the facts from the catalog, which is also asked for what is not loaded. */
#include <keepfs/wal/recovery.h>

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/bases.h>

#include <errno.h>
#include <string.h>

/* Restore points of one name that are looked at. */
#define POINTS_MAX 10000

struct asked_log {
	struct catalog *catalog;
	char job[CATALOG_WAL_JOB_BYTES];
};

static struct catalog_wal_span span_of(const struct asked_log *a, uint32_t timeline, uint64_t first,
                                       uint64_t last)
{
	return (struct catalog_wal_span){.job = a->job, .timeline = timeline, .first = first, .last = last};
}

static int log_later(void *arg, uint32_t timeline, uint64_t first, uint64_t last, int64_t at_us,
                     struct recovery_segment *ret)
{
	const struct asked_log *a = arg;
	struct catalog_wal_span span = span_of(a, timeline, first, last);

	return catalog_wal_later(a->catalog, &span, at_us, ret);
}

static int log_behind(void *arg, uint32_t timeline, uint64_t first, uint64_t last, uint64_t lsn,
                      struct recovery_segment *ret)
{
	const struct asked_log *a = arg;
	struct catalog_wal_span span = span_of(a, timeline, first, last);

	return catalog_wal_behind(a->catalog, &span, lsn, ret);
}

static int log_since_xid(void *arg, uint32_t timeline, uint64_t first, uint64_t last, uint32_t xid,
                         struct recovery_segment *ret)
{
	const struct asked_log *a = arg;
	struct catalog_wal_span span = span_of(a, timeline, first, last);

	return catalog_wal_since_xid(a->catalog, &span, xid, ret);
}

static int log_sum(void *arg, uint32_t timeline, uint64_t first, uint64_t last, struct recovery_sum *ret)
{
	const struct asked_log *a = arg;
	struct catalog_wal_span span = span_of(a, timeline, first, last);

	return catalog_wal_sum(a->catalog, &span, ret);
}

static int log_points(void *arg, const char *name, int (*each)(void *arg, const struct recovery_point *p),
                      void *each_arg)
{
	const struct asked_log *a = arg;

	return catalog_wal_each_point(a->catalog, a->job, name, POINTS_MAX, each, each_arg);
}

struct fact_loader {
	struct recovery_facts facts;
	struct catalog *catalog;
};

static int load_fact_base(void *arg, const struct catalog_base *b)
{
	struct recovery_facts *f = &((struct fact_loader *)arg)->facts;

	f->bases = mem_resize(f->bases, f->base_count + 1, sizeof(*f->bases));
	f->bases[f->base_count++] = (struct recovery_base){.ino = b->ino,
	                                                   .path = mem_strdup(b->path),
	                                                   .timeline = b->facts.timeline,
	                                                   .start_lsn = b->facts.start_lsn,
	                                                   .stop_lsn = b->facts.stop_lsn,
	                                                   .stopped_us = b->facts.stopped_us,
	                                                   .bytes = b->content_bytes,
	                                                   .is_unusable = b->is_removed || b->is_damaged};
	if (!f->segment_bytes)
		f->segment_bytes = b->facts.segment_bytes;
	return 0;
}

static int load_fact_range(void *arg, const struct recovery_range *r)
{
	struct recovery_facts *f = &((struct fact_loader *)arg)->facts;

	f->ranges = mem_resize(f->ranges, f->range_count + 1, sizeof(*f->ranges));
	f->ranges[f->range_count++] = *r;
	return 0;
}

static int load_fact_history(void *arg, uint32_t timeline, const char *text)
{
	struct recovery_facts *f = &((struct fact_loader *)arg)->facts;
	struct wal_history h = {0};
	struct error why = {0};

	if (wal_history_parse(timeline, text, strlen(text), &h, &why) < 0) {
		log_warning("%s: what timeline %u came from is not known", why.message, timeline);
		return 0;
	}
	f->histories = mem_resize(f->histories, f->history_count + 1, sizeof(*f->histories));
	f->histories[f->history_count++] = h;
	return 0;
}

static int load_facts(struct fact_loader *l, const char *job)
{
	struct catalog_wal_cluster cluster = {0};
	int r = catalog_wal_cluster(l->catalog, job, &cluster);

	if (r < 0 && r != -ENOENT)
		return r;
	l->facts.segment_bytes = cluster.segment_bytes;
	r = catalog_each_base(l->catalog, job, load_fact_base, l);
	if (r == 0)
		r = catalog_wal_each_range(l->catalog, job, load_fact_range, l);
	if (r == 0)
		r = catalog_wal_each_history(l->catalog, job, load_fact_history, l);
	return r;
}

int wal_recovery_load(struct catalog *c, const char *job, struct recovery_facts *ret, struct error *err)
{
	struct fact_loader l = {.catalog = c};
	struct asked_log *a = mem_alloc(sizeof(*a));
	int r;

	a->catalog = c;
	str_copy(a->job, sizeof(a->job), job);
	l.facts.log = (struct recovery_log){.later = log_later,
	                                    .behind = log_behind,
	                                    .since_xid = log_since_xid,
	                                    .sum = log_sum,
	                                    .points = log_points,
	                                    .arg = a};
	r = load_facts(&l, job);
	if (r < 0) {
		recovery_facts_finish(&l.facts);
		return error_system(err, -r, "the catalog cannot be read");
	}
	recovery_facts_finish(ret);
	*ret = l.facts;
	return 0;
}
