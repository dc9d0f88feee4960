// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "looking.h"

#include <keepfs/base/cancel.h>
#include <keepfs/codec/json.h>
#include <keepfs/use/diff.h>
#include <stdatomic.h>

struct comparison { /* of the command */
	struct looking looking;
	struct diff *diff;
	struct cancel cancel; /* set by a signal */
	atomic_uint_least64_t read_bytes;
	atomic_uint shown; /* percent that the terminal shows */
	bool shows_progress;
	bool json;
};

/** comparison_print_rows() - the rows of the table @name that differ; the exit status. */
int comparison_print_rows(struct comparison *c, const char *name);
/** comparison_heading() - a JSON object that begins with the two backups. */
struct json *comparison_heading(const struct comparison *c);
/** comparison_audit() - note that @what (a table, "--schema") of both was read; @r, @err: what became of it. */
void comparison_audit(const struct comparison *c, const char *what, int r, const struct error *err);
