// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Who administers which tenant: users and groups of this host who may fetch the exports of one tenant, and order one. They are named by the key
 * `admins` of [export] (replaced when the configuration is), and by the columns uid and gid of the query of tenants (replaced by each answer to
 * it). All of it is in memory: after a start nobody is an admin by the query before that was answered.
 *
 * A struct export_admins is shared by threads; every function but new and free may be called by any, and waits for nothing but a short lock, unless it
 * says otherwise.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct str;

/** struct export_grant - whoever is the user, or a member of the group, may have what is in the directory of a tenant */
struct export_grant {
	bool is_group;
	uint32_t id;
	char *directory; /* its name below exports/: name_from_database() of the slug; heap */
};
/** struct export_grants - a list of them; all zero: an empty one */
struct export_grants {
	struct export_grant *items;
	size_t count;
};
void export_grants_finish(struct export_grants *g);
static inline void cleanup_export_grants(struct export_grants *g)
{
	export_grants_finish(g);
}

/**
 * export_grants_add() - add those of the tenant @slug: @words is a user, or several with commas or spaces between them, by names or numbers
 * @words: NULL or "": none
 * @is_group: they are groups
 * @problem: appended to when one of them is not known: "no user 'x'". The others are added.
 * A name is looked up: may wait for a directory service. Return: 0, or -ENOENT.
 */
int export_grants_add(struct export_grants *g, const char *slug, const char *words, bool is_group,
                      struct str *problem);
/** export_grants_add_rule() - the same of a rule of the key `admins`: "acme:anna" or "acme:@ops". -EINVAL: it is none. */
int export_grants_add_rule(struct export_grants *g, const char *rule, struct str *problem);

struct export_admins;
struct export_admins *export_admins_new(void);
/** export_admins_free() - NULL allowed; returns NULL. */
struct export_admins *export_admins_free(struct export_admins *a);
/** export_admins_configure() - what the key `admins` says from now on (conf_export.admins); NULL: nothing. What it names and is not there any more is
 * logged, and gives nobody anything. May wait for a directory service. */
void export_admins_configure(struct export_admins *a, char *const *rules);
/** export_admins_ask() - before the query is asked: the number of the question, which only grows. */
uint64_t export_admins_ask(struct export_admins *a);
/** export_admins_answered() - what the query says from now on, in answer to @question; takes @g, and leaves it empty. When a later question was answered
 * meanwhile it is passed over: whoever has lost a right does not get it back. */
void export_admins_answered(struct export_admins *a, uint64_t question, struct export_grants *g);

/** struct export_person - who asks; borrowed */
struct export_person {
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* the supplementary ones */
	size_t group_count;
};
/** export_admins_know() - is he the admin of any tenant? */
bool export_admins_know(struct export_admins *a, const struct export_person *who);
/** export_admins_let() - is he one of the tenant with this directory (the name below exports/)? */
bool export_admins_let(struct export_admins *a, const struct export_person *who, const char *directory);
