// SPDX-License-Identifier: Apache-2.0
#include "counting.h"

#include <errno.h>

int counting_write(void *arg, const void *data, size_t len, struct error *err)
{
	struct counting *c = arg;

	if (c->blobs)
		c->found.bytes += len;
	else
		rows_scan_feed(c->rows, data, len);
	return 0;
}

int counting_end(struct counting *c, struct expected *expected, struct error *err)
{
	bool sound = c->blobs || rows_scan_end(c->rows, &c->found);
	struct rows found = c->found;

	c->found = (struct rows){0};
	if (!sound)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the rows of a table are cut off");
	return expected_check(expected, &found, c->blobs, err);
}
