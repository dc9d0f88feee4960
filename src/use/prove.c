// SPDX-License-Identifier: Apache-2.0
#include "prove.h"

#include <keepfs/artifact/sealed.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/codec/listing.h>
#include <keepfs/codec/segments.h>
#include <keepfs/keyring.h>

#include <errno.h>
#include <string.h>

#define UNSHOWN_MAX_BYTES ((uint64_t)8 << 20) /* an index has 4.5 MiB at most */

static const struct {
	const char *kind, *format;
	int (*prove)(struct backup *b, struct error *err);
} provers[] = {
        {"dump", "custom", prove_custom},
        {"dump", "directory", prove_directory},
        {"dump", "plain", prove_sql},
        {"files", "tar", prove_tar},
        {LISTING_KIND_MIRROR, NULL, prove_listing},
        {LISTING_KIND_BASE, NULL, prove_base},
};

static int prove_structure(struct backup *b, struct error *err);

/* Of a bundle: each part as if it was a backup of its own. What was read of them was read of the bundle. */
static int prove_parts(struct backup *b, struct error *err)
{
	struct catalog_part at;
	int64_t number = -1;
	int r = 0, found = 0;

	while (r >= 0 && catalog_next_part(b->ctx->repository->catalog, b->ino, number, &at) == 0) {
		_cleanup(backup) struct backup part = {.ctx = b->ctx,
		                                       .cancel = b->cancel,
		                                       .rate = b->rate,
		                                       .done_bytes = b->done_bytes,
		                                       .own_store = b->own_store};

		number = at.number;
		r = backup_open(&part, at.ino, err);
		if (r == 0)
			r = prove_structure(&part, err);
		if (r >= 0)
			backup_note_read(b, &part);
		else
			error_prefix(err, "%s", part.path ? part.path : "a part");
		found |= r > 0;
		b->failed_ino = part.failed_ino ? part.failed_ino : part.ino;
		b->is_unsound = part.is_unsound;
	}
	return r < 0 ? r : found;
}

static int prove_structure(struct backup *b, struct error *err)
{
	const char *format = manifest_fact(&b->m, "format");

	for (size_t i = 0; i < ARRAY_SIZE(provers); i++)
		if (str_equal(provers[i].kind, b->m.kind) && str_equal(provers[i].format, format))
			return provers[i].prove(b, err);
	if (str_equal(b->m.kind, "bundle"))
		return prove_parts(b, err);
	return 1;
}

/* One bad read must not be the end of a backup. */
static int read_manifest_twice(struct backup *b, struct manifest *m, struct error *err)
{
	int r = backup_read_manifest(b, m, err);

	return r == -EBADMSG ? backup_read_manifest(b, m, err) : r;
}

/* Without it the backup would be lost with the catalog. That it is missing is told as the comparison tells it, which takes that back when
 * it is there again: its bytes may be. */
static int prove_manifest(struct backup *b, struct manifest *ret, struct error *err)
{
	const struct manifest *m = ret;
	int r = read_manifest_twice(b, ret, err);

	b->is_unsound = false;
	if (r == -ENOENT) {
		if (b->own_store)
			catalog_set_missing(b->ctx->repository->catalog, b->artifact_ino, true, NULL);
		return error_set(err, ERROR_CONFLICT, ENOENT, "the store has no manifest of it any more");
	}
	if (r < 0)
		return r;
	if (m->run_id == b->m.run_id && m->size_bytes == b->m.size_bytes && str_equal(m->sha256, b->m.sha256))
		return 0;
	return error_set(
	        err, ERROR_CONFLICT, EEXIST,
	        "the store's manifest of %s is not that of the backup which the catalog lists: another keepfs has written it, "
	        "or the catalog is an old one; 'keepfs rebuild' makes it anew",
	        b->path);
}

/* Objects that no file shows. A backup can be restored without them, so what is wrong with them says nothing against it. */

static int keep_unshown(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static int look_at_segments(const struct str *data, struct error *err)
{
	_cleanup(segment_index) struct segment_index index = {0};
	int r = segment_index_decode((const uint8_t *)data->data, data->len, &index, err);

	return r == -ENOTSUP ? 0 : r;
}

static int look_at_facts(const struct str *data, struct error *err)
{
	_cleanup(manifest) struct manifest ignored = {0};

	return manifest_take_facts(&ignored, str_text(data), data->len, err);
}

static const struct {
	const char *role;
	int (*look)(const struct str *data, struct error *err);
} unshown[] = {
        {MANIFEST_ROLE_SEGMENTS, look_at_segments},
        {MANIFEST_ROLE_FACTS, look_at_facts},
};

/* What is of another role, or is longer than any that keepfs makes, is only held against its checksums. */
static int prove_unshown(struct backup *b, const struct manifest_object *o, bool looks, struct error *err)
{
	_cleanup(str) struct str data = {0};
	int (*look)(const struct str *, struct error *) = NULL;
	int r;

	for (size_t i = 0; looks && o->stored_bytes <= UNSHOWN_MAX_BYTES && i < ARRAY_SIZE(unshown); i++)
		if (str_equal(o->role, unshown[i].role))
			look = unshown[i].look;
	r = backup_check_object(b, o, look ? keep_unshown : NULL, &data, err);
	if (r == 0 && look && !(b->as_stored && o->cipher))
		r = look(&data, err);
	if (r < 0 && err && !strstr(err->message, o->key))
		error_prefix(err, "%s", o->key);
	return r;
}

/* Without it nothing of a mirror is found. */
static bool is_of_listing(const struct manifest_object *o)
{
	return str_equal(o->role, MANIFEST_ROLE_LISTING) || str_equal(o->role, MANIFEST_ROLE_LISTING_INDEX);
}

/* Of several the first that is wrong is told. */
static int prove_all_unshown(struct backup *b, const struct manifest *m, bool looks, struct error *err)
{
	for (size_t i = 0; i < m->object_count; i++) {
		const struct manifest_object *o = &m->objects[i];
		struct error why = {0};
		int r = o->role && sealed_is_known(o) ? prove_unshown(b, o, looks, &why) : 0;

		if (r < 0 && (!backup_is_wrong(&why) || is_of_listing(o))) {
			if (err)
				*err = why;
			return r;
		}
		if (r < 0 && b->beside.class == ERROR_NONE)
			b->beside = why;
	}
	return 0;
}

/* It is somebody else's: that every byte is what was sent can be seen all the same. */
static int prove_structure_with_keys(struct backup *b, struct error *err)
{
	struct error why = {0};
	int r = prove_structure(b, &why);

	if (r == -ENOKEY || r == -EKEYREJECTED) {
		b->as_stored = true;
		backup_unread(b);
		return 1;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

int prove(struct backup *b, enum proof_level wanted, enum proof_level *ret, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	int structure = 1, r = prove_manifest(b, &m, err);

	/* That every byte is what was sent can be seen without a key. */
	b->as_stored = wanted == PROOF_BYTES || !keyring_can_read(b->ctx->repository->keyring);
	if (b->m.encrypted_to && b->as_stored)
		wanted = PROOF_BYTES;
	if (r == 0 && wanted >= PROOF_STRUCTURE)
		structure = r = prove_structure_with_keys(b, err);
	if (r >= 0)
		r = backup_read_rest(b, structure == 0, err);
	if (r == 0)
		r = prove_all_unshown(b, &m, wanted >= PROOF_STRUCTURE, err);
	if (r == 0)
		*ret = structure == 0 ? PROOF_STRUCTURE : PROOF_BYTES;
	return r;
}
