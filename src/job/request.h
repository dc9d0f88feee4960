// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What a run is to do: a job, as its order changes it, and a note, or another work; the run's own, while orders are borrowed. Pure. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/job.h>

struct request {
	char *name;                   /* what the history calls its job */
	struct conf_job *job;         /* a copy, with what was asked for; NULL: another work */
	const struct make_kind *work; /* static; NULL: that of the job */
	struct command_line line;     /* of another work */
	bool partial;                 /* it leaves out what the job would dump */
	char *note;                   /* NULL: none */
	char *hold;                   /* why what it makes is held; NULL: it is not */
	int64_t keep_ms;              /* for how long it is promised; 0: it is not */
	char *database;               /* NULL: all */
	char *class;                  /* NULL: all */
	char **except_classes;        /* those with a schedule of their own; NULL-terminated, NULL: none */
	bool may_be_none;             /* of struct make_wanted */
	bool is_final;                /* of struct jobs_order */
	bool then_delete;             /* it has .then_delete */
	bool is_due;                  /* it has .due */
	/* the keys but for the note, each value as it is always written: "database=acme jobs=2 compression=gzip:6"; NULL:
	 * none */
	char *options;
};

void request_finish(struct request *r);
static inline void cleanup_request(struct request *r)
{
	request_finish(r);
}

/** request_is_line() - is @text UTF-8 without control characters, as a note must be? */
bool request_is_line(const char *text);
/** request_wanted() - which of the job's targets; borrowed from @r. */
struct make_wanted request_wanted(const struct request *r);

/** request_lane() - of which it is. */
enum make_lane request_lane(const struct request *r);

/** request_init() - @conf: of the order's job. Return: 0; -EINVAL with what is wrong with @order and what is allowed. */
int request_init(const struct conf *conf, const struct jobs_order *order, struct request *ret,
                 struct error *err);
