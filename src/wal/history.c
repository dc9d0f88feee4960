// SPDX-License-Identifier: Apache-2.0
/* What timelines came from is kept in the catalog as it arrives (arrival.c). Of what a listing has found it is read here. */
#include "wal_private.h"

#include <keepfs/base/log.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/wal_keep.h>
#include <keepfs/codec/wal_history.h>

#include <errno.h>

static int take_history_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	struct str *text = arg;

	if (text->len + len > WAL_TEXT_BYTES_MAX)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "it is too long for a history");
	str_append_bytes(text, data, len);
	return 0;
}

static int learn_one_history(struct wal_learning *l, const struct catalog_wal *row, struct error *err)
{
	const struct wal_fetching f = {.store = repository_store(l->repository),
	                               .keyring = l->repository->keyring,
	                               .pool = l->pool,
	                               .cancel = l->cancel,
	                               .key = row->key,
	                               .stored_bytes = row->stored_bytes};
	_cleanup(str) struct str text = {0};
	struct wal_name name = {0};
	int r = wal_fetch(&f, take_history_bytes, &text, err);

	(void)wal_name_parse(row->name, &name);
	return r < 0 ? r
	             : catalog_wal_set_history(l->repository->catalog, row->job, name.timeline,
	                                       str_text(&text), text.len, err);
}

int wal_learn_histories(struct wal_learning *l, struct error *err)
{
	struct catalog_wal row = {0};
	int r, result = 0;

	while ((r = catalog_wal_unread_history(l->repository->catalog, row.id, &row)) == 0) {
		struct error why = {0};

		r = learn_one_history(l, &row, &why);
		if (r == -ECANCELED)
			return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
		if (r < 0 && result == 0 && err)
			*err = why;
		result = r < 0 && result == 0 ? r : result;
	}
	if (r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	return result;
}
