// SPDX-License-Identifier: Apache-2.0
/* Packs of the repository: their objects as files of a reader. The catalog knows them; of a copy that is read by itself it has none, and what lies beside them in its store tells of them. */
#include "pack_object.h"

#include <keepfs/artifact.h>
#include <keepfs/artifact/sealed.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/name.h>

#include <errno.h>

static int read_pack_object(struct repository *repository, const char *path, struct cancel *cancel,
                            struct manifest *m, struct manifest_object *ret, struct error *err)
{
	size_t number;
	int r;

	manifest_finish(m);
	*m = (struct manifest){0};
	r = artifact_read_manifest_anywhere(repository, path, cancel, m, err);
	if (r < 0) {
		error_prefix(err, "the pack %s", path);
		return r;
	}
	number = m->file_count == 1 ? m->files[0].object : MANIFEST_NO_OBJECT;
	if (number == MANIFEST_NO_OBJECT)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the manifest of %s is not that of a pack",
		                 path);
	*ret = m->objects[number];
	m->objects[number] = (struct manifest_object){0};
	return 0;
}

static int find_pack_object(struct repository *repository, const char *path, struct cancel *cancel,
                            struct manifest *m, struct manifest_object *ret, struct error *err)
{
	struct catalog *catalog = repository->catalog;
	uint64_t ino = ino_of_artifact(path);
	int r = catalog_manifest(catalog, ino, m);

	if (r == 0)
		r = catalog_object(catalog, ino, ret);
	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	if (r == -ENOENT)
		r = read_pack_object(repository, path, cancel, m, ret, err);
	if (r < 0)
		return r;
	return sealed_is_known(ret) ? 0 : sealed_refuse_unknown(ret, path, err);
}

int pack_object_open(struct repository *repository, struct reader *reader, const char *path,
                     struct cancel *cancel, struct runs_object *ret, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(manifest_object) struct manifest_object object = {0};
	_cleanup(store) struct store *store = NULL;
	struct sealed_object sealed;
	struct reader_layout *layout = NULL;
	struct reader_what what;
	int r = find_pack_object(repository, path, cancel, &m, &object, err);

	if (r == 0)
		r = repository_reading_store_of_ino(repository, ino_of_artifact(path), &store, err);
	if (r < 0)
		return r;
	sealed = (struct sealed_object){.repo = repository,
	                                .store = store,
	                                .object = &object,
	                                .what = path,
	                                .encrypted_to = m.encrypted_to,
	                                .cancel = cancel};
	r = sealed_layout(&sealed, &layout, err);
	if (r < 0)
		return r;
	ret->bytes = layout ? cells_plain_bytes(&layout->cells, object.extents.total_bytes)
	                    : object.extents.total_bytes;
	what = (struct reader_what){.store = take_ptr(&store),
	                            .ino = ino_of_artifact(path),
	                            .key = object.key,
	                            .extents = &object.extents,
	                            .layout = layout,
	                            .stored_sha256 = object.stored_sha256};
	return reader_open(reader, &what, &ret->file, err);
}

static int open_repository_pack(void *arg, struct reader *reader, const struct runs_pack *pack,
                                struct cancel *cancel, struct runs_object *ret, struct error *err)
{
	const struct repository_packs *of = arg;
	uint64_t ino = ino_of_artifact(pack->path);
	int r;

	/* An object that another one takes the place of stays until it is closed. */
	artifact_open_begin(of->repository, ino);
	r = pack_object_open(of->repository, reader, pack->path, cancel, ret, err);
	if (r < 0)
		artifact_open_end(of->repository, ino);
	return r;
}

static void close_repository_pack(void *arg, const struct runs_pack *pack)
{
	const struct repository_packs *of = arg;

	artifact_open_end(of->repository, ino_of_artifact(pack->path));
}

struct runs_packs runs_packs_of_repository(struct repository_packs *of)
{
	return (struct runs_packs){.open = open_repository_pack, .close = close_repository_pack, .arg = of};
}
