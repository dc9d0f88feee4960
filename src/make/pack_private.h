// SPDX-License-Identifier: Apache-2.0
#pragma once
/* One pack, between its series (packs.c) and the store (pack.c). */
#include <keepfs/make/pack.h>

struct pack_options { /* all borrowed */
	const struct make_context *ctx;
	const struct make_order *order; /* its target is replaced */
	const char *directory, *stem, *suffix;
	const struct listing_head *members; /* of the list of its members; NULL: it has none */
	int64_t started_at_us;
	const char *job; /* whose pack it is */
};
/** pack_new() - begin the artifact. Waits for memory. */
int pack_new(const struct pack_options *options, struct pack **ret, struct error *err);
/** pack_free() - what was not published is taken back; of one that is still being published: waits for that. NULL allowed; returns NULL. */
struct pack *pack_free(struct pack *pack);
DEFINE_CLEANUP(pack, struct pack *, pack_free)
/** pack_copied() - of one that is published: its member that was copied, with digest and line; borrowed. NULL: the store has copied nothing of it. */
const struct listing_entry *pack_copied(const struct pack *pack, const struct str **ret_line);
/** pack_publish() - all of it was put. On a thread of its own, when there is memory for that; else before it returns. */
void pack_publish(struct pack *pack);
/** pack_has_failed() - it is known already that it could not be published. Never waits. */
bool pack_has_failed(const struct pack *pack);
/** pack_await() - wait until it is published, once: 0; or why it is not. */
int pack_await(struct pack *pack, struct error *err);
