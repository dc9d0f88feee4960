// SPDX-License-Identifier: Apache-2.0
/* Parsing the command line: the same few options everywhere, each command says which of them it takes. */
#include "cli.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/secret.h>
#include <keepfs/base/str.h>

#include <config.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>

static const struct cli_command commands[] = {
        {"init", "[URL]", "cmsSFQD",
         "write a commented configuration file; with --quick a short one that works, and the first backup",
         cmd_init},
        {"check", "", "cjX", "test store, PostgreSQL, pg_dump, FUSE and disk space; say what to do",
         cmd_check},
        {"mount", "[MOUNTPOINT]", "cfmow",
         "serve the tree; returns when it can be used (-f: stays in the foreground)", cmd_mount},
        {"run", "JOB [KEY=VALUE...]", "cj", "make one backup now, without a mount", cmd_run, true},
        {"trigger", "JOB [KEY=VALUE...]", "cmjw",
         "tell the mount to make a backup: 'now' or a job's name (--wait: until it has ended)", cmd_trigger,
         true},
        {"export",
         "TENANT... [--from BACKUP] | --all [--format FORMAT] [KEY=VALUE...] | --explain [TENANT] | TENANT --then-delete TENANT [--dry-run]",
         "cmjwEYLnBu",
         "tell the mount to export the data of these tenants, or of all (--wait: until that has ended)",
         cmd_export},
        {"look", "FILE...", "j",
         "show what is in files that were exported, wherever they are, and whether they are whole", cmd_look},

        {"import",
         "FILE|EXPORT [--database DB] [--tenant SLUG] [--tenant-id ID] [--keys keep|remap] [--dry-run] [set=TABLE.COLUMN=VALUE] [rename=TABLE.COLUMN={value}.new] [KEY=VALUE...]",
         "cmjDNikn",
         "bring the rows of an export into a database: as a new tenant (--tenant), or as they are (--dry-run: what would come, and what clashes)",
         cmd_import},
        {"prune", "[JOB...] [--apply | --confirm PLAN | --simulate 400d]", "cmjaPd",
         "show what the rules let go, and why; or remove it", cmd_prune},
        {"confirm", "[ID [--refuse]]", "cmr",
         "confirm what somebody else has ordered and what waits for a second person; without an ID: what waits",
         cmd_confirm},
        {"hold", "PATH [off] [reason=WHY] [name=NAME] [until=DATE]", "cm",
         "hold a backup, so that nothing removes it; or end that (off)", cmd_hold},
        {"erase", "tenant TENANT [id=ID] | SCHEMA.TABLE COLUMN=VALUE [database=NAME] [note=TEXT]", "cm",
         "register that a tenant, or rows, were erased: a backup that is restored does not bring them back",
         cmd_erase},
        {"erasures", "", "cm", "what is registered as erased: when, where, by whom; not which row",
         cmd_erasures},
        {"undelete", "PATH", "cm", "bring back a backup that was removed, while it is in the trash",
         cmd_undelete},
        {"drill", "BACKUP|JOB|all... [level=2-5] [server=CONNECTION] [keep=yes] [pick=rotate]", "cmj",
         "restore these backups for a trial, and hold what comes out against what was backed up", cmd_drill},
        {"verify", "BACKUP|JOB|all... [level=0|1] [rate=10M] | --key FILE...", "cmjKVUZSG",
         "read what the store holds of these backups, and hold it against what was sent; with --key, prove a whole store by its signatures",
         cmd_verify},
        {"replicate", "BACKUP|JOB|all... [to=STORE] [verify=yes] | PATH... from=STORE [repair=yes] | --list",
         "cmjwl",
         "copies in further stores: made now, read, or a backup brought back from there (--list: what they have)",
         cmd_replicate},
        {"adopt", "URL|NAME --job INBOX [--plan] [all=yes]", "cmjbe",
         "dumps that others have put into a bucket or a directory become backups where they lie", cmd_adopt},
        {"rewrap", "BACKUP|JOB|all... [--dry-run] [again=yes]", "cmjn",
         "give encrypted backups the recipients that the configuration names now; needs an identity that opens them",
         cmd_rewrap},
        {"thaw", "BACKUP|JOB|all... [days=7] [tier=bulk|standard|expedited] [--dry-run]", "cmjn",
         "have backups that are frozen in GLACIER or DEEP_ARCHIVE made readable for some days, which costs money (--dry-run: how much is asked for)",
         cmd_thaw},
        {"restore",
         "BACKUP... [into=NAME] [server=URI] [--to DIR] [--dry-run] [KEY=VALUE...] | CLUSTER DIR [--to TIME] [--dry-run] [KEY=VALUE...]",
         "cmjTOnP",
         "bring dumps back into databases: beside what is there, and then in its place; or archived files into a directory",
         cmd_restore},
        {"restore-tenant",
         "TENANT from=BACKUP mode=diff | mode=replace confirm=TENANT | into=NEW-TENANT [id=ID] [note=TEXT]",
         "cmj", "one tenant as a backup has it: how the living one differs, put in its place, or beside it",
         cmd_restore_tenant},
        {"diff", "BACKUP BACKUP [TABLE] [--schema]", "cmjC",
         "what has changed between two backups: which tables, which rows of one, or what in the schema",
         cmd_diff},
        {"rescue",
         "BACKUP TABLE [--where SQL] [--into TABLE] [--replace] [--confirm TABLE] [by=COLUMN,COLUMN] [columns=common] [database=NAME] [server=URI] [note=TEXT]",
         "cmjWIRnP",
         "rows that a backup has and the living table lacks: which they are, and with --confirm they are inserted",
         cmd_rescue},
        {"log", "[JOB[/DATABASE] | BACKUP] TABLE", "cmj",
         "when a table has changed: its versions over all backups, by what was counted of each", cmd_log},
        {"audit", "verify [expect=NUMBER:SHA256] [FILE...] | head", "cj",
         "read the whole audit: is each line the one that the next one names? Or print the end of that chain",
         cmd_audit},
        {"evidence", "QUARTER [FILE]", "c",
         "what auditors ask for, of 2026-Q4 for instance, as a tar: audit, checkpoints, runs, drills, and what is in force",
         cmd_evidence},
        {"status", "", "cmjSA",
         "health of the mount, or with --store of what a store holds; exits 0, 1 or 2 for OK, WARN or CRIT",
         cmd_status},
        {"recovery", "[JOB]", "cmj",
         "what could be brought back if it were needed now: of a cluster from when to when, and what is missing",
         cmd_recovery},
        {"ack", "CHECK/SUBJECT until=TIME [note=TEXT] | off", "cm",
         "somebody knows of that line of the health: it does not count until then", cmd_ack},
        {"info", "[JOB[/DATABASE]]", "cmj",
         "ok or why not, and every backup with what is known of it; also without a mount", cmd_info},
        {"jobs", "[RUN]", "cmj", "list runs, newest first; or one run with its log", cmd_jobs},
        {"schedule", "[JOB] [on|off [until=DATE] [note=TEXT]]", "cmj",
         "what begins by itself, and when; or switch that off and on, of a job or of all", cmd_schedule},
        {"watch", "RUN", "cm", "follow a run to its end", cmd_watch},
        {"notify", "[NAME]", "cjt",
         "send a test to all who are told of what happens, or to one of them (--test)", cmd_notify},
        {"policy", "s3 [writer|reader|pruner|drill] [STORE]", "cp",
         "print the policy of the bucket that lets each identity do its part and no more", cmd_policy},
        {"wal-get", "NAME FILE DESTINATION", "c",
         "a file of WAL, for restore_command; exits 1 when there is none", cmd_wal_get},
        {"rebuild", "", "cjMH",
         "make the catalog anew from the store (the mount must be off); exits 1 when it names problems",
         cmd_rebuild},
        {"seal", "FILE... | --value [--unseal]", "cxvy",
         "encrypt files that hold secrets for the key of this host, in place; or a secret from standard input, as a value for the configuration",
         cmd_seal},
        {"version", "", "j", "print the version", cmd_version},
};

static const struct {
	char letter;
	const char *text;
} option_help[] = {
        {'c',
         "  -c, --config FILE     configuration (else KEEPFS_CONFIG, ~/.config/keepfs/keepfs.conf, /etc/keepfs/keepfs.conf)\n"},
        {'m', "  -m, --mountpoint DIR  where it is mounted (else KEEPFS_MOUNT, else the configuration's)\n"},
        {'f', "  -f, --foreground      stay in the foreground and log to standard error\n"},
        {'o', "  -o OPTIONS            mount options, separated by commas, as in fstab (allow_other)\n"},
        {'w',
         "      --wait            wait until the run has ended; exit 1 when it failed. Of mount: until no other keepfs writes there\n"},
        {'E', "      --all             every tenant that [export] names\n"},
        {'Y',
         "      --explain         export nothing: show of each table whether it is exported, and why; with a TENANT how many rows\n"
         "                        there are, too\n"},
        {'L',
         "      --then-delete TENANT\n"
         "                        once the export was read back, delete from the database what is in it; the name is typed twice\n"},
        {'u', "      --format FORMAT   json, ndjson, csv, sql or sqlite (else what [export] says)\n"},
        {'s', "      --state-dir DIR   directory of the catalog\n"},
        {'S', "      --store URL       s3://bucket/prefix or dir:/path\n"},
        {'F', "      --force           replace a file that is there\n"},
        {'M',
         "      --moved           use a copy of the catalog that was made for another [store] url: it was moved here\n"},
        {'H', "      --no-history      use no copy of a lost catalog: list backups only\n"},
        {'t', "      --test            send a test, and say what became of it\n"},
        {'Q',
         "      --quick           find the PostgreSQL of this host, check, and make a first backup (into URL)\n"},
        {'A',
         "      --max-age AGE     with --store: the newest backup of each directory may be so old (26h, 8d)\n"},
        {'X',
         "      --fix             print what mends what is wrong, and the SQL of a role with just the rights that are needed;\n"
         "                        changes nothing\n"},
        {'D',
         "      --database DB     its name, or a connection string (else, with --quick, the largest; of an import that of [export])\n"},
        {'N', "      --tenant SLUG     the rows become those of a new tenant of this name, with new keys\n"},
        {'i', "      --tenant-id ID    the key of that tenant in the target (else the target numbers it)\n"},
        {'k', "      --keys keep|remap keys stay as they are in the file, or all get new values\n"},
        {'a', "      --apply           remove now what would be removed after the next backup\n"},
        {'T',
         "      --to DIR|TIME     of an archive of files: where they are restored to; of a cluster: to which moment\n"},
        {'O',
         "      --overwrite       replace files in there that differ from the backup (with --confirm DIR)\n"},
        {'n', "      --dry-run         show what would be done, and what differs; change nothing\n"},
        {'b', "      --job INBOX       the [inbox NAME] that they are to belong to\n"},
        {'e', "      --plan            only say what would be taken\n"},
        {'P',
         "      --confirm WHAT    what was shown may be done: the plan of that name is carried out, if it is still the same; the\n"
         "                        database or the directory of that name is restored over; rows come into the table of that name\n"},
        {'B',
         "      --from BACKUP     as it was in this dump of the database: full/20261120T020000Z.dump, or full\n"},
        {'W',
         "      --where SQL       only rows of the backup for which this condition is true: 'id = 4711'\n"},
        {'I', "      --into TABLE      the living table, when it has another name than in the backup\n"},
        {'R', "      --replace         rows that are there with other values become those of the backup\n"},
        {'K',
         "      --key FILE        hold the store against its chain of signatures; a public key in PEM, or a directory of such (several times)\n"},
        {'V', "      --checkpoint FILE what --json said of the chain before: it must still reach there\n"},
        {'U', "      --expect-sequence N\n                        the chain must reach this number\n"},
        {'Z', "      --objects         read all objects, too, and compare them with what was signed\n"},
        {'G',
         "      --copy            it is a further store, which has copies: what it never had is not missing, and some stay longer\n"},
        {'p', "      --principal ARN   whom the policy is for (else a placeholder stands there)\n"},
        {'r', "      --refuse          forget it, in place of confirming it\n"},
        {'d', "      --simulate DAYS   show what will be there when the schedule goes on as it does\n"},
        {'C', "      --schema          the definitions that differ: of tables, functions, indexes, …\n"},
        {'l',
         "      --list            what further stores have of backups, also of those that were removed here\n"},
        {'x', "      --unseal          print what is sealed in there\n"},
        {'v',
         "      --value           a secret from standard input (asked for on a terminal): print what stands for it in the configuration\n"},
        {'y',
         "      --with-systemd    make a credential of systemd of each file (by the TPM, where there is one), and print the line for the unit\n"},
        {'j', "      --json            print JSON\n"},
};

/* What people look for here and find elsewhere. */
static const struct {
	const char *word, *advice;
} elsewhere[] = {
        {"umount", "unmount with umount(8)"},
        {"unmount", "unmount with umount(8)"},
        {"list", "list the backups with: keepfs info, or ls MOUNTPOINT/backups"},
        {"ls", "list the backups with: keepfs info, or ls MOUNTPOINT/backups"},
};

/* The command whose line is being read or that runs; only for where cli_usage() points. */
static const struct cli_command *current;

void cli_put(FILE *f, const char *text)
{
	_cleanup(str) struct str shown = {0};

	str_append_visible(&shown, text);
	fputs(str_text(&shown), f);
}

void cli_put_line(FILE *f, const char *text)
{
	_cleanup(str) struct str shown = {0};

	str_append_line(&shown, text);
	fputs(str_text(&shown), f);
}

int cli_usage(const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	fputs("keepfs: ", stderr);
	cli_put(stderr, str_text(&text));
	fprintf(stderr, "\nTry 'keepfs %s%s--help'.\n", current ? current->name : "", current ? " " : "");
	return CLI_USAGE;
}

int cli_flush(void)
{
	bool failed = ferror(stdout);

	errno = 0;
	if (fflush(stdout) == 0 && !failed)
		return CLI_DONE;
	fprintf(stderr, "keepfs: the output could not be written%s%s\n", errno ? ": " : "",
	        errno ? strerrordesc_np(errno) : "");
	/* It is told once, and what was lost is not tried again at the end of the process. */
	__fpurge(stdout);
	clearerr(stdout);
	return CLI_FAILED;
}

int cli_fail(const struct error *err)
{
	fputs("keepfs: ", stderr);
	cli_put(stderr, err->message);
	fputc('\n', stderr);
	return err->class == ERROR_USAGE ? CLI_USAGE : CLI_FAILED;
}

/* The daemon reads it again from another working directory, and tells hooks where it is. */
static char *absolute_path(const char *path)
{
	_cleanup(free) char *here = path && *path != '/' ? getcwd(NULL, 0) : NULL;

	return here ? mem_printf("%s/%s", here, path) : mem_strdup(path);
}

int cli_load_conf(const struct cli_options *options, struct conf *ret_conf)
{
	_cleanup(free) char *named = conf_find_path(options->config);
	_cleanup(free) char *path = absolute_path(named);
	_cleanup(str) struct str problems = {0};
	int r = conf_load(path, ret_conf, &problems);

	cli_put(stderr, str_text(&problems));
	if (r == -ENOENT)
		fprintf(stderr, "keepfs: write a configuration to start from with 'keepfs init -c %s'\n",
		        named);
	if (r < 0)
		return CLI_USAGE;
	log_set_level((enum log_level)ret_conf->log_level);
	secret_set_host_key(ret_conf->host_key_file);
	return CLI_DONE;
}

static void print_help(void)
{
	puts("keepfs - backups of PostgreSQL as plain files\n\nusage: keepfs COMMAND [OPTIONS] "
	     "[ARGUMENTS]\n\ncommands:");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-9s %s\n", commands[i].name, commands[i].summary);
	puts("\n'keepfs COMMAND --help' shows a command's options. Manuals: keepfs(1), keepfs.conf(5).\n"
	     "exit status: 0 done, 1 failed, 2 used or configured wrongly, 3 no mount there");
}

static void print_keys(const struct cli_command *command)
{
	_cleanup(str) struct str keys = {0};

	conf_write_trigger_keys(&keys);
	printf("\nkeys of the job (keepfs.conf(5)) that can be changed for this run, and a note for the history:\n"
	       "%sfor example:\n  keepfs %s full content=schema note='before the migration'\n",
	       str_text(&keys), command->name);
}

static void print_command_help(const struct cli_command *command)
{
	printf("usage: keepfs %s [OPTIONS]%s%s\n\n%s\n\noptions:\n", command->name,
	       *command->arguments ? " " : "", command->arguments, command->summary);
	for (size_t i = 0; i < ARRAY_SIZE(option_help); i++) {
		if (strchr(command->options, option_help[i].letter))
			fputs(option_help[i].text, stdout);
	}
	puts("  -h, --help            this text");
	if (command->takes_keys)
		print_keys(command);
}

static const struct cli_command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
	}
	return NULL;
}

static int refuse_command(const char *word)
{
	const char *names[ARRAY_SIZE(commands)], *nearest;

	for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++) {
		if (strcmp(word, elsewhere[i].word) == 0)
			return cli_usage("'%s' is not a command; %s", word, elsewhere[i].advice);
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		names[i] = commands[i].name;
	nearest = conf_nearest(word, names, ARRAY_SIZE(names));
	if (nearest)
		return cli_usage("'%s' is not a command; did you mean '%s'?", word, nearest);
	return cli_usage("'%s' is not a command", word);
}

/* Where the value of each option goes, by its letter; those that take none are set. */
static const struct {
	char letter;
	bool is_set;
	size_t at;
} places[] = {
        {'c', false, offsetof(struct cli_options, config)},
        {'m', false, offsetof(struct cli_options, mountpoint)},
        {'o', false, offsetof(struct cli_options, mount_options)},
        {'s', false, offsetof(struct cli_options, state_dir)},
        {'S', false, offsetof(struct cli_options, store_url)},
        {'f', true, offsetof(struct cli_options, foreground)},
        {'w', true, offsetof(struct cli_options, wait)},
        {'E', true, offsetof(struct cli_options, all)},
        {'Y', true, offsetof(struct cli_options, explain)},
        {'B', false, offsetof(struct cli_options, from)},
        {'L', false, offsetof(struct cli_options, then_delete)},
        {'u', false, offsetof(struct cli_options, format)},
        {'F', true, offsetof(struct cli_options, force)},
        {'M', true, offsetof(struct cli_options, moved)},
        {'H', true, offsetof(struct cli_options, no_history)},
        {'t', true, offsetof(struct cli_options, test)},
        {'Q', true, offsetof(struct cli_options, quick)},
        {'A', false, offsetof(struct cli_options, max_age)},
        {'X', true, offsetof(struct cli_options, fix)},
        {'D', false, offsetof(struct cli_options, database)},
        {'a', true, offsetof(struct cli_options, apply)},
        {'P', false, offsetof(struct cli_options, confirm)},
        {'p', false, offsetof(struct cli_options, principal)},
        {'r', true, offsetof(struct cli_options, refuse)},
        {'d', false, offsetof(struct cli_options, simulate)},
        {'T', false, offsetof(struct cli_options, to)},
        {'O', true, offsetof(struct cli_options, overwrite)},
        {'n', true, offsetof(struct cli_options, dry_run)},
        {'b', false, offsetof(struct cli_options, job)},
        {'e', true, offsetof(struct cli_options, dry_run)},
        {'C', true, offsetof(struct cli_options, schema)},
        {'l', true, offsetof(struct cli_options, list)},
        {'W', false, offsetof(struct cli_options, where)},
        {'I', false, offsetof(struct cli_options, into)},
        {'R', true, offsetof(struct cli_options, replace)},
        {'j', true, offsetof(struct cli_options, json)},
        {'N', false, offsetof(struct cli_options, tenant)},
        {'i', false, offsetof(struct cli_options, tenant_id)},
        {'k', false, offsetof(struct cli_options, keys)},
        {'V', false, offsetof(struct cli_options, checkpoint)},
        {'U', false, offsetof(struct cli_options, expect_sequence)},
        {'Z', true, offsetof(struct cli_options, objects)},
        {'G', true, offsetof(struct cli_options, copy)},
        {'x', true, offsetof(struct cli_options, unseal)},
        {'v', true, offsetof(struct cli_options, value)},
        {'y', true, offsetof(struct cli_options, with_systemd)},
};

static void take_option(struct cli_options *options, int letter, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char *at = (char *)options + places[i].at;

		if (places[i].letter != letter)
			continue;
		if (places[i].is_set)
			*(bool *)at = true;
		else
			*(const char **)at = value;
	}
}

/* Return: -1 to go on and run the command, else an exit status. */
static int parse(const struct cli_command *command, int argc, char **argv, struct cli_options *options)
{
	static const struct option longs[] = {
	        {"config", required_argument, NULL, 'c'},
	        {"mountpoint", required_argument, NULL, 'm'},
	        {"foreground", no_argument, NULL, 'f'},
	        {"wait", no_argument, NULL, 'w'},
	        {"all", no_argument, NULL, 'E'},
	        {"explain", no_argument, NULL, 'Y'},
	        {"from", required_argument, NULL, 'B'},
	        {"then-delete", required_argument, NULL, 'L'},
	        {"format", required_argument, NULL, 'u'},
	        {"state-dir", required_argument, NULL, 's'},
	        {"store", required_argument, NULL, 'S'},
	        {"job", required_argument, NULL, 'b'},
	        {"plan", no_argument, NULL, 'e'},
	        {"force", no_argument, NULL, 'F'},
	        {"moved", no_argument, NULL, 'M'},
	        {"no-history", no_argument, NULL, 'H'},
	        {"test", no_argument, NULL, 't'},
	        {"quick", no_argument, NULL, 'Q'},
	        {"max-age", required_argument, NULL, 'A'},
	        {"fix", no_argument, NULL, 'X'},
	        {"database", required_argument, NULL, 'D'},
	        {"apply", no_argument, NULL, 'a'},
	        {"confirm", required_argument, NULL, 'P'},
	        {"simulate", required_argument, NULL, 'd'},
	        {"to", required_argument, NULL, 'T'},
	        {"overwrite", no_argument, NULL, 'O'},
	        {"dry-run", no_argument, NULL, 'n'},
	        {"schema", no_argument, NULL, 'C'},
	        {"list", no_argument, NULL, 'l'},
	        {"where", required_argument, NULL, 'W'},
	        {"into", required_argument, NULL, 'I'},
	        {"replace", no_argument, NULL, 'R'},
	        {"json", no_argument, NULL, 'j'},
	        {"tenant", required_argument, NULL, 'N'},
	        {"tenant-id", required_argument, NULL, 'i'},
	        {"keys", required_argument, NULL, 'k'},
	        {"key", required_argument, NULL, 'K'},
	        {"checkpoint", required_argument, NULL, 'V'},
	        {"expect-sequence", required_argument, NULL, 'U'},
	        {"objects", no_argument, NULL, 'Z'},
	        {"copy", no_argument, NULL, 'G'},
	        {"principal", required_argument, NULL, 'p'},
	        {"refuse", no_argument, NULL, 'r'},
	        {"unseal", no_argument, NULL, 'x'},
	        {"value", no_argument, NULL, 'v'},
	        {"with-systemd", no_argument, NULL, 'y'},
	        {"help", no_argument, NULL, 'h'},
	        {0},
	};
	int letter;

	current = command;
	optind = 1;
	opterr = 0;
	while ((letter = getopt_long(argc, argv, ":c:m:o:fh", longs, NULL)) != -1) {
		if (letter == 'h') {
			print_command_help(command);
			return CLI_DONE;
		}
		if (letter == ':')
			return cli_usage("%s: the option %s needs a value", command->name, argv[optind - 1]);
		if (letter == '?' || !strchr(command->options, letter))
			return cli_usage("%s does not take the option %s", command->name, argv[optind - 1]);
		if (letter != 'K')
			take_option(options, letter, optarg);
		else if (options->key_file_count < CLI_KEY_FILES_MAX)
			options->key_files[options->key_file_count++] = optarg;
		else
			return cli_usage("%s takes 32 keys at most: put them into a directory",
			                 command->name);
	}
	options->argc = argc - optind;
	options->argv = argv + optind;
	return -1;
}

/* mount(8) runs us as `keepfs SOURCE MOUNTPOINT -o OPTIONS` for a line of type fuse.keepfs in fstab; SOURCE
 * is the configuration. */
static int run_as_mount_helper(int argc, char **argv)
{
	struct cli_options options = {0};
	const struct cli_command *mount = find_command("mount");
	int r = parse(mount, argc, argv, &options);

	if (r >= 0)
		return r;
	if (options.argc != 2)
		return cli_usage("as a mount helper: keepfs CONFIG MOUNTPOINT [-o OPTIONS]");
	options.config = options.argv[0];
	options.argc--;
	options.argv++;
	return mount->run(&options);
}

static int run_line(int argc, char **argv)
{
	const struct cli_command *command;
	struct cli_options options = {0};
	int r;

	current = NULL;
	if (argc < 2)
		return cli_usage("no command given");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_help();
		return CLI_DONE;
	}
	if (strcmp(argv[1], "--version") == 0)
		return cmd_version(&options);
	if (argv[1][0] == '/')
		return run_as_mount_helper(argc, argv);
	command = find_command(argv[1]);
	if (!command)
		return refuse_command(argv[1]);
	r = parse(command, argc - 1, argv + 1, &options);
	return r >= 0 ? r : command->run(&options);
}

/* What does not fit into the buffer is written at once, and nobody asks then why it could not be: so that all but large outputs are written by cli_flush(), which tells it. */
static void enlarge_output(void)
{
	static char buffer[64 << 10];

	if (!isatty(STDOUT_FILENO))
		setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
}

int cli_run(int argc, char **argv)
{
	int status, flushed;

	enlarge_output();
	status = run_line(argc, argv);
	flushed = cli_flush();

	return status == CLI_DONE ? flushed : status;
}
