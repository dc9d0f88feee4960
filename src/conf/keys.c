// SPDX-License-Identifier: Apache-2.0
/* THE table. A key that is not declared here does not exist; a key that is here is parsed, overridden from
 * the environment, written to the template, documented and shown. What a single value cannot tell
 * (contradictions between keys) is in validate.c. */
#include "keys.h"

#include <keepfs/base/log.h>
#include <keepfs/policy/tenancy.h>

#include <ctype.h>
#include <string.h>

#define KIB    INT64_C(1024)
#define MIB    (KIB * 1024)
#define GIB    (MIB * 1024)
#define TIB    (GIB * 1024)
#define SECOND INT64_C(1000)
#define HOUR   (SECOND * 3600)
#define DAY    (HOUR * 24)

static const struct conf_choice roles[] = {{"writer", CONF_WRITER}, {"reader", CONF_READER}, {0}};
static const struct conf_choice log_levels[] = {
        {"error", LOG_LEVEL_ERROR},
        {"warning", LOG_LEVEL_WARNING},
        {"info", LOG_LEVEL_INFO},
        {"debug", LOG_LEVEL_DEBUG},
        {NULL, 0},
};

static const struct conf_choice addressings[] = {
        {"auto", CONF_ADDRESSING_AUTO},
        {"path", CONF_ADDRESSING_PATH},
        {"virtual", CONF_ADDRESSING_VIRTUAL},
        {NULL, 0},
};

static const struct conf_choice object_locks[] = {
        {"none", 0},
        {"governance", 1},
        {"compliance", 2},
        {NULL, 0},
};

static const struct conf_choice encryptions[] = {
        {"none", CONF_SSE_NONE},
        {"AES256", CONF_SSE_AES256},
        {"aws:kms", CONF_SSE_KMS},
        {NULL, 0},
};

static const struct conf_choice providers[] = {
        {"auto", CONF_PROVIDER_AUTO},
        {"aws", CONF_PROVIDER_AWS},
        {"gcs", CONF_PROVIDER_GCS},
        {"b2", CONF_PROVIDER_B2},
        {"wasabi", CONF_PROVIDER_WASABI},
        {"spaces", CONF_PROVIDER_SPACES},
        {"minio", CONF_PROVIDER_MINIO},
        {"r2", CONF_PROVIDER_R2},
        {"hetzner", CONF_PROVIDER_HETZNER},
        {"ceph", CONF_PROVIDER_CEPH},
        {"swift", CONF_PROVIDER_SWIFT},
        {"other", CONF_PROVIDER_OTHER},
        {NULL, 0},
};

static const struct conf_choice conditionals[] = {
        {"auto", CONF_CONDITIONAL_AUTO},
        {"yes", CONF_CONDITIONAL_YES},
        {"no", CONF_CONDITIONAL_NO},
        {NULL, 0},
};

static const struct conf_choice equal_parts_words[] = {
        {"auto", CONF_EQUAL_PARTS_AUTO},
        {"yes", CONF_EQUAL_PARTS_YES},
        {"no", CONF_EQUAL_PARTS_NO},
        {NULL, 0},
};

static const struct conf_choice formats[] = {
        {"custom", CONF_FORMAT_CUSTOM},
        {"plain", CONF_FORMAT_PLAIN},
        {"directory", CONF_FORMAT_DIRECTORY},
        {NULL, 0},
};

static const struct conf_choice contents[] = {
        {"full", CONF_CONTENT_FULL},
        {"schema", CONF_CONTENT_SCHEMA},
        {"data", CONF_CONTENT_DATA},
        {NULL, 0},
};

static const struct conf_choice globals_words[] = {
        {"auto", CONF_GLOBALS_AUTO},
        {"yes", CONF_GLOBALS_YES},
        {"no", CONF_GLOBALS_NO},
        {NULL, 0},
};

static const struct conf_choice verifications[] = {
        {"readback", CONF_VERIFY_READBACK},
        {"none", CONF_VERIFY_NONE},
        {NULL, 0},
};

static const struct conf_choice ionices[] = {
        {"none", CONF_IONICE_NONE},
        {"low", CONF_IONICE_LOW},
        {"idle", CONF_IONICE_IDLE},
        {NULL, 0},
};

static const struct conf_choice sha256_words[] = {
        {"auto", CONF_SHA256_AUTO},
        {"always", CONF_SHA256_ALWAYS},
        {"never", CONF_SHA256_NEVER},
        {NULL, 0},
};

static const struct conf_choice tenancies[] = {
        {"column", TENANCY_COLUMN},
        {"schema", TENANCY_SCHEMA},
        {"database", TENANCY_DATABASE},
        {NULL, 0},
};

static const struct conf_choice unsures[] = {
        {"fail", CONF_UNSURE_FAIL},
        {"warn", CONF_UNSURE_WARN},
        {NULL, 0},
};

static const struct conf_choice export_formats[] = {
        {"json", CONF_EXPORT_JSON}, {"ndjson", CONF_EXPORT_NDJSON}, {"csv", CONF_EXPORT_CSV},
        {"sql", CONF_EXPORT_SQL},   {"sqlite", CONF_EXPORT_SQLITE}, {NULL, 0},
};

static const struct conf_choice keeps[] = {
        {"rules", CONF_KEEP_RULES},
        {"forever", CONF_KEEP_FOREVER},
        {NULL, 0},
};

static const struct conf_choice weekdays[] = {
        {"monday", 1}, {"tuesday", 2},  {"wednesday", 3}, {"thursday", 4},
        {"friday", 5}, {"saturday", 6}, {"sunday", 0},    {NULL, 0},
};

static const struct conf_choice tls_words[] = {
        {"required", CONF_TLS_REQUIRED},
        {"none", CONF_TLS_NONE},
        {NULL, 0},
};

static const struct conf_choice methods[] = {
        {"post", CONF_METHOD_POST},
        {"put", CONF_METHOD_PUT},
        {"get", CONF_METHOD_GET},
        {NULL, 0},
};

#define KEEPFS(field)      CONF_KEYS_KEEPFS, .offset = offsetof(struct conf, field)
#define STORE(field)       CONF_KEYS_STORE, .offset = offsetof(struct conf_store, field)
#define MAIN_STORE(field)  CONF_KEYS_MAIN_STORE, .offset = offsetof(struct conf_store, field)
#define NAMED_STORE(field) CONF_KEYS_NAMED_STORE, .offset = offsetof(struct conf_named_store, field)
#define CLASS(field)       CONF_KEYS_CLASS, .offset = offsetof(struct conf_class, field)
#define READ(field)        CONF_KEYS_READ, .offset = offsetof(struct conf_read, field)
#define JOB(field)         CONF_KEYS_JOB, .offset = offsetof(struct conf_job, field)
#define DUMP(field)        CONF_KEYS_DUMP, .offset = offsetof(struct conf_job, dump.field)
#define DRILL(field)       CONF_KEYS_DUMP, .offset = offsetof(struct conf_job, field)
#define FILES(field)       CONF_KEYS_FILES, .offset = offsetof(struct conf_job, files.field)
#define EXPORT(field)      CONF_KEYS_EXPORT, .offset = offsetof(struct conf_job, export.field)
#define POLICY(field)      CONF_KEYS_POLICY, .policy = true, .offset = offsetof(struct conf_policy, field)
#define KEPT               .type = CONF_INT, .fallback = "none", .zero = "none", .min = 1, .max = 100000
#define MAIL(field)        CONF_KEYS_MAIL, .offset = offsetof(struct conf_mail, field), .reload = true
#define WEBHOOK(field)     CONF_KEYS_WEBHOOK, .offset = offsetof(struct conf_webhook, field)
#define COMMAND(field)     CONF_KEYS_COMMAND, .offset = offsetof(struct conf_command, field)
#define CHECK(field)       CONF_KEYS_CHECK, .offset = offsetof(struct conf_check, field)
#define CONTROL(field)     CONF_KEYS_CONTROL, .offset = offsetof(struct conf_control, field)
#define HEARTBEAT(field)   CONF_KEYS_HEARTBEAT, .offset = offsetof(struct conf_heartbeat, field)

/* A secret: the rows of KEY, KEY_file and KEY_command, of which one may be set. @PLACE(@field) is its struct conf_secret, @common one
 * more member of all three rows, and what follows members of the first: its type, its help. @before: of the second. */
#define SECRET(PLACE, field, key, common, ...) SECRET_ROWS(PLACE, field, key, common, false, __VA_ARGS__)
#define SECRET_ROWS(PLACE, field, key, common, before, ...)                                                  \
	{PLACE(field.value), .name = key, .secret = true, .credential = true, common, __VA_ARGS__},          \
	        SECRET_ELSEWHERE(PLACE, field, key, common, before)
#define SECRET_ELSEWHERE(PLACE, field, key, common, before)                                                          \
	{PLACE(field.file),                                                                                          \
	 .name = key "_file",                                                                                        \
	 .type = CONF_SECRET_FILE,                                                                                   \
	 .fallback = "",                                                                                             \
	 common,                                                                                                     \
	 .secret_file = true,                                                                                        \
	 .instead_of = key,                                                                                          \
	 .comes_before = before,                                                                                     \
	 .example = "/etc/keepfs/secrets/" key,                                                                      \
	 .help = "A file with " key                                                                                  \
	         ", read whenever it is needed (chmod 600, unless it is sealed), or credential:NAME. See SECRETS."}, \
	{                                                                                                            \
		PLACE(field.command), .name = key "_command", .type = CONF_STRING, .fallback = "", common,           \
		                      .instead_of = key, .example = "pass show keepfs/" key,                         \
		                      .help = "A command (for /bin/sh -c) that prints " key ". See SECRETS."         \
	}

const struct conf_key conf_keys[] =
        {
                {KEEPFS(mountpoint), .name = "mountpoint", .type = CONF_PATH, .fallback = "/mnt/keep",
                 .help = "The directory where the backups are shown. 'keepfs mount' mounts there, and the "
                         "commands that talk to a mount look for it there, when none is named on the command line."},
                {KEEPFS(state_dir), .name = "state_dir", .type = CONF_PATH,
                 .computed =
                         "/var/lib/keepfs for root; else $XDG_STATE_HOME/keepfs, or ~/.local/state/keepfs",
                 .example = "/var/lib/keepfs",
                 .help = "The directory of the catalog (an index that 'keepfs rebuild' can make anew from the "
                         "store) and of the lock that keeps a second daemon away. It must be on a local disk, and "
                         "must not lie inside the mountpoint."},
                {KEEPFS(memory_bytes), .name = "memory", .type = CONF_BYTES, .fallback = "256M",
                 .min = 64 * MIB, .max = 1 * TIB,
                 .help = "The size of the buffer pool, the daemon's one memory limit: half of it is for reading, "
                         "half for uploads. More memory makes more transfers run at once; the size of a backup "
                         "does not matter. The half for uploads must hold three parts (part_size), and four more "
                         "for each of parallel_runs."},
                {KEEPFS(parallel_runs), .name = "parallel_runs", .type = CONF_INT, .fallback = "2", .min = 1,
                 .max = 64,
                 .help = "How many backup jobs run at the same time; others wait in the queue. One job never runs "
                         "twice at the same time."},
                {KEEPFS(role), .name = "role", .type = CONF_ENUM, .fallback = "writer", .choices = roles,
                 .help = "writer: this keepfs makes backups, and is the only one that writes below [store] url. reader: it "
                         "writes nothing there, and serves what the writer makes, on any number of hosts; each needs a state_dir of "
                         "its own, and the right to list and to read, no other."},
                {KEEPFS(lease_ms), .name = "lease", .type = CONF_DURATION, .fallback = "1m", .zero = "none",
                 .min = 2 * SECOND, .max = HOUR,
                 .help = "How long the right to write below [store] url lasts when it is not renewed: the lease, an object of the store, "
                         "state/lease.json. A writer that cannot renew it stops writing before another one may begin. none: "
                         "nothing keeps a second keepfs from writing there."},
                {KEEPFS(follow_ms), .name = "follow", .type = CONF_DURATION, .fallback = "30s", .min = SECOND,
                 .max = 24 * HOUR,
                 .help = "With role = reader: how often the store is asked for what is new. Each time is one request."},
                {KEEPFS(allow_other), .name = "allow_other", .type = CONF_BOOL, .fallback = "no",
                 .help = "Lets users other than the one who mounts see the mount, as far as owner, group, "
                         "file_mode and dir_mode allow. For a daemon that does not run as root, /etc/fuse.conf "
                         "must hold user_allow_other."},
                {KEEPFS(owner), .name = "owner", .type = CONF_USER,
                 .computed = "the user that the daemon runs as", .example = "root",
                 .help = "The user, by name or number, who owns the files in the mount."},
                {KEEPFS(group), .name = "group", .type = CONF_GROUP,
                 .computed = "the group that the daemon runs as", .example = "root",
                 .help = "The group, by name or number, of the files in the mount."},
                {KEEPFS(file_mode), .name = "file_mode", .type = CONF_MODE, .fallback = "0600",
                 .help = "The permissions of backups and status files in the mount. Backups hold everything that "
                         "the database holds: be careful with more than the default."},
                {KEEPFS(dir_mode), .name = "dir_mode", .type = CONF_MODE, .fallback = "0700",
                 .help = "The permissions of the directories in the mount."},
                {KEEPFS(stop_grace_ms), .name = "stop_grace", .type = CONF_DURATION, .fallback = "30s",
                 .min = 0, .max = 24 * HOUR, .reload = true,
                 .help = "How long running backups may go on after the daemon was asked to stop (SIGTERM); what "
                         "is not finished then is cancelled, and nothing of it is kept."},
                {KEEPFS(log_level), .name = "log_level", .type = CONF_ENUM, .fallback = "info",
                 .choices = log_levels, .reload = true,
                 .help = "The least important lines that the log shows."},
                {KEEPFS(history_keep), .name = "history_keep", .type = CONF_INT, .fallback = "1000",
                 .zero = "all", .min = 1, .max = 10000,
                 .help = "How many runs status/history.csv and history.jsonl tell of. Older ones are moved from the "
                         "catalog to the store, below records/history/, with their logs; those whose backups are "
                         "still there stay in jobs/ until the last of these is gone, and so do the last 256 of each "
                         "job. Up to a tenth more are kept, so that many go at once. With 'all' nothing is moved for "
                         "its number, and the texts tell of the newest 10000."},
                {KEEPFS(history_age_ms), .name = "history_age", .type = CONF_DURATION, .fallback = "none",
                 .zero = "none", .min = 24 * HOUR, .max = 36500 * 24 * HOUR, .example = "730d",
                 .help = "After how long a run is moved, even if there are not too many. With 'none' none is moved "
                         "for its age."},
                {KEEPFS(audit_keep), .name = "audit_keep", .type = CONF_INT, .fallback = "2000",
                 .zero = "all", .min = 1, .max = 10000,
                 .help = "How many lines status/audit.jsonl has. Older ones are moved from the catalog to the store, "
                         "below records/audit/. Up to a tenth more are kept, so that many go at once. With 'all' "
                         "nothing is moved for its number, and the text has the newest 10000."},
                {KEEPFS(audit_age_ms), .name = "audit_age", .type = CONF_DURATION, .fallback = "400d",
                 .zero = "none", .min = 24 * HOUR, .max = 36500 * 24 * HOUR,
                 .help = "After how long a line of the audit is moved, even if there are not too many. With 'none' "
                         "none is moved for its age."},
                {KEEPFS(catalog_copies), .name = "catalog_copies", .type = CONF_INT, .fallback = "7",
                 .zero = "none", .min = 1, .max = 366,
                 .help = "Of how many days a copy of the catalog is kept in the store, below catalog/: the history, the "
                         "audit and all else that no manifest tells, so that 'keepfs rebuild' finds it on a new host. "
                         "A copy is made once a day, when keepfs ends, and after each 'keepfs run', if anything has "
                         "changed. With 'none' none is made; a lost state_dir takes the history with it then."},
                {KEEPFS(host_key_file), .name = "host_key_file", .type = CONF_SECRET_FILE,
                 .secret_file = true, .computed = "host.key in state_dir", .example = "/etc/keepfs/host.key",
                 .help = "The key of this host, with which 'keepfs seal' seals secrets and keepfs opens them; 'keepfs seal' makes it when there is none. It "
                         "stays on this host: secrets are sealed anew on another one. With credential:NAME systemd keeps it (LoadCredentialEncrypted=), by the "
                         "TPM where there is one. See SECRETS."},
                SECRET(KEEPFS, erasure_key, "erasure_key", .reload = true, .type = CONF_STRING,
                       .fallback = "", .example = "0123456789abcdef0123456789abcdef",
                       .help = "32 bytes or more that nobody can guess: the key of the erasure register ('keepfs erase'), which holds keyed hashes of what "
                               "was erased. Mostly a file: openssl rand -out FILE 32; chmod 600 FILE; each of its bytes counts. Without the key nobody "
                               "learns from the register who it was, and nothing can be restored once something is registered: keep a copy of it where "
                               "the backups are not."),
                SECRET(KEEPFS, signing_key, "signing_key", .reload = true, .type = CONF_STRING,
                       .fallback = "", .example = "sealed:YWdlLWVuY3J5cHRpb24ub3JnL3YxCg==",
                       .help = "A private Ed25519 key in PEM, mostly a file (openssl genpkey -algorithm ed25519 -out FILE; chmod 600), with which each manifest is "
                               "signed. Signed manifests are a chain, each names the one before it, so 'keepfs verify --key' finds on any host what is missing, "
                               "added, put back or changed (keepfs(1)). Keep the public half where the backups are not: openssl pkey -in FILE -pubout."),
                SECRET(KEEPFS, signing_key_old, "signing_key_old", .reload = true, .type = CONF_STRING,
                       .fallback = "", .example = "sealed:YWdlLWVuY3J5cHRpb24ub3JnL3YxCg==",
                       .help = "The key that signed before, when signing_key has changed: once, so that it can vouch for the new one. Whoever knows only the "
                               "old public key can verify what the new one signs then. It can be taken away when keepfs has been started or reloaded with it."),
                {KEEPFS(verify_key_file), .name = "verify_key_file", .type = CONF_PATH, .reload = true,
                 .fallback = "", .example = "/etc/keepfs/signers.pem",
                 .help = "Public keys in PEM whose signatures are believed, beside those of signing_key and signing_key_old: a file of one or several, or a directory of files NAME.pem. "
                         "With any of these keys a manifest in the store whose signature is wrong, of another key, or missing although signing had begun, is no backup: it is not listed, and health tells of it."},
                {KEEPFS(encrypt.to), .name = "encrypt_to", .type = CONF_RECIPIENTS, .fallback = "",
                 .reload = true, .example = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
                 .help = "For whom backups are encrypted (age), unless their job says something else, and the records and copies of the catalog in the store. "
                         "Public keys of age (age1…, from age-keygen), separated by commas or spaces: each of their owners can read what is encrypted, and nobody "
                         "else, least of all whoever holds the store. This host needs no secret key to make backups."},
                {KEEPFS(encrypt.to_file), .name = "encrypt_to_file", .type = CONF_PATH, .fallback = "",
                 .reload = true, .example = "/etc/keepfs/recipients",
                 .help = "A file of public keys, one a line, with comments behind #, that are added to those of encrypt_to. It is read for each backup."},
                SECRET(KEEPFS, encrypt.passphrase, "encrypt_passphrase", .reload = true, .type = CONF_STRING,
                       .fallback = "", .example = "correct horse battery staple",
                       .help = "A passphrase, in place of public keys: whoever knows it can read the backups, so this host can, too. Each object that is "
                               "written or read costs a second: it is not for format = directory."),
                SECRET(KEEPFS, identity, "identity", .reload = false, .type = CONF_STRING, .fallback = "",
                       .example = "AGE-SECRET-KEY-1…",
                       .help = "Secret keys of age (AGE-SECRET-KEY-1…), with which this host reads what is encrypted. Mostly a file: age-keygen -o FILE; chmod "
                               "600 FILE; several keys stand on lines of their own. Without one backups are made all the same; they are shown as they are "
                               "stored (NAME.dump.age), and only verified, copied and removed."),
                SECRET(KEEPFS, identity_passphrase, "identity_passphrase", .reload = false,
                       .type = CONF_STRING, .fallback = "", .example = "correct horse battery staple",
                       .help = "A passphrase with which backups were encrypted, to read them. That of encrypt_passphrase is known without it."),
                {KEEPFS(drill_dir), .name = "drill_dir", .type = CONF_PATH, .reload = true, .fallback = "",
                 .example = "/srv/keepfs-drills",
                 .help = "Where drills make their throw-away servers: a directory on a disk that has room for the largest database and its "
                         "indexes, and that drill_user can pass. Empty: the directory drills in state_dir; for root /var/tmp/keepfs-drills, "
                         "since the server runs as another user. One drill is under way at a time in one directory."},
                {KEEPFS(drill_user), .name = "drill_user", .type = CONF_STRING, .reload = true,
                 .fallback = "nobody", .example = "keepfs-drill",
                 .help = "The user that a throw-away server runs as when keepfs runs as root, as whom PostgreSQL refuses to run. What a "
                         "backup brings with it (functions, index expressions) is carried out with this user's rights: so it should own "
                         "nothing, and least of all be postgres, who owns the clusters of this host. Best is one of its own: "
                         "useradd --system --shell /usr/sbin/nologin keepfs-drill."},
                {KEEPFS(drill_bindir), .name = "drill_bindir", .type = CONF_PATH, .reload = true,
                 .fallback = "", .example = "/usr/lib/postgresql/16/bin",
                 .help = "Where initdb and postgres are. Empty: the installed version that the backup's server had, or the nearest newer one."},
                {KEEPFS(drill_memory_bytes), .name = "drill_memory", .type = CONF_BYTES, .reload = true,
                 .fallback = "512M", .min = 64 * MIB, .max = 1 * TIB,
                 .help = "The memory that the settings of a throw-away server are made for: a quarter is its shared_buffers, a quarter is "
                         "shared by what builds indexes."},
                {KEEPFS(drill_disk_bytes), .name = "drill_disk", .type = CONF_BYTES, .reload = true,
                 .fallback = "100G", .min = 128 * MIB, .max = 1024 * TIB,
                 .help = "How much of the disk a drill may take. One that needs more is ended, and has failed. A tenth of the file system "
                         "stays free in any case."},
                {KEEPFS(diff_space_bytes), .name = "diff_space", .type = CONF_BYTES, .fallback = "8G",
                 .min = 1 * MIB, .max = 1024 * TIB,
                 .help = "How much of the disk of state_dir a comparison of the rows of a table may take ('keepfs diff'): 24 bytes for each row "
                         "that has no equal nearby, which are few when little has changed. One that needs more ends, and says so. In diff/ of the "
                         "mount it is for all of them together: half for results that are kept, a quarter for each of two that are made at once."},
                {KEEPFS(timezone), .name = "timezone", .policy = true, .type = CONF_TIMEZONE, .fallback = "",
                 .reload = true, .example = "Europe/Berlin",
                 .help = "The time zone of schedules, and of the days, weeks, months and years that are kept. When it is empty, it is that "
                         "of the process: TZ, else /etc/localtime."},
                {KEEPFS(trash_ms), .name = "trash", .policy = true, .type = CONF_DURATION, .fallback = "3d",
                 .zero = "none", .min = 60 * SECOND, .max = 3650 * DAY, .reload = true,
                 .help = "For how long a backup that was removed can be brought back (control/undelete): until then the store still holds "
                         "it. With 'none' it is gone at once."},
                {KEEPFS(policy_delay_ms), .name = "policy_delay", .policy = true, .type = CONF_DURATION,
                 .fallback = "1d", .zero = "none", .min = 60 * SECOND, .max = 365 * DAY, .reload = true,
                 .help = "A plan that would delete more than three backups and more than a fifth of a directory, or the first one after "
                         "what is kept was changed, waits for so long, unless somebody confirms it (control/prune). So a "
                         "mistake in the configuration can be seen before it costs backups."},
                {KEEPFS(ignore_databases), .name = "ignore_databases", .type = CONF_NAME_PATTERNS,
                 .fallback = "", .reload = true, .example = "scratch, test_*",
                 .help = "Names, or patterns as for files, of databases that need no backup. Each run of a job looks at what other "
                         "databases its server has, and status/health warns of those that no job backs up; not of these, of templates, "
                         "of databases that take no connections, of those that cloud providers keep for themselves, and of an empty one named "
                         "postgres."},

                {MAIN_STORE(url), .name = "url", .type = CONF_STORE_URL, .computed = "dir:STATE_DIR/objects",
                 .example = "s3://example-backups/prod",
                 .help = "The place of the objects: dir: and an absolute path for a directory, or "
                         "s3://BUCKET/PREFIX for a bucket of S3 or of a server that speaks its protocol. The "
                         "prefix may be left out. A directory on the database's own disk is lost together with "
                         "it: use another disk, or a bucket."},
                {NAMED_STORE(store.url), .name = "url", .type = CONF_STORE_URL, .required = true,
                 .example = "s3://acme-backups/keepfs",
                 .help = "Where the objects of this store are: s3://BUCKET/PREFIX, or dir: and an absolute path. It must be another place than that of [store]."},
                {STORE(provider), .name = "provider", .type = CONF_ENUM, .fallback = "auto",
                 .choices = providers, .s3_only = true, .example = "aws",
                 .help = "Whose S3 it is: this sets what other keys are that are not set here (endpoint, region, addressing, conditional_puts, "
                         "equal_parts, max_parts), and what is an error because the provider does not have it. With 'auto' the host of the endpoint "
                         "tells; without an endpoint it is AWS. What is known of each stands in the chapter \"Providers\" of operations.md."},
                {MAIN_STORE(region), .name = "region", .type = CONF_STRING,
                 .computed =
                         "that of the provider; else AWS_REGION, AWS_DEFAULT_REGION, the region of the profile in ~/.aws/config, else us-east-1",
                 .also = {"AWS_REGION", "AWS_DEFAULT_REGION"}, .example = "us-east-1",
                 .help = "The region of the bucket. Servers other than AWS mostly want us-east-1."},
                {NAMED_STORE(store.region), .name = "region", .type = CONF_STRING, .fallback = "us-east-1",
                 .help = "The region of the bucket. Servers other than AWS mostly want us-east-1."},
                {STORE(endpoint), .name = "endpoint", .type = CONF_ENDPOINT, .fallback = "", .s3_only = true,
                 .also = {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"},
                 .example = "https://s3.example.net:9000",
                 .help = "The address of the S3 server, when it is not AWS and 'provider' does not tell it. Plain http:// is refused unless "
                         "allow_http is set."},
                {STORE(access_key), .name = "access_key", .type = CONF_STRING, .fallback = "",
                 .credential = true, .s3_only = true, .example = "AKIAIOSFODNN7EXAMPLE",
                 .help = "The access key's id. Without it credentials are looked for as 'aws' does: in "
                         "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in the profile (its role, its web identity, its "
                         "keys in ~/.aws/credentials, its credential_process, its keys in ~/.aws/config), then with the "
                         "container and the instance. The files are read again whenever they change."},
                SECRET(STORE, secret_key, "secret_key", .s3_only = true, .type = CONF_STRING, .fallback = "",
                       .example = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                       .help = "The secret that belongs to access_key. A file that holds it should be readable by the "
                               "daemon's user alone (chmod 600)."),
                SECRET(STORE, session_token, "session_token", .s3_only = true, .type = CONF_STRING,
                       .fallback = "", .example = "FwoGZXIvYXdzEXAMPLE",
                       .help = "The session token of temporary credentials. As these expire, the shared credentials "
                               "file is the better place for them."),
                {NAMED_STORE(credentials_file), .name = "credentials_file", .type = CONF_SECRET_FILE,
                 .fallback = "", .secret_file = true, .example = "/etc/keepfs/stores/acme",
                 .help = "A file that holds access_key, secret_key and if need be session_token, as KEY = VALUE on lines of their own; it comes before these keys here, and before profile. It is read "
                         "whenever it is needed, must be readable by the daemon's user alone (chmod 600), and may say which endpoint and which bucket it is for."},
                {STORE(profile), .name = "profile", .type = CONF_STRING, .fallback = "", .s3_only = true,
                 .example = "backup",
                 .help = "The profile to use in the shared credentials file and in ~/.aws/config; when it is "
                         "empty, AWS_PROFILE, AWS_DEFAULT_PROFILE, else 'default'. What it has comes before "
                         "AWS_ACCESS_KEY_ID and the like in the environment."},
                {STORE(addressing), .name = "addressing", .type = CONF_ENUM, .fallback = "auto",
                 .choices = addressings,
                 .help = "How requests name the bucket: 'virtual' as a part of the host name, 'path' as a part of "
                         "the path. 'auto' is virtual for AWS and path for every other endpoint."},
                {STORE(allow_http), .name = "allow_http", .type = CONF_BOOL, .fallback = "no",
                 .help = "Permits an endpoint with http://, of S3 or of STS, which sends backups or credentials over the "
                         "network as clear text."},
                {STORE(ca_file), .name = "ca_file", .type = CONF_PATH, .fallback = "",
                 .also = {"AWS_CA_BUNDLE"}, .example = "/etc/keepfs/ca.pem",
                 .help = "A PEM file with the certificates to trust in place of the system's, for a server with a "
                         "certificate of one's own authority."},
                {STORE(sse), .name = "sse", .type = CONF_ENUM, .fallback = "none", .choices = encryptions,
                 .s3_only = true, .example = "aws:kms",
                 .help = "Asks the S3 server to encrypt what it stores: with its own keys (AES256), or with a key "
                         "of AWS's key management service (aws:kms)."},
                {STORE(sse_kms_key), .name = "sse_kms_key", .type = CONF_STRING, .fallback = "",
                 .s3_only = true, .example = "arn:aws:kms:us-east-1:111122223333:key/1234abcd",
                 .help = "The id or ARN of the key for sse = aws:kms; when it is empty, the account's default key."},
                {STORE(conditional_puts), .name = "conditional_puts", .type = CONF_ENUM, .fallback = "auto",
                 .choices = conditionals, .s3_only = true,
                 .help = "Whether the server can create an object only if it is not there (If-None-Match), which is how keepfs never replaces a backup. "
                         "With 'no' it looks first, which is as good as long as one keepfs writes there. 'auto' is what is known of the provider; else "
                         "it is tried, and a refusal (501) noticed. With 'yes' a refusal is an error."},
                {STORE(equal_parts), .name = "equal_parts", .type = CONF_ENUM, .fallback = "auto",
                 .choices = equal_parts_words, .s3_only = true,
                 .help = "Whether all parts of an upload but the last must have the same size. With 'yes' parts do not grow, so no file of a backup can "
                         "be larger than part_size times max_parts. 'auto' is what is known of the provider: yes for r2 alone."},
                {STORE(delete_versions), .name = "delete_versions", .type = CONF_BOOL, .fallback = "no",
                 .s3_only = true,
                 .help = "In a bucket that keeps versions: deletes also the versions of what is deleted, for good. With "
                         "'no' they stay, as a protection from deletion by mistake or malice, and are paid for, "
                         "until a lifecycle rule of the bucket expires them. Needs s3:ListBucketVersions and "
                         "s3:DeleteObjectVersion; what is locked stays."},
                {STORE(object_lock), .name = "object_lock", .type = CONF_ENUM, .fallback = "none",
                 .choices = object_locks, .s3_only = true, .example = "governance",
                 .help = "Locks each backup in the bucket, against everybody who may write there, for as long as it is sure to be kept: until the end of "
                         "the longest of the periods (keep_daily, keep_weekly …) of which it is the first backup, or of keep_within. The bucket must have been made with "
                         "object lock. 'governance': whoever has the right s3:BypassGovernanceRetention can still delete. 'compliance': nobody can, "
                         "not the provider, and not you: choose what is kept with care. 'none': nothing is locked."},
                {STORE(lock_min_ms), .name = "lock_min", .type = CONF_DURATION, .fallback = "1d",
                 .min = 1 * SECOND, .max = 36525 * DAY, .s3_only = true,
                 .help = "With object_lock: each backup is locked for so long at least, whatever the rules say of it."},
                {STORE(lock_max_ms), .name = "lock_max", .type = CONF_DURATION, .fallback = "3660d",
                 .min = 1 * SECOND, .max = 36525 * DAY, .s3_only = true,
                 .help = "With object_lock: no lock is set for longer than this from now on; one that has to last longer is extended later. It protects "
                         "from a mistake in the rules, which in mode compliance nobody can undo."},
                {STORE(connect_timeout_ms), .name = "connect_timeout", .type = CONF_DURATION,
                 .fallback = "10s", .min = 100, .max = 1 * HOUR,
                 .help = "How long to wait for a connection to the S3 server."},
                {STORE(first_byte_timeout_ms), .name = "first_byte_timeout", .type = CONF_DURATION,
                 .fallback = "15s", .min = 100, .max = 1 * HOUR,
                 .help = "How long the S3 server may take to begin its answer to a read; then the request is "
                         "given up and made again over another connection."},
                {STORE(stall_timeout_ms), .name = "stall_timeout", .type = CONF_DURATION, .fallback = "30s",
                 .min = 100, .max = 1 * HOUR,
                 .help = "A transfer in which no byte moves for so long is given up and tried again."},
                {STORE(retry_deadline_ms), .name = "retry_deadline", .type = CONF_DURATION, .fallback = "2m",
                 .min = 0, .max = 24 * HOUR,
                 .help = "How long one request is tried again and again before its failure is final: a backup "
                         "fails, a reader gets an input/output error. 0 tries once, for as long as the other "
                         "timeouts let it."},
                {MAIN_STORE(part_bytes), .name = "part_size", .type = CONF_BYTES, .fallback = "8M",
                 .min = 5 * MIB, .max = 5 * GIB,
                 .help = "The size of the first parts of an upload; later parts grow, so that max_parts are "
                         "enough for any backup. S3 refuses parts below 5M."},
                {MAIN_STORE(max_parts), .name = "max_parts", .type = CONF_INT, .fallback = "10000", .min = 1,
                 .max = 10000,
                 .help = "How many parts the server allows in one upload. AWS allows 10000, some others 1000. When it is not set, and the provider is "
                         "known to allow fewer, it is what that allows."},
                {MAIN_STORE(capacity_bytes), .name = "capacity", .type = CONF_BYTES, .fallback = "none",
                 .min = 0, .max = INT64_MAX, .example = "2T",
                 .help = "The size that df shows for the mount, when the store has a quota that keepfs cannot "
                         "know. It limits nothing."},
                {MAIN_STORE(scrub_within_ms), .name = "scrub_within", .type = CONF_DURATION,
                 .fallback = "30d", .zero = "none", .min = HOUR, .max = 3650 * DAY, .reload = true,
                 .help = "Each backup is read again whole, and held against its checksums, before so much time has passed since that was "
                         "last done: what a disk or a provider has lost is known while there is another copy. status/health "
                         "tells when that cannot be kept. Where reading is paid for by the byte, choose a longer time, or 'none'."},
                {MAIN_STORE(scrub_rate_bytes), .name = "scrub_rate", .type = CONF_RATE, .fallback = "10M/s",
                 .min = 64 * KIB, .max = TIB, .reload = true,
                 .help = "How many bytes per second are read for that, at most: 10M/s are some 25 TB in 30 days."},
                {STORE(faults), .name = "faults", .type = CONF_STRING, .fallback = "",
                 .example = "part:3:unavailable, get:10+:eio",
                 .help = "Makes the store fail on purpose: for rehearsing failures and for tests, never for real "
                         "backups. Rules OPERATION:WHEN:WHAT, separated by commas: the operation is put, get, "
                         "head, remove, list, begin, part, complete, abort, uploads or *; when is N (the Nth "
                         "call), N+ (from the Nth on) or N% (at random); what is eio, unavailable, timeout, "
                         "corrupt, slow:MILLISECONDS, crash, nospace or denied."},

                {NAMED_STORE(tenants), .name = "tenants", .type = CONF_NAME_PATTERNS, .fallback = "",
                 .example = "acme, acme-*",
                 .help = "The slugs, or patterns of them, of the tenants that the query of [export] may send here by its column 'store'. Empty: the one whose slug is the "
                         "name of this section. The query can name no store of the type dir:. What [export] and [class NAME] say needs no leave."},

                {NAMED_STORE(rate_bytes), .name = "rate", .type = CONF_RATE, .fallback = "none",
                 .min = 64 * KIB, .max = TIB, .example = "20M/s",
                 .help = "How many bytes per second are written into this store, at most, by whoever makes copies ('copies' of a job)."},
                {NAMED_STORE(window), .name = "window", .type = CONF_BLACKOUT, .fallback = "",
                 .example = "mon-fri 20:00-06:00, sat-sun 00:00-24:00",
                 .help = "Windows of the week, in the time zone of [keepfs], in which copies are made; one that is under way waits outside of them. Empty: at "
                         "any time. What somebody orders (control/replicate) is done at any time."},
                {NAMED_STORE(keeping.keep), .name = "keep", .type = CONF_ENUM, .fallback = "rules",
                 .choices = keeps,
                 .help = "What stays here of copies whose backup [store] does not have any more. 'rules': as the keep_ keys of this section say or, when "
                         "none of them is set, those of the job; 'forever': nothing is ever deleted here. The copy of a backup that is there always stays."},
                {NAMED_STORE(keeping.keep_last), .name = "keep_last", KEPT, .example = "90", .help = "Keeps the copies of so many of the newest backups, as in a job. The same holds for the other keep_ keys."},
                {NAMED_STORE(keeping.keep_daily), .name = "keep_daily", KEPT, .example = "30",
                 .help = "Keeps the copy of the first backup of a day, likewise."},
                {NAMED_STORE(keeping.keep_weekly), .name = "keep_weekly", KEPT, .example = "12",
                 .help = "Keeps that of the first of a week, likewise."},
                {NAMED_STORE(keeping.keep_monthly), .name = "keep_monthly", KEPT, .example = "24",
                 .help = "Keeps that of the first of a month, likewise."},
                {NAMED_STORE(keeping.keep_yearly), .name = "keep_yearly", KEPT, .example = "10",
                 .help = "Keeps that of the first of a year, likewise."},
                {NAMED_STORE(keeping.keep_within_ms), .name = "keep_within", .type = CONF_DURATION,
                 .fallback = "auto", .zero = "auto", .never = "none", .min = 60 * SECOND, .max = 36500 * DAY,
                 .example = "90d",
                 .help = "Keeps the copies of all backups that were made no longer than this before the newest."},
                {NAMED_STORE(keeping.min_keep), .name = "min_keep", .type = CONF_INT, .fallback = "1",
                 .min = 1, .max = 100000,
                 .help = "The copies of so many of the newest backups are never deleted."},

                {READ(ahead_bytes), .name = "read_ahead", .type = CONF_BYTES, .fallback = "32M", .min = 0,
                 .max = 4 * GIB,
                 .help = "How much is fetched ahead of each file that is read in order, at most; less when many "
                         "are read at once and memory is short. Raise it, and memory, for a store that is far "
                         "away: bandwidth times round trip is what must be under way. 0 fetches only what is "
                         "asked for."},
                {READ(connections), .name = "connections", .type = CONF_INT, .fallback = "16", .min = 2,
                 .max = 256,
                 .help = "How many reads from the store are under way at the same time, over one connection each."},
                {READ(sha256), .name = "sha256", .type = CONF_ENUM, .fallback = "auto",
                 .choices = sha256_words,
                 .help = "Whether the SHA-256 of a file that is read from beginning to end is compared with the "
                         "manifest's, beside the CRC-32C of each piece: 'auto' when that was not done for 30 "
                         "days, 'always', or 'never'."},
                {READ(cache_dir), .name = "cache_dir", .type = CONF_PATH, .fallback = "",
                 .example = "/var/cache/keepfs",
                 .help = "A directory on a local disk for a cache of what was read, so that the same backup is "
                         "fetched once for several restores. Empty: no cache. It holds backups: keep it on a disk "
                         "that is as well protected as the store."},
                {READ(cache_bytes), .name = "cache_size", .type = CONF_BYTES, .fallback = "10G",
                 .min = 64 * MIB, .max = 1024 * TIB,
                 .help = "How large the cache may become; what was not used for longest goes first."},
                {READ(link_ttl_ms), .name = "link_ttl", .type = CONF_DURATION, .fallback = "15m",
                 .min = 1 * SECOND, .max = 7 * 24 * HOUR,
                 .help = "How long the URLs that links/ hands out are valid. S3 allows seven days at most."},

                {FILES(path), .name = "path", .type = CONF_PATH, .required = true,
                 .example = "/srv/documents",
                 .help = "The directory that is archived. The names in an archive are relative to it."},
                {FILES(exclude), .name = "exclude", .type = CONF_FILE_PATTERNS, .fallback = "",
                 .example = "*.tmp, cache/*", .trigger = true, .filter = true,
                 .help = "Leaves out what matches one of these patterns, and all below a directory that does. A pattern "
                         "without a '/' matches names at any depth, one with a '/' the path below 'path'; a '/' at its end "
                         "matches directories only."},
                {FILES(each), .name = "each", .type = CONF_SUBDIRECTORIES, .fallback = "",
                 .example = "projects/*/",
                 .help = "Makes one archive of each subdirectory that matches this pattern, in place of one of all. Each "
                         "is archived exactly once, by the first run that finds it settled, and the archive is kept for "
                         "ever. When it is empty, every run makes one archive of all below 'path'."},
                {FILES(settle_ms), .name = "settle", .type = CONF_DURATION, .fallback = "10m", .min = 0,
                 .max = 365 * 24 * HOUR,
                 .help = "A subdirectory of 'each' is archived when nothing in it has changed for so long; until then it "
                         "is left for a later run. So is one in which something changes while it is read. One that cannot be "
                         "looked into, or where another file system is mounted, fails: exclude it, or make it readable."},
                {FILES(cross_mounts), .name = "cross_mounts", .type = CONF_BOOL, .fallback = "no",
                 .help = "Archives also what is mounted below 'path' from other file systems. With 'no' the directory "
                         "where something else is mounted is archived empty."},
                {FILES(skip_unreadable), .name = "skip_unreadable", .type = CONF_BOOL, .fallback = "no",
                 .help = "Leaves out files that cannot be read (what fails to its end has zeros there): they are counted, "
                         "and a warning of the run tells of them. With "
                         "'no' the first of them makes the run fail."},

#include "keys_export.inc"

                {DUMP(database), .name = "database", .type = CONF_CONNECTION, .fallback = "",
                 .example = "postgresql://backup@db.example.net/shop",
                 .help = "The database to back up, as a libpq connection string or URI. What it does not say "
                         "comes from libpq's environment variables, service file and password file (~/.pgpass), "
                         "as it does for psql. Keep the password in one of these rather than here."},
                {DUMP(databases), .name = "databases", .type = CONF_DATABASES, .fallback = "",
                 .example = "shop, billing",
                 .help = "Several databases to back up, each into a directory of its own below the job's, over the server and user "
                         "of 'database'. A database that fails does not stop the others. They are given by their names, separated "
                         "by commas or spaces (one that holds either in double quotes); or by patterns as for files, such as "
                         "'*, !scratch, !test_*': then each run asks the server for its databases, but for templates and those that "
                         "take no connections, and leaves out what a pattern behind '!' matches. Or by a query, a text that begins "
                         "with SELECT or WITH, such as SELECT datname, class FROM tenants ORDER BY created: each run asks it anew, "
                         "its first column names the databases, in the order in which they are backed up, and a second one "
                         "the class of each (see [class NAME]). New databases are taken up by themselves. When the query fails "
                         "or names none, the run fails, after it has backed up those that were named the last time."},
                {DUMP(registry), .name = "registry", .type = CONF_CONNECTION, .fallback = "",
                 .help = "Where the query of 'databases' is asked, as a libpq connection string or URI, such as host=registry.internal dbname=platform: in a transaction that reads "
                         "only, for at most 25 seconds. When it is empty, over the connection of 'database'."},
                {DUMP(pg_bindir), .name = "pg_bindir", .type = CONF_PATH, .fallback = "",
                 .example = "/usr/lib/postgresql/15/bin",
                 .help = "The directory of the pg_dump to use. When it is empty, the one that fits the server's "
                         "version is looked for below /usr/lib/postgresql and in PATH."},
                {DUMP(format), .name = "format", .type = CONF_ENUM, .fallback = "custom", .choices = formats,
                 .trigger = true,
                 .help = "What a backup is: 'custom', one .dump file, of which pg_restore restores all or parts, "
                         "several tables at once; 'plain', one file of SQL for psql, .sql.gz (.sql with "
                         "compression = none); 'directory', a directory of files for pg_restore -Fd."},
                {JOB(compression), .name = "compression", .type = CONF_COMPRESSION, .fallback = "fast",
                 .trigger = true,
                 .help = "'fast' costs little time: zstd level 1 where server and client tools are PostgreSQL 16 "
                         "or newer, else a fast gzip. 'small' takes more time for less space: zstd level 9, else "
                         "gzip level 9. gzip and zstd with a level are exactly that. Backups in the formats plain "
                         "and directory are gzip or not compressed. An archive of files is a .tar.zst with 'fast' and "
                         "'small'."},
                {DUMP(content), .name = "content", .type = CONF_ENUM, .fallback = "full", .choices = contents,
                 .trigger = true, .filter = true,
                 .help = "What is dumped of a database: all of it, only its definitions (schema), or only the "
                         "rows (data)."},
                {DUMP(connections), .name = "jobs", .type = CONF_INT, .fallback = "auto", .zero = "auto",
                 .min = 1, .max = 64, .trigger = true,
                 .help = "How many connections read a database at once, in one snapshot, into one backup; large "
                         "tables are read in pieces. 'auto' decides by processors, size, and the connections that "
                         "server and role have left. Where the server or a pooler cannot do it, fewer are used, "
                         "and the run's log says so. A plain backup and one of the schema alone are read through "
                         "one."},
                {DUMP(schemas), .name = "schemas", .type = CONF_PATTERNS, .fallback = "",
                 .example = "public, shop*", .trigger = true, .filter = true,
                 .help = "Dumps only the schemas that match one of these patterns (pg_dump --schema), and what is "
                         "in them: no large objects, no extensions. Cannot be used together with 'tables'."},
                {DUMP(exclude_schemas), .name = "exclude_schemas", .type = CONF_PATTERNS, .fallback = "",
                 .example = "scratch, temp_*", .trigger = true, .filter = true,
                 .help = "Leaves out the schemas that match one of these patterns (pg_dump --exclude-schema)."},
                {DUMP(tables), .name = "tables", .type = CONF_PATTERNS, .fallback = "",
                 .example = "public.orders, shop.\"Order Items\"", .trigger = true, .filter = true,
                 .help = "Dumps only the tables, views and sequences that match one of these patterns (pg_dump "
                         "--table): not what they depend on, so such a backup may not restore into an empty "
                         "database."},
                {DUMP(exclude_tables), .name = "exclude_tables", .type = CONF_PATTERNS, .fallback = "",
                 .example = "public.cache_*", .trigger = true, .filter = true,
                 .help = "Leaves out the tables that match one of these patterns (pg_dump --exclude-table)."},
                {DUMP(exclude_table_data), .name = "exclude_table_data", .type = CONF_PATTERNS,
                 .fallback = "", .example = "public.sessions, audit.*", .trigger = true, .filter = true,
                 .help = "Dumps the tables that match one of these patterns without their rows (pg_dump "
                         "--exclude-table-data)."},
                {DUMP(globals), .name = "globals", .type = CONF_ENUM, .fallback = "auto",
                 .choices = globals_words, .trigger = true,
                 .help = "Keeps roles, their passwords and memberships, and tablespaces (pg_dumpall "
                         "--globals-only) beside a backup: 'auto' beside each one that is full and leaves nothing "
                         "out, 'yes' beside one of the schema, or with exclude_table_data, too. Without the right "
                         "to read passwords they are left out, with a warning."},
                {JOB(verify), .name = "verify", .type = CONF_ENUM, .fallback = "readback",
                 .choices = verifications, .trigger = true,
                 .help = "'readback' reads each backup once from the store before it is listed: this proves that "
                         "the store holds what was sent, and gives the SHA-256. 'none' saves that transfer; such "
                         "a backup may have no SHA-256."},
                {JOB(encrypt.to), .name = "encrypt_to", .type = CONF_RECIPIENTS, .fallback = "",
                 .example = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
                 .help = "For whom the backups of this job are encrypted, in place of what [keepfs] says. Empty, with the two keys below: as [keepfs] says. With "
                         "'none' they are not encrypted."},
                {JOB(encrypt.to_file), .name = "encrypt_to_file", .type = CONF_PATH, .fallback = "",
                 .example = "/etc/keepfs/recipients",
                 .help = "A file of public keys, as in [keepfs], for this job."},
                SECRET(JOB, encrypt.passphrase, "encrypt_passphrase", .reload = false, .type = CONF_STRING,
                       .fallback = "", .example = "correct horse battery staple",
                       .help = "A passphrase, as in [keepfs], for this job."),
                {JOB(max_rate_bytes), .name = "max_rate", .type = CONF_RATE, .fallback = "none",
                 .min = 64 * KIB, .max = TIB, .example = "50M/s", .trigger = true,
                 .help = "How many bytes are read per second, before compression: from the server, all connections "
                         "together, or from files."},
                {JOB(nice), .name = "nice", .type = CONF_INT, .fallback = "0", .min = 0, .max = 19,
                 .example = "10",
                 .help = "How far pg_dump, pg_dumpall and what reads over several connections, or reads files, give "
                         "way to other processes for processor time, see nice(1). 0 is as usual, 19 is furthest."},
                {JOB(ionice), .name = "ionice", .type = CONF_ENUM, .fallback = "none", .choices = ionices,
                 .example = "low",
                 .help = "How far they give way for the disk, see ionice(1): 'low' is the lowest priority of the "
                         "class best-effort, 'idle' takes only what nobody else wants."},
                {DUMP(lock_wait_timeout_ms), .name = "lock_wait_timeout", .type = CONF_DURATION,
                 .fallback = "none", .zero = "none", .min = 1, .max = 24 * HOUR, .example = "5m",
                 .help = "How long to wait for the lock on each table that a backup needs (ACCESS SHARE: only DDL "
                         "is in its way); then the backup fails. With 'none' it waits as long as it takes."},
                {JOB(pre_hook), .name = "pre_hook", .type = CONF_STRING, .fallback = "",
                 .example = "/usr/local/bin/before-backup",
                 .help = "A command (for /bin/sh -c) that is run before the first database of each run, or before files "
                         "are read. The run's "
                         "facts are in its environment: KEEPFS_JOB, KEEPFS_RUN, KEEPFS_DATABASES, "
                         "KEEPFS_DATABASE, KEEPFS_CLASS, KEEPFS_TRIGGERED_BY, KEEPFS_NOTE, KEEPFS_STORE and KEEPFS_CONFIG. When it fails, the "
                         "run fails and nothing is backed up. What it prints is in the run's log. More than one "
                         "command is better written as a script: a ';' after a space begins a comment here, too, unless it stands in quotes."},
                {JOB(post_hook), .name = "post_hook", .type = CONF_STRING, .fallback = "",
                 .example = "/usr/local/bin/after-backup",
                 .help = "The same at the end of each run that has begun, also of one that failed or was "
                         "cancelled. Beside the above there are KEEPFS_STATE (completed, failed or cancelled), "
                         "KEEPFS_ERROR, KEEPFS_SIZE_BYTES, KEEPFS_ARTIFACTS (paths below the mountpoint, one on "
                         "each line), KEEPFS_SHA256 (when there is one backup), KEEPFS_STARTED and "
                         "KEEPFS_FINISHED. When it fails, the run gets a warning: the backup is made."},
                {JOB(hook_timeout_ms), .name = "hook_timeout", .type = CONF_DURATION, .fallback = "10m",
                 .min = 100, .max = 24 * HOUR,
                 .help = "How long each hook may take; then it is ended, and has failed."},
                {JOB(copies), .name = "copies", .type = CONF_WORDS, .fallback = "", .example = "primary",
                 .help = "The stores that have what this job makes: 'primary' is [store], which always has it first, and every other word the NAME of a "
                         "[store NAME], as in 'primary, offsite'. A backup is listed when it is in [store]; the copies are made after that, and never hold up a backup. Empty: "
                         "[store] alone has it."},
                {JOB(timezone), .name = "timezone", .policy = true, .type = CONF_TIMEZONE, .fallback = "",
                 .example = "America/Sao_Paulo",
                 .help = "The time zone of this job's schedule and of the days, weeks, months and years that are kept. When it is empty, "
                         "it is that of [keepfs]."},
                {POLICY(schedule), .name = "schedule", .type = CONF_SCHEDULE, .fallback = "disabled",
                 .example = "daily-2am",
                 .help = "When a backup is made without anybody asking for it, in the job's time zone. Where clocks are set forth or back, "
                         "every run that was asked for happens once."},
                {POLICY(catch_up_ms), .name = "catch_up", .type = CONF_DURATION, .fallback = "7d",
                 .zero = "none", .min = 60 * SECOND, .max = 3650 * DAY,
                 .help = "When keepfs or its host was down while backups were due, one is made as soon as it is up again, if the last of "
                         "those that were missed was due no longer ago than this."},
                {POLICY(jitter_ms), .name = "jitter", .type = CONF_DURATION, .fallback = "none",
                 .zero = "none", .min = 1 * SECOND, .max = 12 * HOUR, .example = "10m",
                 .help = "A scheduled backup begins up to so long after it is due, by an amount that is different for each job and each "
                         "time: so that many hosts do not ask one server or store at the same moment."},
                {POLICY(blackout), .name = "blackout", .type = CONF_BLACKOUT, .fallback = "",
                 .example = "mon-fri 08:00-18:00, 22:00-02:00",
                 .help = "Windows of the week, in the job's time zone, in which no scheduled backup begins: what is due in one begins at its "
                         "end (once, however often it was due), and so does what is caught up. One without days is of every day; one "
                         "that goes past midnight is of the day on which it begins. Backups that somebody triggers begin at any time."},
                {POLICY(expected_interval_ms), .name = "expected_interval", .type = CONF_DURATION,
                 .fallback = "auto", .zero = "auto", .min = 60 * SECOND, .max = 3650 * DAY, .example = "1d",
                 .help = "How long after one backup the next is expected; health tells when it is overdue. 'auto' goes by the schedule. Set it "
                         "where something else triggers the backups, such as cron."},
                {POLICY(grace_ms), .name = "grace", .type = CONF_DURATION, .fallback = "auto", .zero = "auto",
                 .min = 1 * SECOND, .max = 365 * DAY, .example = "2h",
                 .help = "How much later than expected a backup may end before it is overdue. 'auto' is a quarter of the interval, at least half "
                         "an hour and at most twelve hours."},
                {POLICY(keep), .name = "keep", .type = CONF_ENUM, .fallback = "rules", .choices = keeps,
                 .help = "'rules': what none of keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly and keep_within asks for is "
                         "deleted after the next good backup; as long as none of them is set, nothing is. 'forever': nothing is ever deleted."},
                {POLICY(keep_last), .name = "keep_last", KEPT, .example = "30",
                 .help = "Keeps so many of the newest good backups."},
                {POLICY(keep_daily), .name = "keep_daily", KEPT, .example = "7",
                 .help = "Keeps the first good backup of a day, for as many of the latest days as have one. A day without a backup "
                         "does not count, so an outage uses up nothing. The same holds for weeks, months and years."},
                {POLICY(keep_weekly), .name = "keep_weekly", KEPT, .example = "4",
                 .help = "Keeps the first good backup of a week, likewise."},
                {POLICY(keep_monthly), .name = "keep_monthly", KEPT, .example = "12",
                 .help = "Keeps the first good backup of a month, likewise."},
                {POLICY(keep_yearly), .name = "keep_yearly", KEPT, .example = "10",
                 .help = "Keeps the first good backup of a year, likewise."},
                {POLICY(keep_within_ms), .name = "keep_within", .type = CONF_DURATION, .fallback = "auto",
                 .zero = "auto", .never = "none", .min = 60 * SECOND, .max = 36500 * DAY, .example = "30d",
                 .help = "Keeps all good backups that were made no longer than this before the newest. 'auto' is two days beside another "
                         "rule, so that those of today and yesterday are all there; 'none' keeps none for that reason, and is no rule."},
                {POLICY(min_keep), .name = "min_keep", .type = CONF_INT, .fallback = "1", .min = 1,
                 .max = 100000,
                 .help = "So many of the newest good backups are never deleted, whatever the rules say and whatever fails."},
                {JOB(week_starts), .name = "week_starts", .policy = true, .type = CONF_ENUM,
                 .fallback = "monday", .choices = weekdays,
                 .help = "The day on which the weeks of keep_weekly begin. With sunday, it is Sunday's backup that stands for a week."},
                {JOB(keep_deleted_ms), .name = "keep_deleted", .policy = true, .type = CONF_DURATION,
                 .fallback = "730d", .zero = "forever", .min = 1 * DAY, .max = 36500 * DAY,
                 .help = "For how long the backups of a database stay that the server or the registry does not have any more."},
                {JOB(rpo_ms), .name = "rpo", .type = CONF_DURATION, .fallback = "none", .zero = "none",
                 .min = 60 * SECOND, .max = 3650 * DAY, .example = "1d",
                 .help = "The recovery point objective: how much may be lost, that is, how old the newest good backup may be at most. A backup "
                         "is expected so often, also where the schedule or expected_interval says less often, or where nothing else says it; "
                         "one that is later than this and the grace is critical."},
                {JOB(rto_ms), .name = "rto", .type = CONF_DURATION, .fallback = "none", .zero = "none",
                 .min = 60 * SECOND, .max = 3650 * DAY, .example = "1h",
                 .help = "The recovery time objective: how long a restore may take at most. Metrics hold what was measured against it."},

                {DRILL(drill), .name = "drill", .type = CONF_SCHEDULE, .fallback = "disabled",
                 .example = "weekly-sun-3am",
                 .help = "When a restore is rehearsed without anybody asking for it: a schedule, in the job's time zone. Each time one backup "
                         "is restored: the newest, then by turns a random older one of each tier (daily, weekly, monthly, yearly); of several "
                         "databases the one whose turn was longest ago."},
                {DRILL(drill_level), .name = "drill_level", .type = CONF_INT, .fallback = "auto",
                 .zero = "auto", .min = 2, .max = 5, .example = "4",
                 .help = "How much a drill proves: 2: it can be restored without an error; 3: rows and hash of each table, and all other "
                         "objects, are those of the backup; 4: indexes agree with their tables, materialized views can be made anew; "
                         "5: the answers to each [check NAME] are as expected. 'auto' looks at all that there is to look at; with a number "
                         "health tells when less was proven."},
                {DRILL(drill_max_age_ms), .name = "drill_max_age", .type = CONF_DURATION, .fallback = "auto",
                 .zero = "auto", .min = 3600 * SECOND, .max = 3650 * DAY, .example = "30d",
                 .help = "How long ago the last good drill may be before health tells. 'auto' is twice the interval of the schedule; "
                         "without a schedule nothing is expected."},
                {DRILL(drill_server), .name = "drill_server", .type = CONF_CONNECTION, .fallback = "",
                 .example = "postgresql://keepfs@spare.example.com/postgres",
                 .help = "The server on which it is rehearsed, in a database of its own that is dropped afterwards: for extensions that a "
                         "throw-away server does not have. Owners and rights are left out there. Empty: on a throw-away server, made with "
                         "initdb on this host. Never name the server that is backed up unless it has disk and time to spare."},

                {MAIL(to), .name = "to", .type = CONF_ADDRESSES, .fallback = "",
                 .example = "ops@example.com, dba@example.com",
                 .help = "Who gets mail. Empty: no mail is sent. Each address is sent a message of its own, so that one that is "
                         "refused keeps nothing from the others."},
                {MAIL(server), .name = "server", .type = CONF_MAIL_SERVER, .fallback = "",
                 .example = "smtps://mail.example.com",
                 .help = "The server that takes the mail: smtps:// for TLS from the beginning (port 465, unless another is "
                         "named), smtp:// for TLS by STARTTLS (port 25, unless another is named: servers for users mostly want "
                         "587)."},
                {MAIL(tls), .name = "tls", .type = CONF_ENUM, .fallback = "required", .choices = tls_words,
                 .help = "With 'required' nothing is sent to a server of smtp:// that has no STARTTLS. 'none' sends as clear "
                         "text, to a server on this host for example; then there can be no password."},
                {MAIL(from), .name = "from", .type = CONF_ADDRESS, .fallback = "",
                 .example = "keepfs@db1.example.com",
                 .help = "The sender's address. When it is empty: keepfs@ and the name of this host."},
                {MAIL(user), .name = "user", .type = CONF_STRING, .fallback = "",
                 .example = "keepfs@example.com", .help = "The user to log in as. Empty: no login."},
                SECRET_ROWS(
                        MAIL, password, "password", .filter = false, true,
                        .type = CONF_STRING, .fallback = "", .example = "correct horse battery staple",
                        .help = "The password of user. A file that holds it should be readable by the daemon's user alone "
                                "(chmod 600); password_file is the better place, and comes before this key. Of a file the first line counts."),
                {MAIL(ca_file), .name = "ca_file", .type = CONF_PATH, .fallback = "",
                 .example = "/etc/keepfs/ca.pem",
                 .help = "A PEM file with the certificates to trust in place of the system's, for a server with a "
                         "certificate of one's own authority."},
                {MAIL(events), .name = "events", .type = CONF_EVENTS, .fallback = "all",
                 .example = "all, !hold-added",
                 .help = "Which events are told, by their names; with '!' before a name all but that: 'all, !hold-added'. "
                         "'recovered' and 'store-good' tell that it is over."},
                {MAIL(gather_ms), .name = "gather", .type = CONF_DURATION, .fallback = "5m", .zero = "none",
                 .min = 0, .max = 24 * HOUR,
                 .help = "After the first event further ones are waited for so long, and told together with it in one message. "
                         "With 'none' each is told at once."},
                {MAIL(digest), .name = "digest", .type = CONF_SCHEDULE, .fallback = "daily-7am",
                 .help = "When a summary is sent, also when all is well, so that its absence is a sign, too: how each job did, "
                         "what was made, what health says. A schedule, as of a job; 'disabled' sends none."},

                {CLASS(store), .name = "store", .type = CONF_STRING, .fallback = "", .example = "acme",
                 .help = "Where the exports of tenants of this class go: the NAME of a [store NAME]. Empty: where [export] says."},

                SECRET(WEBHOOK, url, "url", .reload = false, .type = CONF_WEB_URL, .required = true,
                       .example = "https://chat.example.com/hooks/0123456789",
                       .help = "Where the request goes. It is treated as a secret, since those of chats are."),
                {WEBHOOK(method), .name = "method", .type = CONF_ENUM, .fallback = "post", .choices = methods,
                 .help = "The method of the request. 'get' sends no body."},
                {WEBHOOK(headers), .name = "headers", .type = CONF_HEADERS, .fallback = "", .secret = true,
                 .credential = true, .example = "\"Authorization: Bearer 0123456789\"",
                 .help = "Further headers of the request, each in double quotes, separated by commas. In a file, or printed by a command, they are on lines of "
                         "their own, without quotes."},
                SECRET_ELSEWHERE(WEBHOOK, more_headers, "headers", .reload = false, false),
                {WEBHOOK(template_name), .name = "template", .type = CONF_TEMPLATE, .fallback = "",
                 .example = "slack",
                 .help = "What makes the body: the name of a template that came with keepfs (discord, gotify, mattermost, ntfy, "
                         "slack, teams, telegram; they lie in share/keepfs/templates), or the absolute path of one of your "
                         "own. When it is empty, the body is all facts as JSON. docs/operations.md says how templates are "
                         "written."},
                {WEBHOOK(to), .name = "to", .type = CONF_STRING, .fallback = "", .example = "backups",
                 .help = "What templates call {{to}}: the topic of ntfy, the chat_id of Telegram."},
                {WEBHOOK(ca_file), .name = "ca_file", .type = CONF_PATH, .fallback = "",
                 .example = "/etc/keepfs/ca.pem",
                 .help = "A PEM file with the certificates to trust in place of the system's."},
                {WEBHOOK(events), .name = "events", .type = CONF_EVENTS, .fallback = "all",
                 .example = "failed, recovered",
                 .help = "Which events are told, by their names; with '!' before a name all but that: 'all, !hold-added'. "
                         "'recovered' and 'store-good' tell that it is over."},
                {WEBHOOK(gather_ms), .name = "gather", .type = CONF_DURATION, .fallback = "5m",
                 .zero = "none", .min = 0, .max = 24 * HOUR,
                 .help = "After the first event further ones are waited for so long, and told together with it in one message. "
                         "With 'none' each is told at once."},
                {WEBHOOK(digest), .name = "digest", .type = CONF_SCHEDULE, .fallback = "disabled",
                 .example = "daily-7am", .help = "When a summary is sent, as that of [mail]."},

                {COMMAND(command), .name = "command", .type = CONF_STRING, .required = true,
                 .example = "/usr/local/bin/page",
                 .help = "A command (for /bin/sh -c) that is run for each message. All facts are at its standard input, as JSON; "
                         "the main ones in its environment: KEEPFS_EVENT, KEEPFS_LEVEL, KEEPFS_SUBJECT, KEEPFS_TEXT, KEEPFS_JOB, "
                         "KEEPFS_DATABASE, KEEPFS_RUN, KEEPFS_SINCE, KEEPFS_COUNT, KEEPFS_HOST and KEEPFS_CONFIG. When it fails "
                         "it is run again later, until it does not."},
                {COMMAND(timeout_ms), .name = "timeout", .type = CONF_DURATION, .fallback = "1m", .min = 100,
                 .max = 1 * HOUR, .help = "How long it may take; then it is ended, and has failed."},
                {COMMAND(events), .name = "events", .type = CONF_EVENTS, .fallback = "all",
                 .example = "failed, recovered",
                 .help = "Which events are told, by their names; with '!' before a name all but that: 'all, !hold-added'. "
                         "'recovered' and 'store-good' tell that it is over."},
                {COMMAND(gather_ms), .name = "gather", .type = CONF_DURATION, .fallback = "5m",
                 .zero = "none", .min = 0, .max = 24 * HOUR,
                 .help = "After the first event further ones are waited for so long, and told together with it in one message. "
                         "With 'none' each is told at once."},
                {COMMAND(digest), .name = "digest", .type = CONF_SCHEDULE, .fallback = "disabled",
                 .example = "daily-7am", .help = "When a summary is sent, as that of [mail]."},

                {HEARTBEAT(jobs), .name = "jobs", .type = CONF_WORDS, .fallback = "", .example = "full",
                 .help = "The jobs whose runs are told. Empty: all. A monitor mostly watches over one."},
                SECRET(HEARTBEAT, url, "url", .reload = false, .type = CONF_WEB_URL, .required = true,
                       .example = "https://hc-ping.com/0123456789",
                       .help = "The address that the monitor gave. It is treated as a secret."),
                {HEARTBEAT(template_name), .name = "template", .type = CONF_TEMPLATE,
                 .fallback = "healthchecks",
                 .help = "How that monitor is told: healthchecks (also for others that have /start and /EXIT-CODE), "
                         "uptime-kuma, cronitor, or the absolute path of a file of your own. docs/operations.md says how it is "
                         "written."},
                {HEARTBEAT(headers), .name = "headers", .type = CONF_HEADERS, .fallback = "", .secret = true,
                 .credential = true, .example = "\"Authorization: Bearer 0123456789\"",
                 .help = "Further headers of the requests, each in double quotes, separated by commas; as those of a webhook elsewhere."},
                SECRET_ELSEWHERE(HEARTBEAT, more_headers, "headers", .reload = false, false),
                {HEARTBEAT(ca_file), .name = "ca_file", .type = CONF_PATH, .fallback = "",
                 .example = "/etc/keepfs/ca.pem",
                 .help = "A PEM file with the certificates to trust in place of the system's."},

                {CHECK(jobs), .name = "jobs", .type = CONF_WORDS, .fallback = "", .example = "full",
                 .help = "The jobs whose drills ask it. Empty: all."},
                {CHECK(targets), .name = "databases", .type = CONF_WORDS, .fallback = "", .example = "shop",
                 .help = "The databases of which it is asked, by the names that the history has. Empty: all of these jobs."},
                {CHECK(sql), .name = "sql", .type = CONF_STRING, .fallback = "",
                 .example = "select count(*) from orders",
                 .help = "A statement, whose first value is the answer. It is asked as a superuser of the throw-away server. More than one "
                         "line is better written as a function, or as a command: a ';' after a space begins a comment here, too, unless it "
                         "stands in quotes."},
                {CHECK(expect), .name = "expect", .type = CONF_STRING, .fallback = "", .example = "n > 100",
                 .help = "What the answer must be: n, one of = != < <= > >=, and a number; or = or != and a text, such as n = 'ok'. "
                         "Empty: it must be true, or a number that is not 0."},
                {CHECK(command), .name = "command", .type = CONF_STRING, .fallback = "",
                 .example = "/usr/local/bin/check-application",
                 .help = "A command (for /bin/sh -c) that must exit with 0. PGHOST, PGPORT, PGUSER and PGDATABASE in its environment lead to "
                         "what was restored, and KEEPFS_JOB, KEEPFS_DATABASE and KEEPFS_BACKUP say what that is. What it prints is in the run's log."},
                {CHECK(timeout_ms), .name = "timeout", .type = CONF_DURATION, .fallback = "10m", .min = 100,
                 .max = 24 * HOUR,
                 .help = "How long the statement and the command may take, each; then the check has failed."},

                {CONTROL(write), .name = "write", .type = CONF_CONTROL_RULES, .fallback = "",
                 .example = "trigger:@backup, restore:@dba, *:anna",
                 .help = "Who may write which file of control/: the file's name, or a pattern, ':', and a user or @ and a group, by name or number. A file "
                         "that a rule fits is for those of its rules alone, and they may read its answers too. What else holds (such as: hooks are root's) "
                         "holds for them as well."},
                {CONTROL(read), .name = "read", .type = CONF_CONTROL_RULES, .fallback = "",
                 .example = "*:@auditors",
                 .help = "Who may read the answers of a file of control/ without writing it, in the same words."},
                {CONTROL(confirm_by), .name = "confirm_by", .type = CONF_PEOPLE, .fallback = "",
                 .example = "@approvers",
                 .help = "Users, and @ and groups, of whom another one than whoever ordered it must confirm what destroys something: a restore over what is there "
                         "(clean=yes, confirm=, overwrite=yes), a tenant that is replaced or deleted, rows that are inserted or replaced, an erasure, the end of a hold, and "
                         "a prune against a guard. It waits, is shown in status/confirmations, told as the event confirm, and carried out when one of them writes "
                         "confirm=NUMBER to control/confirm. Root is none of them unless named here. Empty: nothing waits."},
                {CONTROL(confirm_within_ms), .name = "confirm_within", .type = CONF_DURATION,
                 .fallback = "1h", .min = 60 * SECOND, .max = 7 * DAY,
                 .help = "How long a command waits to be confirmed; then it is forgotten, as it is when the daemon ends."},
};
const size_t conf_key_count = ARRAY_SIZE(conf_keys);

bool conf_key_applies(const struct conf_key *key, enum conf_section section)
{
	return conf_sections[section].keys & key->set;
}

bool conf_next_key(struct conf_ref *ref)
{
	do
		ref->key++;
	while (ref->key < (int)conf_key_count && !conf_key_applies(&conf_keys[ref->key], ref->section));
	return ref->key < (int)conf_key_count;
}

int conf_key_find(enum conf_section section, const char *name)
{
	struct conf_ref ref = {.section = section, .key = -1};

	while (conf_next_key(&ref))
		if (strcmp(conf_keys[ref.key].name, name) == 0)
			return ref.key;
	return -1;
}

void conf_env_word(struct str *out, const char *word)
{
	for (; *word; word++)
		str_append_char(out,
		                isalnum((unsigned char)*word) ? (char)toupper((unsigned char)*word) : '_');
}

void conf_key_env(enum conf_section section, const struct conf_key *key, const char *item, struct str *out)
{
	str_appendf(out, "KEEPFS_%s", conf_sections[section].env);
	if (conf_section_is_named(section)) {
		if (item[0] == '<') /* a placeholder of the documentation */
			str_append(out, item);
		else
			conf_env_word(out, item);
		str_append_char(out, '_');
	}
	conf_env_word(out, key->name);
}

void conf_variable_shape(enum conf_section section, struct str *out)
{
	str_appendf(out, "KEEPFS_%s%s<KEY>", conf_sections[section].env,
	            conf_section_is_named(section) ? "<NAME>_" : "");
}
