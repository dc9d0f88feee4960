// SPDX-License-Identifier: Apache-2.0
#include "rights.h"
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/keeping.h>

#include <stdlib.h>

#define ANSWER_MS 10000

static uint64_t counter_of(const char *text)
{
	return text ? strtoull(text, NULL, 10) : 0;
}

static int take_archiver(void *arg, const struct pg_row *row, struct error *err)
{
	struct pg_wal_keeping *k = arg;

	(void)err;
	k->failed_count = counter_of(row->values[0]);
	if (row->values[1])
		str_cut(k->last_failed_wal, sizeof(k->last_failed_wal), row->values[1]);
	k->is_failing = str_equal(row->values[2], "t");
	return 0;
}

static int take_slot(void *arg, const struct pg_row *row, struct error *err)
{
	struct pg_wal_keeping *k = arg;

	(void)err;
	k->has_slot = true;
	if (row->values[0])
		str_cut(k->wal_status, sizeof(k->wal_status), row->values[0]);
	k->has_limit = row->values[1] && row->values[1][0] != '-';
	k->limit_bytes = k->has_limit ? counter_of(row->values[1]) : 0;
	k->safe_bytes = row->values[2] ? strtoll(row->values[2], NULL, 10) : 0;
	return 0;
}

static int ask_for_slot(struct pg_session *s, const char *slot, struct pg_wal_keeping *k, struct error *err)
{
	_cleanup(free) char *literal = pg_quote_literal(slot);
	_cleanup(free) char *sql =
	        mem_printf("SELECT s.wal_status, x.setting::bigint * 1048576, s.safe_wal_size"
	                   " FROM pg_catalog.pg_replication_slots s, pg_catalog.pg_settings x"
	                   " WHERE s.slot_name = %s AND x.name = 'max_slot_wal_keep_size'",
	                   literal);

	return pg_session_rows(s, sql, take_slot, k, err);
}

int pg_wal_keeping(const char *conninfo, const char *slot, struct cancel *cancel, struct pg_wal_keeping *ret,
                   struct error *err)
{
	static const char archiver[] =
	        "SELECT failed_count, last_failed_wal, COALESCE(last_failed_time > last_archived_time, last_failed_time IS NOT NULL)"
	        " FROM pg_catalog.pg_stat_archiver";
	_cleanup(free) char *database = conninfo_setting(conninfo, "dbname");
	_cleanup(pg_session) struct pg_session *s = NULL;
	struct pg_wal_keeping k = {0};
	int r = pg_session_open(conninfo, database ? NULL : "postgres", "keepfs", cancel, &s, err);

	if (r < 0)
		return r;
	s->limit_ms = ANSWER_MS;
	r = pg_session_rows(s, archiver, take_archiver, &k, err);
	if (r == 0 && slot)
		r = ask_for_slot(s, slot, &k, err);
	if (r == 0)
		*ret = k;
	return r;
}
