// SPDX-License-Identifier: Apache-2.0
#include "owner_ids.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#define FIRST_BYTES ((size_t)16 << 10)
#define MOST_BYTES  ((size_t)4 << 20) /* a group of very many members */

typedef int id_ask(const char *name, char *buf, size_t bytes, uint32_t *ret);

/* Return: 1: it is there; 0; or the error. */
static int ask_user_id(const char *name, char *buf, size_t bytes, uint32_t *ret)
{
	struct passwd pw, *found = NULL;
	int r = getpwnam_r(name, &pw, buf, bytes, &found);

	if (r == 0 && found)
		*ret = found->pw_uid;
	return r ? -r : found != NULL;
}

static int ask_group_id(const char *name, char *buf, size_t bytes, uint32_t *ret)
{
	struct group gr, *found = NULL;
	int r = getgrnam_r(name, &gr, buf, bytes, &found);

	if (r == 0 && found)
		*ret = found->gr_gid;
	return r ? -r : found != NULL;
}

static bool ask_id(id_ask *ask, const char *name, uint32_t *ret)
{
	int r = -ERANGE;

	for (size_t bytes = FIRST_BYTES; r == -ERANGE && bytes <= MOST_BYTES; bytes *= 4) {
		_cleanup(free) char *buf = mem_alloc(bytes);

		r = ask(name, buf, bytes, ret);
	}
	return r == 1;
}

static size_t slot_of_name(const char *name)
{
	uint32_t hash = 2166136261U;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619U;
	return hash % OWNER_SLOTS;
}

static uint32_t id_of(struct owner_slot *slots, bool *there, id_ask *ask, const char *name, uint32_t other)
{
	size_t i = slot_of_name(name);

	if (!*name)
		return other;
	if (!slots[i].known || !str_equal(slots[i].name, name)) {
		slots[i].known = true;
		str_copy(slots[i].name, sizeof(slots[i].name), name);
		there[i] = ask_id(ask, name, &slots[i].id);
	}
	return there[i] ? slots[i].id : other;
}

uid_t owner_ids_user(struct owner_ids *o, const char *name, uid_t other)
{
	return id_of(o->users, o->user_there, ask_user_id, name, other);
}

gid_t owner_ids_group(struct owner_ids *o, const char *name, gid_t other)
{
	return id_of(o->groups, o->group_there, ask_group_id, name, other);
}
