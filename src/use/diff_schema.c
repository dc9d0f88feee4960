// SPDX-License-Identifier: Apache-2.0
#include "diff_private.h"
#include "schema_diff.h"

static int write_compared_schema(struct diff *d, enum diff_side side, struct spool *out, struct error *err)
{
	int r = inside_write_schema(d->backups[side].dump, d->options.cancel, out, err);

	diff_note_failure(d, side, r);
	if (r < 0)
		error_prefix(err, "%s", d->backups[side].path);
	return r;
}

int diff_schema(struct diff *d, struct spool *out, struct error *err)
{
	_cleanup(spool) struct spool *a = spool_new(d->options.state_dir),
	                             *b = spool_new(d->options.state_dir);
	int r = write_compared_schema(d, DIFF_A, a, err);

	if (r == 0)
		r = write_compared_schema(d, DIFF_B, b, err);
	return r < 0 ? r : schema_diff_write(d->options.state_dir, a, b, d->options.cancel, out, err);
}
