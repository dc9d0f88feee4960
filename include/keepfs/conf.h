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
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum conf_addressing { CONF_ADDRESSING_AUTO, CONF_ADDRESSING_PATH, CONF_ADDRESSING_VIRTUAL };
enum conf_sse { CONF_SSE_NONE, CONF_SSE_AES256, CONF_SSE_KMS };

struct conf_store {
	char *url;        /* "s3://bucket/prefix" or "dir:/absolute/path" */
	char *endpoint;   /* "" for AWS; "https://host[:port]" (http:// only with allow_http) */
	char *region;     /* "" until resolved: AWS_REGION, AWS_DEFAULT_REGION, the profile's, us-east-1 */
	char *access_key; /* "": where keepfs/aws.h looks */
	char *secret_key;
	char *session_token;
	char *profile;  /* "": conf_profile_name() */
	int addressing; /* enum conf_addressing; auto: virtual-host for AWS, path elsewhere */
	bool allow_http;
	char *ca_file;
	int sse; /* enum conf_sse */
	char *sse_kms_key;
	bool delete_versions;
	int64_t connect_timeout_ms;
	int64_t first_byte_timeout_ms; /* of a get */
	int64_t stall_timeout_ms;
	int64_t retry_deadline_ms;
	uint64_t part_bytes; /* of the first parts; grows with the part number */
	int64_t max_parts;
	uint64_t capacity_bytes; /* 0: not known */
	char *faults;            /* store_fault_new(); "" for none */
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
	/* names: each is dumped over `database`'s connection into a directory of its own; NULL-terminated,
	 * may be empty */
	char **databases;
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
};

enum conf_job_kind { CONF_JOB_DUMP, CONF_JOB_FILES };

/* A job, whatever its kind: what all have, and the part of its own kind. The parts of other kinds are all zero. */
struct conf_job {
	char *name;                  /* unique among jobs of all kinds: it is the directory below backups/ */
	int line;                    /* where its section begins; 0: it is not from the file */
	int kind;                    /* enum conf_job_kind */
	struct conf_origin *origins; /* where each value came from: conf_load()'s own; NULL: not known */
	struct compression_choice compression;
	int verify;                 /* enum conf_verify */
	uint64_t max_rate_bytes;    /* per second, read from what is backed up; 0: no limit */
	int64_t nice;               /* 0 to 19, of the child processes */
	int ionice;                 /* enum conf_ionice */
	char *pre_hook, *post_hook; /* for /bin/sh -c; "" for none */
	int64_t hook_timeout_ms;
	struct conf_dump dump;   /* CONF_JOB_DUMP */
	struct conf_files files; /* CONF_JOB_FILES */
};

struct conf {
	char *path;                  /* the file read; NULL when there was none (environment only) */
	char *mountpoint;            /* where a daemon serves; before conf_serve_at(): where it is to */
	char *configured_mountpoint; /* what the file or the environment says instead; NULL: the same */
	char *state_dir;
	uint64_t memory_bytes;
	int64_t parallel_runs;
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
	struct conf_store store;
	struct conf_read read;
	struct conf_job *jobs; /* of all kinds, in the order of the file */
	size_t job_count;
	/* where each value came from, but for those of jobs: conf_load()'s own; NULL: not known */
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
};

void conf_changes_finish(struct conf_changes *c);
static inline void cleanup_conf_changes(struct conf_changes *c)
{
	conf_changes_finish(c);
}

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
 * store, or the password of a connection string? Children do not get it. */
bool conf_variable_is_private(const char *variable);
/** conf_nearest() - of @count names the one that @word was probably meant to be; NULL when none is near. */
const char *conf_nearest(const char *word, const char *const *names, size_t count);
/** conf_find_job() - by name; NULL when there is none. "now" is not resolved here. */
const struct conf_job *conf_find_job(const struct conf *c, const char *name);

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
/** conf_list_trigger_keys() - append the keys that a trigger takes for @job: "format, compression, …, note". */
void conf_list_trigger_keys(const struct conf_job *job, struct str *out);
/** conf_write_trigger_keys() - the same for each kind of job, a line each: "  [backup NAME]: format, …, note". */
void conf_write_trigger_keys(struct str *out);
/** conf_dump_has_globals() - roles and tablespaces are kept beside what a job dumps. */
bool conf_dump_has_globals(const struct conf_dump *dump);
