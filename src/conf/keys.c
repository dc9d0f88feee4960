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

static const struct conf_choice unreadables[] = {
        {"fail", CONF_UNREADABLE_FAIL},
        {"skip", CONF_UNREADABLE_SKIP},
        {NULL, 0},
};

static const struct conf_choice server_copies[] = {
        {"auto", CONF_SERVER_COPY_AUTO},
        {"no", CONF_SERVER_COPY_NO},
        {NULL, 0},
};

static const struct conf_choice wal_words[] = {
        {"archive", CONF_WAL_ARCHIVE},
        {"stream", CONF_WAL_STREAM},
        {"both", CONF_WAL_BOTH},
        {NULL, 0},
};

static const struct conf_choice wal_confirmations[] = {
        {"store", CONF_WAL_CONFIRM_STORE},
        {"disk", CONF_WAL_CONFIRM_DISK},
        {NULL, 0},
};

static const struct conf_choice incrementals[] = {
        {"auto", CONF_INCREMENTAL_AUTO},
        {"compare", CONF_INCREMENTAL_COMPARE},
        {"off", CONF_INCREMENTAL_OFF},
        {NULL, 0},
};

static const struct conf_choice checkpoints[] = {
        {"fast", CONF_CHECKPOINT_FAST},
        {"spread", CONF_CHECKPOINT_SPREAD},
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
#define HOOKS(field)       CONF_KEYS_HOOKS, .offset = offsetof(struct conf_job, field)
#define DUMP(field)        CONF_KEYS_DUMP, .offset = offsetof(struct conf_job, dump.field)
#define DRILL(field)       CONF_KEYS_DRILL, .offset = offsetof(struct conf_job, field)
#define DRILL_SERVER       CONF_KEYS_DUMP | CONF_KEYS_BUNDLE, .offset = offsetof(struct conf_job, drill_server)
#define FILES(field)       CONF_KEYS_FILES, .offset = offsetof(struct conf_job, files.field)
#define MIRROR(field)      CONF_KEYS_MIRROR, .offset = offsetof(struct conf_job, mirror.field)
#define CLUSTER(field)     CONF_KEYS_CLUSTER, .offset = offsetof(struct conf_job, cluster.field)
#define BUNDLE(field)      CONF_KEYS_BUNDLE, .offset = offsetof(struct conf_job, bundle.field)
#define MAKER(field)       CONF_KEYS_MAKER, .offset = offsetof(struct conf_job, field)
#define COMPRESSED(field)  CONF_KEYS_MAKER | CONF_KEYS_CLUSTER, .offset = offsetof(struct conf_job, field)
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

/* In the order in which template and man page explain them: a key that several sections share where it comes first. */
const struct conf_key conf_keys[] = {
#include "keys_keepfs.inc"
#include "keys_store.inc"
#include "keys_files.inc"
#include "keys_mirror.inc"
#include "keys_bundle.inc"
#include "keys_cluster.inc"

#include "keys_export.inc"
#include "keys_job.inc"
#include "keys_others.inc"
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
