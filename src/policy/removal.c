// SPDX-License-Identifier: Apache-2.0
/* What may be removed, by rm and by the rules of what is kept. */
#include <keepfs/policy.h>

#include <errno.h>

#include <keepfs/base/clock.h>

static int refuse_held(const struct policy_removal *facts, struct error *err)
{
	return error_set(
	        err, ERROR_DENIED, EPERM,
	        "%s/%s is held and cannot be removed: %s. Whoever may end that writes into control/hold: %s/%s off",
	        facts->directory, facts->name, facts->held, facts->directory, facts->name);
}

static int refuse_promised(const struct policy_removal *facts, struct error *err)
{
	char until[CLOCK_ISO_BYTES];

	return error_set(
	        err, ERROR_DENIED, EPERM,
	        "%s/%s is to be kept until %s, as whoever triggered it said, and cannot be removed before",
	        facts->directory, facts->name, clock_format_iso(facts->keep_until_us, until));
}

static int refuse_locked(const struct policy_removal *facts, struct error *err)
{
	char until[CLOCK_ISO_BYTES];

	return error_set(err, ERROR_DENIED, EPERM,
	                 "%s/%s is locked in the store until %s: nobody can delete it before, try again then",
	                 facts->directory, facts->name, clock_format_iso(facts->locked_until_us, until));
}

static int refuse_last(const struct policy_removal *facts, struct error *err)
{
	return error_set(
	        err, ERROR_DENIED, EPERM,
	        "%s/%s is the last good backup in %s and cannot be removed%s: make another one first",
	        facts->directory, facts->name, facts->directory,
	        facts->other_usable ? " (the others are partial)" : "");
}

static int check_floor(const struct policy_removal *facts, struct error *err)
{
	unsigned floor = facts->min_keep > 1 ? facts->min_keep : 1;

	if (facts->is_gone)
		return 0;
	if (facts->partial && (facts->others_whole > 0 || facts->other_usable))
		return 0;
	if (facts->others_whole == 0)
		return refuse_last(facts, err);
	if (facts->newest)
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "%s/%s is the newest good backup in %s and cannot be removed: make another one first",
		        facts->directory, facts->name, facts->directory);
	if (facts->others_whole < floor)
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "%s/%s cannot be removed: %s has %u good backups, and min_keep = %u of them stay in any case",
		        facts->directory, facts->name, facts->directory, facts->others_whole + 1, floor);
	return 0;
}

int policy_check_removal(const struct policy_removal *facts, struct error *err)
{
	if (facts->locked_until_us > facts->now_us)
		return refuse_locked(facts, err);
	if (facts->held)
		return refuse_held(facts, err);
	/* One that is known to be damaged is nothing that has to be kept. */
	if (facts->damaged)
		return 0;
	if (facts->keep_until_us > facts->now_us)
		return refuse_promised(facts, err);
	return check_floor(facts, err);
}
