// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The table of keys: everything that conf knows about a key of keepfs.conf is declared here, once. Parser,
 * defaults, environment, template, man page and effective configuration walk it. Which section has which keys
 * is said by sets of keys (sections.h).
 */
#include "sections.h"

enum conf_type {                      /* the field's C type */
	         CONF_STRING,         /* char * */
	         CONF_CONNECTION,     /* char *: a libpq connection string or URI; may hold a password */
	         CONF_PATH,           /* char *: absolute, normalised; "~/" is the user's home */
	         CONF_SECRET_FILE,    /* char *: the same, or "credential:NAME"; may be "" */
	         CONF_STORE_URL,      /* char *: s3://bucket[/prefix] or dir:/path */
	         CONF_MIRROR_URL,     /* char *: the same, or "none" */
	         CONF_ENDPOINT,       /* char *: http[s]://host[:port] */
	         CONF_BOOL,           /* bool */
	         CONF_BYTES,          /* uint64_t */
	         CONF_DURATION,       /* int64_t, milliseconds */
	         CONF_INT,            /* int64_t */
	         CONF_ENUM,           /* int */
	         CONF_MODE,           /* mode_t */
	         CONF_USER,           /* uid_t */
	         CONF_GROUP,          /* gid_t */
	         CONF_WORDS,          /* char **: names, NULL-terminated */
	         CONF_DATABASES,      /* char **: as policy/databases.h takes them, NULL-terminated */
	         CONF_NAME_PATTERNS,  /* char **: patterns of names, as files' globs, NULL-terminated */
	         CONF_PATTERNS,       /* char **: patterns as pg_dump takes them, NULL-terminated */
	         CONF_FILE_PATTERNS,  /* char **: patterns of paths below a directory, NULL-terminated */
	         CONF_SUBDIRECTORIES, /* char *: a pattern of directories below another; ends in '/' */
	         CONF_COMPRESSION,    /* struct compression_choice */
	         CONF_RATE,           /* uint64_t, bytes per second; 0: none */
	         CONF_SCHEDULE,       /* char *: as schedule_parse() takes it */
	         CONF_TIMEZONE,       /* char *: of a time zone; may be "" */
	         CONF_ADDRESSES,      /* char **: addresses of mail, NULL-terminated */
	         CONF_ADDRESS,        /* char *: one of them; may be empty */
	         CONF_MAIL_SERVER,    /* char *: smtp[s]://host[:port] */
	         CONF_WEB_URL,        /* char *: http[s]://host[:port][/path][?query] */
	         CONF_HEADERS,        /* char **: "Name: value", NULL-terminated */
	         CONF_EVENTS,         /* uint32_t: a set of conf/events.h */
	         CONF_TEMPLATE,       /* char *: a name, or an absolute path */
	         CONF_BLACKOUT,       /* char *: as blackout_parse() takes it; may be "" */
	         CONF_QUERY,          /* char *: as databases_are_query() takes it */
	         CONF_COLUMN,         /* char *: TABLE.COLUMN, SCHEMA.TABLE.COLUMN; may be "" */
	         CONF_COLUMNS,        /* char **: the same, and COLUMN alone, NULL-terminated */
	         CONF_TABLE_PATTERNS, /* char **: TABLE, SCHEMA.TABLE, with * and ?, NULL-terminated */
	         CONF_REFERENCES,     /* char **: as policy/tenancy.h takes them, NULL-terminated */
	         CONF_REDACTIONS, /* char **: rules of columns as policy/redaction.h takes them, NULL-terminated */
	         CONF_COLUMN_PATTERNS, /* char **: the same without how, NULL-terminated */
	         CONF_TYPE_REDACTIONS, /* char **: rules of types, NULL-terminated */
	         CONF_SETTINGS,        /* char **: "name=value", NULL-terminated */
	         CONF_ADMINS,          /* char **: "slug:user", "slug:@group", NULL-terminated */
	         CONF_RECIPIENTS,    /* char **: public keys of age, or CONF_ENCRYPT_NONE; NULL-terminated */
	         CONF_CONTROL_RULES, /* char **: "restore:user", "*:@group", NULL-terminated */
	         CONF_CLASSES,       /* char **: steps as policy/classes.h takes them, NULL-terminated */
	         CONF_PEOPLE,        /* char **: "user", "@group", NULL-terminated */
	         CONF_TENANT_NAME,   /* char *: a text with {id} or {slug} in it */
};

struct conf_choice { /* a word of a CONF_ENUM; ends with a NULL word */
	const char *word;
	int value;
};

struct conf_key {
	enum conf_key_set set; /* it is a key of each section that has this set */
	const char *name;
	enum conf_type type;
	size_t offset;        /* of the field, in the section's struct */
	const char *fallback; /* the default, as it would stand in the file; NULL: see @computed */
	const char *computed; /* for people: what the default is when it depends on the environment */
	int64_t min, max;     /* CONF_INT, CONF_BYTES, CONF_DURATION, CONF_RATE; both included */
	const char *zero;     /* CONF_INT, CONF_DURATION: the word that stands for 0; NULL: there is none */
	const char *never;    /* CONF_DURATION: the word that stands for -1; NULL: there is none */
	const struct conf_choice *choices; /* CONF_ENUM */
	/* other programs' environment variables that apply before the default, first wins; for an s3:// store
	 * only */
	const char *also[3];
	bool required;    /* there is no default; @example stands for it after a problem was told */
	bool secret;      /* never shown */
	bool credential;  /* of the store or of a receiver of notices: children do not get its variable */
	bool secret_file; /* the path of a file that holds a secret */
	const char *
	        instead_of; /* the key in whose place this one may be set: "password" of "password_file"; NULL */
	bool comes_before; /* may be set beside @instead_of, and wins: as it was before there were rules */
	bool s3_only;      /* contradicts a dir: store */
	bool reload;  /* of a single section: a daemon that runs can take another value; jobs always do */
	bool trigger; /* a trigger may change it for its run */
	bool filter;  /* says what of all there is a job keeps */
	bool policy;  /* says when backups are made, or which stay */
	const char *example; /* what the template shows; NULL: the default */
	const char *help;    /* whole sentences, for administrators */
};

extern const struct conf_key conf_keys[];
extern const size_t conf_key_count;

/** conf_key_applies() - has the section this key? */
bool conf_key_applies(const struct conf_key *key, enum conf_section section);
/** conf_key_find() - the index of a key, -1 when the section has none of this name. */
int conf_key_find(enum conf_section section, const char *name);
/** conf_key_env() - append the name of the variable that overrides a section's key; @item (the name of a named
 * section as it is, or "<NAME>" for documentation) is not used for a single one. */
void conf_key_env(enum conf_section section, const struct conf_key *key, const char *item, struct str *out);
/** conf_env_word() - append @word as it stands in a variable: "A_B" for "a-b". */
void conf_env_word(struct str *out, const char *word);
/** conf_variable_shape() - append what a section's variables look like: "KEEPFS_BACKUP_<NAME>_<KEY>". */
void conf_variable_shape(enum conf_section section, struct str *out);
