// SPDX-License-Identifier: Apache-2.0
/*
 * Health of receivers of WAL. A stream breaks off with each restart of a server, and goes on within seconds: so what is wrong is a warning when it lasts for a minute, and critical from a quarter of an hour on, by when whatever is lost with the server
 * is more than a segment. A gap is critical at once, until a base backup that begins behind it is listed.
 */
#include "checks.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/bases.h>
#include <keepfs/codec/wal_name.h>
#include <keepfs/wal.h>

#include <errno.h>
#include <inttypes.h>

#define WARN_AFTER_US (60 * US_PER_S)
#define CRIT_AFTER_US (900 * US_PER_S)

/* For how long it has been so that something is wrong; 0: nothing is. */
static int64_t wrong_for_us(const struct checking *c, const struct wal_receiver_state *s)
{
	int64_t away_us = c->from->now_us - s->since_us;

	if (s->phase != WAL_RECEIVER_STREAMING)
		return away_us > 0 ? away_us : 1;
	return s->trouble[0] || s->behind_us > WARN_AFTER_US ? s->behind_us : 0;
}

static enum report_health level_of_receiver(int64_t wrong_us)
{
	if (wrong_us >= CRIT_AFTER_US)
		return REPORT_CRIT;
	return wrong_us >= WARN_AFTER_US ? REPORT_WARN : REPORT_OK;
}

static char *words_of_receiver(const struct wal_receiver_state *s)
{
	char place[WAL_LSN_BYTES];
	uint64_t behind = s->server_lsn > s->durable_lsn ? s->server_lsn - s->durable_lsn : 0;

	if (s->phase != WAL_RECEIVER_STREAMING)
		return mem_printf("its WAL is not streamed (%s)%s%s", wal_receiver_phase_name(s->phase),
		                  s->trouble[0] ? ": " : "", s->trouble);
	if (s->trouble[0])
		return mem_printf(
		        "what is streamed cannot be stored, and the server keeps its WAL meanwhile: %s",
		        s->trouble);
	return mem_printf("streamed, and durable up to %s, %" PRIu64 " bytes behind the server",
	                  wal_lsn_format(s->durable_lsn, place), behind);
}

struct closing {
	uint64_t gap_to;
	bool is_closed;
};

static int look_at_base_behind(void *arg, const struct catalog_base *b)
{
	struct closing *closing = arg;

	closing->is_closed |= !b->is_removed && !b->is_damaged && b->facts.start_lsn >= closing->gap_to;
	return 0;
}

static void tell_receiver_gap(struct checking *c, const char *job, const struct wal_receiver_state *s)
{
	struct closing closing = {.gap_to = s->gap_to};
	char from[WAL_LSN_BYTES], to[WAL_LSN_BYTES];
	struct health_item *item;
	int r = catalog_each_base(c->from->catalog, job, look_at_base_behind, &closing);

	if (r < 0)
		checking_catalog_failed(c, r);
	if (r < 0 || closing.is_closed)
		return;
	item = checking_add(c, REPORT_CRIT, mem_printf("gap in the WAL of %s", job), job);
	item->text = mem_printf(
	        "the server had no WAL any more from %s to %s: a recovery cannot go past it. Make a base backup now",
	        wal_lsn_format(s->gap_from, from), wal_lsn_format(s->gap_to, to));
}

void check_wal_receiver(struct checking *c, const char *job)
{
	struct wal_receiver_state s;
	struct health_item *item;
	int64_t wrong_us;

	if (!c->from->wal || wal_receiver_state(c->from->wal, job, &s) < 0)
		return;
	wrong_us = wrong_for_us(c, &s);
	item = checking_add(c, level_of_receiver(wrong_us), mem_printf("stream of %s", job), job);
	item->text = words_of_receiver(&s);
	if (wrong_us > 0 && wrong_us < CRIT_AFTER_US)
		checking_changes_at(c, c->from->now_us +
		                               (wrong_us < WARN_AFTER_US ? WARN_AFTER_US : CRIT_AFTER_US) -
		                               wrong_us);
	if (s.gap_to)
		tell_receiver_gap(c, job, &s);
}
