// SPDX-License-Identifier: Apache-2.0
#include "prove.h"

#include <keepfs/artifact.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/keyring.h>

#include <errno.h>

static const struct {
	const char *kind, *format;
	int (*prove)(struct backup *b, struct error *err);
} provers[] = {
        {"dump", "custom", prove_custom},
        {"dump", "directory", prove_directory},
        {"dump", "plain", prove_sql},
        {"files", "tar", prove_tar},
};

static int prove_structure(struct backup *b, struct error *err)
{
	const char *format = manifest_fact(&b->m, "format");

	for (size_t i = 0; i < ARRAY_SIZE(provers); i++)
		if (str_equal(provers[i].kind, b->m.kind) && str_equal(provers[i].format, format))
			return provers[i].prove(b, err);
	return 1;
}

/* One bad read must not be the end of a backup. */
static int read_manifest_twice(struct backup *b, struct manifest *m, struct error *err)
{
	int r = artifact_read_manifest(b->ctx->repository, b->path, b->cancel, m, err);

	return r == -EBADMSG ? artifact_read_manifest(b->ctx->repository, b->path, b->cancel, m, err) : r;
}

/* Without it the backup would be lost with the catalog. That it is missing is told as the comparison tells it, which takes that back when
 * it is there again: its bytes may be. */
static int prove_manifest(struct backup *b, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	int r = read_manifest_twice(b, &m, err);

	b->is_unsound = false;
	if (r == -ENOENT) {
		catalog_set_missing(b->ctx->repository->catalog, b->ino, true, NULL);
		return error_set(err, ERROR_CONFLICT, ENOENT, "the store has no manifest of it any more");
	}
	if (r < 0)
		return r;
	if (m.run_id == b->m.run_id && m.size_bytes == b->m.size_bytes && str_equal(m.sha256, b->m.sha256))
		return 0;
	return error_set(
	        err, ERROR_CONFLICT, EEXIST,
	        "the store's manifest of %s is not that of the backup which the catalog lists: another keepfs has written it, "
	        "or the catalog is an old one; 'keepfs rebuild' makes it anew",
	        b->path);
}

int prove(struct backup *b, enum proof_level wanted, enum proof_level *ret, struct error *err)
{
	int structure = 1, r = prove_manifest(b, err);

	/* That every byte is what was sent can be seen without a key. */
	b->as_stored = wanted == PROOF_BYTES || !keyring_can_read(b->ctx->repository->keyring);
	if (b->m.encrypted_to && b->as_stored)
		wanted = PROOF_BYTES;
	if (r == 0 && wanted >= PROOF_STRUCTURE)
		structure = r = prove_structure(b, err);
	if (r >= 0)
		r = backup_read_rest(b, structure == 0, err);
	if (r == 0)
		*ret = structure == 0 ? PROOF_STRUCTURE : PROOF_BYTES;
	return r;
}
