// SPDX-License-Identifier: Apache-2.0
/* A file of an archive for who has the store alone. The store is listed, so that "it is not there" is its word, and no catalog's that may be older. */
#include "wal_private.h"

#include <keepfs/base/clock.h>

#include <errno.h>

static int locate_patiently(const struct wal_get *how, const char *job, const char *name,
                            struct store_object *ret, struct error *err)
{
	const struct store_call call = {.cancel = how->cancel};
	int64_t until_ms = clock_mono_ms() + how->patience_ms;
	struct error why = {0};
	int r;

	do {
		r = wal_locate(how->store, &call, job, name, ret, &why);
	} while (wal_tries_again(how->cancel, until_ms, &r, &why));
	if (r < 0 && err)
		*err = why;
	return r;
}

int wal_get(const struct wal_get *how, const char *job, const char *name, struct error *err)
{
	struct store_object object;
	struct wal_fetching f;
	struct wal_name parsed;
	int r;

	/* A server asks for names that no archive has, to be told so. */
	if (wal_name_parse(name, &parsed) < 0)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "'%s' is no name of WAL", name);
	r = locate_patiently(how, job, name, &object, err);
	if (r == -ENOENT)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "the archive of [cluster %s] has no %s", job,
		                 name);
	if (r < 0)
		return r;
	f = (struct wal_fetching){.store = how->store,
	                          .keyring = how->keyring,
	                          .pool = how->pool,
	                          .cancel = how->cancel,
	                          .patience_ms = how->patience_ms,
	                          .key = object.key,
	                          .stored_bytes = object.bytes};
	r = wal_fetch(&f, how->write, how->arg, err);
	/* It was listed a moment ago, so it is no end of the archive. */
	return r == -ENOENT
	               ? error_set(err, ERROR_CONFLICT, EIO, "%s is not in the store any more", object.key)
	               : r;
}
