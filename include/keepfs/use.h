// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What is done with backups that are there: they are proven to be right. Each of these is a work that a run does (keepfs/job.h,
 * struct jobs_order), with its words as people write them: "verify full level=1".
 */
#include <keepfs/make.h>

/**
 * use_verify - read what the store holds, and hold it against what was sent
 * Words: backups ("full/20261120T020000Z.dump", "full/latest.dump"), jobs ("full"), directories ("tenants/acme"), or "all".
 * Pairs: level=0 (bytes) or 1 (structure; the default), rate=10M.
 */
extern const struct make_kind use_verify;

/**
 * use_replicate - copies in further stores, now (keepfs/replica.h)
 * Words: backups, jobs, directories, or "all". Pairs: to=STORE (else where the job wants copies), verify=yes (what is there is read); or from=STORE: backups that were removed
 * here come back from there, by their paths, or with repair=yes what [store] has of those that are listed is made anew.
 */
extern const struct make_kind use_replicate;

/**
 * use_rewrap - encrypted backups get the recipients that the configuration names now (artifact_rewrap())
 * Words: backups, jobs, directories, or "all". Pairs: plan=yes (only says what would be done), again=yes (also those that have these recipients: the passphrase is
 * another one). Needs an identity, but for a plan.
 */
extern const struct make_kind use_rewrap;

/**
 * use_thaw - have what is frozen in an archive class of the store made readable for some days (keepfs/artifact/class.h)
 * Words: backups, jobs, directories, or "all". Pairs: days=7, tier=bulk (the default), standard or expedited; plan=yes (only says how much it would be). The run ends when it is ordered.
 */
extern const struct make_kind use_thaw;

/**
 * use_restore - bring dumps back into databases
 * Words: backups, or directories (what was made last in each); or none, with run=17 (all that a run has made, in its order). "forget": what
 * earlier restores have left is settled. Pairs: docs/man/keepfs.1.scd, RESTORE.
 */
extern const struct make_kind use_restore;
/** use_restore_recover() - at a start, with the lock of @state_dir: no restore is at work; what a crash left there is cleared away. */
struct catalog;
int use_restore_recover(struct catalog *catalog, const char *state_dir, struct error *err);

/**
 * use_rescue - rows that a backup has, and the living table lacks, brought back into it
 * Words: a backup (or a directory: the newest good one), and a table. Nothing is changed without confirm=TABLE. Pairs: docs/man/keepfs.1.scd, RESCUE.
 */
extern const struct make_kind use_rescue;

/**
 * use_import - the rows of an export, brought into a database: of a new tenant, or of the same one (keepfs/use/import.h)
 * Words: one export (of the store, or the path of a file). Pairs: docs/man/keepfs.1.scd, IMPORT.
 */
extern const struct make_kind use_import;

/**
 * use_restore_tenant - one tenant brought back: from a dump of the database that it shares with others, or from an export
 * Words: the tenant. Pairs: from=BACKUP, and mode=diff, or mode=replace with confirm=TENANT, or into=NEW-TENANT; docs/man/keepfs.1.scd, RESTORE-TENANT. Nothing is
 * changed but in one transaction.
 */
extern const struct make_kind use_restore_tenant;

/**
 * use_drill - restore a backup for a trial, and look at what came out (docs/operations.md, "Drills")
 * Words: backups, jobs, directories, or "all": of a directory the newest whole backup of a database, of an archive, or of a bundle. Pairs: level=2 to 5 (default: the job's
 * drill_level), server=CONNECTION in place of a throw-away server, keep=yes with it, pick=rotate: one backup, whose turn it is, jobs=N,
 * mirror=PLACE: where the mirrors of a bundle are brought back. Or the word "clear" alone: remove what drills have left.
 * Each is kept with a report (catalog/drills.h), and what it proved is a proof of the backup.
 */
extern const struct make_kind use_drill;
/** use_drill_clear() - end and remove throw-away servers, and archives that were unpacked, which were left when keepfs was killed. Blocks until they are gone. */
void use_drill_clear(const struct conf *conf);
/** use_drill_has_left() - has one left something in a bucket, or where objects are brought back? A run of use_drill with the word "clear" removes it. */
bool use_drill_has_left(struct catalog *catalog);

/**
 * struct use_scrub - a thread that reads every backup again before [store] scrub_within is over, at scrub_rate. It waits until one is due;
 * what is wrong is marked as damaged.
 */
struct use_scrub;
int use_scrub_new(const struct make_context *ctx, struct use_scrub **ret, struct error *err);
/** use_scrub_changed() - the configuration was replaced. NULL allowed. */
void use_scrub_changed(struct use_scrub *s);
/** use_scrub_free() - gives up what it is at. NULL allowed; returns NULL. */
struct use_scrub *use_scrub_free(struct use_scrub *s);

/** use_name() - heap: what the history calls a run of @work with these words: "verify:full", "verify:all" when it is about several jobs:
 * no job has such a name.
 * Two of one name are never at work at once. Pure. */
char *use_name(const struct make_kind *work, const struct command_line *line);

/**
 * use_fix_backups() - a command for control/@file in which each backup has its own name: what "latest", or a directory, stands for now
 * @ret_text: heap; as @text where nothing stands for something else
 * @told: appended: "full/latest.dump is backups/full/20261120T020000Z.dump", a line for each
 *
 * -EINVAL (ERROR_USAGE): it cannot be taken apart, or names what can be known later alone. Names that lead nowhere stay, for the command to refuse.
 */
int use_fix_backups(struct catalog *catalog, const char *file, const char *text, char **ret_text,
                    struct str *told, struct error *err);
/** use_has_password() - does a command name a server with a password, or hold one in another way? It is refused, since commands are in the
 * history and the audit; and must not be written there. Pure. */
bool use_has_password(const char *text);
/**
 * use_check_rights() - may user @uid order that of @work? @own_uid: whose rights keepfs has
 * Return: 0, also for what is no command; -EPERM: it runs commands or queries as keepfs, or has it connect to a server that the
 * configuration does not name, or rescues rows into another table than theirs, or imports a file of this machine, or into another database than the exports', and @uid is neither @own_uid nor root. Pure.
 */
int use_check_rights(const struct conf *conf, const struct make_kind *work, const char *text, int64_t uid,
                     int64_t own_uid, struct error *err);
