// SPDX-License-Identifier: Apache-2.0
#pragma once
/** In which order a tenant's rows are deleted: those that refer before those that are referred to. Pure. */
#include <keepfs/policy/tenancy.h>

/** struct leave_order - the tables of which rows are deleted, in this order */
struct leave_order {
	size_t *decisions; /* places in the plan */
	/* Of each of these its group. A group is deleted after the one before it; its tables refer to each other in a circle (or one to itself), or it is one
	 * table. */
	size_t *groups;
	size_t count, group_count;
	bool *is_circle; /* of each group: all of its rows have to be deleted by one statement */
};
/**
 * leave_order_make() - all tables of @plan for which @is_left (by the place in the plan)
 * The tenants' own table comes last, with those to which it refers, so that the tenant is known until nothing else of it is there.
 */
void leave_order_make(const struct tenancy_model *model, const struct tenancy_plan *plan, const bool *is_left,
                      struct leave_order *ret);
void leave_order_finish(struct leave_order *o);
