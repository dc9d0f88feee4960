// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * One dump into one database of a server: what both a restore and a drill do. It knows nothing of swapping, of confirming, or of what was
 * in the database before; it never drops anything but with `clean`.
 */
#include <keepfs/inside/backup.h>

enum restore_content { RESTORE_ALL, RESTORE_SCHEMA, RESTORE_DATA };

struct restore_database_options { /* all borrowed */
	struct backup *backup;    /* open; of the kind "dump", in any of its formats */
	const char *
	        server; /* connection string; the database that it names is connected to only to make another one */
	const char *database; /* to restore into, on that server */
	bool create;    /* it is made, with the encoding, locale and settings of the dump; else it is there */
	bool is_closed; /* what is made only its owner and superusers may connect to */
	unsigned
	        jobs; /* connections that load data and build indexes; 0: as many as there are processors, at most 8 */
	enum restore_content content;
	const char *const *schemas; /* these alone; NULL-terminated, NULL: all */
	const char *const *tables;  /* these alone, "public.orders"; NULL-terminated, NULL: all */
	bool clean;                 /* what is restored is dropped first, where it exists */
	bool no_owner, no_privileges;
	bool no_extensions; /* they are there, or somebody else's to make: managed servers */
	bool counts_later; /* what is loaded is not held against .tables.csv: the caller does that, and tells what differs */
	bool keep_going; /* an error that is not harmless does not end it; it fails at its end all the same */
	/* Asked once, right before the first change at the server: what fails before it has changed nothing. Negative: it ends with that. NULL */
	int (*before_change)(void *arg, struct error *err);
	struct cancel *cancel;
	atomic_uint_least64_t *done_bytes; /* of the stored ones; NULL */
	void (*say)(void *arg,
	            const char *line); /* for the log: phases, what programs say; any thread; NULL */
	void *arg;
};

enum restore_made {
	RESTORE_MADE_NOTHING, /* also when a database of that name was there already: that one is somebody else's */
	RESTORE_MADE_UNKNOWN, /* the server was asked to, and its answer has not come */
	RESTORE_MADE_IT,
};

struct restore_outcome {        /* filled when it fails, too */
	enum restore_made made; /* with `create`: did this call make the database? */
	bool changed;           /* without `create`: something was changed, or may have been */
	uint64_t rows, bytes;   /* loaded: of tables, in COPY's text format, and of large objects */
	uint64_t harmless;      /* errors that mean nothing (a comment on an extension); each was said */
	uint64_t errors;        /* others, with keep_going */
	int64_t schema_us, data_us, indexes_us; /* what each phase took */
};

/**
 * restore_database() - blocks until it is restored, and everything that was written is committed
 * Return: 0: every entry of the dump that was wanted is there, and every row. Negative: @err tells what failed, and in which phase; the
 * database holds a part then, which is for the caller to drop or to name.
 */
int restore_database(const struct restore_database_options *options, struct restore_outcome *ret,
                     struct error *err);
