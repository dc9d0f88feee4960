// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * In which storage class the bytes of artifacts are, as far as is known here; the store's word is the truth. What nobody has looked at has no row: it is where it was put. Rows go with their
 * artifacts. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

#define CATALOG_CLASS_BYTES 32

/** struct catalog_class - of one artifact: of its objects that are large enough to be moved. */
struct catalog_class {
	uint64_t ino;
	char path[512];                   /* out: of the artifact */
	char name[CATALOG_CLASS_BYTES];   /* "": it is not known */
	uint64_t bytes;                   /* of the objects in it */
	int64_t since_us;                 /* when that was found, or done */
	bool is_frozen;                   /* it has to be thawed before it can be read */
	char wanted[CATALOG_CLASS_BYTES]; /* the step of class_after that was done; "": none */
	char moving
	        [CATALOG_CLASS_BYTES]; /* it is being moved there: a crash may leave an upload of one of its objects; "": it is not */
	int64_t next_try_us; /* a move failed, and is not tried before then; 0: none did */
	int64_t failures;    /* of the move, in a row */
	char why[512];       /* the last of them */
	int64_t thaw_at_us;  /* when thawing was asked for; 0: it was not, or is over */
	int64_t thaw_days;
	char thaw_tier[16];
	int64_t asked_at_us;    /* when the store was asked how it stands */
	int64_t ready_until_us; /* it is thawed, and can be read until then; 0: it is not, as far as is known */
};
/** catalog_class_of() - -ENOENT: nobody has looked at it, or there is no such artifact. */
int catalog_class_of(struct catalog *c, uint64_t ino, struct catalog_class *ret);
/** catalog_set_class() - the row of @row->ino is this from now on (but for its path). An artifact that is not listed any more gets none: 0. */
int catalog_set_class(struct catalog *c, const struct catalog_class *row, struct error *err);
/** catalog_note_frozen() - a read found out that it is frozen in @name. */
int catalog_note_frozen(struct catalog *c, uint64_t ino, const char *name, int64_t now_us, struct error *err);
/** catalog_next_frozen() - the first behind @after_ino (0: of all) of those that are frozen; -ENOENT: there are no more. */
int catalog_next_frozen(struct catalog *c, uint64_t after_ino, struct catalog_class *ret);

/** struct catalog_class_step - what is due: artifacts of a job that came to be (a pack: the youngest artifact that needs it) within a time. */
struct catalog_class_step {
	const char *job;
	const char *class; /* where they are to be */
	bool is_archive; /* only those of which no copy is still to be made, since it could not be read for that */
	int64_t from_us; /* that came to be behind this, and at */
	int64_t to_us;   /* this at the latest */
	int64_t now_us;
};
/** catalog_next_to_move() - the oldest that is not there, as far as is known, and is not put off; never one that is damaged, or frozen in another class: of one that is frozen there some may be left to move. -ENOENT: none. */
int catalog_next_to_move(struct catalog *c, const struct catalog_class_step *step, uint64_t *ret_ino);
/** catalog_next_class_time() - when the next artifact of @job comes to be older than @after_us, or one that was put off is tried again; -ENOENT: none does. */
int catalog_next_class_time(struct catalog *c, const char *job, int64_t after_us, int64_t now_us,
                            int64_t *ret_us);
/** catalog_next_moving() - one that an earlier process was moving when it ended; -ENOENT: none. */
int catalog_next_moving(struct catalog *c, uint64_t after_ino, struct catalog_class *ret);

/** struct catalog_class_sum - what is in one class. */
struct catalog_class_sum {
	char name[CATALOG_CLASS_BYTES];
	uint64_t artifacts, bytes;
	uint64_t frozen; /* of the artifacts: they cannot be read as they are */
};
/** catalog_each_class() - call @row for each class that something is in, by name. */
int catalog_each_class(struct catalog *c, void (*row)(void *arg, const struct catalog_class_sum *sum),
                       void *arg);
/** struct catalog_class_failing - moves that fail. */
struct catalog_class_failing {
	uint64_t count;
	char path[512]; /* of the first */
	char why[512];
};
/** catalog_class_failing() - count 0: none does. */
int catalog_class_failing(struct catalog *c, struct catalog_class_failing *ret);
