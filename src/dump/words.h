// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What PostgreSQL's programs write to standard error. They run with LC_ALL=C, so their own words are English; what
 * they pass on of the server's is in the server's language. */
#include <keepfs/make.h>
#include <keepfs/pg.h>
#include <pthread.h>

/** struct words_warning - one of pg_dump's warnings, with the details and hints behind it */
struct words_warning {
	char *text; /* heap */
	size_t times;
};

/** struct warnings - of one run of a program, each text once; zero-initialised, but for its lock */
struct warnings {
	pthread_mutex_t lock;
	struct words_warning *items; /* lock, as all below */
	size_t count, cap;
	size_t left_out; /* which were too many to be kept */
	/* That the last line belongs to: one more than the index; 0: none. */
	size_t open;
};

void warnings_init(struct warnings *w);
void warnings_finish(struct warnings *w);
/** warnings_clear() - another run of a program begins. Any thread, as the next. */
void warnings_clear(struct warnings *w);
/** warnings_take() - a line of standard error; what is no warning is passed over. */
void warnings_take(struct warnings *w, const char *line);
/** warnings_tell() - the run gets each of them as a warning of its own, or the first of many and their number. */
void warnings_tell(struct warnings *w, const struct make_order *order);

/**
 * words_attempt() - what a program that failed has asked the server for in vain
 * @said:          all that it wrote
 * @ret_statement: heap, what @ret points to; NULL: none
 * Return: there is something to repeat; false: it failed for a reason of its own, or its session is gone.
 */
bool words_attempt(const char *said, struct pg_attempt *ret, char **ret_statement);
