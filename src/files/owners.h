// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The names of users and groups, asked once for each number that is in use. */
#include <stdbool.h>
#include <stdint.h>

#define OWNER_SLOTS      64
#define OWNER_NAME_BYTES 256

struct owner_slot {
	bool known;
	uint32_t id;
	char name[OWNER_NAME_BYTES];
};

struct owners { /* start with {0}; nothing to free */
	struct owner_slot users[OWNER_SLOTS], groups[OWNER_SLOTS];
};

/** owners_user() - "" when the system knows no name; borrowed until the next call. May ask a directory service, and wait. */
const char *owners_user(struct owners *o, uint32_t uid);
const char *owners_group(struct owners *o, uint32_t gid);
