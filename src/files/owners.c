// SPDX-License-Identifier: Apache-2.0
#include "owners.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#define FIRST_BYTES ((size_t)16 << 10)
#define MOST_BYTES  ((size_t)4 << 20) /* a group of very many members */

static void ask_user(uint32_t uid, char *buf, size_t bytes, int *ret_r, char *name)
{
	struct passwd pw, *found = NULL;

	*ret_r = getpwuid_r(uid, &pw, buf, bytes, &found);
	if (*ret_r == 0 && found)
		str_copy(name, OWNER_NAME_BYTES, found->pw_name);
}

static void ask_group(uint32_t gid, char *buf, size_t bytes, int *ret_r, char *name)
{
	struct group gr, *found = NULL;

	*ret_r = getgrgid_r(gid, &gr, buf, bytes, &found);
	if (*ret_r == 0 && found)
		str_copy(name, OWNER_NAME_BYTES, found->gr_name);
}

typedef void owner_ask(uint32_t id, char *buf, size_t bytes, int *ret_r, char *name);

static const char *owner_name(struct owner_slot *slots, uint32_t id, owner_ask *ask)
{
	struct owner_slot *slot = &slots[id % OWNER_SLOTS];

	if (slot->known && slot->id == id)
		return slot->name;
	*slot = (struct owner_slot){.known = true, .id = id};
	for (size_t bytes = FIRST_BYTES; bytes <= MOST_BYTES; bytes *= 4) {
		_cleanup(free) char *buf = mem_alloc(bytes);
		int r;

		ask(id, buf, bytes, &r, slot->name);
		if (r != ERANGE)
			break;
	}
	return slot->name;
}

const char *owners_user(struct owners *o, uint32_t uid)
{
	return owner_name(o->users, uid, ask_user);
}

const char *owners_group(struct owners *o, uint32_t gid)
{
	return owner_name(o->groups, gid, ask_group);
}
