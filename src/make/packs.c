// SPDX-License-Identifier: Apache-2.0
/* The packs of a run, one after the other. */
#include "pack_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/codec/name.h>
#include <keepfs/stream/rate.h>

#include <inttypes.h>
#include <stdlib.h>

struct packs {
	const struct make_context *ctx;
	struct make_order order; /* as the run's, for packs */
	enum listing_format format;
	char *job;         /* whose packs they are */
	char *lists;       /* NULL: members are not listed */
	struct rate *rate; /* of all packs; NULL: the order has one */
	int64_t at_us; /* after which their directory is named; moved on while another run's has that name */
	char time[CLOCK_NAME_BYTES];
	char *directory;     /* of all packs; NULL: it is not found yet */
	int64_t number;      /* of the pack that is filled, or was last; 0: none yet */
	struct pack *filled; /* NULL: none is begun */
	struct pack *behind; /* that is published meanwhile; NULL: none */
	uint64_t count;      /* packs that were published */
	int failed;          /* negative errno of the first that was not, and why */
	struct error failure;
	struct packs_told told;
};

struct packs *packs_new(const struct packs_options *options)
{
	struct packs *p = mem_alloc(sizeof(*p));

	p->ctx = options->ctx;
	p->order = *options->order;
	/* Also of a part of a bundle each is an artifact of its own, which others may need. */
	p->order.whole = NULL;
	p->order.part = NULL;
	p->order.job = options->keeper;
	if (!p->order.rate)
		p->order.rate = p->rate = rate_new(options->order->job->max_rate_bytes);
	p->order.hold = NULL;
	p->order.keep_ms = 0;
	p->order.note = NULL;
	p->order.partial = false;
	p->format = options->format;
	p->at_us = options->started_at_us;
	p->job = mem_strdup(options->order->job->name);
	p->lists = mem_strdup(options->lists);
	return p;
}

struct packs *packs_free(struct packs *p)
{
	if (!p)
		return NULL;
	pack_free(p->filled);
	pack_free(p->behind);
	free(p->directory);
	free(p->lists);
	rate_free(p->rate);
	free(p->job);
	free(p);
	return NULL;
}

static int told_packs_failure(const struct packs *p, struct error *err)
{
	if (p->failed < 0 && err)
		*err = p->failure;
	return p->failed;
}

void packs_tell(struct packs *p, const struct packs_told *told)
{
	p->told = *told;
}

static int tell_copied_member(struct packs *p, const struct pack *pack, struct error *err)
{
	const struct str *line;
	const struct listing_entry *e = pack_copied(pack, &line);

	return e ? p->told.copied(p->told.arg, e, line, err) : 0;
}

int packs_settle(struct packs *p, struct error *err)
{
	_cleanup(pack) struct pack *behind = take_ptr(&p->behind);

	if (!behind)
		return told_packs_failure(p, err);
	p->failed = pack_await(behind, &p->failure);
	p->count += p->failed == 0;
	return p->failed < 0 ? told_packs_failure(p, err) : tell_copied_member(p, behind, err);
}

/* A pack that cannot be published is found out before the one behind it is full, which may be very large. */
int packs_check(struct packs *p, struct error *err)
{
	return p->behind && pack_has_failed(p->behind) ? packs_settle(p, err) : told_packs_failure(p, err);
}

int packs_find_directory(struct packs *p, struct error *err)
{
	int taken = !p->directory;

	for (; taken > 0; p->at_us += US_PER_S) {
		clock_format_name(p->at_us, p->time);
		free(p->directory);
		p->directory = mem_printf(TREE_PACKS "/%s/%s", p->job, p->time);
		taken = catalog_stem_taken(p->ctx->repository->catalog, p->directory, "00001");
	}
	return taken < 0 ? error_system(err, -taken, "the catalog cannot be read") : 0;
}

int packs_open(struct packs *p, struct error *err)
{
	const struct listing_head head = {
	        .job = p->job, .source = p->lists, .taken_at_us = make_now_us(p->ctx)};
	_cleanup(free) char *stem = NULL;
	struct pack_options options = {.ctx = p->ctx,
	                               .order = &p->order,
	                               .suffix = listing_pack_suffix(p->format),
	                               .members = p->lists ? &head : NULL,
	                               .started_at_us = head.taken_at_us,
	                               .job = p->job};
	int r = packs_check(p, err);

	if (r < 0 || p->filled)
		return r;
	r = packs_find_directory(p, err);
	if (r < 0)
		return r;
	stem = mem_printf("%05" PRId64, ++p->number);
	options.directory = p->directory;
	options.stem = stem;
	return pack_new(&options, &p->filled, err);
}

struct pack *packs_filled(const struct packs *p)
{
	return p->filled;
}

void packs_drop(struct packs *p)
{
	p->filled = pack_free(p->filled);
}

/* What could not be published is given up: nothing can be written to it any more. */
int packs_publish(struct packs *p, struct error *err)
{
	int r = packs_settle(p, err);

	if (r == 0 && p->filled) {
		p->behind = take_ptr(&p->filled);
		pack_publish(p->behind);
	}
	packs_drop(p);
	return r;
}

int packs_finish(struct packs *p, struct error *err)
{
	packs_drop(p);
	return packs_settle(p, err);
}

char *packs_name(const struct packs *p, int64_t number)
{
	return mem_printf("%s/%05" PRId64, p->time, number);
}

int64_t packs_number(const struct packs *p)
{
	return p->number;
}

uint64_t packs_count(const struct packs *p)
{
	return p->count;
}
