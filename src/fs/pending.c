/*
 * See internal.h. libfuse runs the interrupt callback with the request's lock held; clearing the callback
 * takes that lock, so after it no callback is running. The callback itself touches only the flag, and the
 * request once it has claimed it.
 */
#include "internal.h"

#include <errno.h>

static void on_interrupt(fuse_req_t req, void *data)
{
	struct pending *p = data;

	if (!atomic_exchange(&p->claimed, true))
		fuse_reply_err(req, EINTR);
}

void pending_init(struct pending *p, fuse_req_t req)
{
	p->req = req;
	atomic_init(&p->claimed, false);
	fuse_req_interrupt_func(req, on_interrupt, p);
}

bool pending_claim(struct pending *p)
{
	if (atomic_exchange(&p->claimed, true))
		return false;
	fuse_req_interrupt_func(p->req, NULL, NULL);
	return true;
}
