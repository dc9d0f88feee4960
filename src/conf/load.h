// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the parts of conf_load() share. One thread. */
#include "keys.h"

struct conf_origin {
	char *text; /* "/etc/keepfs/keepfs.conf:12", "KEEPFS_STORE_URL", "AWS_REGION", "default" */
	int line;   /* in the file; 0: not from there */
	bool given; /* by the administrator: in the file or in a KEEPFS_ variable */
	bool wrong; /* the value was refused (and that was told): the field holds another */
};

struct conf_origins { /* of single sections: by index of conf_keys; those of an item are with it */
	struct conf_origin *of[CONF_SECTION_COUNT];
};

struct conf_problem {
	int line; /* for the order: as in the file, then the environment */
	char *text;
};

struct conf_loader {
	struct conf conf;
	struct conf_problem *problems;
	size_t problem_count;
	size_t error_count; /* problems that are no warnings */
	/* while the file is read: */
	struct conf_ref at;              /* the section whose keys follow */
	bool skip;                       /* the section is unknown or wrong: its keys are left alone */
	bool in_section;                 /* false before the first */
	int lines[CONF_SECTION_COUNT];   /* where each section that is there once began */
	size_t only[CONF_SECTION_COUNT]; /* the item of one that is in a list */
};

/** conf_problem() - note a problem; @line 0 sorts behind all of the file's. */
void conf_problem(struct conf_loader *l, int line, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
void conf_warning(struct conf_loader *l, int line, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

/** conf_take_problems() - append all of them to @out, by line; those of one line stay in the order they were found
 * in. None is left. */
void conf_take_problems(struct conf_loader *l, struct str *out);

/** conf_origin_of() - where a key's value came from; never NULL, but for a struct conf that was not loaded. */
struct conf_origin *conf_origin_of(const struct conf *c, struct conf_ref ref);
/** conf_key_is_given() - by the administrator, and it was not refused. False also for a struct conf that was not loaded. */
bool conf_key_is_given(const struct conf *c, struct conf_ref ref);
#define CONF_WHITE_SPACE " \t\r\n\v\f"
/** conf_set() - parse and store a value that was given at @origin_text, without white space at its ends; notes a
 * problem when it is wrong. */
void conf_set(struct conf_loader *l, struct conf_ref ref, const char *text, const char *origin_text, int line,
              bool given);
/** conf_add_section() - a named section without any value; returns its index in its list. The name must have
 * been checked. */
size_t conf_add_section(struct conf_loader *l, enum conf_section section, const char *name, int line);
/** conf_job_name_wrong() - what is wrong with a job's name; NULL when nothing is. */
const char *conf_job_name_wrong(const char *name);
/** conf_item_name_wrong() - the same of any other named section. */
const char *conf_item_name_wrong(const char *name);

/** conf_key_has_places() - may the secret be in a file, or printed by a command, too? */
bool conf_key_has_places(struct conf_ref ref);
/** conf_is_set_elsewhere() - is one of the keys given that may be set in the place of @ref, be it wrongly? */
bool conf_is_set_elsewhere(const struct conf *c, struct conf_ref ref);
/** conf_is_wrong_somewhere() - was the value of @ref refused, or that of another place of the same secret? */
bool conf_is_wrong_somewhere(const struct conf *c, struct conf_ref ref);

/** conf_nearest_key() - conf_nearest() among a section's keys. */
const char *conf_nearest_key(enum conf_section section, const char *word);

/** conf_read_file() - l->conf.path; 0, or -errno when it cannot be read. */
int conf_read_file(struct conf_loader *l);
void conf_read_environment(struct conf_loader *l);
void conf_set_defaults(struct conf_loader *l);
void conf_validate(struct conf_loader *l);
