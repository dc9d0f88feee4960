// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The table of sections: everything that conf knows about a section of keepfs.conf is declared here, once.
 * Parser, environment, defaults, validation, template, man page and effective configuration walk it.
 *
 * A section is single ([store]), with its struct inside struct conf; or named ([backup NAME]), any number of
 * them, each an item of a list in struct conf. Several sections can share a list, as all kinds of jobs do,
 * and several can share a set of keys. A section whose only item has a name of its own ([export], the job
 * exports) is written as a single one, in the file and in variables.
 */
#include "clash.h"

#include <keepfs/conf.h>

enum conf_section {
	CONF_SECTION_KEEPFS,
	CONF_SECTION_STORE,
	CONF_SECTION_NAMED_STORE,
	CONF_SECTION_READ,
	CONF_SECTION_BACKUP,
	CONF_SECTION_FILES,
	CONF_SECTION_BUNDLE,
	CONF_SECTION_EXPORT,
	CONF_SECTION_MIRROR,
	CONF_SECTION_INBOX,
	CONF_SECTION_CLUSTER,
	CONF_SECTION_CLASS,
	CONF_SECTION_MAIL,
	CONF_SECTION_WEBHOOK,
	CONF_SECTION_COMMAND,
	CONF_SECTION_HEARTBEAT,
	CONF_SECTION_CHECK,
	CONF_SECTION_CONTROL,
	CONF_SECTION_COUNT
};

enum conf_key_set { /* bits, as a section can have several */
	            CONF_KEYS_KEEPFS = 1 << 0,
	            CONF_KEYS_STORE = 1 << 1, /* what every store has */
	            CONF_KEYS_READ = 1 << 2,
	            CONF_KEYS_JOB = 1 << 3, /* what every job has */
	            CONF_KEYS_DUMP = 1 << 4,
	            CONF_KEYS_FILES = 1 << 5,
	            CONF_KEYS_POLICY = 1 << 6, /* what every job and every class has */
	            CONF_KEYS_EXPORT = 1 << 7,
	            CONF_KEYS_MAIN_STORE = 1 << 8, /* of the one that has everything but exports elsewhere */
	            CONF_KEYS_NAMED_STORE = 1 << 9,
	            CONF_KEYS_CLASS = 1 << 10,
	            CONF_KEYS_MIRROR = 1 << 11,
	            CONF_KEYS_BUNDLE = 1 << 12,
	            CONF_KEYS_MAKER = 1 << 13, /* what every job has that makes its bytes itself */
	            CONF_KEYS_HOOKS = 1 << 14, /* of jobs whose runs keepfs begins itself */
	            CONF_KEYS_MAIL = 1 << 16,
	            CONF_KEYS_WEBHOOK = 1 << 17,
	            CONF_KEYS_COMMAND = 1 << 18,
	            CONF_KEYS_HEARTBEAT = 1 << 19,
	            CONF_KEYS_CHECK = 1 << 20,
	            CONF_KEYS_CONTROL = 1 << 21,
	            CONF_KEYS_CLUSTER = 1 << 22,
};

/* An array on the heap, with a member of struct conf that points to it and one that counts its items. Offsets:
 * the first two in struct conf, the others in an item. */
struct conf_list {
	size_t items, count;
	size_t item_bytes;
	size_t name;      /* char * */
	size_t line;      /* int: where the section begins; 0: it is not from the file */
	size_t kind;      /* int: which of the sections that share the list it is */
	size_t origins;   /* struct conf_origin *: by index of conf_keys; NULL: not known */
	const char *item; /* what it is, for people: "job" */
	/* what else is wrong with a name that is unique; NULL when nothing is */
	const char *(*name_wrong)(const char *name);
	const char *name_allowed;
};

struct conf_section_info {
	const char *name;    /* "store", "backup" */
	const char *header;  /* for people: "[store]", "[backup NAME]" */
	const char *env;     /* what stands behind KEEPFS_ in its variables, before <NAME>_: "STORE_" */
	const char *help;    /* whole sentences, for administrators */
	const char *example; /* named: the header that the template shows, "[backup full]" */
	const char *
	        only; /* of a list: there is one such section at most, its header has no name, and its item has this one */
	bool is_extra;                /* the template shows its header as a comment */
	unsigned keys;                /* enum conf_key_set, joined by | */
	size_t offset;                /* single: of its struct in struct conf */
	const struct conf_list *list; /* named; NULL for a single one */
	int kind;                     /* among those that share the list */
	/* tell each contradiction between the section's keys (@base: its struct); NULL: there are no rules */
	void (*check)(const void *base, const struct conf_clashes *clashes);
	/* jobs: does it keep all that there is? */
	bool (*takes_everything)(const struct conf_job *job);
};

extern const struct conf_section_info conf_sections[CONF_SECTION_COUNT];
/** conf_section_is_named() - does a name stand in its header and in its variables? */
bool conf_section_is_named(enum conf_section section);
extern const struct conf_list *const conf_jobs; /* of all kinds */
extern const struct conf_list *const conf_classes;
extern const struct conf_list *const conf_named_stores;

/* A key in one of the sections that a configuration consists of. */
struct conf_ref {
	enum conf_section section;
	size_t item; /* of a named section: the index in its list; else 0 */
	int key;     /* of conf_keys; -1: none, the section as a whole */
};

/**
 * conf_place() - the @n-th of the sections that @c consists of, with ret->key -1
 * Single sections come in the order of the table, and each list once, as its items do.
 * Return: false when there are no more than @n.
 */
bool conf_place(const struct conf *c, size_t n, struct conf_ref *ret);
/** conf_next_key() - from one key of the section to the next, from -1 to the first; false behind the last. */
bool conf_next_key(struct conf_ref *ref);
/** conf_base() - the struct that the section's keys are fields of. */
void *conf_base(const struct conf *c, struct conf_ref ref);
/** conf_place_title() - append "[store]", "[backup full]". */
void conf_place_title(const struct conf *c, struct conf_ref ref, struct str *out);
/** conf_section_title() - the same of a section that would have the name @name. */
void conf_section_title(enum conf_section section, const char *name, struct str *out);
/** conf_ref_title() - append "[store] url", "[backup full] database". */
void conf_ref_title(const struct conf *c, struct conf_ref ref, struct str *out);

/** conf_list_section() - the section with this kind of item; with -1 the first that has the list. */
enum conf_section conf_list_section(const struct conf_list *list, int kind);
size_t conf_item_count(const struct conf *c, const struct conf_list *list);
/** conf_item() - borrowed, and moved by conf_item_add(). */
void *conf_item(const struct conf *c, const struct conf_list *list, size_t item);
/** conf_item_add() - an item of the section @section, all zero but for name, line and kind; returns its index.
 * The name must have been checked. */
size_t conf_item_add(struct conf *c, enum conf_section section, const char *name, int line);
const char *conf_item_name(const struct conf_list *list, const void *item);
int conf_item_line(const struct conf_list *list, const void *item);
enum conf_section conf_item_section(const struct conf_list *list, const void *item);
struct conf_origin **conf_item_origins(const struct conf_list *list, void *item);
/** conf_item_find() - by its whole name; NULL when there is none. */
void *conf_item_find(const struct conf *c, const struct conf_list *list, const char *name);
/** conf_item_index() - of an item that is in the list. */
size_t conf_item_index(const struct conf *c, const struct conf_list *list, const void *item);
/** conf_items_free() - the list itself, with names; values and origins must have been freed. */
void conf_items_free(struct conf *c, const struct conf_list *list);
