// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The erasure register: who was erased, and must not come back with a backup (docs/formats.md, "Erasures"). An entry says where a row was, and holds a keyed
 * hash of its key (HMAC-SHA-256 with [keepfs] erasure_key_file): with the key each value of a restored table can be looked up, and without it nobody learns who
 * it was. Entries are objects below erasures/ in the store, and files below state_dir; they are added, and never changed or removed.
 */
#include <keepfs/artifact.h>
#include <keepfs/base/cancel.h>
#include <keepfs/make.h>

#define ERASURES_PREFIX "erasures/"

struct erasures;

/**
 * erasures_load() - read the register
 * @repository: its store; what is here and not there is put there, what is there and not here comes here. Blocks on both.
 * Return: 0; -EPERM: it has entries and there is no key, or another one; -EBADMSG (ERROR_CORRUPT): an entry cannot be read; what the store said. A
 * register that cannot be read is never taken for an empty one.
 */
int erasures_load(const struct conf *conf, struct repository *repository, struct cancel *cancel,
                  struct erasures **ret, struct error *err);
/** erasures_load_copy() - the register as a further store has it, joined with what this host has: for a restore of a copy, when the store itself cannot be read. @copy: a repository whose store that
 * is; nothing is put there. As erasures_load(). */
int erasures_load_copy(const struct conf *conf, struct repository *copy, struct cancel *cancel,
                       struct erasures **ret, struct error *err);
/** erasures_free() - NULL allowed; returns NULL. */
struct erasures *erasures_free(struct erasures *e);
DEFINE_CLEANUP(erasures, struct erasures *, erasures_free)

/** erasures_append() - for people: a line for each, oldest first: when, what kind, where, by whom. */
void erasures_append(const struct erasures *e, struct str *out);

/** struct erasures_asked - about a backup that is looked into; borrowed. */
struct erasures_asked {
	const struct conf *conf;
	struct repository *
	        repository; /* NULL: only the part of the register that this host has, so that nothing waits for the store */
	struct cancel *cancel;
	const struct manifest *m;
};
/**
 * erasures_append_notice() - for people: what was registered as erased since that backup was begun, so that it still has it; a sentence without a line end
 *
 * A backup cannot be changed, and whoever looks into it sees what it has. Needs no key. Blocks on the local disk, and with a repository on the store. Return: was there
 * something to say? A register that cannot be read is.
 */
bool erasures_append_notice(const struct erasures_asked *asked, struct str *out);
/** erasures_any_here() - has this host any part of a register? Costs a look at a directory. */
bool erasures_any_here(const struct conf *conf);
/** erasures_stamp() - a number that changes when this host learns of another erasure. */
uint64_t erasures_stamp(const struct conf *conf);

/**
 * erasures_command() - "tenant acme", "public.users id=4711 database=shop": add an entry
 * @by: who
 * @answer: what was entered, without the key
 * @ret_object: what the audit says it was about: heap, without the key; set when the words were understood
 * Connects to the server, so that a table that is not there is noticed and the key is written as the server writes it. 0, also when it is entered
 * already; -EINVAL.
 */
int erasures_command(const struct make_context *ctx, const char *text, const char *by, struct cancel *cancel,
                     struct str *answer, char **ret_object, struct error *err);

struct erasures_target { /* borrowed */
	const struct conf *conf;
	const char *server, *database; /* what was restored, and nobody uses yet */
	const char *source;            /* the name of the database that the backup is of */
	struct cancel *cancel;
	void (*say)(void *arg,
	            const char *line); /* any thread; what was deleted, with counts, without keys */
	void *arg;
};
/** erasures_refuse_database() - a whole database of that name was erased: -EPERM (ERROR_DENIED). */
int erasures_refuse_database(const struct erasures *e, const char *source, struct error *err);
/** erasures_refuse_tenant() - -EPERM (ERROR_DENIED): it is. */
int erasures_refuse_tenant(const char *tenant, struct error *err);
/** erasures_is_tenant() - was this tenant of @database erased? */
bool erasures_is_tenant(const struct erasures *e, const char *database, const char *tenant_id);
/** erasures_has_rows_of() - are rows of this table of @database registered? */
bool erasures_has_rows_of(const struct erasures *e, const char *database, const char *schema,
                          const char *table);
struct exported;
/** erasures_check_exported() - may this export come back into a database? -EPERM (ERROR_DENIED): its tenant, or rows that it has, are registered as erased. Reads the tables of
 * which there are entries. */
int erasures_check_exported(const struct erasures *e, struct exported *x, struct error *err);
struct pg_rescue;
struct erasures_rescue { /* borrowed: rows of one table of a backup, on their way into a database that lives */
	const struct conf *conf;
	const char *database, *schema, *table; /* as the backup calls them */
	struct pg_rescue *rows;
	void (*say)(void *arg, const char *line); /* what is left out, with counts, without keys */
	void (*warn)(void *arg, const char *line);
	void *arg;
};
/** erasures_leave_out() - have the rows that are registered as erased not come back: those of this table, and those that name a tenant in a `tenant_column`. Whose rows the others are
 * nobody can tell by themselves, and that is said. -EPERM (ERROR_DENIED): the schema is an erased tenant's. */
int erasures_leave_out(const struct erasures *e, const struct erasures_rescue *what, struct error *err);
/** erasures_apply() - delete what was erased, and what cannot be without it. Blocks on the server; it reads the columns of which there are entries. */
int erasures_apply(const struct erasures *e, const struct erasures_target *target, struct error *err);
