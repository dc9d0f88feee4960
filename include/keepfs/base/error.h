// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Errors. A function that can fail returns 0 or a negative errno, which callers pass on unchanged; a positive
 * return is a condition that the function's own contract names. Whatever crosses a boundary (store, database,
 * configuration, child process) also fills the caller's struct error, so that a person can be told what
 * happened and what to do. An error is logged once, where it stops: at the end of a run, in a reply to the
 * kernel, in main.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum error_class {
	ERROR_NONE,
	ERROR_USAGE,       /* the caller or the configuration is wrong: trying again cannot help */
	ERROR_DENIED,      /* credentials or rights */
	ERROR_NOT_FOUND,   /* the named thing does not exist */
	ERROR_CONFLICT,    /* it exists already, or is busy */
	ERROR_UNAVAILABLE, /* network, server trouble, throttling: later may work */
	ERROR_TIMEOUT,     /* a deadline passed */
	ERROR_CORRUPT,     /* bytes are not what they should be */
	ERROR_NO_SPACE,    /* disk, quota */
	ERROR_CANCELLED,   /* somebody asked to stop */
	ERROR_INTERNAL     /* a defect or an unexpected system error */
};
#define ERROR_CLASSES (ERROR_INTERNAL + 1)

/** struct error - in the caller's memory, zero-initialised (`struct error err = {0}`); holds nothing to
 * free. */
struct error {
	enum error_class class;
	int errnum;  /* positive errno */
	bool retry;  /* the same request may succeed later */
	bool damage; /* bytes of a backup were asked of the store, and are not those that were sent, by their checksum, or not there */
	int http_status;        /* 0 when no HTTP answer was involved */
	int64_t retry_after_ms; /* what the server asked for; 0 when it did not */
	char code[64];          /* remote code: S3's <Code>, an SQLSTATE; "" when there is none */
	char storage_class
	        [32]; /* the object is frozen in it: it has to be thawed before it can be read; "" otherwise */
	char request_id[96]; /* the server's name for the failed request, for its operator */
	const char *hint;    /* static: what to do, as @message says it at its end; NULL: nothing is known */
	char message[1536];  /* for people: what failed, why, what to do */
};

/**
 * error_set() - fill @err (NULL is allowed) and return -@errnum
 *
 * Replaces what @err held, but keeps nothing of it. Any thread.
 */
int error_set(struct error *err, enum error_class class, int errnum, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

/** error_prefix() - put "<text>: " before @err's message; a NULL or empty @err stays as it is. */
void error_prefix(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** error_system() - error_set() for a failed system call: class from @errnum, message "<text>:
 * <strerror>". */
int error_system(struct error *err, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** error_note_damage() - set @err->damage, where the checksum of bytes is wrong or the store has none of them: what a parser makes of bytes that
 * are right is no damage. NULL allowed. */
static inline void error_note_damage(struct error *err)
{
	if (err)
		err->damage = true;
}

/** error_class_name() - "denied", "timeout", …: static. */
const char *error_class_name(enum error_class class);
