// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the files of this room share.
 *
 *   rules.c    what is in force for a directory
 *   plan.c     a directory's backups, and what the rules say
 *   judge.c    may it be done now?
 *   carry.c    doing it
 *   words.c    why, in words
 *   command.c  what people write, and what they are answered
 *   simulate.c what would be there in a year
 */
#include <keepfs/codec/json.h>
#include <keepfs/prune.h>

/* prune_find_rules() - fill the plan's job, policy, rules, zone, schedule, interval and is_gone. */
int prune_find_rules(const struct prune *p, struct prune_plan *plan, struct error *err);
/* prune_judge() - state, why, waits: once it is known what is to go. */
void prune_judge(const struct prune *p, struct prune_plan *plan);
/* prune_removal() - how a backup of the plan's directory is removed. */
struct catalog_removal prune_removal(const struct prune *p, const struct prune_plan *plan, const char *by,
                                     const char *reason);

#define PRUNE_SIMULATED_DAYS_MAX 3660
/* prune_simulate() - append what would be there over so many days: lines to @out, or (@list not NULL) an object to that. */
int prune_simulate(const struct prune *p, const struct prune_plan *plan, int days, struct json *list,
                   struct str *out, struct error *err);
/** prune_locks_anything() - is there a store whose objects are to be locked? */
bool prune_locks_anything(const struct conf *conf);
/** prune_part() - what the directory of a plan is of, for people: "database", "tenant". */
const char *prune_part(const struct prune_plan *plan);
