// SPDX-License-Identifier: Apache-2.0
#pragma once
/** How people name what is to be worked on: a backup, a job, a directory of one, all. */
#include <keepfs/catalog/entries.h>
#include <keepfs/make.h>

/** words_refuse_export() - what is to be restored, or tried, is an export of a tenant's data: -EINVAL, with what can be done with one. */
int words_refuse_export(const char *path, struct error *err);
/** words_is_of_exports() - does this path of the tree lie in exports/? Pure. */
bool words_is_of_exports(const char *path);
/** words_path() - heap: "full/X.dump", "backups/full/X.dump" → the latter; "all" → "". Pure. */
char *words_path(const char *word);
/** words_find_backup() - the backup of that path, "backups/full/latest.dump" too; -ENOENT: @path is none. */
int words_find_backup(struct catalog *c, const char *path, struct catalog_entry *ret);
/** words_find_to_restore() - the backup that @word names, or of a directory the one that was made last and is not known to be damaged.
 * -EINVAL (ERROR_USAGE): there is none. */
int words_find_to_restore(struct catalog *c, const char *word, struct catalog_entry *ret, struct error *err);
/** words_server() - borrowed: @given, else the server of the job; NULL with @err: the configuration has no such job. Pure. */
const char *words_server(const struct conf *conf, const char *given, const char *job_name, struct error *err);
/** words_add_targets() - the backup, or each directory with backups at and below @path ("": all). -EINVAL: there is none; @err says how
 * they are written. */
int words_add_targets(struct catalog *c, const char *path, struct make_targets *ret, struct error *err);
/** words_targets() - the same of each word of the line: the `targets` of kinds of work on backups that are there. */
int words_targets(const struct make_context *ctx, const struct conf_job *job,
                  const struct make_wanted *wanted, struct make_targets *ret, struct error *err);
/** words_each_backup() - call @each for the backup @path, or for each in the directory @path. -ECANCELED: it returned false. What is not there is none. */
int words_each_backup(struct catalog *c, const char *path, bool (*each)(void *arg, uint64_t ino), void *arg,
                      struct error *err);
/** words_pair() - the value of a pair; NULL: it was not given. */
const char *words_pair(const struct command_line *line, const char *key);
/** words_check_pairs() - -EINVAL when there is one that is not in @allowed (NULL-terminated). */
int words_check_pairs(const struct command_line *line, const char *const *allowed, struct error *err);
