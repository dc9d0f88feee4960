// SPDX-License-Identifier: Apache-2.0
/*
 * control/: a row and a function for each of its files, and README, which is made from the rows. How a
 * command comes from write() to its function stands in command.c.
 */
#include "command.h"
#include "confirm.h"
#include "fs_private.h"
#include "keeping.h"
#include "made_file.h"
#include "tenant.h"
#include "text.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/schedules.h>
#include <keepfs/check.h>
#include <keepfs/inbox.h>
#include <keepfs/report/ack.h>
#include <keepfs/use.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Whoever may make backups may not delete what they are of. */
static int check_deletion_right(const struct command *c, const struct jobs_order *order, struct error *err)
{
	if (!order->then_delete || c->audit.uid == 0 || c->audit.uid == geteuid())
		return 0;
	return error_set(err, ERROR_DENIED, EPERM,
	                 "then-delete: only the user of keepfs, and root, may delete a tenant");
}

static int trigger(struct command *c, struct str *answer, struct error *err)
{
	_cleanup(jobs_order) struct jobs_order order = {0};
	const struct conf *conf = fs_conf_ref(c->fs);
	struct catalog_run run;
	int r = jobs_order_parse(conf, c->text, &order, err);

	if (r == 0)
		r = check_deletion_right(c, &order, err);
	if (r == 0)
		r = jobs_submit(c->fs->jobs, &order, c->by, &run, err);
	/* A run has a copy of its job. */
	fs_conf_unref(c->fs, conf);
	if (r == 0)
		str_appendf(answer, "%lld %s %s\n", (long long)run.id, run_state_name(RUN_PENDING), run.job);
	audit(c->fs, &c->audit, "trigger", c->text, r, r < 0 ? err->message : str_text(answer));
	return r;
}

/* Not even what was refused is written down then. */
static int refuse_password(struct command *c, const struct make_kind *work, struct error *err)
{
	int r = error_set(
	        err, ERROR_USAGE, EINVAL,
	        "a command must not hold a password, since everybody can read the history: let it be in ~/.pgpass or a service file of the user of keepfs");

	audit(c->fs, &c->audit, work->name, "a command with a password", r, err->message);
	return r;
}

static int check_caller(const struct command *c, const struct make_kind *work, struct error *err)
{
	const struct conf *conf = fs_conf_ref(c->fs);
	int r = use_check_rights(conf, work, c->text, c->audit.uid, geteuid(), err);

	fs_conf_unref(c->fs, conf);
	return r;
}

/* Another work than a job's, as a run. */
static int order_work(struct command *c, const struct make_kind *work, struct str *answer, struct error *err)
{
	_cleanup(jobs_order) struct jobs_order order = {0};
	struct catalog_run run;
	int r;

	if (use_has_password(c->text))
		return refuse_password(c, work, err);
	r = check_caller(c, work, err);
	if (r == 0)
		r = jobs_order_parse_work(work, c->text, &order, err);
	if (r == 0)
		r = jobs_submit(c->fs->jobs, &order, c->by, &run, err);
	if (r == 0)
		str_appendf(answer, "%lld %s %s\n", (long long)run.id, run_state_name(RUN_PENDING), run.job);
	audit(c->fs, &c->audit, work->name, c->text, r, r < 0 ? err->message : str_text(answer));
	return r;
}

static int verify(struct command *c, struct str *answer, struct error *err)
{
	return order_work(c, &use_verify, answer, err);
}

static int replicate(struct command *c, struct str *answer, struct error *err)
{
	return order_work(c, &use_replicate, answer, err);
}

static int rewrap(struct command *c, struct str *answer, struct error *err)
{
	return order_work(c, &use_rewrap, answer, err);
}

static int thaw(struct command *c, struct str *answer, struct error *err)
{
	return order_work(c, &use_thaw, answer, err);
}

static int order_adoption(struct command *c, struct str *answer, struct error *err)
{
	return order_work(c, &inbox_adopt, answer, err);
}

static int restore(struct command *c, struct str *answer, struct error *err)
{
	return order_work(c, &use_restore, answer, err);
}

static int rescue(struct command *c, struct str *answer, struct error *err)
{
	return order_work(c, &use_rescue, answer, err);
}

static int import(struct command *c, struct str *answer, struct error *err)
{
	return order_work(c, &use_import, answer, err);
}

static int restore_tenant(struct command *c, struct str *answer, struct error *err)
{
	return order_work(c, &use_restore_tenant, answer, err);
}

static int drill(struct command *c, struct str *answer, struct error *err)
{
	return order_work(c, &use_drill, answer, err);
}

static int probe(struct command *c, struct str *answer, struct error *err)
{
	_cleanup(free) struct check_result *check = mem_alloc(sizeof(*check));
	int r = 0;

	if (strcmp(c->text, "now") != 0) {
		r = error_set(err, ERROR_USAGE, EINVAL, "'%s' is not a command for probe: write 'now'",
		              c->text);
	} else {
		const struct conf *conf = fs_conf_ref(c->fs);

		check_run(conf, repository_store(c->fs->ctx.repository), NULL, c->fs->ctx.repository->catalog,
		          check);
		fs_conf_unref(c->fs, conf);
		for (size_t i = 0; i < check->count; i++)
			str_appendf(answer, "%s %s: %s\n", check->items[i].ok ? "ok  " : "FAIL",
			            check->items[i].check, check->items[i].detail);
	}
	audit(c->fs, &c->audit, "probe", "control/probe", r,
	      r < 0           ? err->message
	      : check->failed ? "some checks failed"
	                      : "all checks passed");
	return r;
}

static int acknowledge(struct command *c, struct str *answer, struct error *err)
{
	const struct conf *conf = fs_conf_ref(c->fs);
	struct report_sources sources = status_sources(c->fs, conf);
	int r = report_acknowledge(&sources, c->text, c->by, answer, err);

	fs_conf_unref(c->fs, conf);
	audit(c->fs, &c->audit, "ack", c->text, r, r < 0 ? err->message : str_text(answer));
	return r;
}

static int schedule(struct command *c, struct str *answer, struct error *err)
{
	const struct conf *conf = fs_conf_ref(c->fs);
	struct catalog_switch s;
	int r = jobs_switch_parse(conf, c->text, clock_now_us(), &s, err);

	if (r == 0) {
		str_copy(s.by, sizeof(s.by), c->by);
		r = jobs_switch(c->fs->jobs, conf, &s, answer, err);
	}
	fs_conf_unref(c->fs, conf);
	audit(c->fs, &c->audit, "schedule", c->text, r, r < 0 ? err->message : str_text(answer));
	return r;
}

static const char trigger_help[] =
        "trigger  echo now > trigger      make a backup with the first job of the configuration\n"
        "         echo JOB > trigger      make a backup with the job of that name\n"
        "         echo JOB KEY=VALUE ... > trigger\n"
        "                                 the same, but this once with other values of: format,\n"
        "                                 compression, content, jobs, schemas, exclude_schemas, tables,\n"
        "                                 exclude_tables, exclude_table_data, globals, verify, max_rate;\n"
        "                                 and note='why', which stays with the backup; hold='why', which holds\n"
        "                                 it; keep=90d, for which it stays. database=NAME backs up\n"
        "                                 that one of the job's databases alone, class=NAME those of a class;\n"
        "                                 with final=yes it is the last one of a database that is given up.\n"
        "         echo exports > trigger  export every tenant of [export], each into exports/TENANT/\n"
        "         echo export TENANT > trigger\n"
        "                                 that one alone: the same as exports tenant=TENANT; with format=csv, ndjson,\n"
        "                                 sql, sqlite or json in that format\n"
        "                                 Values are quoted as for a shell. A backup of less than the job's is named so\n"
        "                                 (.schema.dump, .data.dump, .partial.dump)\n"
        "                                 answer: <run> pending <job>; watch it in jobs/<run>/\n"
        "         errors: EINVAL wrong command, EBUSY the job already runs; the reason: cat trigger\n";

static const char verify_help[] =
        "verify   echo backups/full/NAME > verify\n"
        "                                 read all that the store holds of that backup, and hold it against what was\n"
        "                                 sent; a job, tenants/acme or all: of all backups there, one after the other.\n"
        "                                 level=0: every byte; level=1 (the default): it is also decompressed to its\n"
        "                                 end, and the rows of each table are counted and hashed again.\n"
        "                                 rate=10M reads no more than that per second. What is wrong is marked as damaged\n"
        "                                 copies/STORE/..., as the mount shows it: of copies in that further store\n"
        "                                 answer: <run> pending verify:<job>; watch it in jobs/<run>/\n";

static const char replicate_help[] =
        "replicate echo full/latest.dump to=offsite > replicate\n"
        "                                 copy that backup to [store offsite] now, whole and read back there; without to= to all that the\n"
        "                                 key copies of its job names; a job, tenants/acme or all: of all backups there\n"
        "         verify=yes              read what is there, and hold it against its checksums; what is wrong is made again\n"
        "         echo full/20261120T020000Z.dump from=offsite > replicate\n"
        "                                 bring a backup back that was removed here: what there is: cat status/replicas\n"
        "         repair=yes              with from=: it is listed, and what [store] has of it is damaged: made anew from the copy\n"
        "                                 answer: <run> pending replicate:<job>; watch it in jobs/<run>/\n"
        "         errors: EINVAL wrong command; the reason: cat replicate\n";

static const char rewrap_help[] =
        "rewrap   echo full/latest.dump > rewrap\n"
        "                                 give that encrypted backup the recipients that the configuration names now; a job,\n"
        "                                 tenants/acme or all: all backups there. Those that have them are left as they are.\n"
        "                                 Needs an identity that opens it; its name, times and checksums stay\n"
        "         plan=yes                only say which, in the log of the run\n"
        "         again=yes               also those that have these recipients: the passphrase is another one\n"
        "                                 answer: <run> pending rewrap:<job>; watch it in jobs/<run>/\n"
        "         errors: EINVAL wrong command, ENOKEY no identity; the reason: cat rewrap\n";

static const char thaw_help[] =
        "thaw     echo full/20251120T020000Z.dump > thaw\n"
        "                                 have that backup, which is frozen in GLACIER or DEEP_ARCHIVE, made readable; a job,\n"
        "                                 tenants/acme or all: all backups there. The store takes money for it\n"
        "         days=7 tier=bulk        it stays readable for so long; standard and expedited are quicker, and cost more\n"
        "         plan=yes                only say how much it would be, in the log of the run\n"
        "                                 answer: <run> pending thaw:<job>; when it can be read: cat status/thaws\n"
        "         errors: EINVAL wrong command; the reason: cat thaw\n";

static const char adopt_help[] =
        "adopt    echo s3://bucket/dumps job=legacy > adopt\n"
        "                                 dumps that others have put there become backups of [inbox legacy] where they lie: each new one\n"
        "                                 is read once. The place is a [store NAME] of the configuration, or lies in one; NAME alone\n"
        "                                 stands for all of it. What is known already is not read again\n"
        "         plan=yes                only say what would be taken, in the log of the run\n"
        "         all=yes                 also files that are no dumps\n"
        "                                 answer: <run> pending adopt:all; watch it in jobs/<run>/\n"
        "         errors: EINVAL wrong command; the reason: cat adopt\n";

static const char restore_help[] =
        "restore  echo full/latest.dump into=shop_again > restore\n"
        "                                 bring a dump back into a database, which is made. Where it exists confirm=NAME is\n"
        "                                 needed: a new one is filled beside it, and takes its place when all is there and was\n"
        "                                 checked; the old one stays as NAME_before_<time> until somebody drops it.\n"
        "                                 plan=yes shows what would be done. Further: server, swap, create, clean, content,\n"
        "                                 schemas, tables, no_owner, no_privileges, roles, extensions, jobs, on_error, level,\n"
        "                                 analyze, check, run, pre_hook, post_hook; see keepfs(1)\n"
        "                                 copies/offsite/full/NAME.dump: from what that further store has, and from it alone\n"
        "         echo media/latest.tar.gz to=/srv/media > restore\n"
        "                                 bring an archive of files back into a directory of this host. What differs there\n"
        "                                 is replaced with overwrite=yes confirm=/srv/media only, and what the archive does not\n"
        "                                 have stays. plan=yes (or dry-run=yes) shows what is new, and what differs. Further: paths=a/b,*.jpg\n"
        "                                 (only these), owners=numbers, room=any, run by root or the user of keepfs alone\n"
        "         echo documents/latest > restore\n"
        "                                 bring the objects of a mirror back to where they were, or to=s3://bucket/prefix, to=dir:/place:\n"
        "                                 what is missing; what differs with confirm=URL only, and what is only there is removed\n"
        "                                 with delete=yes only. plan=yes shows it. Further: rate, pre_hook, post_hook\n"
        "         echo site/latest confirm=NAME > restore\n"
        "                                 a whole deployment (secrets=yes parts=A,B target=PART:PLACE\n"
        "                                 overwrite=yes delete=yes)\n"
        "         echo forget into=NAME > restore  what a failed one left (to=DIR), and health tells of, is settled\n"
        "                                 answer: <run> pending restore:<job>; watch it in jobs/<run>/\n"
        "         errors: EINVAL wrong command, or not confirmed; the reason: cat restore\n";

static const char rescue_help[] =
        "rescue   echo full/latest.dump public.orders > rescue\n"
        "                                 which rows of that table does the backup have and the living table lack? They are counted by\n"
        "                                 the primary key, and nothing is changed. With confirm=public.orders they are inserted.\n"
        "                                 where='id = 4711' only these; replace=yes: also rows that are there with other values become those of\n"
        "                                 the backup; by=COLUMN,COLUMN in place of the primary key; columns=common when they are not the same;\n"
        "                                 into=SCHEMA.TABLE, database=NAME, server=postgresql://...: another table than the one of the job\n"
        "                                 answer: <run> pending rescue:<job>; what was found: jobs/<run>/log\n"
        "         errors: EINVAL wrong command; EPERM where= and another server are for root and the user of keepfs; the reason: cat rescue\n";

static const char import_help[] =
        "import   echo exports/acme/latest.json.gz tenant=acme-copy > import\n"
        "                                 the rows of an export come into a database, in one transaction: of a new tenant, whose keys\n"
        "                                 get new values; or without tenant= as they are. database=NAME: another one than that of\n"
        "                                 the exports; dry-run=yes only tells what would be inserted, and what clashes. Further:\n"
        "                                 tenant-id, name, schema, keys, set, null, rename, shared, living, changed, reference,\n"
        "                                 ignore-column; see keepfs(1). A path in place of the name: a file of this machine\n"
        "                                 answer: <run> pending import:<job>; what was found: jobs/<run>/log\n"
        "         errors: EINVAL wrong command; EPERM a path and another database are for root and the user of keepfs; the reason: cat import\n";

static const char drill_help[] =
        "drill    echo JOB > drill        restore its newest backup for a trial, on a throw-away server of its own, hold it\n"
        "                                 against what was backed up, and remove it again; also: a path of a backup, or all\n"
        "                                 level=2 to 6: 2 restored, 3 equal, 4 sound, 5 each [check NAME] is answered as expected,\n"
        "                                 6 (of a cluster) recovered to a moment\n"
        "                                 (default: drill_level of the job); pick=rotate: the one whose turn it is;\n"
        "                                 jobs=4: over so many connections; server=postgresql://...: in a new database there,\n"
        "                                 which is dropped afterwards, but for keep=yes; of a bundle each part is tried:\n"
        "                                 databases restored, archives unpacked, secrets opened, mirrors brought back into\n"
        "                                 drill_mirror (mirror=s3://...: into another place), and all of it removed\n"
        "         echo clear > drill      remove what drills have left there when keepfs was killed\n"
        "                                 answer: <run> pending drill:<job>; watch it in jobs/<run>/; reports: drills/\n";

static const char restore_tenant_help[] =
        "restore-tenant  echo acme from=full/20261120T020000Z.dump mode=diff > restore-tenant\n"
        "                                 how does the tenant differ from what that backup has of it? Nothing is changed.\n"
        "         mode=replace confirm=acme        what it has now is exported, deleted, and what the backup has comes in its place,\n"
        "                                 in one transaction; into=acme-copy: as another tenant, with keys of its own\n"
        "                                 from=full: the newest good dump; from=exports/acme/20261120T020000Z.json.gz: an export;\n"
        "                                 id=17: of a tenant that is gone, as the dump has it\n"
        "                                 answer: <run> pending restore-tenant:<tenant>; what was found: jobs/<run>/log\n"
        "         errors: EINVAL wrong command, or the name was not typed; the reason: cat restore-tenant\n";

static const char probe_help[] =
        "probe    echo now > probe        check store, PostgreSQL, pg_dump and disk; the result: cat probe\n";

static const char ack_help[] =
        "ack      echo CHECK/SUBJECT until=2026-12-01 note='why' > ack\n"
        "                                 somebody knows of that line of status/health: it is shown, and does not\n"
        "                                 count until then, nor in metrics and alerts. Ends by itself, too, when it is\n"
        "                                 over or gets worse. CHECK and SUBJECT: overdue/full, job/full,\n"
        "                                 'space//var/lib/keepfs'; or the name of the line, 'job full'\n"
        "         echo CHECK/SUBJECT off > ack     it counts again\n"
        "         errors: EINVAL wrong command, ENOENT nothing of that name is wrong; what is: cat ack\n";

static const char schedule_help[] =
        "schedule echo off > schedule     nothing begins by itself any more, until: echo on > schedule\n"
        "         echo JOB off > schedule the same of one job alone\n"
        "         echo JOB off until=2026-12-01T06:00 note='why' > schedule\n"
        "                                 it goes on by itself then; dates are of the job's time zone, and a\n"
        "                                 day without a time begins at midnight. What was due meanwhile is not\n"
        "                                 made up for. Runs that have begun go on, and triggers work as ever.\n"
        "                                 What is due next, and what is off: cat status/schedule\n"
        "         errors: EINVAL wrong command; the reason: cat schedule\n";

/* What stands in README before and behind the paragraphs of the files. */
static const char readme_head[] =
        "One command per write; the answer can be read from the same descriptor, or afterwards with cat.\n"
        "\n";
static const char readme_links[] =
        "\n"
        "To hand out a backup: cat links/backups/<job>/<name> gives a URL that ends by itself\n";
static const char readme_removal[] =
        "To remove a backup: rm backups/<job>/<name>, or rm -r when it is a directory. What lies beside it\n"
        "(.tables.csv, .globals.sql.gz, .database.sql.gz) goes with it. Refused are the newest good one, as many\n"
        "as min_keep says, and what is held. For the time of [keepfs] trash it can be brought back: undelete.\n";

static void append_help(const struct made_files *files, struct spool *out)
{
	for (size_t i = 0; i < files->count; i++) {
		if (files->rows[i].help)
			spool_append(out, files->rows[i].help, strlen(files->rows[i].help));
	}
}

static int write_readme(struct fs *fs, const struct node *node, struct spool *out)
{
	spool_append(out, readme_head, strlen(readme_head));
	append_help(&control_files, out);
	spool_append(out, readme_links, strlen(readme_links));
	append_help(&run_files, out);
	spool_append(out, readme_removal, strlen(readme_removal));
	spool_append(out, tenant_help, strlen(tenant_help));
	return spool_error(out);
}

static const struct made_file rows[] = {
        /* 0 to 6: status.c */
        {.number = 7, .name = "trigger", .of_writer = true, .run = trigger, .help = trigger_help},
        {.number = 8, .name = "probe", .run = probe, .help = probe_help},
        {.number = 9, .name = "README", .write = write_readme, .generation = text_constant},
        /* 10 to 19: status.c */
        {.number = 20,
         .name = "schedule",
         .of_writer = true,
         .run = schedule,
         .help = schedule_help,
         .copied_soon = true},
        {.number = 21,
         .name = "prune",
         .of_writer = true,
         .run = command_prune,
         .help = prune_help,
         .copied_soon = true},
        {.number = 22,
         .name = "hold",
         .of_writer = true,
         .run = command_hold,
         .help = hold_help,
         .copied_soon = true},
        {.number = 23, .name = "ack", .run = acknowledge, .help = ack_help, .copied_soon = true},
        {.number = 24,
         .name = "undelete",
         .of_writer = true,
         .run = command_undelete,
         .help = undelete_help,
         .copied_soon = true},
        {.number = 25, .name = "verify", .run = verify, .help = verify_help},
        {.number = 26, .name = "restore", .run = restore, .help = restore_help},
        {.number = 27, .name = "drill", .run = drill, .help = drill_help},
        {.number = 28, .name = "rescue", .run = rescue, .help = rescue_help},
        {.number = 29, .name = "import", .run = import, .help = import_help},
        {.number = 30, .name = "restore-tenant", .run = restore_tenant, .help = restore_tenant_help},
        {.number = 31,
         .name = "erase",
         .of_writer = true,
         .run = command_erase,
         .help = erase_help,
         .copied_soon = true},
        {.number = 40, .name = "replicate", .of_writer = true, .run = replicate, .help = replicate_help},
        {.number = 46, .name = "confirm", .run = command_confirm, .help = confirm_help},
        {.number = 48, .name = "rewrap", .of_writer = true, .run = rewrap, .help = rewrap_help},
        {.number = 58, .name = "adopt", .of_writer = true, .run = order_adoption, .help = adopt_help},
        {.number = 59, .name = "thaw", .of_writer = true, .run = thaw, .help = thaw_help},
};

const struct made_files control_files = {
        .rows = rows, .count = ARRAY_SIZE(rows), .text_class = &class_text, .first_ino = INO_FIXED};
