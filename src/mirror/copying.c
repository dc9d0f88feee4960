// SPDX-License-Identifier: Apache-2.0
#include "copying.h"

#include <inttypes.h>

#define BEGINNING_BYTES (UINT64_C(5) << 20) /* of a pack: no part of an upload but the last may be smaller */

_Static_assert(BEGINNING_BYTES % STREAM_COPIED_UNIT == 0 &&
                       BEGINNING_BYTES + 2 * STREAM_COPIED_UNIT < PACK_ALONE_BYTES,
               "there is something to copy of every object that is alone in its pack");

void copying_init(struct copying *c, const struct make_context *ctx, const struct make_order *order,
                  const struct draft *draft, const struct source *source)
{
	*c = (struct copying){.may = order->job->mirror.server_copy == CONF_SERVER_COPY_AUTO &&
	                             draft_job(draft)->verify == CONF_VERIFY_READBACK &&
	                             !draft_is_encrypted(draft) &&
	                             source_is_beside(source, &ctx->conf->store)};
}

bool copying_must_wait(const struct copying *c)
{
	return c->trial != NULL;
}

void copying_plan(struct copying *c, struct fetched_object *object)
{
	_cleanup(str) struct str headers = {0};
	uint64_t end;

	if (!c->may || object->entry.bytes < PACK_ALONE_BYTES)
		return;
	packer_headers(&object->entry, &headers);
	end = (headers.len + object->entry.bytes - 1) / STREAM_COPIED_UNIT * STREAM_COPIED_UNIT;
	object->copied_at = BEGINNING_BYTES - headers.len;
	object->copied_bytes = end - BEGINNING_BYTES;
	if (!c->is_proven)
		c->trial = object;
}

void copying_given_up(struct copying *c, const struct fetched_object *object)
{
	if (c->trial == object)
		c->trial = NULL;
}

void copying_done(struct copying *c, const struct fetched_object *object)
{
	copying_given_up(c, object);
	c->is_proven = true;
	c->objects++;
	c->bytes += object->copied_bytes;
}

bool copying_refuse(struct copying *c, const struct fetched_object *object, const struct make_order *order,
                    const struct error *why)
{
	bool was_first = c->trial == object;

	copying_given_up(c, object);
	if (c->may)
		make_say(
		        order,
		        "the server does not copy large objects by itself, so keepfs reads and writes them: %s",
		        why->message);
	c->may = false;
	return was_first;
}

void copying_say(const struct copying *c, const struct make_order *order)
{
	char size[16];

	if (c->objects > 0)
		make_say(order,
		         "copied by the server itself: %" PRIu64
		         " objects, of which it copied %s, which were read back",
		         c->objects, str_format_bytes(size, sizeof(size), c->bytes));
}
