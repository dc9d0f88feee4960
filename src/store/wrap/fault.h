#pragma once
/** The rules of the fault wrapper. */
#include "../internal.h"

#include <stdatomic.h>

enum fault_op {
	FAULT_PUT,
	FAULT_GET,
	FAULT_HEAD,
	FAULT_REMOVE,
	FAULT_LIST,
	FAULT_BEGIN,
	FAULT_PART,
	FAULT_COMPLETE,
	FAULT_ABORT,
	FAULT_UPLOADS,
	FAULT_ANY
};

enum fault_when { FAULT_NTH, FAULT_FROM, FAULT_PERCENT };

enum fault_what {
	FAULT_EIO,
	FAULT_UNAVAILABLE,
	FAULT_TIMEOUT,
	FAULT_CORRUPT,
	FAULT_SLOW,
	FAULT_CRASH,
	FAULT_NOSPACE,
	FAULT_NOTHING
};

struct fault_rule {
	enum fault_op op;
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
enum fault_what fault_decide(struct fault_rules *rules, enum fault_op op, int64_t *ret_slow_ms);
const char *fault_op_name(enum fault_op op);
