// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What a trigger asks for: a job, as its keys change it, and a note. Pure. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/conf.h>

#define NOTE_MAX_BYTES 200

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

/** request_parse() - @text as written to control/trigger. Return: 0; -EINVAL with what is wrong and what is
 * allowed. */
int request_parse(const struct conf *conf, const char *text, struct request *ret, struct error *err);
