// SPDX-License-Identifier: Apache-2.0
#include "drill_part.h"
#include "drill_place.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/mirror/back.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define CONNECTIONS_OF_DRILL 16U

struct bringing_for_trial {
	struct drill_part *p;
	struct make_context ctx; /* with a pool of its own */
	struct drill_place place;
};

static const char *mirror_job_of(const struct drill_part *p)
{
	return p->backup->m.job;
}

static int open_for_trial(struct bringing_for_trial *t, const struct conf_store *to, struct mirror_back **ret,
                          struct error *err)
{
	const struct drill *d = t->p->d;
	const struct conf_job *job = conf_find_job(d->conf, mirror_job_of(t->p));
	const struct mirror_back_options options = {.ctx = &t->ctx,
	                                            .cancel = d->cancel,
	                                            .order = d->order,
	                                            .path = d->backup->path,
	                                            .part = t->p->name,
	                                            .to = to,
	                                            .connections = job && job->kind == CONF_JOB_MIRROR
	                                                                   ? (unsigned)job->mirror.connections
	                                                                   : CONNECTIONS_OF_DRILL};

	return mirror_back_open(&options, ret, err);
}

static void take_counted(struct drill_part *p, const struct mirror_back_names *n)
{
	p->count = n->count;
	p->bytes = n->bytes;
}

/* Without a place every object is read all the same, and is what its listing says; that it could be written nobody knows then. */
static int read_for_trial(struct bringing_for_trial *t, struct error *err)
{
	_cleanup(mirror_back) struct mirror_back *back = NULL;
	_cleanup(mirror_back_counts) struct mirror_back_counts found = {0};
	int r = open_for_trial(t, NULL, &back, err);

	if (r == 0)
		r = mirror_back_check(back, &found, err);
	if (r < 0)
		return r;
	t->p->how = "read";
	take_counted(t->p, &found.same);
	t->p->level = PROOF_EQUAL;
	drill_note(
	        t->p->d,
	        "%s was read only, each of its %" PRIu64
	        " objects against its checksum, since no place is named where it could be brought back (drill_mirror)",
	        t->p->name, found.same.count);
	return 0;
}

/* What the place has is held against what was backed up. That it is otherwise is a difference; that it cannot be read is a failure. */
static int check_brought(struct bringing_for_trial *t, struct mirror_back *back, struct error *err)
{
	_cleanup(mirror_back_counts) struct mirror_back_counts found = {0};
	struct error why = {0};
	int r = mirror_back_check(back, &found, &why);

	if (r == 0) {
		t->p->level = PROOF_EQUAL;
		return 0;
	}
	if (why.class == ERROR_CORRUPT || why.class == ERROR_CONFLICT) {
		drill_differs(t->p->d, "%s, once it was brought back: %s", t->p->name, why.message);
		return 0;
	}
	error_prefix(&why, "what was brought back into %s cannot be read", t->place.base);
	if (err)
		*err = why;
	return r;
}

static int bring_back_for_trial(struct bringing_for_trial *t, struct error *err)
{
	_cleanup(mirror_back) struct mirror_back *back = NULL;
	_cleanup(mirror_back_counts) struct mirror_back_counts done = {0};
	int64_t began_us = clock_mono_us();
	int r = open_for_trial(t, &t->place.to, &back, err);

	if (r == 0)
		r = mirror_back_run(back, &done, err);
	if (r < 0)
		return r;
	t->p->how = "brought back";
	t->p->restore_us = clock_mono_us() - began_us;
	take_counted(t->p, &done.written);
	t->p->level = PROOF_RESTORED;
	make_say(t->p->d->order, "%s: %" PRIu64 " objects were brought back into %s", t->p->name,
	         done.written.count, t->place.url);
	return t->p->d->wanted >= PROOF_EQUAL ? check_brought(t, back, err) : 0;
}

static int bring_back_and_remove(struct bringing_for_trial *t, struct error *err)
{
	struct error of_removal = {0};
	int r, removed;

	t->place = (struct drill_place){.ctx = t->p->d->ctx,
	                                .order = t->p->d->order,
	                                .conf = t->p->d->conf,
	                                .base = t->p->place,
	                                .mirror = mirror_job_of(t->p),
	                                .backup = t->p->d->backup->path};
	r = drill_place_new(&t->place, err);
	if (r == 0)
		r = bring_back_for_trial(t, err);
	removed = drill_place_remove(&t->place, &of_removal);
	if (removed == 0)
		return r;
	make_warn(t->p->d->order, "%s", of_removal.message);
	if (r == 0 && err)
		*err = of_removal;
	return r < 0 ? r : removed;
}

int drill_part_mirror(struct drill_part *p, struct error *err)
{
	struct bringing_for_trial t = {.p = p, .ctx = *p->d->ctx};
	int r;

	if (p->d->copy)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "it is a mirror, whose objects are read from [store] alone, and this is a copy in a further store: try the bundle of [store]");
	t.ctx.pool = pool_new(MIRROR_BACK_POOL_BYTES);
	if (!t.ctx.pool)
		return error_system(err, ENOMEM, "there is no memory for bringing objects back");
	r = p->place ? bring_back_and_remove(&t, err) : read_for_trial(&t, err);
	pool_free(t.ctx.pool);
	if (r < 0)
		p->level = -1;
	return r;
}
