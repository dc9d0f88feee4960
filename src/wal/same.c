// SPDX-License-Identifier: Apache-2.0
/*
 * A file comes, and there is one of that name. An archiver hands over again what nobody told it was taken; that is the same file. Anything else means that two servers believe to be the one that writes this WAL.
 */
#include "wal_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>

/* What is known of the one that is there may be its name alone. */
static int know_content(struct wal *w, const struct catalog_wal *there, struct cancel *cancel,
                        struct catalog_wal *ret, struct error *err)
{
	struct wal_fetching f;
	struct wal_sums sums;
	int r;

	*ret = *there;
	if (there->sha256[0])
		return 0;
	wal_fetching_of(w, there, cancel, &f);
	/* The archiver asks again by itself, and notes that it had to. */
	f.patience_ms = 0;
	r = wal_fetch_sums(&f, &sums, err);
	if (r < 0) {
		error_prefix(err, "it is there already, and cannot be compared");
		return r == -ENOENT ? -EIO : r;
	}
	ret->bytes = sums.bytes;
	str_copy(ret->sha256, sizeof(ret->sha256), sums.sha256);
	return catalog_wal_learn_sums(w->options.repository->catalog, there->id, sums.bytes, sums.sha256,
	                              err);
}

int wal_compare_twins(struct wal *w, const struct wal_twin *t, struct cancel *cancel, char **ret_note,
                      struct error *err)
{
	struct catalog_wal there;
	int r = know_content(w, t->there, cancel, &there, err);

	if (r < 0)
		return r;
	if (there.bytes == t->bytes && str_equal(there.sha256, t->sha256)) {
		*ret_note = mem_printf("it was there already, with the same content");
		return 0;
	}
	return error_set(
	        err, ERROR_CONFLICT, EEXIST,
	        "it is there already with other content, and stays as it is: two servers write this WAL. Either a copy of the server archives, too (give it another archive_command, or none), or the old primary lives on beside the promoted one (stop one of them, and make a new base backup)");
}
