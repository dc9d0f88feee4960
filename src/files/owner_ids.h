// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The numbers of users and groups by their names, asked once for each name that is in use. */
#include "owners.h"

#include <sys/types.h>

struct owner_ids { /* start with {0}; nothing to free */
	struct owner_slot users[OWNER_SLOTS], groups[OWNER_SLOTS];
	bool user_there[OWNER_SLOTS], group_there[OWNER_SLOTS];
};

/** owner_ids_user() - @other where @name is "" or unknown here. May ask a directory service, and wait. */
uid_t owner_ids_user(struct owner_ids *o, const char *name, uid_t other);
gid_t owner_ids_group(struct owner_ids *o, const char *name, gid_t other);
