// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * One pack, between pack.c, which decides what is in it, and the store.
 *
 *   pack_new()      … pack_put(), pack_list() …: it is filled, by one thread
 *   pack_publish()  beside the run: finished, listed, read back, published; nothing more can be written
 *   pack_await()    what became of it
 *   pack_free()     also of one that is still being published: waits for that
 */
#include "mirror_private.h"

struct pack;
/** pack_new() - begin the artifact @stem in @directory, for @order, whose target it replaces. Waits for memory. @head: of the list of its members. */
int pack_new(const struct make_context *ctx, const struct make_order *order, const char *directory,
             const char *stem, const struct listing_head *head, struct pack **ret, struct error *err);
/** pack_free() - what was not published is taken back. NULL allowed; returns NULL. */
struct pack *pack_free(struct pack *pack);
DEFINE_CLEANUP(pack, struct pack *, pack_free)

/** pack_pace() - as draft_pace(). */
int pack_pace(struct pack *pack, uint64_t bytes, struct error *err);
/** pack_put() - the next bytes of the tar; pack_put_zeros() - so many zeros. */
int pack_put(struct pack *pack, const void *data, size_t len, struct error *err);
int pack_put_zeros(struct pack *pack, uint64_t bytes, struct error *err);
/** pack_copy() - the next bytes of the tar are @from: returns when the store has copied them. Of a pack that has one member alone. */
int pack_copy(struct pack *pack, const struct sink_copy *from, struct error *err);
/** pack_end_copied() - @e, which is cloned but for its digest, is that member. @md5: "", or the MD5 that its bytes have to have, in hexadecimal digits. */
void pack_end_copied(struct pack *pack, const struct listing_entry *e, const char *md5);
/** pack_copied() - what was published with pack_await(): that member, with its digest and its line; borrowed. NULL: the store has copied nothing of it. */
const struct listing_entry *pack_copied(const struct pack *pack, const struct str **ret_line);
/** pack_list() - @e, whose line is @line, is a member. */
int pack_list(struct pack *pack, const struct listing_entry *e, const struct str *line, struct error *err);
/** pack_bytes() - that were put; pack_count() - of its members. */
uint64_t pack_bytes(const struct pack *pack);
uint64_t pack_count(const struct pack *pack);

/** pack_publish() - all of it was put. On a thread of its own, when there is memory for that (draft_set_aside()); else before it returns. */
void pack_publish(struct pack *pack);
/** pack_has_failed() - it is known already that it could not be published. Never waits. */
bool pack_has_failed(const struct pack *pack);
/** pack_await() - wait until it is published, once: 0; or why it is not. */
int pack_await(struct pack *pack, struct error *err);
