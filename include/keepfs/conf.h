// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The configuration: keepfs.conf, an INI file, into one typed and validated struct. One table
 * (src/conf/keys.c) declares each key once, with type, unit, default and help; the parser, the KEEPFS_…
 * environment overrides, `keepfs init`'s commented file and keepfs.conf(5) are made from it.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/compression.h>
#include <keepfs/policy/retention.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A secret has three keys, of which one may be set (src/conf/keys.c declares them by SECRET()): X, X_file and X_command.
 * Only secret_get() (keepfs/secret.h) knows what it is. */
struct conf_secret {
	char *value; /* as it stands in the configuration, or sealed: conf_is_sealed(); "" or NULL: elsewhere, or nowhere */
	char *file;    /* an absolute path, or CONF_CREDENTIAL and a name; "" or NULL: none */
	char *command; /* for /bin/sh -c, prints it; "" or NULL: none */
};
#define CONF_CREDENTIAL "credential:" /* of systemd: the file of that name in $CREDENTIALS_DIRECTORY */
#define CONF_SEALED     "sealed:"     /* and base64 of what age made of a secret for the key of this host */

/** conf_secret_is_set() - in any of the three places. */
bool conf_secret_is_set(const struct conf_secret *s);
/** conf_secret_key() - of the names of its three keys the one that is set; the first when none is. */
const char *conf_secret_key(const struct conf_secret *s, const char *const names[static 3]);
#define CONF_SECRET_KEYS(name) ((const char *const[3]){name, name "_file", name "_command"})
/** conf_is_sealed() - is this value of a key one that 'keepfs seal --value' printed? By its first bytes: it may be damaged. */
bool conf_is_sealed(const char *value);
/** conf_web_url_wrong() - heap: what is wrong with the URL of a receiver of notices, which never quotes it; NULL: nothing is. For one that came
 * from a file or a command. */
char *conf_web_url_wrong(const char *url);
/** conf_headers_parse_lines() - headers from a file or a command, "Name: value" on each line; empty lines are left out. Heap, NULL-terminated, for
 * conf_headers_free(); NULL with *@ret_wrong (heap), which quotes none of them. */
char **conf_headers_parse_lines(const char *text, char **ret_wrong);
void conf_headers_free(char **headers); /* wiped; NULL allowed */

enum conf_addressing { CONF_ADDRESSING_AUTO, CONF_ADDRESSING_PATH, CONF_ADDRESSING_VIRTUAL };
enum conf_sse { CONF_SSE_NONE, CONF_SSE_AES256, CONF_SSE_KMS };
enum conf_provider { /* whose S3 it is: keepfs/conf/provider.h */
	             CONF_PROVIDER_AUTO,
	             CONF_PROVIDER_AWS,
	             CONF_PROVIDER_GCS,
	             CONF_PROVIDER_B2,
	             CONF_PROVIDER_WASABI,
	             CONF_PROVIDER_SPACES,
	             CONF_PROVIDER_MINIO,
	             CONF_PROVIDER_R2,
	             CONF_PROVIDER_HETZNER,
	             CONF_PROVIDER_CEPH,
	             CONF_PROVIDER_SWIFT,
	             CONF_PROVIDER_OTHER,
	             CONF_PROVIDERS
};
enum conf_conditional { CONF_CONDITIONAL_AUTO, CONF_CONDITIONAL_YES, CONF_CONDITIONAL_NO };
enum conf_equal_parts { CONF_EQUAL_PARTS_AUTO, CONF_EQUAL_PARTS_YES, CONF_EQUAL_PARTS_NO };

struct conf_store {
	char *url;        /* "s3://bucket/prefix" or "dir:/absolute/path" */
	char *endpoint;   /* "" for AWS; "https://host[:port]" (http:// only with allow_http) */
	char *region;     /* "" until resolved: AWS_REGION, AWS_DEFAULT_REGION, the profile's, us-east-1 */
	char *access_key; /* "": where keepfs/aws.h looks */
	struct conf_secret secret_key;
	struct conf_secret session_token;
	char *profile;  /* "": conf_profile_name() */
	int addressing; /* enum conf_addressing; auto: virtual-host for AWS, path elsewhere */
	bool allow_http;
	char *ca_file;
	int sse; /* enum conf_sse */
	char *sse_kms_key;
	int provider;         /* enum conf_provider; conf_provider_of() says which it is */
	int conditional_puts; /* enum conf_conditional; conf_puts_conditionally() */
	int equal_parts;      /* enum conf_equal_parts; conf_wants_equal_parts() */
	bool delete_versions;
	int object_lock; /* enum store_lock_mode (keepfs/store.h), which has the same order */
	int64_t lock_min_ms, lock_max_ms; /* how long backups are locked at least and at most */
	int64_t connect_timeout_ms;
	int64_t first_byte_timeout_ms; /* of a get */
	int64_t stall_timeout_ms;
	int64_t retry_deadline_ms;
	uint64_t part_bytes; /* of the first parts; grows with the part number */
	int64_t max_parts;
	uint64_t capacity_bytes;   /* 0: not known */
	int64_t scrub_within_ms;   /* every backup is read again within that time; 0: none is */
	uint64_t scrub_rate_bytes; /* per second */
	char *faults;              /* store_fault_new(); "" for none */
	bool read_only;            /* no key: who opens it will only list and read */
};

enum conf_sha256 { CONF_SHA256_AUTO, CONF_SHA256_ALWAYS, CONF_SHA256_NEVER };

struct conf_read {            /* the section [read] */
	uint64_t ahead_bytes; /* key `read_ahead`: of one open file */
	int64_t connections;  /* gets in flight */
	int sha256;           /* enum conf_sha256 */
	char *cache_dir;      /* "": no disk cache */
	uint64_t cache_bytes; /* key `cache_size` */
	int64_t link_ttl_ms;
};

enum conf_format { CONF_FORMAT_CUSTOM, CONF_FORMAT_PLAIN, CONF_FORMAT_DIRECTORY };
enum conf_content { CONF_CONTENT_FULL, CONF_CONTENT_SCHEMA, CONF_CONTENT_DATA };
enum conf_globals { CONF_GLOBALS_AUTO, CONF_GLOBALS_YES, CONF_GLOBALS_NO };
enum conf_verify { CONF_VERIFY_READBACK, CONF_VERIFY_NONE };
enum conf_ionice { CONF_IONICE_NONE, CONF_IONICE_LOW, CONF_IONICE_IDLE };

struct conf_dump {      /* what only a job that dumps databases has: [backup NAME] */
	char *database; /* libpq connection string or URI; "" lets libpq's environment decide */
	/* each is dumped over `database`'s connection into a directory of its own: names, patterns or a query, as
	 * databases_kind_of() tells; NULL-terminated, may be empty */
	char **databases;
	char *registry;      /* the connection over which the query is asked; "": `database`'s */
	char *pg_bindir;     /* "": found by version */
	int format;          /* enum conf_format */
	int content;         /* enum conf_content */
	int64_t connections; /* key `jobs`: how many read at once; 0: auto */
	char **schemas, **exclude_schemas, **tables, **exclude_tables,
	        **exclude_table_data; /* patterns as pg_dump takes them; NULL-terminated, may be empty */
	int globals;                  /* enum conf_globals; auto: beside each full dump of everything */
	int64_t lock_wait_timeout_ms; /* 0: wait for ever */
};

struct conf_files {     /* what only a job that archives a directory has: [files NAME] */
	char *path;     /* absolute, normalised */
	char **exclude; /* patterns, relative to `path`; NULL-terminated, may be empty */
	/* "": one archive of all; else a pattern for subdirectories, relative to `path`, ending in '/': each gets one */
	char *each;
	int64_t settle_ms; /* with `each`: a subdirectory is taken when nothing in it has changed for so long */
	bool cross_mounts;
	bool skip_unreadable; /* what cannot be read is counted, and does not fail the run */
	bool secret;          /* for nobody but the owner of the mount, whatever file_mode says */
};

/** CONF_BUNDLE_MIRRORS_MAX - of the parts of one bundle so many can be mirrors. */
#define CONF_BUNDLE_MIRRORS_MAX 32
struct conf_bundle {  /* what only a job that makes one backup of several jobs has: [bundle NAME] */
	char **parts; /* names of these jobs, in the order in which they are made; NULL-terminated */
	char *name;   /* how the deployment is called; "": as the job (conf_bundle_name()) */
	char *version_command, *version_file; /* where the version of the deployment is told; "": nowhere */
	bool allow_plain_secrets;             /* a part may be secret, and the bundle not encrypted */
	char *restore_stop_hook,
	        *restore_start_hook; /* commands around its restore, for /bin/sh -c; "": none */
	char *drill_mirror; /* where drills bring its mirrors back, "s3://…" or "dir:/…"; "": they are only read */
};

enum conf_unreadable { CONF_UNREADABLE_FAIL, CONF_UNREADABLE_SKIP };
enum conf_server_copy { CONF_SERVER_COPY_AUTO, CONF_SERVER_COPY_NO };
/** CONF_MIRROR_NONE - the url of a mirror that mirrors nothing, and says so. */
#define CONF_MIRROR_NONE "none"

struct conf_mirror {            /* what only a job that mirrors a bucket has: [mirror NAME] */
	struct conf_store from; /* what is mirrored; of it only what the keys of the section say is set */
	int64_t connections;    /* gets at once */
	int skip_unreadable;    /* enum conf_unreadable */
	int server_copy; /* enum conf_server_copy: of large objects, where source and store are on one server */
	bool allow_empty; /* a state without objects is made also when the one before had some */
};

enum conf_wal { CONF_WAL_ARCHIVE, CONF_WAL_STREAM, CONF_WAL_BOTH };
enum conf_wal_confirm { CONF_WAL_CONFIRM_STORE, CONF_WAL_CONFIRM_DISK };
enum conf_checkpoint { CONF_CHECKPOINT_FAST, CONF_CHECKPOINT_SPREAD };
enum conf_incremental { CONF_INCREMENTAL_AUTO, CONF_INCREMENTAL_COMPARE, CONF_INCREMENTAL_OFF };

struct conf_cluster { /* what only a job that is about a whole server has: [cluster NAME] */
	char *database; /* libpq connection string or URI; "" lets libpq's environment decide; its role has REPLICATION */
	int wal; /* enum conf_wal: it comes by archive_command into wal/NAME/, is streamed over a replication connection, or both */
	char *slot; /* by which the server keeps what was not streamed yet; "": conf_cluster_slot() says which */
	int64_t wal_tail_ms; /* what was streamed of a segment is stored when the first byte of it that is not is this old; 0: at once */
	int wal_confirm; /* enum conf_wal_confirm: where what was streamed is durable, when the server is told so */
	char *pg_wal; /* of the server, when it is on this host, or mounted here: what is ready there is archived ahead; "": it is not looked at */
	int64_t wal_max_age_ms; /* what the server has written, and is whole, has to have come after so long; 0: nobody watches that */
	int64_t read_timeout_ms; /* how long whoever reads from wal/NAME/ waits for a store that does not answer */
	int checkpoint; /* enum conf_checkpoint: how the server makes the one that a base backup begins with */
	int incremental; /* enum conf_incremental: how a base finds the pages that it need not store, since an earlier one has */
	int64_t wal_timeout_ms; /* how long a base backup waits for its WAL to be archived, once it was copied */
	int64_t wal_window_ms; /* any moment from so long ago on can be reached; 0: from the oldest base backup on */
};

enum conf_unsure { CONF_UNSURE_FAIL, CONF_UNSURE_WARN };
enum conf_export_format {
	CONF_EXPORT_JSON,
	CONF_EXPORT_NDJSON,
	CONF_EXPORT_CSV,
	CONF_EXPORT_SQL,
	CONF_EXPORT_SQLITE
};

struct conf_export {    /* what only the job that exports tenants has: [export] */
	char *database; /* libpq connection string or URI; "" lets libpq's environment decide */
	int tenancy;    /* enum tenancy_kind (policy/tenancy.h) */
	char *tenants;  /* a query: its columns id and slug, and if it has them name, class, uid and gid */
	char **tenant_columns; /* key `tenant_column`: "org_id", "orders.org_id"; TENANCY_COLUMN has one at least */
	char *tenant_table;    /* "orgs.id"; "": found out */
	char *tenant_schema;   /* of TENANCY_SCHEMA: a template with {id} or {slug} */
	char *tenant_database; /* of TENANCY_DATABASE: the same */
	char **shared, **referred;
	char **excluded;   /* key `exclude` */
	char **references; /* as tenancy_references_check() takes them */
	int undecided;     /* enum conf_unsure: a table of which nobody can say whose its rows are */
	char *role;        /* "": none */
	char **settings;   /* "app.org_id={id}" */
	char **redact, **redact_types, **allow_secrets; /* as policy/redaction.h takes them */
	int secrets_unsure;            /* enum conf_unsure: what looks like a secret, and no rule names it */
	struct conf_secret redact_key; /* of `hash`: CONF_REDACT_KEY_BYTES or more */
	int format;                    /* enum conf_export_format */
	int64_t connections; /* key `jobs`: how many read at once, over all tenants of a run; 0: auto */
	uint64_t
	        space_bytes; /* of a file that is made in state_dir before it is stored (CONF_EXPORT_SQLITE) */
	uint64_t keys_memory_bytes; /* of an export from a backup */
	char *store; /* where exports go that nobody else says it of: a [store NAME]; "": the store of all */
	char *store_credentials_dir; /* of what the query calls store_credentials; "": there are none */
	char **store_endpoints;      /* which a query may name: patterns; NULL-terminated, may be empty */
	char **admins; /* "acme:anna", "globex:@ops": who may fetch and order the exports of one tenant */
};
#define CONF_REDACT_KEY_BYTES 32

/** CONF_EXPORTS - the name of the job that the section [export] makes, and of its directory in the mount and in the store. */
#define CONF_EXPORTS "exports"

enum conf_keep { CONF_KEEP_RULES, CONF_KEEP_FOREVER };

/* When backups begin by themselves, and what stays of them: of a job, or of a class of its databases. Durations of 0 and
 * counts of 0 are rules that do not exist. */
struct conf_policy {
	char *schedule; /* as schedule_parse() takes it */
	int64_t catch_up_ms;
	int64_t jitter_ms;
	char *blackout;               /* as blackout_parse() takes it; "": none */
	int64_t expected_interval_ms; /* 0: by the schedule */
	int64_t grace_ms;             /* 0: by the interval */
	int keep;                     /* enum conf_keep */
	int64_t keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly;
	int64_t keep_within_ms; /* 0: auto; -1: none */
	int64_t min_keep;
};

/* A further store: [store NAME]. What its struct conf_store has of all exports and all of the daemon (part_bytes, capacity, scrubbing) is not set:
 * [store] says that of all. */
struct conf_named_store {
	struct conf_store store; /* first, as its keys are those of [store] */
	char *name;
	int line, kind; /* conf_load()'s own */
	struct conf_origin *origins;
	char *credentials_file; /* as stores_read_credentials() takes it; "": none */
	char **tenants; /* slugs, or patterns of these, that a query may send here; NULL-terminated, empty: the one of the store's name */
	/* Of copies (keepfs/replica.h): what stays there of what [store] does not have any more; only the rules are set. Without one of them:
	 * as the job's. */
	struct conf_policy keeping;
	uint64_t rate_bytes; /* per second, written into it; 0: no limit */
	bool remove_adopted; /* what lies there and was adopted goes with its backup; else it stays where it is */
	char *window;        /* when copies are made, as blackout_parse() takes it; "": at any time */
};

/** CONF_PRIMARY - how `copies` calls [store]. */
#define CONF_PRIMARY "primary"

enum conf_job_kind {
	CONF_JOB_DUMP,
	CONF_JOB_FILES,
	CONF_JOB_EXPORT,
	CONF_JOB_MIRROR,
	CONF_JOB_BUNDLE,
	CONF_JOB_INBOX,
	CONF_JOB_CLUSTER
};

/* For whom something is encrypted: keepfs/keyring.h. Of a job: what is set there stands for all that [keepfs] says. */
struct conf_encryption {
	char **to;     /* "age1…"; CONF_ENCRYPT_NONE alone: for nobody; NULL-terminated, may be empty */
	char *to_file; /* of these, with comments; "": none */
	struct conf_secret passphrase;
};
#define CONF_ENCRYPT_NONE "none"

/* A job, whatever its kind: what all have, and the part of its own kind. The parts of other kinds are all zero. */
struct conf_job {
	struct conf_policy policy; /* first, as in struct conf_class; see conf_policy_of() */
	char *name; /* unique among jobs of all kinds: make_directory_of() says where its backups are */
	int line;   /* where its section begins; 0: it is not from the file */
	int kind;   /* enum conf_job_kind */
	struct conf_origin *origins; /* where each value came from: conf_load()'s own; NULL: not known */
	struct compression_choice compression;
	int verify; /* enum conf_verify */
	struct conf_encryption encrypt;
	uint64_t max_rate_bytes;    /* per second, read from what is backed up; 0: no limit */
	int64_t nice;               /* 0 to 19, of the child processes */
	int ionice;                 /* enum conf_ionice */
	char *pre_hook, *post_hook; /* for /bin/sh -c; "" for none */
	int64_t hook_timeout_ms;
	char *timezone;          /* a name of zone_load(); "": [keepfs] timezone */
	int week_starts;         /* 0: Sunday … 6 */
	int64_t keep_deleted_ms; /* what a database that is gone keeps its backups for; 0: for ever */
	int64_t rpo_ms, rto_ms;  /* the goals; 0: none was stated */
	char *drill; /* when a restore is rehearsed: as schedule_parse() takes it; NULL of kinds that cannot be */
	int64_t drill_level;      /* enum proof_level, from PROOF_RESTORED on; 0: as much as there is */
	int64_t drill_max_age_ms; /* how old the last good drill may be; 0: by the schedule */
	char *drill_server;       /* where it is rehearsed; "": on a throw-away server */
	char **class_after; /* "30d GLACIER_IR": as class_steps_parse() takes them; NULL-terminated, empty: what it makes stays where it is put */
	char **copies; /* stores that have what it makes: CONF_PRIMARY and names of [store NAME]; NULL-terminated, empty: [store] alone */
	struct conf_dump dump;       /* CONF_JOB_DUMP */
	struct conf_files files;     /* CONF_JOB_FILES */
	struct conf_mirror mirror;   /* CONF_JOB_MIRROR */
	struct conf_bundle bundle;   /* CONF_JOB_BUNDLE */
	struct conf_cluster cluster; /* CONF_JOB_CLUSTER */
	struct conf_export export; /* CONF_JOB_EXPORT: at most one job is of this kind, and its name is CONF_EXPORTS */
};

/* Databases that a registry calls by one word: what is said of them in place of the job's. */
struct conf_class {
	struct conf_policy policy; /* first; only what was given is in force: conf_policy_of() */
	char *name;
	char *store;                 /* of tenants of this class: a [store NAME]; "": what [export] says */
	int line;                    /* where its section begins; 0: it is not from the file */
	int kind;                    /* always 0 */
	struct conf_origin *origins; /* where each value came from: conf_load()'s own; NULL: not known */
};

enum conf_tls { CONF_TLS_REQUIRED, CONF_TLS_NONE };
enum conf_method { CONF_METHOD_POST, CONF_METHOD_PUT, CONF_METHOD_GET };

/* Receivers of notices: keepfs/notify.h. What all have: `events` (conf/events.h), and `gather_ms`, for how long further
 * events are waited for after the first. */

struct conf_mail {    /* the section [mail] */
	char **to;    /* addresses; NULL-terminated, empty: no mail is sent */
	char *from;   /* "": keepfs@ and the name of this host */
	char *server; /* "smtps://host[:port]", "smtp://host[:port]" */
	int tls;      /* enum conf_tls, of smtp:// */
	char *user;   /* "": none */
	struct conf_secret
	        password; /* its file comes before its value, since that was so before there was a command */
	char *ca_file;    /* "": the system's */
	uint32_t events;
	int64_t gather_ms;
	char *digest; /* when all is summed up: a schedule (policy/schedule.h) */
};

struct conf_webhook { /* [webhook NAME] */
	char *name;
	int line, kind; /* conf_load()'s own */
	struct conf_origin *origins;
	struct conf_secret url;
	int method;     /* enum conf_method */
	char **headers; /* "Name: value"; NULL-terminated; a single one may be sealed: conf_is_sealed() */
	struct conf_secret
	        more_headers; /* no value: where they are instead, as conf_headers_parse_lines() takes them */
	char *template_name;  /* key `template`: a name or a path; "": the facts as they are, as JSON */
	char *to;             /* what templates call {{to}}: a topic, a chat */
	char *ca_file;        /* "": the system's */
	uint32_t events;
	int64_t gather_ms;
	char *digest;
};

struct conf_command { /* [command NAME] */
	char *name;
	int line, kind; /* conf_load()'s own */
	struct conf_origin *origins;
	char *command; /* for /bin/sh -c */
	int64_t timeout_ms;
	uint32_t events;
	int64_t gather_ms;
	char *digest;
};

struct conf_heartbeat { /* [heartbeat NAME] */
	char *name;
	int line, kind; /* conf_load()'s own */
	struct conf_origin *origins;
	char **jobs; /* names; NULL-terminated, empty: all */
	struct conf_secret url;
	char *template_name;
	char **headers; /* as a webhook's */
	struct conf_secret more_headers;
	char *ca_file; /* "": the system's */
};

struct conf_check { /* [check NAME]: what a drill asks of what it has restored, and a restore of a deployment */
	char *name;
	int line, kind; /* conf_load()'s own */
	struct conf_origin *origins;
	char **jobs;    /* names; NULL-terminated, empty: all */
	char **targets; /* labels of databases; NULL-terminated, empty: all */
	char *sql;      /* "": none */
	char *expect;   /* as expect_parse() takes it */
	char *command;  /* for /bin/sh -c; "": none */
	int64_t timeout_ms;
};

enum conf_role { CONF_WRITER, CONF_READER };

struct conf_control { /* the section [control]: who may write and read the files of control/ */
	/* "restore:@dba", "*:anna": a pattern of names of files, and a user or @ and a group; NULL-terminated, empty: as modes say */
	char **write, **read;
	char **confirm_by; /* "@approvers", "anna"; NULL-terminated, empty: nothing waits for a second person */
	int64_t confirm_within_ms; /* how long a command waits for that one */
};

struct conf {
	char *path;                  /* the file read; NULL when there was none (environment only) */
	char *mountpoint;            /* where a daemon serves; before conf_serve_at(): where it is to */
	char *configured_mountpoint; /* what the file or the environment says instead; NULL: the same */
	char *state_dir;
	uint64_t memory_bytes;
	int64_t parallel_runs;
	int role; /* enum conf_role */
	int64_t lease_ms; /* how long the right to write lasts unless it is renewed (keepfs/lease.h); 0: nobody asks for it */
	int64_t follow_ms; /* of a reader: how often it asks for what is new */
	bool allow_other;
	uid_t owner; /* of the files in the mount */
	gid_t group;
	mode_t file_mode; /* of backups and status files: 0600 */
	mode_t dir_mode;  /* 0700 */
	int64_t stop_grace_ms;
	int log_level; /* enum log_level */
	/* How many runs, and lines of the audit, the catalog and the texts of status/ keep (0: all), and for how long (0: for
	 * ever): what is older lies in the store (keepfs/records.h). */
	int64_t history_keep, audit_keep;
	int64_t history_age_ms, audit_age_ms;
	int64_t chain_compact_ms;    /* how old links are before they are replaced; 0: they stay */
	int64_t chain_compact_links; /* and how many of them */
	int64_t catalog_copies; /* of how many days copies of the catalog are kept in the store; 0: none is made */
	char *timezone;         /* of all jobs that have none; "": that of the process */
	int64_t trash_ms;       /* how long what was removed can be taken back; 0: not at all */
	char **ignore_databases; /* patterns of names that need no backup; NULL-terminated, may be empty */
	int64_t policy_delay_ms; /* how long a plan that deletes much waits for somebody to confirm it */
	struct conf_store store;
	struct conf_named_store *stores; /* in the order of the file */
	size_t store_count;
	struct conf_read read;
	struct conf_job *jobs; /* of all kinds, in the order of the file */
	size_t job_count;
	struct conf_mail mail;
	struct conf_webhook *webhooks;
	size_t webhook_count;
	struct conf_command *commands;
	size_t command_count;
	struct conf_heartbeat *heartbeats;
	size_t heartbeat_count;
	struct conf_class *classes; /* in the order of the file */
	size_t class_count;
	struct conf_check *checks; /* in the order of the file */
	size_t check_count;
	struct conf_secret signing_key,
	        signing_key_old; /* PEM: that signs manifests, that signed them before */
	char *verify_key_file;   /* of public keys that are believed, or a directory; "": none */
	struct conf_control control;
	struct conf_secret erasure_key; /* of the erasure register: CONF_REDACT_KEY_BYTES or more */
	char *host_key_file; /* opens what was sealed on this host: a path, or CONF_CREDENTIAL and a name */
	char *drill_dir;     /* where throw-away servers are made; "": drill_dir_of() says */
	char *drill_user;    /* whom they run as when keepfs is root's */
	char *drill_bindir;  /* of initdb and postgres; "": where they are found */
	uint64_t drill_memory_bytes, drill_disk_bytes;
	uint64_t diff_space_bytes; /* of temporary files, for comparing rows */
	struct conf_encryption
	        encrypt; /* of jobs that say nothing of it, of records, and of copies of the catalog */
	struct conf_secret identity;            /* secret keys of age, as age-keygen writes them */
	struct conf_secret identity_passphrase; /* opens what was encrypted with it */
	/* where each value came from, but for those of jobs and classes: conf_load()'s own; NULL: not known */
	struct conf_origins *origins;
};

void conf_finish(struct conf *c);
static inline void cleanup_conf(struct conf *c)
{
	conf_finish(c);
}

/**
 * conf_find_path() - the file that applies: @option, KEEPFS_CONFIG, ~/.config/keepfs/keepfs.conf,
 * /etc/keepfs/keepfs.conf Return: heap; NULL when none is named and none exists.
 */
char *conf_find_path(const char *option);
/**
 * conf_load() - read, override from the environment, validate
 * @path: NULL: defaults and environment only
 * @ret_problems: every problem found, one line each, in the order of the file: "FILE:LINE: [section] key =
 * value: what is wrong; allowed: …"; secrets are masked. A line that begins with "warning: " is none that
 * stops: on success too, the text holds these (or nothing).
 *
 * Without any job, in the file or from the environment, a job "full" over libpq's environment is made.
 * Return: 0; -EINVAL with @ret_problems filled; -errno when the file cannot be read (said in @ret_problems
 * too).
 */
int conf_load(const char *path, struct conf *ret_conf, struct str *ret_problems);
/** struct conf_changes - what a reload has found: a line for each change, old and new value, secrets masked. */
struct conf_changes {
	struct str
	        taken; /* "[backup full] max_rate: none is now 50M/s", "[backup x] is new", "[backup y] is gone" */
	struct str need_restart; /* "[store] url: dir:/a stays, not yet dir:/b" */
	struct str policy;       /* those lines of @taken that say when backups are made, or which stay */
};

void conf_changes_finish(struct conf_changes *c);
static inline void cleanup_conf_changes(struct conf_changes *c)
{
	conf_changes_finish(c);
}

/** conf_each_secret() - call @look for each secret of @c that may be in a file, or printed by a command, whether it is set or not. @title: "[mail] password". */
void conf_each_secret(const struct conf *c,
                      void (*look)(void *arg, const char *title, const struct conf_secret *secret),
                      void *arg);

/** conf_serve_at() - the command line named another @mountpoint, or that of the configuration is a link to it. What the
 * configuration says stays known, and a reload compares with that. */
void conf_serve_at(struct conf *c, const char *mountpoint);

/**
 * conf_reload() - read @running's file and the environment again
 * @ret_next: what may be in force from now on: all jobs, and those keys of other sections that a daemon can change
 * while it runs (keepfs.conf(5) says which); the others as in @running
 * @ret_problems: conf_load()'s
 * Return: 0; else negative, as conf_load(), with @ret_problems: nothing changes.
 */
int conf_reload(const struct conf *running, struct conf *ret_next, struct conf_changes *ret_changes,
                struct str *ret_problems);

/**
 * struct conf_live - the configuration in force, which a reload replaces while others read it. Any thread.
 *
 * Whoever reads jobs, or another key that can be reloaded, takes a reference, and has one version until he lets go
 * of it. What a reload cannot change is the same in all versions.
 */
struct conf_live;

/** conf_live_new() - *@first is moved into it. */
struct conf_live *conf_live_new(struct conf *first);
/** conf_live_free() - versions that somebody refers to live on. NULL allowed; returns NULL. */
struct conf_live *conf_live_free(struct conf_live *live);
/** conf_live_ref() - the version in force; the caller's conf_unref(). */
const struct conf *conf_live_ref(struct conf_live *live);
/** conf_unref() - of conf_live_ref() only; NULL allowed; returns NULL. */
const struct conf *conf_unref(const struct conf *conf);
DEFINE_CLEANUP(conf_ref, const struct conf *, conf_unref)
/** conf_live_replace() - *@next is moved into it. */
void conf_live_replace(struct conf_live *live, struct conf *next);
/** conf_live_generation() - how often it was replaced. */
uint64_t conf_live_generation(struct conf_live *live);

/** conf_variable_is_private() - can this variable of the environment ("NAME" or "NAME=value") hold credentials of the
 * store or of a receiver of notices, or the password of a connection string? Children do not get it. */
bool conf_variable_is_private(const char *variable);
/** conf_parse_duration() - "30s", "5m", "2h", "90d", to milliseconds: 0; -EINVAL; -ERANGE. */
int conf_parse_duration(const char *text, int64_t *ret_ms);
/** conf_parse_rate() - "10M/s", "10M", "none" (0), to bytes per second: 0; -EINVAL; -ERANGE. */
int conf_parse_rate(const char *text, uint64_t *ret);
/** conf_nearest() - of @count names the one that @word was probably meant to be; NULL when none is near. */
const char *conf_nearest(const char *word, const char *const *names, size_t count);
/** CONF_SLOT_BYTES - of a replication slot's name, with NUL. */
#define CONF_SLOT_BYTES 64
/** conf_cluster_slot() - the replication slot of the CONF_JOB_CLUSTER @job: what it names, else keepfs_NAME, where what no slot can be named with is '_'. Returns @ret. Pure. */
struct conf_job;
const char *conf_cluster_slot(const struct conf_job *job, char ret[static CONF_SLOT_BYTES]);
/** conf_find_job() - by name; NULL when there is none. "now" is not resolved here. */
const struct conf_job *conf_find_job(const struct conf *c, const char *name);
/** conf_encryption_of() - what says for whom what @job makes (NULL: no job) is encrypted; conf_is_encrypted() - is it? Pure. */
const struct conf_encryption *conf_encryption_of(const struct conf *conf, const struct conf_job *job);
bool conf_is_encrypted(const struct conf *conf, const struct conf_job *job);
/** conf_bundle_name() - how the deployment of a job of bundles is called: borrowed. */
const char *conf_bundle_name(const struct conf_job *job);
/** conf_bundle_has_part() - is the job called @name a part of the bundles of @job? False when that makes none. */
bool conf_bundle_has_part(const struct conf_job *job, const char *name);
/** conf_bundle_of() - the first job of bundles that @job is a part of, when nothing else promises when @job is made by itself: no schedule, expected_interval or rpo. NULL: there is none. */
const struct conf_job *conf_bundle_of(const struct conf *c, const struct conf_job *job);
/** conf_exports() - the job of [export]; NULL: there is no such section. */
const struct conf_job *conf_exports(const struct conf *c);

/** conf_find_store() - the section [store @name]; NULL when there is none. */
const struct conf_named_store *conf_find_store(const struct conf *c, const char *name);
/** conf_has_copies() - does the job have a copy of what it makes in [store @name]? */
bool conf_has_copies(const struct conf_job *job, const char *name);
/** conf_is_for_copies() - does any job? Then it is no tenant's. */
bool conf_is_for_copies(const struct conf *c, const char *name);
/** conf_whose_store() - by what is known that exports of tenants go there, so that no copy of a backup may: static; NULL: by nothing. */
const char *conf_whose_store(const struct conf *c, const struct conf_named_store *s);
/** conf_copy_rules() - what stays in @store of the copies of what @job has made: by its own rules, or the job's. */
void conf_copy_rules(const struct conf *c, const struct conf_job *job, const char *class_name,
                     const struct conf_named_store *store, struct retention_rules *ret);
/** conf_find_export() - the part of the job that exports tenants; NULL: there is no such job. */
const struct conf_export *conf_find_export(const struct conf *c);
/** conf_find_class() - by name; NULL when there is none, or @name is NULL. */
const struct conf_class *conf_find_class(const struct conf *c, const char *name);
/** conf_policy_of() - what is in force for those databases of @job that are of the class @class_name (NULL, "", or one without a section:
 * the job's). The texts are borrowed from @c and @job. */
void conf_policy_of(const struct conf *c, const struct conf_job *job, const char *class_name,
                    struct conf_policy *ret);
/** conf_policy_rules() - @p as retention_plan() takes it. Without any rule everything is kept; keep_within = auto is two days beside other
 * rules. */
void conf_policy_rules(const struct conf_job *job, const struct conf_policy *p, struct retention_rules *ret);
/** conf_drill_user_is_trusted() - throw-away servers would run as a user who owns more than them: as root's postgres. What a backup
 * brings with it could then change the clusters of the host. */
bool conf_drill_user_is_trusted(const struct conf *c);
/** conf_drill_dir() - heap: where drills make their throw-away servers. */
char *conf_drill_dir(const struct conf *c);
/** conf_can_be_drilled() - has the kind of job backups that drills restore for a trial? */
bool conf_can_be_drilled(const struct conf_job *job);
/** conf_places_overlap() - of two places ("s3://bucket/prefix", "dir:/directory"): is one the other, or does it lie within? Of a bucket its name is all that is looked at, and not which server has it. Pure. */
bool conf_places_overlap(const char *a, const char *b);
/** struct conf_place_row - a place that a configuration names: for people ("[mirror documents] url"), and itself. */
struct conf_place_row {
	char title[256];
	char *url; /* heap; NULL: there is none */
};
/**
 * conf_used_place() - the @n-th place of what is backed up, and of what keepfs itself has: its stores, mount and directories
 * @ret: url is heap, the caller's
 * Return: false when there are no more.
 */
bool conf_used_place(const struct conf *c, size_t n, struct conf_place_row *ret);
/** conf_check_is_of() - is the check asked of @job's database @label? */
bool conf_check_is_of(const struct conf_check *check, const char *job, const char *label);
/** conf_check_is_of_bundle() - is it a health check of the deployment whose bundle is made by @job? Only one that names the job is. */
bool conf_check_is_of_bundle(const struct conf_check *check, const char *job);
/** conf_class_has_schedule() - does the section of the class say when its databases are backed up? Then they are no part of the
 * job's own scheduled runs. */
bool conf_class_has_schedule(const struct conf *c, const char *class_name);
/** conf_zone_name() - of the time zone of @job; NULL: that of the process. */
const char *conf_zone_name(const struct conf *c, const struct conf_job *job);

/** conf_write_template() - the commented file that `keepfs init` writes; @state_dir, @mountpoint and @url are
 * filled in when not NULL. */
void conf_write_template(struct str *out, const char *state_dir, const char *mountpoint, const char *url);
/** conf_write_man() - the OPTIONS part of keepfs.conf(5), in scdoc's format. */
void conf_write_man(struct str *out);
/** conf_write_effective() - the configuration in force as an INI file, each value with its source as a
 * comment; secrets and passwords masked. */
void conf_write_effective(const struct conf *c, struct str *out);

/**
 * conf_job_override() - a copy of @job with one trigger's keys: heap, freed with conf_job_free()
 * @keys, @values: @count pairs; only keys that a trigger may change of a job of this kind
 * (conf_list_trigger_keys()) and note, which is not the job's and is not looked at
 * @ret_partial: the copy leaves out what @job would have kept; what chooses (content, a filter, exclude) differs,
 * and it does not keep everything
 * Return: 0; -EINVAL with a message that names the key and what is allowed, or which two contradict each
 * other.
 */
int conf_job_override(const struct conf_job *job, const char *const *keys, const char *const *values,
                      size_t count, struct conf_job **ret_job, bool *ret_partial, struct error *err);
/** conf_job_free() - of conf_job_override(); NULL allowed; returns NULL. */
struct conf_job *conf_job_free(struct conf_job *job);
DEFINE_CLEANUP(conf_job, struct conf_job *, conf_job_free)
/** conf_job_format() - append the value of @job's @key in the form in which it is always written ("gzip:6"
 * for "gzip"); nothing for a key that its kind does not have. */
void conf_job_format(const struct conf_job *job, const char *key, struct str *out);
/** conf_list_trigger_keys() - append the keys that a trigger takes for @job: "format, compression, …, note", and for databases and tenants those with which an
 * order chooses among them: "…, note, database, class, final", "…, note, tenant, class". */
void conf_list_trigger_keys(const struct conf_job *job, struct str *out);
/** conf_write_trigger_keys() - the same for each kind of job, a line each: "  [backup NAME]: format, …, note". */
void conf_write_trigger_keys(struct str *out);
/** conf_dump_has_globals() - roles and tablespaces are kept beside what a job dumps. */
bool conf_dump_has_globals(const struct conf_dump *dump);

/** conf_has_password() - does a connection string (of either notation, or what libpq would refuse) hold a password, or the like? Rather too
 * often than too rarely. Pure. */
bool conf_has_password(const char *connection);
