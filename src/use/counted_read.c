// SPDX-License-Identifier: Apache-2.0
#include <keepfs/use/counted.h>

#include "words.h"

#include <keepfs/inside/backup.h>

#include <errno.h>

static int feed_counted_text(void *arg, const void *data, size_t len, struct error *err)
{
	return use_counting_feed(arg, data, len, err);
}

int use_counting_read(struct use_counting *c, const struct make_context *ctx, const char *path,
                      struct cancel *cancel, struct error *err)
{
	_cleanup(backup) struct backup b = {.ctx = ctx, .cancel = cancel};
	const struct backup_out out = {.write = feed_counted_text, .arg = c};
	struct catalog_entry entry, file;
	int r = words_find_backup(ctx->repository->catalog, path, &entry);

	if (r == 0)
		r = backup_open(&b, entry.ino, err);
	if (r == 0)
		r = backup_find(&b, "tables.csv", &file);
	if (r == -ENOENT)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "%s has no .tables.csv", path);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	return backup_read(&b, &file, &out, err);
}
