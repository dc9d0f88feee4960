// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What was asked for: the words of a restore. */
#include "restore_database.h"

#include <keepfs/catalog/proofs.h>
#include <keepfs/codec/command_line.h>

struct restore_order {
	const char *into, *server, *confirm, *pre_hook,
	        *post_hook;    /* borrowed from the line; NULL: not given */
	int64_t of_run;        /* all of that run; 0: those that are named */
	bool swap, swap_given; /* beside what is there, and then in its place */
	bool roles_given; /* as they were; else those that are made may not log in, and have no password */
	bool create;      /* the database is made when it is not there */
	bool clean, no_owner, no_privileges, no_extensions, roles, keep_going, analyze, plan;
	enum restore_content content;
	enum proof_level level;
	unsigned jobs;
	char **schemas, **tables; /* NULL-terminated; NULL: all */
	/* Of the files of an archive (restore_files.h). */
	char *to;     /* the directory, without a '/' at its end; NULL: not given */
	char **paths; /* keepfs/files/tree_path.h; NULL-terminated; NULL: all */
	/* Of the objects of a mirror (restore_mirror.h). */
	const char *place;   /* "s3://bucket/prefix", "dir:/directory": borrowed; NULL: not given */
	bool remove;         /* what is only there */
	uint64_t rate_bytes; /* of what is written; 0: no limit */
	bool overwrite, owners_by_number;
	bool any_room; /* also where the disk seems too full */
	/* Of a whole deployment (restore_bundle.h). */
	char **parts;      /* as they are called, without suffixes; NULL-terminated; NULL: all */
	char **overwrites; /* those whose files are replaced; NULL-terminated; NULL: none, or with overwrite all */
	bool secrets, secrets_given;
	bool of_whole; /* of an archive: files that differ stay (but with overwrite), and variables that differ are told */
	const char *word_of_others; /* borrowed: one that is given, and not of dumps; NULL */
	const char *word_of_one;    /* ... and not of deployments; NULL */
	const struct command_line *line;
};

/** restore_order_read() - take the words; -EINVAL with what is allowed. */
int restore_order_read(const struct command_line *line, struct restore_order *ret, struct error *err);
/** restore_order_read_files() - those of them that are about files. -EINVAL; also for those that do not go with to=. */
int restore_order_read_files(const struct command_line *line, struct restore_order *o, struct error *err);
/** restore_order_read_whole() - those that are about a deployment; -EINVAL. */
int restore_order_read_whole(const struct command_line *line, struct restore_order *o, struct error *err);
/** restore_order_refuse_word() - -EINVAL: word_of_others does not go with a single backup. */
int restore_order_refuse_word(const struct restore_order *o, struct error *err);
/** restore_order_place() - borrowed: what target=PART:PLACE says of @part; NULL: nothing. */
const char *restore_order_place(const struct restore_order *o, const char *part);
/** restore_order_has_part() - is @part ("database", "tenants/acme") one of @names, or below one ("tenants")? NULL: there are no names. */
bool restore_order_has_part(char *const *names, const char *part);
/** restore_order_overwrites() - are files of @part that are there to be replaced? */
bool restore_order_overwrites(const struct restore_order *o, const char *part);
/** restore_order_directory() - @value, which is that of @key, without a '/' at its end; heap. -EINVAL: it is no path from the root on. */
int restore_order_directory(const char *key, const char *value, char **ret, struct error *err);
/** restore_order_names() - "a, b": heap, NULL-terminated; NULL: there is none. */
char **restore_order_names(const char *value);
/** restore_order_read_mirror() - those that are about mirrors, but for the place. -EINVAL. */
int restore_order_read_mirror(const struct command_line *line, struct restore_order *o, struct error *err);
/** restore_order_bool() - "yes" or "no" of @key into *@io, which stays when it is not given; -EINVAL. */
int restore_order_bool(const struct command_line *line, const char *key, bool *io, struct error *err);
/** restore_order_forgets() - "forget": nothing is restored. */
bool restore_order_forgets(const struct command_line *line);
void restore_order_finish(struct restore_order *o);
static inline void cleanup_restore_order(struct restore_order *o)
{
	restore_order_finish(o);
}
