// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Which objects of a run the server copies by itself.
 *
 * keepfs puts the beginning of their pack, so many bytes as the smallest part of an upload has, and its end; what lies between the server copies. Where these meet an extent ends, in whatever table: so each
 * checksum is of bytes that keepfs has put, or of bytes that it learns when the pack is read back. Whether the server does it is found out by the first such object, and nothing else is asked for meanwhile.
 */
#include "mirror_private.h"

struct copying {
	bool may;                           /* it is wanted, and nothing has spoken against it yet */
	bool is_proven;                     /* the server has done so */
	const struct fetched_object *trial; /* the first one, whose outcome is not known; NULL */
	uint64_t objects, bytes;            /* that were copied */
};

/** copying_init() - may it be tried? By the job, by where source and store are, and by how @draft, as all packs, is stored and read back. */
void copying_init(struct copying *c, const struct make_context *ctx, const struct make_order *order,
                  const struct draft *draft, const struct source *source);
/** copying_must_wait() - nothing is asked for before the outcome of the first one is known. */
bool copying_must_wait(const struct copying *c);
/** copying_plan() - is @object, which is not asked for yet, one of these? Then its copied_at and copied_bytes are set. */
void copying_plan(struct copying *c, struct fetched_object *object);
/** copying_done() - @object was copied. copying_given_up() - its outcome says nothing, since it is another object now. */
void copying_done(struct copying *c, const struct fetched_object *object);
void copying_given_up(struct copying *c, const struct fetched_object *object);
/** copying_refuse() - the server does not do so, as @why says: it is not tried again in this run, whose log tells. true: @object was the first one. */
bool copying_refuse(struct copying *c, const struct fetched_object *object, const struct make_order *order,
                    const struct error *why);
/** copying_say() - what was copied, for the log of the run. */
void copying_say(const struct copying *c, const struct make_order *order);
