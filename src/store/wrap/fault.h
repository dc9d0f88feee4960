// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The rules of the fault wrapper. */
#include "../store_private.h"

#include <stdatomic.h>

#define FAULT_ANY STORE_CALL_KINDS /* of a rule: each of them */

enum fault_when { FAULT_NTH, FAULT_FROM, FAULT_PERCENT };

enum fault_what {
	FAULT_EIO,
	FAULT_UNAVAILABLE,
	FAULT_TIMEOUT,
	FAULT_CORRUPT,
	FAULT_SLOW,
	FAULT_CRASH,
	FAULT_NOSPACE,
	FAULT_DENIED,
	FAULT_NOTHING
};

struct fault_rule {
	enum store_call_kind op; /* or FAULT_ANY */
	enum fault_when when;
	enum fault_what what;
	uint64_t n;
	int64_t slow_ms;
	_Atomic uint64_t calls; /* that it was asked about */
};

struct fault_rules {
	struct fault_rule *items;
	size_t count;
};

/** fault_parse() - the rules of @spec, to be freed with fault_rules_finish(); -EINVAL names the wrong one. */
int fault_parse(const char *spec, struct fault_rules *ret, struct error *err);
void fault_rules_finish(struct fault_rules *rules);
/**
 * fault_decide() - count a call of @op and find what shall happen to it
 * @ret_slow_ms: how long it shall be held up before
 */
enum fault_what fault_decide(struct fault_rules *rules, enum store_call_kind op, int64_t *ret_slow_ms);
