// SPDX-License-Identifier: Apache-2.0
/* The file. It holds a tenant's data, with passwords when it comes out of a dump: it has no name as soon as it is open. */
#include "proving.h"
#include "restore_tenant.h"
#include "words.h"

#include <keepfs/artifact.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/inside/backup.h>
#include <keepfs/use/past.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define FILE_PREFIX "tenant-"
#define FILE_SUFFIX ".json.gz"

static int write_file_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	const struct tenant_file *f = arg;
	int r = fd_write_all(f->fd, data, len);

	return r < 0 ? error_system(err, -r, "the export cannot be copied to the local disk") : 0;
}

static int copy_backup(struct tenant_file *f, struct backup *b, struct error *err)
{
	const struct backup_out out = {.write = write_file_bytes, .arg = f};
	struct catalog_entry own;
	int r = backup_own(b, &own);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	return backup_read(b, &own, &out, err);
}

static int copy_export_with(struct tenant_file *f, const struct make_context *ctx,
                            const struct make_order *order, const struct catalog_entry *entry,
                            struct error *err)
{
	_cleanup(backup) struct backup b = {.ctx = ctx, .cancel = order->cancel};
	int r = backup_open(&b, entry->ino, err);

	if (r == 0)
		r = copy_backup(f, &b, err);
	if (r == 0)
		f->name = mem_strdup(b.path);
	return r;
}

static int copy_export(struct tenant_file *f, const struct make_context *ctx, const struct make_order *order,
                       const struct catalog_entry *entry, struct error *err)
{
	struct make_context own = *ctx;
	int r;

	f->fd = fd_open_unlinked(ctx->conf->state_dir);
	if (f->fd < 0)
		return error_system(err, -f->fd, "a file in %s", ctx->conf->state_dir);
	own.pool = pool_new(PROVING_POOL_BYTES);
	if (!own.pool)
		return error_system(err, ENOMEM, "there is no memory for reading the export");
	r = copy_export_with(f, &own, order, entry, err);
	pool_free(own.pool);
	return r;
}

static int file_of_export(struct tenant_file *f, const struct make_context *ctx,
                          const struct make_order *order, const struct restore_tenant_words *words,
                          struct error *err)
{
	_cleanup(free) char *path = words_path(words->from);
	struct catalog_entry entry;
	int r = words_find_backup(ctx->repository->catalog, path, &entry);

	if (r == -ENOENT)
		return error_set(err, ERROR_USAGE, EINVAL, "there is no export %.200s", path);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	r = artifact_keep(ctx->repository, entry.artifact_ino, order->run_id, "read to bring a tenant back",
	                  err);
	if (r < 0)
		return r;
	r = copy_export(f, ctx, order, &entry, err);
	artifact_let_go(ctx->repository, entry.artifact_ino, order->run_id);
	return r;
}

static int file_of_dump(struct tenant_file *f, const struct make_context *ctx, const struct make_order *order,
                        const struct restore_tenant_words *words, struct error *err)
{
	_cleanup(free) char *path =
	        mem_printf("%s/" FILE_PREFIX "%" PRId64 FILE_SUFFIX, ctx->conf->state_dir, order->run_id);
	_cleanup(past_result) struct past_result result = {0};
	_cleanup(manifest) struct manifest none = {0};
	const struct past_order past = {.tenant = words->tenant,
	                                .tenant_id = words->id,
	                                .backup = words->from,
	                                .path = path,
	                                .is_unredacted = true};
	int r = past_export(ctx, order, &past, &none, &result, err);

	if (r < 0)
		return r;
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	r = f->fd < 0 ? error_system(err, errno, "%s", path) : 0;
	unlink(path);
	f->name = mem_printf("%s of %s", words->tenant, result.backup);
	return r;
}

int tenant_file_open(struct tenant_file *f, const struct make_context *ctx, const struct make_order *order,
                     const struct restore_tenant_words *words, struct error *err)
{
	struct exported_source source;
	int r;

	*f = (struct tenant_file){.fd = -1};
	r = words->is_export ? file_of_export(f, ctx, order, words, err)
	                     : file_of_dump(f, ctx, order, words, err);
	if (r < 0)
		return r;
	source =
	        (struct exported_source){.path = f->name, .fd = f->fd, .temporary_dir = ctx->conf->state_dir};
	return exported_open(&source, order->cancel, &f->exported, err);
}

void tenant_file_close(struct tenant_file *f)
{
	exported_close(f->exported);
	if (f->fd >= 0)
		close(f->fd);
	free(f->name);
	*f = (struct tenant_file){.fd = -1};
}

void tenant_file_clear(const char *state_dir, const char *name)
{
	_cleanup(free) char *path = mem_printf("%s/%s", state_dir, name);

	if (str_starts(name, FILE_PREFIX) && str_ends(name, FILE_SUFFIX))
		unlink(path);
}
