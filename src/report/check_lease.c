// SPDX-License-Identifier: Apache-2.0
/* Health of who writes: the lease of a writer, and what a reader hears of his. */
#include "checks.h"
#include "line.h"
#include "troubles.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <errno.h>

#define HEARD_LATE_MS (INT64_C(600) * 1000) /* and three looks */
#define TOLD_LATE_MS  (3 * HEAD_REPEAT_MS)

static void tell_no_lease(struct checking *c, const struct lease_state *state)
{
	struct health_item *item = checking_add(c, REPORT_CRIT, mem_strdup("lease"), "");
	bool is_lost = state->phase == LEASE_LOST;

	item->kind = is_lost ? "lost" : "unsure";
	item->since_us = state->since_us;
	item->text =
	        is_lost ? mem_strdup(state->text)
	                : mem_printf("the right to write is not surely ours now, so nothing is written%s%s",
	                             state->text[0] ? ": " : "", state->text);
	item->what_to_do = mem_strdup(
	        is_lost ? "see that one keepfs only is to write here; then end this one and start it again, with 'keepfs mount --wait' where it is to stand by"
	                : "it goes on by itself when the store answers");
}

void check_lease(struct checking *c)
{
	struct lease_state state = {.phase = LEASE_NONE};
	struct health_item *item;
	bool is_renewed;

	if (c->from->troubles)
		troubles_lease(c->from->troubles, &state);
	if (state.phase == LEASE_NONE)
		return;
	/* After a host has slept it is over, and renewed at once: only what fails then is a trouble. */
	is_renewed = state.phase == LEASE_UNSURE && !state.since_us;
	if (state.phase != LEASE_HELD && !is_renewed) {
		tell_no_lease(c, &state);
		return;
	}
	item = checking_add(c, REPORT_OK, mem_strdup("lease"), "");
	if (is_renewed) {
		item->text = mem_strdup("it is being renewed, and nothing is written until then");
		return;
	}
	item->text = mem_printf("this keepfs writes here, with fence %llu", (unsigned long long)state.fence);
}

static char *describe_following(const struct checking *c, const struct follower_state *state)
{
	const char *url = c->from->conf->store.url;
	char heard[32], told[32];

	if (state->heard_ms < 0)
		return mem_printf("%s has not answered since the start; what was known before is shown", url);
	line_age(state->heard_ms * 1000, heard);
	if (state->no_head)
		return mem_printf(
		        "follows %s, last heard %s ago; no keepfs that tells what it makes has written there yet",
		        url, heard);
	line_age(state->told_ms * 1000, told);
	return mem_printf("follows %s, last heard %s ago; the writer %s %s ago", url, heard,
	                  state->writer_ended ? "ended" : "told of itself", told);
}

void check_following(struct checking *c)
{
	struct follower_state state;
	struct health_item *item;
	int64_t late_ms = HEARD_LATE_MS + 3 * c->from->conf->follow_ms;
	bool is_silent, is_old;

	if (!c->from->troubles || !troubles_follower(c->from->troubles, &state))
		return;
	if (state.heard_ms >= 0 && state.told_ms >= 0) {
		checking_changes_at(c, c->from->now_us + (late_ms - state.heard_ms + 1) * 1000);
		checking_changes_at(c, c->from->now_us + (TOLD_LATE_MS - state.told_ms + 1) * 1000);
	}
	is_silent = state.heard_ms < 0 || state.heard_ms > late_ms || state.trouble[0];
	is_old = state.told_ms > TOLD_LATE_MS || state.no_head;
	item = checking_add(c, is_silent || is_old ? REPORT_WARN : REPORT_OK, mem_strdup("following"), "");
	item->text = describe_following(c, &state);
	if (is_silent && state.trouble[0]) {
		char *text = mem_printf("%s: %s", item->text, state.trouble);

		free(item->text);
		item->text = text;
	}
	if (is_silent)
		item->what_to_do = mem_strdup(
		        "it goes on by itself when the store answers; until then new backups are not seen");
	else if (is_old)
		item->what_to_do = mem_strdup("look at the keepfs that writes there: does it run?");
}
