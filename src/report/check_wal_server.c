// SPDX-License-Identifier: Apache-2.0
/*
 * Health of what a server does for its WAL: does its archive_command fail, and may the slot lose what keepfs has not got yet? It is asked each half minute, as long as it lets itself be asked over an ordinary connection.
 */
#include "checks.h"
#include "line.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/wal.h>

#include <inttypes.h>

/* A server tries again after a minute, and keepfs may have been started anew meanwhile. */
#define FAILING_US   (90 * US_PER_S)
#define SLOT_WARN_OF 4 /* less than such a part of its limit is left */

static void check_archiver(struct checking *c, const struct conf_job *job,
                           const struct wal_server_state *state)
{
	struct health_item *item;
	char since[32];

	if (!state->failing_since_us || job->cluster.wal == CONF_WAL_STREAM)
		return;
	if (state->failing_since_us + FAILING_US > c->from->now_us) {
		checking_changes_at(c, state->failing_since_us + FAILING_US);
		return;
	}
	item = checking_add(c, REPORT_WARN, mem_printf("archive_command of %s", job->name), job->name);
	item->kind = "archiver";
	item->since_us = state->failing_since_us;
	item->text = mem_printf("it fails, since %s at the latest, the last time with %s (%" PRIu64
	                        " times in all): WAL stays at the server, whose disk gets full",
	                        line_time(state->failing_since_us, "-", since),
	                        state->keeping.last_failed_wal, state->keeping.failed_count);
	item->what_to_do = mem_strdup(
	        "the server's log has what the command said, and status/last-error what keepfs has answered");
}

static void tell_slot(struct checking *c, const struct conf_job *job, enum report_health level, char *text)
{
	struct health_item *item = checking_add(c, level, mem_printf("slot of %s", job->name), job->name);

	item->kind = "slot";
	item->text = text;
	item->what_to_do = mem_strdup(
	        "see why the stream is behind (stream of the same name); raise max_slot_wal_keep_size at the server while its disk has room, and reload it; once WAL was lost: make a base backup");
}

static void check_slot(struct checking *c, const struct conf_job *job, const struct pg_wal_keeping *k)
{
	char safe[16], limit[16];

	str_format_bytes(limit, sizeof(limit), k->limit_bytes);
	if (!k->has_slot || !k->has_limit)
		return;
	if (str_equal(k->wal_status, "lost"))
		tell_slot(
		        c, job, REPORT_CRIT,
		        mem_printf(
		                "the server has removed WAL that was not streamed yet, as more than %s of it had to be kept (max_slot_wal_keep_size)",
		                limit));
	else if (str_equal(k->wal_status, "unreserved") || (k->wal_status[0] && k->safe_bytes <= 0))
		tell_slot(
		        c, job, REPORT_CRIT,
		        mem_printf(
		                "the next checkpoint of the server may remove WAL that was not streamed yet: more than %s of it has to be kept (max_slot_wal_keep_size)",
		                limit));
	else if (k->wal_status[0] && (uint64_t)k->safe_bytes < k->limit_bytes / SLOT_WARN_OF)
		tell_slot(
		        c, job, REPORT_WARN,
		        mem_printf(
		                "when %s more are written, and not streamed, the server removes WAL that was not streamed: it keeps no more than %s (max_slot_wal_keep_size)",
		                str_format_bytes(safe, sizeof(safe), (uint64_t)k->safe_bytes), limit));
}

void check_wal_server(struct checking *c, const struct conf_job *job)
{
	struct wal_server_state state;

	if (!c->from->wal || !wal_server_state(c->from->wal, job->name, &state) || !state.has_keeping)
		return;
	check_archiver(c, job, &state);
	check_slot(c, job, &state.keeping);
}
