// SPDX-License-Identifier: Apache-2.0
/* Health of the copies in further stores: how far behind they are, what is in their way, and what was read from them because the first store failed. */
#include "checks.h"
#include "line.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/conf.h>

#include <inttypes.h>
#include <string.h>

/* Behind for so long, copies need somebody: in a day a window has come, and an outage is over, mostly. */
#define LATE_US      (INT64_C(86400) * US_PER_S)
#define VERY_LATE_US (3 * LATE_US)
#define READS_SHOWN  16
#define STORES_MAX   64

/* struct behind - one store, over all states. */
struct behind {
	uint64_t store;
	uint64_t waiting, bytes; /* that are not there yet */
	int64_t since_us;
	uint64_t whole, wrong, lost;
	char error[REPLICA_ERROR_BYTES], wrong_error[REPLICA_ERROR_BYTES], wrong_path[REPLICA_PATH_BYTES];
};

struct summing {
	struct behind stores[STORES_MAX];
	size_t count;
};

static void sum_state(void *arg, const struct catalog_replica_sum *sum)
{
	struct summing *s = arg;
	struct behind *b;

	if (s->count == 0 || s->stores[s->count - 1].store != sum->store) {
		if (s->count == STORES_MAX)
			return;
		s->stores[s->count++] = (struct behind){.store = sum->store};
	}
	b = &s->stores[s->count - 1];
	if (sum->state == REPLICA_WHOLE)
		b->whole = sum->count;
	if (sum->state == REPLICA_LOST)
		b->lost = sum->count;
	if (sum->state == REPLICA_WRONG) {
		b->wrong = sum->count;
		str_copy(b->wrong_error, sizeof(b->wrong_error), sum->error);
		str_copy(b->wrong_path, sizeof(b->wrong_path), sum->path);
	}
	if (sum->state != REPLICA_WANTED && sum->state != REPLICA_COPYING && sum->state != REPLICA_LOST)
		return;
	b->waiting += sum->count;
	b->bytes += sum->bytes;
	if (!b->since_us || sum->oldest_us < b->since_us)
		b->since_us = sum->oldest_us;
	if (sum->error[0])
		str_copy(b->error, sizeof(b->error), sum->error);
}

static void tell_wrong_copies(struct checking *c, const struct behind *b, const char *name)
{
	struct health_item *item;

	if (b->wrong == 0)
		return;
	item = checking_add(c, REPORT_CRIT, mem_printf("copies in %s are wrong", name), name);
	item->text = mem_printf("%" PRIu64 " backup%s no copy there that can be relied on: %s: %s", b->wrong,
	                        b->wrong == 1 ? " has" : "s have", b->wrong_path, b->wrong_error);
	item->what_to_do = mem_printf(
	        "find out who else writes there; when what has the name was moved away it is copied, or at once with: keepfs replicate %s to=%s",
	        b->wrong_path, name);
}

static void tell_wrong_beside(struct checking *c, uint64_t store, const char *name)
{
	struct catalog_besides besides;
	struct health_item *item;

	if (catalog_besides(c->from->catalog, store, &besides) < 0 || besides.count == 0)
		return;
	item = checking_add(c, REPORT_CRIT, mem_printf("objects in %s are wrong", name), name);
	item->since_us = besides.since_us;
	item->text = mem_printf("%" PRIu64 " object%s there not what [store] has of the name: %s",
	                        besides.count, besides.count == 1 ? " is" : "s are", besides.key);
	item->what_to_do = mem_strdup(
	        "find out who has written it, and which of the two is right (keepfs verify --key); when the one there was moved away it is copied within a day, or after a reload");
}

static void tell_copies_wait(struct checking *c, const struct behind *b, const char *name,
                             const struct catalog_replica_store *state)
{
	int64_t late_us = c->from->now_us - b->since_us;
	const char *why = state->failing_since_us ? state->error : b->error;
	enum report_health level = late_us > VERY_LATE_US        ? REPORT_CRIT
	                           : late_us > LATE_US || why[0] ? REPORT_WARN
	                                                         : REPORT_OK;
	struct health_item *item = checking_add(c, level, mem_printf("copies in %s", name), name);
	char size[16], since[32];

	str_format_bytes(size, sizeof(size), b->bytes);
	item->since_us = b->since_us;
	item->text = mem_printf("%" PRIu64 " backup%s (%s) not copied there yet, the oldest since %s%s%s",
	                        b->waiting, b->waiting == 1 ? " is" : "s are", size,
	                        line_time(b->since_us, "-", since), why[0] ? ": " : "", why);
	if (level != REPORT_OK)
		item->what_to_do = mem_printf(
		        "see that the store answers, and that rate and window of [store %s] let so much through; it goes on by itself",
		        name);
	checking_changes_at(c, b->since_us + (late_us > LATE_US ? VERY_LATE_US : LATE_US) + 1);
}

static void tell_store_of_copies(struct checking *c, const struct behind *b)
{
	_cleanup(catalog_store) struct catalog_store at = {0};
	struct catalog_replica_store state;
	struct health_item *item;

	if (catalog_get_store(c->from->catalog, b->store, &at) < 0 ||
	    !conf_is_for_copies(c->from->conf, at.name))
		return;
	(void)catalog_replica_store(c->from->catalog, b->store, &state);
	tell_wrong_copies(c, b, at.name);
	tell_wrong_beside(c, b->store, at.name);
	if (b->waiting > 0) {
		tell_copies_wait(c, b, at.name, &state);
		return;
	}
	item = checking_add(c, state.failing_since_us ? REPORT_WARN : REPORT_OK,
	                    mem_printf("copies in %s", at.name), at.name);
	item->text = state.failing_since_us
	                     ? mem_printf("all %" PRIu64 " copies were made, but it does not answer: %s",
	                                  b->whole, state.error)
	                     : mem_printf("all %" PRIu64 " backups that it is to have are there", b->whole);
	item->since_us = state.failing_since_us;
	if (state.failing_since_us)
		item->what_to_do = mem_strdup("mend the store: copies go on by themselves");
}

struct reads {
	struct catalog_replica_read items[READS_SHOWN];
	size_t count;
	uint64_t all;
};

static void keep_read(void *arg, const struct catalog_replica_read *read)
{
	struct reads *reads = arg;

	reads->all++;
	if (reads->count < READS_SHOWN)
		reads->items[reads->count++] = *read;
}

static void tell_read(struct checking *c, const struct catalog_replica_read *read)
{
	_cleanup(catalog_store) struct catalog_store at = {0};
	struct health_item *item;
	char last[32];

	if (!read->is_damaged && c->from->now_us - read->last_us > LATE_US)
		return;
	(void)catalog_get_store(c->from->catalog, read->store, &at);
	item = checking_add(c, REPORT_WARN, mem_printf("read from a copy: %s", read->path), read->path);
	item->since_us = read->first_us;
	item->text = mem_printf("%s: it was read from %s, last %s: %s",
	                        read->is_damaged ? "what [store] has of it is wrong or missing"
	                                         : "[store] did not answer",
	                        str_or_empty(at.name), line_time(read->last_us, "-", last), read->why);
	item->what_to_do =
	        read->is_damaged
	                ? mem_printf(
	                          "make it anew from the copy with: keepfs replicate %s from=%s repair=yes",
	                          read->path, str_or_empty(at.name))
	                : mem_strdup("mend [store], and try it with: keepfs check; this goes a day later");
}

void check_replicas(struct checking *c)
{
	_cleanup(free) struct summing *s = mem_alloc(sizeof(*s));
	_cleanup(free) struct reads *reads = mem_alloc(sizeof(*reads));
	int r = catalog_sum_replicas(c->from->catalog, sum_state, s);

	if (r == 0)
		r = catalog_each_replica_read(c->from->catalog, keep_read, reads);
	if (r < 0)
		checking_catalog_failed(c, r);
	for (size_t i = 0; i < s->count; i++)
		tell_store_of_copies(c, &s->stores[i]);
	for (size_t i = 0; i < reads->count; i++)
		tell_read(c, &reads->items[i]);
}
