// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * In which parts the tables of an export are read, so that several connections have something to do. A part is a table, or a range of its pages. The
 * parts depend on the tables and on what the server's planner says of them, never on how many connections there are: so the rows come in the same order, however
 * many read.
 */
#include "rows.h"

struct read_unit {
	size_t decision;
	uint32_t from_page, to_page; /* as rows_range() takes them; 0, 0: all */
	bool is_first, is_last;      /* of its table */
};

struct read_units {
	struct read_unit *items;
	size_t count;
	bool is_alone; /* one connection has to read all: each would see another snapshot of what is on another server */
	uint64_t bytes; /* that the large ones among them have, by the planner's estimate */
};

/** units_cut() - of all tables of order->decided that are exported, in the order of the plan. Asks the planner about large tables. */
int units_cut(const struct rows_order *order, struct pg_session *session, struct read_units *ret,
              struct error *err);
/** units_ranges_most() - into how many ranges a table of so many pages may be cut. Pure. */
uint32_t units_ranges_most(uint32_t pages);
/** units_are_worth() - is a table of which all costs @whole read in so many ranges, each of which costs @range? Pure. */
bool units_are_worth(const struct pg_tenant_cost *whole, const struct pg_tenant_cost *range, uint32_t ranges,
                     size_t columns);
/** units_add() - a table, cut into @ranges. */
void units_add(struct read_units *units, size_t decision, uint32_t pages, uint32_t ranges);
void units_finish(struct read_units *units);
static inline void cleanup_read_units(struct read_units *units)
{
	units_finish(units);
}
