// SPDX-License-Identifier: Apache-2.0
/* THE table of sections. A section that is not declared here does not exist; one that is here is parsed, can
 * be given from the environment, is written to the template, documented and shown. Its keys are in keys.c. */
#include "sections.h"

#include <keepfs/base/mem.h>

#include "job_kinds.h"
#include "load.h"

#include <string.h>

static const struct conf_list jobs = {
        .items = offsetof(struct conf, jobs),
        .count = offsetof(struct conf, job_count),
        .item_bytes = sizeof(struct conf_job),
        .name = offsetof(struct conf_job, name),
        .line = offsetof(struct conf_job, line),
        .kind = offsetof(struct conf_job, kind),
        .origins = offsetof(struct conf_job, origins),
        .item = "job",
        .name_wrong = conf_job_name_wrong,
        .name_allowed =
                "1 to 200 of A-Z a-z 0-9 . _ -, not beginning with '.' or '-', and not 'now' or 'packs'",
};
const struct conf_list *const conf_jobs = &jobs;

static const char *class_name_wrong(const char *name)
{
	/* What is reserved is so among jobs only. */
	return conf_item_name_wrong(name);
}

static const struct conf_list classes = {
        .items = offsetof(struct conf, classes),
        .count = offsetof(struct conf, class_count),
        .item_bytes = sizeof(struct conf_class),
        .name = offsetof(struct conf_class, name),
        .line = offsetof(struct conf_class, line),
        .kind = offsetof(struct conf_class, kind),
        .origins = offsetof(struct conf_class, origins),
        .item = "class",
        .name_wrong = class_name_wrong,
        .name_allowed = "1 to 200 of A-Z a-z 0-9 . _ -, not beginning with '.' or '-'",
};
const struct conf_list *const conf_classes = &classes;

static const struct conf_list named_stores = {
        .items = offsetof(struct conf, stores),
        .count = offsetof(struct conf, store_count),
        .item_bytes = sizeof(struct conf_named_store),
        .name = offsetof(struct conf_named_store, name),
        .line = offsetof(struct conf_named_store, line),
        .kind = offsetof(struct conf_named_store, kind),
        .origins = offsetof(struct conf_named_store, origins),
        .item = "store",
        .name_wrong = class_name_wrong,
        .name_allowed = "1 to 200 of A-Z a-z 0-9 . _ -, not beginning with '.' or '-'",
};
const struct conf_list *const conf_named_stores = &named_stores;

/* Receivers of notices. */
static const struct conf_list webhooks = {
        .items = offsetof(struct conf, webhooks),
        .count = offsetof(struct conf, webhook_count),
        .item_bytes = sizeof(struct conf_webhook),
        .name = offsetof(struct conf_webhook, name),
        .line = offsetof(struct conf_webhook, line),
        .kind = offsetof(struct conf_webhook, kind),
        .origins = offsetof(struct conf_webhook, origins),
        .item = "webhook",
        .name_wrong = conf_item_name_wrong,
        .name_allowed = "1 to 200 of A-Z a-z 0-9 . _ -, not beginning with '.' or '-'",
};
static const struct conf_list commands = {
        .items = offsetof(struct conf, commands),
        .count = offsetof(struct conf, command_count),
        .item_bytes = sizeof(struct conf_command),
        .name = offsetof(struct conf_command, name),
        .line = offsetof(struct conf_command, line),
        .kind = offsetof(struct conf_command, kind),
        .origins = offsetof(struct conf_command, origins),
        .item = "command",
        .name_wrong = conf_item_name_wrong,
        .name_allowed = "1 to 200 of A-Z a-z 0-9 . _ -, not beginning with '.' or '-'",
};
static const struct conf_list heartbeats = {
        .items = offsetof(struct conf, heartbeats),
        .count = offsetof(struct conf, heartbeat_count),
        .item_bytes = sizeof(struct conf_heartbeat),
        .name = offsetof(struct conf_heartbeat, name),
        .line = offsetof(struct conf_heartbeat, line),
        .kind = offsetof(struct conf_heartbeat, kind),
        .origins = offsetof(struct conf_heartbeat, origins),
        .item = "heartbeat",
        .name_wrong = conf_item_name_wrong,
        .name_allowed = "1 to 200 of A-Z a-z 0-9 . _ -, not beginning with '.' or '-'",
};
static const struct conf_list checks = {
        .items = offsetof(struct conf, checks),
        .count = offsetof(struct conf, check_count),
        .item_bytes = sizeof(struct conf_check),
        .name = offsetof(struct conf_check, name),
        .line = offsetof(struct conf_check, line),
        .kind = offsetof(struct conf_check, kind),
        .origins = offsetof(struct conf_check, origins),
        .item = "check",
        .name_wrong = conf_item_name_wrong,
        .name_allowed = "1 to 200 of A-Z a-z 0-9 . _ -, not beginning with '.' or '-'",
};

const struct conf_section_info conf_sections[CONF_SECTION_COUNT] = {
        [CONF_SECTION_KEEPFS] = {.name = "keepfs",
                                 .header = "[keepfs]",
                                 .env = "",
                                 .keys = CONF_KEYS_KEEPFS,
                                 .offset = 0,
                                 .check = conf_keepfs_check,
                                 .help = "The daemon and its mount."},
        [CONF_SECTION_STORE] =
                {.name = "store",
                 .header = "[store]",
                 .env = "STORE_",
                 .keys = CONF_KEYS_STORE | CONF_KEYS_MAIN_STORE,
                 .offset = offsetof(struct conf, store),
                 .help = "Where the backups are kept: a directory or an S3 bucket. keepfs never creates a bucket. "
                         "The environment variables of AWS (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
                         "AWS_SESSION_TOKEN, AWS_PROFILE, AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3, "
                         "AWS_ENDPOINT_URL, AWS_CA_BUNDLE, AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE) apply "
                         "where a key is not set here."},
        [CONF_SECTION_NAMED_STORE] =
                {.name = "store",
                 .header = "[store NAME]",
                 .env = "STORES_",
                 .example = "[store acme]",
                 .is_extra = true,
                 .keys = CONF_KEYS_STORE | CONF_KEYS_NAMED_STORE,
                 .list = &named_stores,
                 .check = conf_named_store_check,
                 .help = "A further store: for copies of backups, where a job names it in 'copies', or for the exports of certain tenants: [export] store, [class NAME] store, or the column 'store' of the query "
                         "of tenants says of whom. Everything else is in [store] alone. No variable of AWS applies to it; without keys of its own it "
                         "has the credentials of [store], which is allowed at the endpoint of [store] alone. What other keys say of timeouts and the like is said here "
                         "of this store; of parts of uploads and of checking [store] says it for all."},
        [CONF_SECTION_READ] =
                {.name = "read",
                 .header = "[read]",
                 .env = "READ_",
                 .keys = CONF_KEYS_READ,
                 .offset = offsetof(struct conf, read),
                 .help = "How backups are read from the store. Every byte is checked against the backup's "
                         "manifest before it is handed out, whatever stands here."},
        [CONF_SECTION_BACKUP] =
                {.name = "backup",
                 .header = "[backup NAME]",
                 .env = "BACKUP_",
                 .example = "[backup full]",
                 .keys = CONF_KEYS_JOB | CONF_KEYS_MAKER | CONF_KEYS_HOOKS | CONF_KEYS_POLICY |
                         CONF_KEYS_DRILL | CONF_KEYS_DUMP,
                 .list = &jobs,
                 .kind = CONF_JOB_DUMP,
                 .check = conf_dump_check,
                 .takes_everything = conf_dump_takes_everything,
                 .help = "A backup job, one section each. NAME is the job's name and its directory below "
                         "backups/: 1 to 200 of the characters A-Z a-z 0-9 . _ -, not beginning with '.' or '-'; "
                         "'now' and 'packs' are reserved. When there is no job of any kind, neither in the file nor from the "
                         "environment, one job named 'full' is made, which backs up the database that libpq's "
                         "environment variables (PGHOST, PGDATABASE, PGSERVICE, …) lead to: keepfs can be "
                         "configured through environment variables alone."},
        [CONF_SECTION_FILES] =
                {.name = "files",
                 .header = "[files NAME]",
                 .env = "FILES_",
                 .example = "[files documents]",
                 .is_extra = true,
                 .keys = CONF_KEYS_JOB | CONF_KEYS_MAKER | CONF_KEYS_HOOKS | CONF_KEYS_POLICY |
                         CONF_KEYS_DRILL | CONF_KEYS_FILES,
                 .list = &jobs,
                 .kind = CONF_JOB_FILES,
                 .check = conf_files_check,
                 .takes_everything = conf_files_takes_everything,
                 .help = "A job that archives a directory as tar, one section each. NAME is chosen as for "
                         "[backup NAME], and no two jobs of any kind may have the same, since it is the name of a "
                         "directory below backups/. With 'each' there is one archive for each of certain "
                         "subdirectories, otherwise one of the whole directory at every run."},
        [CONF_SECTION_BUNDLE] =
                {.name = "bundle",
                 .header = "[bundle NAME]",
                 .env = "BUNDLE_",
                 .example = "[bundle site]",
                 .is_extra = true,
                 .keys = CONF_KEYS_JOB | CONF_KEYS_HOOKS | CONF_KEYS_POLICY | CONF_KEYS_DRILL |
                         CONF_KEYS_BUNDLE,
                 .list = &jobs,
                 .kind = CONF_JOB_BUNDLE,
                 .check = conf_bundle_check,
                 .takes_everything = conf_bundle_takes_everything,
                 .help = "A job that makes one backup of all that a deployment consists of, one section each: backups/NAME/TIME/ is a directory with what each of its "
                         "parts makes, a description (MANIFEST.txt, MANIFEST.json) and SHA256SUMS. NAME is chosen as for [backup NAME]. A bundle is kept, held and removed as one."},
        [CONF_SECTION_EXPORT] =
                {.name = "export",
                 .header = "[export]",
                 .env = "EXPORT_",
                 .is_extra = true,
                 .keys = CONF_KEYS_JOB | CONF_KEYS_MAKER | CONF_KEYS_HOOKS | CONF_KEYS_POLICY |
                         CONF_KEYS_EXPORT,
                 .list = &jobs,
                 .only = CONF_EXPORTS,
                 .kind = CONF_JOB_EXPORT,
                 .check = conf_export_check,
                 .takes_everything = conf_export_takes_everything,
                 .help = "Makes a file of each tenant's data, for the tenant: exports/TENANT/TIME.json.gz (or as 'format' says). There is one such "
                         "section at most. Its job is named 'exports', and so no other job may be while the section is there. Every "
                         "table of the database is exported, or left out by a key of this section; one of which nobody can say "
                         "whose its rows are makes an export fail, and so does what looks like a secret. "
                         "'keepfs export --explain' shows what is exported, and why."},
        [CONF_SECTION_MIRROR] =
                {.name = "mirror",
                 .header = "[mirror NAME]",
                 .env = "MIRROR_",
                 .example = "[mirror uploads]",
                 .is_extra = true,
                 .keys = CONF_KEYS_JOB | CONF_KEYS_HOOKS | CONF_KEYS_POLICY | CONF_KEYS_MIRROR,
                 .list = &jobs,
                 .kind = CONF_JOB_MIRROR,
                 .check = conf_mirror_check,
                 .takes_everything = conf_mirror_takes_everything,
                 .help = "A job that mirrors the objects of a bucket, or the files of a directory, one section each. NAME is chosen as for [backup NAME]. Each run makes a state: all objects "
                         "as they were then, of which only those are read and stored that the state before does not have. Without a key for it the credentials "
                         "are looked for as for [store]; those that are set in [store] are not used."},
        [CONF_SECTION_INBOX] =
                {.name = "inbox",
                 .header = "[inbox NAME]",
                 .env =
                         "INBOX_",
                 .example = "[inbox legacy]",
                 .is_extra = true,
                 .keys = CONF_KEYS_JOB | CONF_KEYS_POLICY,
                 .list = &jobs,
                 .kind = CONF_JOB_INBOX,
                 .check = conf_inbox_check,
                 .takes_everything = conf_inbox_takes_everything,
                 .help = "A directory inbox/NAME in the mount: what is written into it (cp, rsync, mv) becomes a backup in backups/NAME/ when it is closed, one section "
                         "each. Dumps of pg_dump, tars, and files that are compressed with gzip or zstd are checked to their end, and refused when they are cut off; anything else is "
                         "kept as it is. NAME is chosen as for [backup NAME]. It has no schedule; all keys of keeping, encryption, copies and checking are those "
                         "of every job."},
        [CONF_SECTION_CLUSTER] =
                {.name = "cluster",
                 .header = "[cluster NAME]",
                 .env =
                         "CLUSTER_",
                 .example = "[cluster main]",
                 .is_extra = true,
                 .keys = CONF_KEYS_JOB | CONF_KEYS_HOOKS | CONF_KEYS_POLICY | CONF_KEYS_DRILL |
                         CONF_KEYS_CLUSTER,
                 .list = &jobs,
                 .kind = CONF_JOB_CLUSTER,
                 .check = conf_cluster_check,
                 .takes_everything = conf_cluster_takes_everything,
                 .help = "A whole PostgreSQL server (13 to 18), one section each. What its archive_command copies into wal/NAME/ in the mount is its WAL archive, from which "
                         "a restore_command reads. Each run of the job makes a base backup, all files of the server: backups/NAME/TIME. NAME is chosen as for [backup NAME]."},
        [CONF_SECTION_CLASS] =
                {.name = "class",
                 .header = "[class NAME]",
                 .env =
                         "CLASS_",
                 .example = "[class demo]",
                 .is_extra = true,
                 .keys = CONF_KEYS_POLICY | CONF_KEYS_CLASS,
                 .list = &classes,
                 .check = conf_policy_check,
                 .help = "Says of some databases of a job when they are backed up and how long that is kept, in place of "
                         "what the job says: of those that the query in 'databases' calls NAME in its second column. A key "
                         "that is not set here is the job's."},
        [CONF_SECTION_MAIL] =
                {.name = "mail",
                 .header = "[mail]",
                 .env =
                         "MAIL_",
                 .keys = CONF_KEYS_MAIL,
                 .offset = offsetof(struct conf, mail),
                 .help = "Notices by mail: when a backup fails, was not made, or works again, when the store is in "
                         "trouble, and a summary each day. 'keepfs notify --test' sends one. What could not be sent "
                         "waits in the catalog, and is sent when the server answers again."},
        [CONF_SECTION_WEBHOOK] =
                {.name = "webhook",
                 .header = "[webhook NAME]",
                 .env =
                         "WEBHOOK_",
                 .example = "[webhook chat]",
                 .is_extra = true,
                 .keys = CONF_KEYS_WEBHOOK,
                 .list = &webhooks,
                 .help = "Notices by a request over HTTP, to a chat or a monitoring system: one section each."},
        [CONF_SECTION_COMMAND] = {.name = "command",
                                  .header = "[command NAME]",
                                  .env = "COMMAND_",
                                  .example = "[command pager]",
                                  .is_extra = true,
                                  .keys = CONF_KEYS_COMMAND,
                                  .list = &commands,
                                  .help = "Notices by a command of your own: one section each."},
        [CONF_SECTION_HEARTBEAT] =
                {.name = "heartbeat",
                 .header = "[heartbeat NAME]",
                 .env =
                         "HEARTBEAT_",
                 .example = "[heartbeat nightly]",
                 .is_extra = true,
                 .keys = CONF_KEYS_HEARTBEAT,
                 .list = &heartbeats,
                 .help = "A monitor that expects to hear of each run, and calls for help when it does not: it is told "
                         "when a run of a backup begins, and how it ended, with the last lines of its log. One section "
                         "for each monitor; nothing is sent for maintenance."},
        [CONF_SECTION_CHECK] =
                {.name = "check",
                 .header = "[check NAME]",
                 .env =
                         "CHECK_",
                 .example = "[check orders]",
                 .is_extra = true,
                 .keys = CONF_KEYS_CHECK,
                 .list = &checks,
                 .help = "What a drill asks of the database that it has restored, one section for each question: "
                         "the answer to a statement, or a command, or both. A drill of level 5 passes only when "
                         "all of them do."},
        [CONF_SECTION_CONTROL] =
                {.name = "control",
                 .header = "[control]",
                 .env =
                         "CONTROL_",
                 .keys = CONF_KEYS_CONTROL,
                 .offset = offsetof(struct conf, control),
                 .help = "Who may write and read the files of control/ in a mount with allow_other, and which commands wait for a second "
                         "person. Root, the user of the daemon and the owner of the files may write all of them always. A file "
                         "that no rule names is as file_mode, owner and group say."},
};

/* The list of @section, when it is the first of those that share it: so each list is walked once. */
static const struct conf_list *list_begins_at(enum conf_section section)
{
	const struct conf_list *list = conf_sections[section].list;

	return list && conf_list_section(list, -1) == section ? list : NULL;
}

bool conf_place(const struct conf *c, size_t n, struct conf_ref *ret)
{
	for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++) {
		const struct conf_list *list = list_begins_at(s);
		size_t count = list ? conf_item_count(c, list) : conf_sections[s].list ? 0 : 1;

		if (n >= count) {
			n -= count;
			continue;
		}
		if (list)
			s = conf_item_section(list, conf_item(c, list, n));
		*ret = (struct conf_ref){.section = s, .item = n, .key = -1};
		return true;
	}
	return false;
}

void *conf_base(const struct conf *c, struct conf_ref ref)
{
	const struct conf_section_info *section = &conf_sections[ref.section];

	/* Who has a const struct conf reads only. */
	return section->list ? conf_item(c, section->list, ref.item) : (char *)c + section->offset;
}

bool conf_section_is_named(enum conf_section section)
{
	return conf_sections[section].list && !conf_sections[section].only;
}

void conf_section_title(enum conf_section section, const char *name, struct str *out)
{
	if (conf_section_is_named(section))
		str_appendf(out, "[%s %s]", conf_sections[section].name, name);
	else
		str_append(out, conf_sections[section].header);
}

void conf_place_title(const struct conf *c, struct conf_ref ref, struct str *out)
{
	const struct conf_list *list = conf_sections[ref.section].list;

	conf_section_title(ref.section, list ? conf_item_name(list, conf_item(c, list, ref.item)) : NULL,
	                   out);
}

void conf_ref_title(const struct conf *c, struct conf_ref ref, struct str *out)
{
	conf_place_title(c, ref, out);
	str_appendf(out, " %s", conf_keys[ref.key].name);
}
