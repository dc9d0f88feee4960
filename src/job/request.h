// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What a run is to do: a job, as its order changes it, and a note; the run's own, while orders are borrowed. Pure. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/job.h>

struct request {
	struct conf_job *job; /* a copy, with what was asked for */
	bool partial;         /* it leaves out what the job would dump */
	char *note;           /* NULL: none */
	/* the keys but for the note, each value as it is always written: "jobs=2 compression=gzip:6"; NULL:
	 * none */
	char *options;
};

void request_finish(struct request *r);
static inline void cleanup_request(struct request *r)
{
	request_finish(r);
}

/** request_init() - Return: 0; -EINVAL with what is wrong with @order and what is allowed. */
int request_init(const struct jobs_order *order, struct request *ret, struct error *err);
