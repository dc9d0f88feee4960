// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What notices tell of: the words that `events` of a receiver may hold. The words are promises; numbers are kept in the
 * catalog, so a new event comes last. */
#include <stddef.h>
#include <stdint.h>

enum conf_event {
	EVENT_FAILED,         /* a job's last run has failed */
	EVENT_RECOVERED,      /* something that was told of is over */
	EVENT_MISSED,         /* a backup that was due was not made */
	EVENT_WARNING,        /* anything else that health has to say */
	EVENT_ANOMALY,        /* a backup differs from those before it as it should not */
	EVENT_DRILL,          /* a rehearsed restore failed, or passed */
	EVENT_STORE_BAD,      /* the store does not work */
	EVENT_STORE_GOOD,     /* it works again */
	EVENT_DAMAGED,        /* a backup is damaged */
	EVENT_PRUNE_REFUSED,  /* old backups are not removed */
	EVENT_POLICY_CHANGED, /* what is kept, and for how long, has changed */
	EVENT_HOLD_ADDED,     /* a backup is held */
	EVENT_HOLD_ENDED,     /* it is not any more */
	EVENT_EXPIRING,       /* a key or a certificate ends soon */
	EVENT_NOTICES,        /* another receiver cannot be reached */
	EVENT_RESTORE,        /* a restore has ended, well or not; what it left is settled */
	EVENT_CONFIRM,        /* a command waits for a second person */
	EVENT_COUNT
};

/** conf_event_name() - "failed", "store-bad": static. */
const char *conf_event_name(enum conf_event event);

/** A set of events: bit 1 << event. */
#define CONF_EVENTS_ALL ((UINT32_C(1) << EVENT_COUNT) - 1)

struct str;
/** conf_events_parse() - "all", "failed, recovered", "all, !hold-added": 0; -EINVAL with what is wrong in @wrong. */
int conf_events_parse(const char *text, uint32_t *ret, struct str *wrong);
/** conf_events_format() - the same again. */
void conf_events_format(uint32_t events, struct str *out);
