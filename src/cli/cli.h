// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The command line: one file per command, one table in command_line.c. A command gets the options that were
 * given and the words that are left, prints to standard output, and returns the process's exit status. That its
 * output was written is seen to by cli_run(), for all commands.
 */
#include <keepfs/base/error.h>
#include <keepfs/conf.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum cli_status {
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,       /* used or configured wrongly */
	CLI_UNREACHABLE = 3, /* no mount there */
};

#define CLI_KEY_FILES_MAX 32

struct cli_options {
	const char *config;                       /* -c */
	const char *mountpoint;                   /* -m */
	const char *mount_options;                /* -o */
	const char *state_dir;                    /* --state-dir */
	const char *store_url;                    /* --store */
	bool foreground;                          /* -f */
	bool json;                                /* --json */
	bool wait;                                /* --wait */
	bool all;                                 /* --all */
	const char *database;                     /* --database */
	const char *max_age;                      /* --max-age */
	bool force;                               /* --force */
	bool moved;                               /* --moved */
	bool no_history;                          /* --no-history */
	bool test;                                /* --test */
	bool quick;                               /* --quick */
	bool fix;                                 /* --fix */
	bool apply;                               /* --apply */
	const char *job;                          /* --job */
	const char *confirm;                      /* --confirm */
	const char *simulate;                     /* --simulate */
	const char *to;                           /* --to */
	bool overwrite;                           /* --overwrite */
	bool dry_run;                             /* --dry-run */
	bool schema;                              /* --schema */
	bool explain;                             /* --explain */
	const char *then_delete;                  /* --then-delete */
	const char *format;                       /* --format */
	const char *where;                        /* --where */
	const char *from;                         /* --from */
	const char *into;                         /* --into */
	bool replace;                             /* --replace */
	const char *tenant;                       /* --tenant */
	const char *tenant_id;                    /* --tenant-id */
	const char *keys;                         /* --keys */
	const char *key_files[CLI_KEY_FILES_MAX]; /* --key, each */
	size_t key_file_count;
	const char *checkpoint;      /* --checkpoint */
	const char *expect_sequence; /* --expect-sequence */
	bool copy;                   /* --copy */
	bool objects;                /* --objects */
	bool unseal;                 /* --unseal */
	bool value;                  /* --value */
	bool with_systemd;           /* --with-systemd */
	const char *principal;       /* --principal */
	bool refuse;                 /* --refuse */
	bool list;                   /* --list */
	int argc;                    /* words after the options */
	char **argv;
};

struct cli_command {
	const char *name;
	const char *arguments; /* for the usage line */
	/* letters of the options that it takes: c m o f j(son) w(ait) F(orce) s(tate-dir) S(tore)
	 * M(oved) H(istory: none) t(est) Q(uick) D(atabase) (fi)X (max-)A(ge)
	 * a(pply) P(lan, or what else is to be confirmed) d(ays to simulate) T(o) O(verwrite) n(othing: dry run)
	 * L (then-delete: a tenant leaves) W(here) I(nto) R(eplace) C (schema) E(verything: --all) Y (explain) u (format of an export)
	 * l(ist) (jo)b (plan) e
	 * p(rincipal) r(efuse)
	 * N (tenant: new name) i (its id) k(eys) B(ackup: --from)
	 * K (--key of signatures) V (--checkpoint: of the chain) U (--expect-sequence: until where) Z (--objects: all bytes)
	 * x (unseal) v(alue) y (with-systemd) */
	const char *options;
	const char *summary;
	int (*run)(const struct cli_options *options);
	bool takes_keys; /* of a job, to change them for one run */
};

int cmd_init(const struct cli_options *options);
int cmd_check(const struct cli_options *options);
int cmd_mount(const struct cli_options *options);
int cmd_run(const struct cli_options *options);
int cmd_trigger(const struct cli_options *options);
int cmd_export(const struct cli_options *options);
int cmd_import(const struct cli_options *options);
int cmd_status(const struct cli_options *options);
int cmd_wal_get(const struct cli_options *options);
int cmd_evidence(const struct cli_options *options);
int cmd_audit(const struct cli_options *options);
int cmd_ack(const struct cli_options *options);
int cmd_recovery(const struct cli_options *options);
int cmd_info(const struct cli_options *options);
int cmd_jobs(const struct cli_options *options);
int cmd_schedule(const struct cli_options *options);
int cmd_watch(const struct cli_options *options);
int cmd_notify(const struct cli_options *options);
int cmd_rebuild(const struct cli_options *options);
int cmd_prune(const struct cli_options *options);
int cmd_policy(const struct cli_options *options);
int cmd_confirm(const struct cli_options *options);
int cmd_hold(const struct cli_options *options);
int cmd_erase(const struct cli_options *options);
int cmd_erasures(const struct cli_options *options);
int cmd_undelete(const struct cli_options *options);
int cmd_drill(const struct cli_options *options);
int cmd_replicate(const struct cli_options *options);
int cmd_rewrap(const struct cli_options *options);
int cmd_thaw(const struct cli_options *options);
int cmd_adopt(const struct cli_options *options);
int cmd_verify(const struct cli_options *options);
int cmd_restore(const struct cli_options *options);
int cmd_restore_tenant(const struct cli_options *options);
int cmd_look(const struct cli_options *options);
int cmd_diff(const struct cli_options *options);
int cmd_rescue(const struct cli_options *options);
int cmd_log(const struct cli_options *options);
int cmd_seal(const struct cli_options *options);
int cmd_version(const struct cli_options *options);

/** cli_run() - parse @argv and run the command that it names: main(), as a function that tests can call. A status of
 * CLI_DONE becomes CLI_FAILED when standard output cannot be written. */
int cli_run(int argc, char **argv);
/** cli_put(), cli_put_line() - @text, in which there may be what others wrote, as str_append_visible() and
 * str_append_line() make it. */
void cli_put(FILE *f, const char *text);
void cli_put_line(FILE *f, const char *text);
/** cli_usage() - say on standard error what is wrong and where help is (the running command's own, when there
 * is one); returns CLI_USAGE. */
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** cli_flush() - write what was printed so far: 0, or CLI_FAILED after saying that standard output, this time or
 * before, could not be written. */
int cli_flush(void);
/** cli_fail() - print @err to standard error; returns CLI_FAILED. */
int cli_fail(const struct error *err);
/** cli_load_conf() - the configuration that the options name; prints every problem, and how to make a file
 * that is named and missing. Return: CLI_DONE or
 * CLI_USAGE. */
int cli_load_conf(const struct cli_options *options, struct conf *ret_conf);
