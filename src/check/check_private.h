// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the files of this room share. One probe is the work of one thread: there is no lock. */
#include <keepfs/check.h>

struct probe {
	struct check_result *ret;
	int64_t at_us;
	/* What did not fit into ret: told in its last item. */
	size_t others, others_failed;
	char others_text[700];
};

/* probe_add() - one finding: "ok" facts, or what is wrong and what to do. */
void probe_add(struct probe *p, bool ok, const char *name, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
/* probe_add_failure() - and what mends it, on one line; NULL: not known. */
void probe_add_failure(struct probe *p, const char *name, const char *fix, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

struct catalog;

void probe_store(struct probe *p, const struct conf_store *conf, struct store *store,
                 const struct error *store_err);
/** probe_locks() - does the bucket of [store], and that of each [store NAME], keep locks, where object_lock asks for them? */
void probe_locks(struct probe *p, const struct conf *conf, struct store *store);
/** probe_clock() - does the store's clock, as it was heard of last, show what this host's does? Nothing when it does. */
void probe_clock(struct probe *p, struct store *store);
/** probe_replicas() - the stores that have copies. */
void probe_replicas(struct probe *p, const struct conf *conf);
/** make_directory_command() - heap: the command that makes a directory for the user that this process runs as. */
char *make_directory_command(const char *path);
void probe_catalog(struct probe *p, const struct conf *conf);
/** probe_uncovered() - databases of the servers that no job backs up. */
void probe_uncovered(struct probe *p, const struct conf *conf, struct catalog *catalog);
/** probe_encryption() - for whom backups are encrypted, and whether this host can read them. */
void probe_encryption(struct probe *p, const struct conf *conf);
/** probe_drills() - whether a throw-away server could be made, when a drill is to begin by itself. */
void probe_drills(struct probe *p, const struct conf *conf);
/** probe_schedules() - when each job that has a schedule begins next. */
void probe_schedules(struct probe *p, const struct conf *conf, struct catalog *catalog);
/** probe_signing() - the keys that sign, and those that are believed, where there are any. */
void probe_signing(struct probe *p, const struct conf *conf);
void probe_fuse(struct probe *p, const struct conf *conf);
/** probe_secrets() - those that are sealed, in files or printed by commands. */
void probe_secrets(struct probe *p, const struct conf *conf);
/** probe_notices() - the mail server (nothing is sent), and the templates of receivers. */
void probe_notices(struct probe *p, const struct conf *conf);
/** fuse_device_advice() - what to do when opening /dev/fuse failed with @errnum: static. */
const char *fuse_device_advice(int errnum);
/** fuse_device_fix() - the command for it; NULL: none is known. Static. */
const char *fuse_device_fix(int errnum);
