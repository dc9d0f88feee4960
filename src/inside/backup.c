// SPDX-License-Identifier: Apache-2.0
#include <keepfs/inside/backup.h>

#include <keepfs/artifact/class.h>
#include <keepfs/artifact/sealed.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/classes.h>
#include <keepfs/catalog/needs.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/codec/listing.h>
#include <keepfs/codec/decompression.h>

#include <errno.h>
#include <string.h>

#define PAGE_ENTRIES 64

static int open_artifact(struct backup *b, const struct catalog_entry *entry)
{
	struct catalog *catalog = b->ctx->repository->catalog;

	b->is_directory = entry->is_directory;
	b->damage = catalog_damage(catalog, b->ino);
	b->files_damage = catalog_files_damage(catalog, b->ino);
	b->files = entry->is_directory ? entry->files : MANIFEST_BESIDE_MAX;
	return catalog_manifest(catalog, b->ino, &b->m);
}

static int open_part(struct backup *b)
{
	struct catalog *catalog = b->ctx->repository->catalog;
	struct catalog_part part;
	int r = catalog_part(catalog, b->ino, &part, &b->m);

	if (r < 0)
		return r;
	b->is_part = true;
	b->is_directory = part.is_directory;
	b->first = part.first;
	b->files = part.files;
	b->damage = catalog_part_damage(catalog, &part);
	return 0;
}

/* A copy in a further store may be read in its place. */
static bool may_be_read_elsewhere(const struct backup *b)
{
	struct catalog *catalog = b->ctx->repository->catalog;
	_cleanup(free) char *path = b->own_store ? NULL : catalog_replicated_path(catalog, b->artifact_ino);
	uint64_t store;

	return path && catalog_whole_replica(catalog, path, 0, &store) == 0;
}

struct frozen_packs {
	const struct backup *b;
	bool found;
	struct error *why;
};

static void look_at_pack(void *arg, uint64_t pack_ino)
{
	struct frozen_packs *p = arg;

	p->found = p->found || artifact_look_frozen(p->b->ctx->repository, pack_ino, p->b->cancel, NULL,
	                                            p->why) == ARTIFACT_FROZEN;
}

/* What a state of a mirror shows is in its packs. Who looks whether the store has its bytes comes to them one by one. */
static bool has_frozen_packs(const struct backup *b, struct error *why)
{
	struct catalog *catalog = b->ctx->repository->catalog;
	struct frozen_packs p = {.b = b, .why = why};
	struct catalog_class any;
	uint64_t missing = 0;

	if (b->own_store || !listing_is_kind(b->m.kind) || catalog_next_frozen(catalog, 0, &any) < 0)
		return false;
	(void)catalog_each_needed_pack(catalog, b->artifact_ino, look_at_pack, &p, &missing);
	return p.found;
}

/* Before anything begins that it would break off. What is not known to be frozen is found out by reading. */
static int refuse_frozen(const struct backup *b, struct error *err)
{
	struct error why = {0};

	if ((artifact_look_frozen(b->ctx->repository, b->artifact_ino, b->cancel, NULL, &why) !=
	             ARTIFACT_FROZEN &&
	     !has_frozen_packs(b, &why)) ||
	    may_be_read_elsewhere(b))
		return 0;
	if (err)
		*err = why;
	return -EIO;
}

int backup_open(struct backup *b, uint64_t ino, struct error *err)
{
	struct catalog *catalog = b->ctx->repository->catalog;
	struct catalog_entry entry = {0};
	int r = catalog_entry_by_ino(catalog, ino, &entry);

	b->ino = ino;
	b->artifact_ino = r == 0 && entry.artifact_ino ? entry.artifact_ino : ino;
	artifact_open_begin(b->ctx->repository, b->artifact_ino);
	b->opened_in = b->ctx->repository;
	if (r == 0)
		r = entry.kind == CATALOG_ARTIFACT ? open_artifact(b, &entry) : open_part(b);
	if (r == 0)
		b->path = catalog_path(catalog, ino);
	if (r == 0 && !b->path)
		r = -ENOENT;
	if (r < 0)
		return error_system(err, -r, "the backup cannot be found in the catalog");
	b->was_read = mem_alloc(b->files / 8 + 1);
	return refuse_frozen(b, err);
}

void backup_finish(struct backup *b)
{
	if (b->opened_in)
		artifact_open_end(b->opened_in, b->artifact_ino);
	b->opened_in = NULL;
	manifest_finish(&b->m);
	free(b->path);
	free(b->was_read);
	free(b->damage);
	free(b->files_damage);
	b->damage = NULL;
	b->files_damage = NULL;
	b->path = NULL;
	b->was_read = NULL;
}

bool backup_is_removed(const struct backup *b)
{
	struct catalog_entry entry;

	return catalog_entry_by_ino(b->ctx->repository->catalog, b->ino, &entry) == -ENOENT;
}

/* Of what has no store of its own any copy will do. */
static int read_whole_manifest(const struct backup *b, const char *path, struct manifest *ret,
                               struct error *err)
{
	return b->own_store ? artifact_read_manifest(b->ctx->repository, path, b->cancel, ret, err)
	                    : artifact_read_manifest_anywhere(b->ctx->repository, path, b->cancel, ret, err);
}

int backup_read_manifest(const struct backup *b, struct manifest *ret, struct error *err)
{
	struct repository *repository = b->ctx->repository;
	_cleanup(free) char *artifact =
	        b->is_part ? catalog_path(repository->catalog, b->artifact_ino) : NULL;
	_cleanup(manifest) struct manifest m = {0};
	ssize_t number;
	int r;

	if (!b->is_part)
		return read_whole_manifest(b, b->path, ret, err);
	if (!artifact)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "%s was removed", b->path);
	r = read_whole_manifest(b, artifact, &m, err);
	if (r < 0)
		return r;
	number = manifest_part(&m, b->path + strlen(artifact) + 1);
	if (number < 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the manifest of %s knows nothing of %s",
		                 artifact, b->path);
	manifest_become_part(&m, (size_t)number);
	*ret = m;
	m = (struct manifest){0};
	return 0;
}

int backup_set_proof(const struct backup *b, enum proof_level level, int64_t at_us, int64_t run_id,
                     struct error *err)
{
	return b->is_part ? 0
	                  : catalog_set_proof(b->ctx->repository->catalog, b->ino, level, at_us, run_id,
	                                      b->damage, err);
}

void backup_note_read(struct backup *b, const struct backup *part)
{
	for (size_t i = 0; i < part->files; i++) {
		size_t place = (size_t)part->first + i;

		if (part->was_read[i / 8] & 1U << i % 8 && place <= b->files)
			b->was_read[place / 8] |= (uint8_t)(1U << place % 8);
	}
}

bool backup_is_wrong(const struct error *err)
{
	return err->class == ERROR_CORRUPT || err->class == ERROR_NOT_FOUND;
}

int backup_own(const struct backup *b, struct catalog_entry *ret)
{
	return catalog_entry_by_ino(b->ctx->repository->catalog, b->ino, ret);
}

int backup_find(const struct backup *b, const char *what, struct catalog_entry *ret)
{
	_cleanup(free) char *stem = b->is_directory ? NULL : manifest_stem(b->path);
	_cleanup(free) char *path =
	        b->is_directory ? mem_printf("%s/%s", b->path, what) : mem_printf("%s.%s", stem, what);
	int r = catalog_entry_by_ino(b->ctx->repository->catalog, ino_of_artifact(path), ret);

	return r == 0 && (ret->kind != CATALOG_FILE || ret->artifact_ino != b->artifact_ino) ? -ENOENT : r;
}

int backup_find_data(const struct backup *b, const char *name, struct catalog_entry *ret, struct error *err)
{
	static const char *const endings[] = {"", ".gz", ".zst"};
	int r = -ENOENT;

	for (size_t i = 0; r == -ENOENT && i < ARRAY_SIZE(endings); i++) {
		_cleanup(free) char *file = mem_printf("%s%s", name, endings[i]);

		r = backup_find(b, file, ret);
	}
	if (r == -ENOENT)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the table of contents names the file %s, which the backup does not have",
		                 name);
	return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 0;
}

/* Reading. */

struct reading {
	struct backup *backup;
	const struct backup_out *out;
};

static int pass_on_read(void *arg, const void *data, size_t len, struct error *err)
{
	const struct reading *reading = arg;
	int r;

	if (rate_take(reading->backup->rate, len, reading->backup->cancel) < 0)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	r = reading->out && reading->out->write ? reading->out->write(reading->out->arg, data, len, err) : 0;
	reading->backup->is_unsound = r < 0;
	return r;
}

static int tell_wrong_digest(const struct manifest_object *object, const char *what, const char *found,
                             const char *published, struct error *err)
{
	error_set(err, ERROR_CORRUPT, EBADMSG,
	          "%s is damaged in the store: %s SHA-256 is %s, and not %s; do not rely on it", object->key,
	          what, found, published);
	error_note_damage(err);
	return -EBADMSG;
}

/* What was made with verify = none may have none that is known. */
static int check_digests(const struct backup *b, const struct catalog_entry *file,
                         const struct manifest_object *object, const struct sealed_digests *found,
                         struct error *err)
{
	char published[SHA256_HEX_BYTES] = "";
	int r = catalog_file_sha256(b->ctx->repository->catalog, file->ino, published);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (object->stored_sha256[0] && strcmp(object->stored_sha256, found->stored) != 0)
		return tell_wrong_digest(object, "its", found->stored, object->stored_sha256, err);
	if (object->cipher && b->as_stored)
		return 0;
	if (published[0] && strcmp(published, found->plain) != 0)
		return tell_wrong_digest(object, object->cipher ? "when it is decrypted its" : "its",
		                         found->plain, published, err);
	return 0;
}

int backup_object(const struct backup *b, uint64_t ino, const char *name, struct manifest_object *ret,
                  struct error *err)
{
	_cleanup(manifest_object) struct manifest_object object = {0};
	int r = catalog_object(b->ctx->repository->catalog, ino, &object);

	if (r == -ENOENT || (r == 0 && !sealed_is_known(&object)))
		return sealed_refuse_unknown(&object, name, err);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	*ret = object;
	object = (struct manifest_object){0};
	return 0;
}

static struct sealed_reading reading_of(const struct backup *b, const struct manifest_object *object)
{
	return (struct sealed_reading){
	        .of = {.repo = b->ctx->repository,
	               .object = object,
	               .what = b->path,
	               .encrypted_to = b->m.encrypted_to,
	               .cancel = b->cancel},
	        .pool = b->ctx->pool,
	        .done_bytes = b->done_bytes,
	};
}

int backup_store(const struct backup *b, struct store **ret, struct error *err)
{
	return b->own_store ? repository_store_of_ino(b->ctx->repository, b->ino, ret, err)
	                    : repository_reading_store_of_ino(b->ctx->repository, b->ino, ret, err);
}

static int read_from_store(const struct backup *b, struct sealed_reading *reading, struct sealed_digests *ret,
                           struct error *err)
{
	_cleanup(store) struct store *store = NULL;
	int r = backup_store(b, &store, err);

	reading->of.store = store;
	return r < 0 ? r : sealed_read(reading, ret, err);
}

int backup_read_object(const struct backup *b, const struct manifest_object *object,
                       int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                       struct error *err)
{
	struct sealed_reading reading = reading_of(b, object);
	struct sealed_digests ignored;

	reading.take = take;
	reading.arg = arg;
	return read_from_store(b, &reading, &ignored, err);
}

int backup_check_object(const struct backup *b, const struct manifest_object *object,
                        int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                        struct error *err)
{
	struct sealed_reading reading = reading_of(b, object);
	struct sealed_digests found;
	int r;

	reading.as_stored = object->cipher && b->as_stored;
	reading.take = take;
	reading.arg = arg;
	r = read_from_store(b, &reading, &found, err);
	if (r == 0 && object->stored_sha256[0] && strcmp(object->stored_sha256, found.stored) != 0)
		r = tell_wrong_digest(object, "its", found.stored, object->stored_sha256, err);
	return r;
}

static int read_object(struct backup *b, const struct catalog_entry *file,
                       const struct manifest_object *object, const struct backup_out *out, struct error *err)
{
	struct reading passing = {.backup = b, .out = out};
	struct sealed_reading reading = reading_of(b, object);
	struct sealed_digests found;
	int r;

	reading.as_stored = object->cipher && b->as_stored;
	reading.take = pass_on_read;
	reading.arg = &passing;
	r = read_from_store(b, &reading, &found, err);
	return r < 0 ? r : check_digests(b, file, object, &found, err);
}

static size_t place_of_file(const struct backup *b, const struct catalog_entry *file)
{
	if (b->is_directory || b->is_part)
		return (size_t)(file->sequence - b->first);
	return file->kind == CATALOG_ARTIFACT ? 0 : (size_t)(file->sequence % MANIFEST_BESIDE_MAX) + 1;
}

static void note_read(struct backup *b, const struct catalog_entry *file)
{
	size_t place = place_of_file(b, file);

	if (place <= b->files)
		b->was_read[place / 8] |= (uint8_t)(1U << place % 8);
}

int backup_read(struct backup *b, const struct catalog_entry *file, const struct backup_out *out,
                struct error *err)
{
	_cleanup(manifest_object) struct manifest_object object = {0};
	int r = backup_object(b, file->ino, file->name, &object, err);

	if (r < 0)
		return r;
	note_read(b, file);
	b->failed_ino = 0;
	b->is_unsound = false;
	r = read_object(b, file, &object, out, err);
	if (r < 0)
		b->failed_ino = file->ino;
	/* What fails from here on until another file is read is what they are. */
	b->is_unsound = b->is_unsound || r == 0;
	return r;
}

void backup_unread(struct backup *b)
{
	memset(b->was_read, 0, b->files / 8 + 1);
}

static bool is_compressed(const char *name, enum compression_method *ret)
{
	*ret = str_ends(name, ".zst") ? COMPRESSION_ZSTD : COMPRESSION_GZIP;
	return str_ends(name, ".zst") || str_ends(name, ".gz");
}

static int decompress(void *arg, const void *data, size_t len, struct error *err)
{
	return decompressor_write(arg, data, len, err);
}

static int drop_plain(void *arg, const void *data, size_t len, struct error *err)
{
	return 0;
}

int backup_read_plain(struct backup *b, const struct catalog_entry *file, const struct backup_out *out,
                      struct error *err)
{
	const struct decompressor_out plain = {.write = out && out->write ? out->write : drop_plain,
	                                       .arg = out ? out->arg : NULL};
	enum compression_method method;
	_cleanup(decompressor) struct decompressor *d = NULL;
	struct backup_out stored;
	int r;

	if (!is_compressed(file->name, &method))
		return backup_read(b, file, out, err);
	d = decompressor_new(method, &plain);
	stored = (struct backup_out){.write = decompress, .arg = d};
	r = backup_read(b, file, &stored, err);
	if (r == 0)
		r = decompressor_finish(d, err);
	if (r < 0 && b->failed_ino == 0)
		b->failed_ino = file->ino;
	if (r < 0 && err && err->class == ERROR_CORRUPT)
		error_prefix(err, "%s", file->name);
	return r;
}

static int read_unread(struct backup *b, const struct catalog_entry *file, bool plain, struct error *err)
{
	size_t place = place_of_file(b, file);

	/* An empty directory has no bytes. */
	if (file->is_directory || (place <= b->files && b->was_read[place / 8] & 1U << place % 8))
		return 0;
	return plain ? backup_read_plain(b, file, NULL, err) : backup_read(b, file, NULL, err);
}

/* Of a part its own file is one of them. */
static bool is_beyond(const struct backup *b, const struct catalog_entry *file)
{
	return b->is_part && file->sequence - b->first >= (int64_t)b->files;
}

int backup_read_rest(struct backup *b, bool plain, struct error *err)
{
	_cleanup(free) struct catalog_entry *files = mem_array(PAGE_ENTRIES, sizeof(*files));
	struct catalog *catalog = b->ctx->repository->catalog;
	struct catalog_entry own;
	int r = backup_own(b, &own);
	int64_t after = b->is_part ? b->first - 1 : -1;
	ssize_t count = 0;

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (!b->is_directory && !b->is_part)
		r = read_unread(b, &own, false, err);
	while (r == 0 &&
	       (count = catalog_artifact_files(catalog, b->artifact_ino, after, files, PAGE_ENTRIES)) > 0 &&
	       !is_beyond(b, &files[0])) {
		for (ssize_t i = 0; r == 0 && i < count && !is_beyond(b, &files[i]); i++)
			r = read_unread(b, &files[i], plain, err);
		after = files[count - 1].sequence;
	}
	if (r == 0 && count < 0)
		r = error_system(err, (int)-count, "the catalog cannot be read");
	return r;
}

int backup_read_range(const struct backup *b, const struct backup_range *range, struct error *err)
{
	struct sealed_reading reading = reading_of(b, range->object);

	reading.is_range = true;
	reading.begin = range->begin;
	reading.end = range->end;
	reading.take = range->take;
	reading.arg = range->arg;
	return read_from_store(b, &reading, NULL, err);
}
