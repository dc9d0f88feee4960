// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What one entry of an archive holds, counted as it passes. */
#include <keepfs/inside/expected.h>

struct counting {
	struct rows_scan *rows; /* the caller's to make and free */
	bool blobs;             /* large objects: bytes only */
	struct rows found;      /* of large objects: so far */
};

/** counting_write() - the next bytes of the entry; a struct counting is @arg. */
int counting_write(void *arg, const void *data, size_t len, struct error *err);
/** counting_end() - that was all of it: held against the next line of @expected. */
int counting_end(struct counting *c, struct expected *expected, struct error *err);
