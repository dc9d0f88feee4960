// SPDX-License-Identifier: Apache-2.0
/*
 * Ranges are worth it where the server goes through most of the table anyway. Where it finds the tenant's rows by an index, each range would
 * look through that, or through all of its pages, again; and what has to be made ready for each range, such as a hash of the tenant's orders for the items of these, costs
 * anew. So the planner is asked what a range would cost.
 */
#include "units.h"

#include <keepfs/base/mem.h>

#include <stdlib.h>

#define LARGE_PAGES 2048U               /* 16 MiB: of smaller tables nothing is asked */
#define LARGE_BYTES ((uint64_t)8 << 20) /* of the tenant's rows */
#define RANGE_PAGES 2048U               /* of a range, at least */
#define RANGES_MAX  64U
#define VALUE_COST  0.03 /* to write a value as text, in the planner's units, which do not count that */
#define EXTRA_PART  0.25 /* of all the work, that ranges may cost more than the whole */

/* A power of two, so that an even number of connections has as much to do each. */
uint32_t units_ranges_most(uint32_t pages)
{
	uint32_t ranges = 1;

	while (ranges < RANGES_MAX && pages / (ranges * 2) >= RANGE_PAGES)
		ranges *= 2;
	return ranges;
}

bool units_are_worth(const struct pg_tenant_cost *whole, const struct pg_tenant_cost *range, uint32_t ranges,
                     size_t columns)
{
	double work = whole->total + whole->rows * (double)(columns + 2) * VALUE_COST;

	return range->is_range && range->total * ranges - whole->total <= work * EXTRA_PART;
}

void units_add(struct read_units *units, size_t decision, uint32_t pages, uint32_t ranges)
{
	struct read_unit *added;

	units->items = mem_resize(units->items, units->count + ranges, sizeof(*units->items));
	added = &units->items[units->count];
	units->count += ranges;
	for (uint32_t i = 0; i < ranges; i++) {
		added[i] = (struct read_unit){
		        .decision = decision, .is_first = i == 0, .is_last = i + 1 == ranges};
		if (ranges == 1)
			continue;
		added[i].from_page = (uint32_t)((uint64_t)pages * i / ranges);
		/* The table may have grown. */
		added[i].to_page =
		        added[i].is_last ? UINT32_MAX : (uint32_t)((uint64_t)pages * (i + 1) / ranges);
	}
}

/* The most ranges that are worth it. Row security, or a setting, may keep the server from reading by pages at all. */
static int choose_ranges(struct rows *t, struct pg_session *session, uint32_t pages,
                         const struct pg_tenant_cost *whole, uint32_t *ret, struct error *err)
{
	size_t columns = rows_table(t).column_count;
	uint32_t ranges = units_ranges_most(pages);

	for (; ranges > 1; ranges /= 2) {
		struct pg_tenant_cost range;
		int r;

		rows_range(t, pages / ranges, pages / ranges * 2);
		r = rows_cost(t, session, &range, err);
		if (r < 0)
			return r;
		if (!range.is_range)
			ranges = 1;
		if (ranges == 1 || units_are_worth(whole, &range, ranges, columns))
			break;
	}
	*ret = ranges;
	return 0;
}

static int cut_large(struct read_units *units, const struct rows_order *order, struct pg_session *session,
                     size_t decision, uint32_t pages, struct error *err)
{
	_cleanup(rows) struct rows *t = rows_new(order, decision);
	struct pg_tenant_cost whole;
	uint32_t ranges = 1;
	uint64_t bytes;
	int r = rows_cost(t, session, &whole, err);

	if (r < 0)
		return r;
	bytes = (uint64_t)(whole.rows * whole.width);
	units->bytes += bytes;
	/* Of a tenant that has little in a large table the rows are found by an index, or it is not worth it. */
	if (bytes >= LARGE_BYTES)
		r = choose_ranges(t, session, pages, &whole, &ranges, err);
	if (r == 0)
		units_add(units, decision, pages, ranges);
	return r;
}

/* Partitions, and tables over which a condition leads, may be foreign, too. */
static bool has_foreign_table(const struct tenancy_model *model)
{
	for (size_t i = 0; i < model->table_count; i++)
		if (model->tables[i].kind == 'f')
			return true;
	return false;
}

int units_cut(const struct rows_order *order, struct pg_session *session, struct read_units *ret,
              struct error *err)
{
	const struct decided *d = order->decided;
	int r = 0;

	*ret = (struct read_units){.is_alone = has_foreign_table(&d->model)};
	for (size_t i = 0; r == 0 && i < d->plan.count; i++) {
		uint32_t table = d->plan.decisions[i].table;
		uint32_t pages = d->pages ? d->pages[table] : 0;

		if (d->plan.decisions[i].verdict != TENANCY_EXPORTED)
			continue;
		if (pages < LARGE_PAGES)
			units_add(ret, i, pages, 1);
		else
			r = cut_large(ret, order, session, i, pages, err);
	}
	return r;
}

void units_finish(struct read_units *units)
{
	free(units->items);
	*units = (struct read_units){0};
}
