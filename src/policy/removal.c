// SPDX-License-Identifier: Apache-2.0
/* What rm may remove. */
#include <keepfs/policy.h>

#include <errno.h>

int policy_check_removal(const struct policy_removal *facts, struct error *err)
{
	/* One that is known to be damaged is nothing that has to be kept. */
	if (facts->damaged)
		return 0;
	if (facts->partial ? facts->other_usable : facts->other_whole)
		return 0;
	return error_set(
	        err, ERROR_DENIED, EPERM,
	        "%s/%s is the last good backup in %s and cannot be removed%s: make another one first",
	        facts->directory, facts->name, facts->directory,
	        facts->other_usable ? " (the others are partial)" : "");
}
