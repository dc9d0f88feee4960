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
	const struct command_line *line;
};

/** restore_order_read() - take the words; -EINVAL with what is allowed. */
int restore_order_read(const struct command_line *line, struct restore_order *ret, struct error *err);
/** restore_order_read_files() - those of them that are about files. -EINVAL; also for those that do not go with to=. */
int restore_order_read_files(const struct command_line *line, struct restore_order *o, struct error *err);
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
