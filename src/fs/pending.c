// SPDX-License-Identifier: Apache-2.0
/*
 * See fs_private.h. libfuse runs the interrupt callback with the request's lock held; clearing the callback
 * takes that lock, so after it no callback is running. The callback itself touches only the pending, before
 * it claims it, and the request, once it has.
 *
 * An interrupt that came before the callback is set calls it from within the setting, which goes on to use
 * the request: then only a note is taken, and the answer given when the setting is done.
 */
#include "fs_private.h"

#include <errno.h>

enum {
	PENDING_NEW,         /* the callback is being set */
	PENDING_INTERRUPTED, /* meanwhile */
	PENDING_OPEN,
	PENDING_CLAIMED,
};

static bool move(struct pending *p, int from, int to)
{
	return atomic_compare_exchange_strong(&p->state, &from, to);
}

static void on_interrupt(fuse_req_t req, void *data)
{
	struct pending *p = data;
	const struct pending_work work = p->work;

	/* Until this returns nobody can have answered: whoever claims it waits for that. */
	if (work.only_dying && !caller_is_dying(work.only_dying))
		return;
	if (move(p, PENDING_NEW, PENDING_INTERRUPTED) || !move(p, PENDING_OPEN, PENDING_CLAIMED))
		return;
	if (work.give_up)
		work.give_up(work.arg, work.tag);
	fuse_reply_err(req, EINTR);
}

bool pending_init(struct pending *p, fuse_req_t req, const struct pending_work *work)
{
	p->req = req;
	p->work = work ? *work : (struct pending_work){0};
	atomic_init(&p->state, PENDING_NEW);
	fuse_req_interrupt_func(req, on_interrupt, p);
	if (move(p, PENDING_NEW, PENDING_OPEN))
		return true;
	atomic_store(&p->state, PENDING_CLAIMED);
	fuse_reply_err(req, EINTR);
	return false;
}

bool pending_claim(struct pending *p)
{
	if (!move(p, PENDING_OPEN, PENDING_CLAIMED))
		return false;
	fuse_req_interrupt_func(p->req, NULL, NULL);
	return true;
}
