// SPDX-License-Identifier: Apache-2.0
/*
 * What is open of the states of mirrors: their listings, as open files of the reader, so that what is read of them comes through its checks and from its cache. A few states
 * are kept, since whoever lists one asks for the next page of it.
 */
#include "mirrored.h"

#include <keepfs/artifact/sealed.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/inside.h>

#include <errno.h>
#include <string.h>

#define KEPT_STATES     4
#define INDEX_MAX_BYTES ((uint64_t)256 << 20)

/* Reading here and now. */

struct mirrored_listing { /* an object that is read at any place */
	struct fs *fs;
	struct reader_file *file;
	uint64_t bytes;
};

static int read_listing(void *arg, struct cancel *cancel, uint64_t at, void *buf, size_t len,
                        struct error *err)
{
	const struct mirrored_listing *l = arg;
	const struct reader_now now = {.file = l->file,
	                               .cancel = cancel,
	                               .tags = &l->fs->read_tag,
	                               .what = "the listing of what is in it"};

	return reader_read_now(&now, at, buf, len, err);
}

static void close_listing(struct mirrored_listing *l)
{
	if (!l)
		return;
	reader_close(l->file, NULL);
	free(l);
}

static struct sealed_object sealed_listing(struct mirrored *m, const struct manifest *of, struct store *store,
                                           const struct manifest_object *object, struct cancel *cancel)
{
	return (struct sealed_object){.repo = m->fs->ctx.repository,
	                              .store = store,
	                              .object = object,
	                              .what = m->path,
	                              .encrypted_to = of->encrypted_to,
	                              .cancel = cancel};
}

/* How many bytes it has when it is decrypted. */
static uint64_t plain_listing_bytes(const struct reader_layout *layout, const struct manifest_object *object)
{
	return layout ? cells_plain_bytes(&layout->cells, object->extents.total_bytes)
	              : object->extents.total_bytes;
}

/* @object loses its extents. */
static int open_listing(struct mirrored *m, const struct manifest *of, struct manifest_object *object,
                        uint64_t part, struct cancel *cancel, struct mirrored_listing **ret,
                        struct error *err)
{
	_cleanup(store) struct store *store = NULL;
	struct reader_layout *layout = NULL;
	struct mirrored_listing *l;
	struct sealed_object sealed;
	struct reader_what what;
	int r = mirrored_store(m->fs, m->ino, m->copy, &store, err);

	if (r < 0)
		return r;
	sealed = sealed_listing(m, of, store, object, cancel);
	r = sealed_layout(&sealed, &layout, err);
	if (r < 0)
		return r;
	l = mem_alloc(sizeof(*l));
	l->fs = m->fs;
	l->bytes = plain_listing_bytes(layout, object);
	what = (struct reader_what){.store = take_ptr(&store),
	                            .ino = ino_of_mirrored(m->number, part),
	                            .key = object->key,
	                            .extents = &object->extents,
	                            .sha256 = layout ? "" : object->stored_sha256,
	                            .layout = layout,
	                            .stored_sha256 = object->stored_sha256};
	r = reader_open(m->fs->ctx.reader, &what, &l->file, err);
	if (r < 0) {
		free(l);
		return r;
	}
	*ret = l;
	return 0;
}

/* Opening a state. */

static struct manifest_object *object_at(struct manifest *m, const char *role, size_t *at)
{
	for (; *at < m->object_count; (*at)++)
		if (str_equal(m->objects[*at].role, role))
			return &m->objects[(*at)++];
	return NULL;
}

static int read_index_of(struct mirrored *m, const struct manifest *of, struct manifest_object *object,
                         uint64_t part, struct cancel *cancel, struct listing_index *ret, struct error *err)
{
	struct mirrored_listing *l = NULL;
	_cleanup(free) char *text = NULL;
	int r = open_listing(m, of, object, part, cancel, &l, err);

	if (r < 0)
		return r;
	if (l->bytes > INDEX_MAX_BYTES)
		r = error_set(err, ERROR_CORRUPT, EBADMSG, "the listing is damaged: its index is too long");
	text = mem_alloc(r == 0 ? l->bytes + 1 : 1);
	if (r == 0)
		r = read_listing(l, cancel, 0, text, l->bytes, err);
	if (r == 0)
		r = listing_index_decode(text, l->bytes, ret, err);
	close_listing(l);
	return r;
}

static int open_state_tree(struct mirrored *m, const struct manifest *of, struct manifest_object *listing,
                           struct manifest_object *index, struct cancel *cancel, struct error *err)
{
	const struct manifest_part *of_part = manifest_part_of_object(of, (size_t)(listing - of->objects));
	struct mirrored_tree *t = &m->trees[m->count];
	uint64_t part = MIRRORED_OBJECTS + 2 + 2 * m->count,
	         before = m->count > 0 ? mirror_tree_end(t[-1].tree) : 0;
	_cleanup(listing_index) struct listing_index x = {0};
	struct mirror_tree_source source = {.read = read_listing};
	int r = read_index_of(m, of, index, part, cancel, &x, err);

	if (r == 0)
		r = open_listing(m, of, listing, part + 1, cancel, &t->listing, err);
	if (r < 0)
		return r;
	m->count++;
	source.arg = t->listing;
	t->name = of_part ? mem_strdup(of_part->name) : NULL;
	t->job = mem_strdup(of_part ? of_part->job : of->job);
	return mirror_tree_new(&x, &source, before, &t->tree, err);
}

static int open_trees(struct mirrored *m, struct manifest *of, struct cancel *cancel, struct error *err)
{
	struct manifest_object *listing, *index;
	size_t at = 0, index_at = 0;
	int r = 0;

	while (r == 0 && m->count < MIRRORED_TREES_MAX &&
	       (listing = object_at(of, MANIFEST_ROLE_LISTING, &at)) &&
	       (index = object_at(of, MANIFEST_ROLE_LISTING_INDEX, &index_at))) {
		if (listing->cipher && m->fs->is_locked) {
			m->is_locked = true;
			m->stored_bytes[0] = listing->stored_bytes;
			m->stored_bytes[1] = index->stored_bytes;
			return 0;
		}
		m->trees = mem_resize(m->trees, m->count + 1, sizeof(*m->trees));
		m->trees[m->count] = (struct mirrored_tree){0};
		r = open_state_tree(m, of, listing, index, cancel, err);
	}
	return r;
}

void mirrored_close(struct mirrored *m)
{
	if (!m || atomic_fetch_sub(&m->refs, 1) != 1)
		return;
	artifact_open_end(m->fs->ctx.repository, m->ino);
	for (size_t i = 0; i < m->count; i++) {
		mirror_tree_free(m->trees[i].tree);
		close_listing(m->trees[i].listing);
		free(m->trees[i].name);
		free(m->trees[i].job);
	}
	free(m->trees);
	free(m->copy);
	free(m->path);
	free(m);
}

static int fill_mirrored(struct mirrored *m, struct cancel *cancel, struct error *err)
{
	struct repository *repository = m->fs->ctx.repository;
	_cleanup(manifest) struct manifest of = {0};
	int r = catalog_inside_number(repository->catalog, m->ino, &m->number, err);

	if (r == 0)
		r = mirrored_manifest(m->fs, m->path, m->copy, cancel, &of, err);
	return r == 0 ? open_trees(m, &of, cancel, err) : r;
}

/* Those that are kept. */

struct mirrored_states {
	pthread_mutex_t lock;
	struct mirrored *kept[KEPT_STATES]; /* lock: most recently used first */
};

struct mirrored_states *mirrored_states_new(void)
{
	struct mirrored_states *s = mem_alloc(sizeof(*s));

	pthread_mutex_init(&s->lock, NULL);
	return s;
}

struct mirrored_states *mirrored_states_free(struct mirrored_states *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < KEPT_STATES; i++)
		mirrored_close(s->kept[i]);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}

/* With the lock: out of its place, which is the next ones'. */
static struct mirrored *take_state(struct mirrored_states *s, uint64_t ino)
{
	for (size_t i = 0; i < KEPT_STATES && s->kept[i]; i++) {
		struct mirrored *found = s->kept[i];

		if (found->ino != ino)
			continue;
		memmove(&s->kept[i], &s->kept[i + 1], (KEPT_STATES - 1 - i) * sizeof(found));
		s->kept[KEPT_STATES - 1] = NULL;
		return found;
	}
	return NULL;
}

/* With the lock; what has no room any more is the caller's to close. */
static struct mirrored *put_kept_state(struct mirrored_states *s, struct mirrored *m)
{
	struct mirrored *out = s->kept[KEPT_STATES - 1];

	memmove(&s->kept[1], &s->kept[0], (KEPT_STATES - 1) * sizeof(m));
	s->kept[0] = m;
	return out;
}

/* The copy may have been made anew since, of another manifest. */
static bool is_as_it_was(const struct mirrored *m, const struct mirrored_copy *copy)
{
	return !m->copy == !copy && (!copy || str_equal(m->copy->manifest_sha256, copy->manifest_sha256));
}

static struct mirrored *find_kept_state(struct fs *fs, uint64_t ino, const struct mirrored_copy *copy)
{
	struct mirrored_states *s = fs->mirrored;
	struct mirrored *found, *old = NULL;

	pthread_mutex_lock(&s->lock);
	found = take_state(s, ino);
	if (found && !is_as_it_was(found, copy)) {
		old = found;
		found = NULL;
	}
	if (found) {
		put_kept_state(s, found);
		atomic_fetch_add(&found->refs, 1);
	}
	pthread_mutex_unlock(&s->lock);
	mirrored_close(old);
	return found;
}

static void keep_state(struct fs *fs, struct mirrored *m)
{
	struct mirrored_states *s = fs->mirrored;
	struct mirrored *other, *out;

	atomic_fetch_add(&m->refs, 1);
	pthread_mutex_lock(&s->lock);
	other = take_state(s, m->ino);
	out = put_kept_state(s, m);
	pthread_mutex_unlock(&s->lock);
	mirrored_close(other);
	mirrored_close(out);
}

void mirrored_forget(struct fs *fs, uint64_t artifact_ino)
{
	struct mirrored *out;

	pthread_mutex_lock(&fs->mirrored->lock);
	out = take_state(fs->mirrored, artifact_ino);
	pthread_mutex_unlock(&fs->mirrored->lock);
	mirrored_close(out);
}

int mirrored_open(struct fs *fs, uint64_t artifact_ino, struct cancel *cancel, struct mirrored **ret,
                  struct error *err)
{
	_cleanup(free) struct mirrored_copy *copy = mirrored_copy_of(fs, artifact_ino);
	_cleanup(mirrored) struct mirrored *m = find_kept_state(fs, artifact_ino, copy);
	int r;

	if (!m) {
		m = mem_alloc(sizeof(*m));
		atomic_init(&m->refs, 1);
		m->fs = fs;
		m->ino = artifact_ino;
		artifact_open_begin(fs->ctx.repository, artifact_ino);
		m->path = mirrored_path_of(fs, artifact_ino);
		m->copy = take_ptr(&copy);
		r = m->path ? fill_mirrored(m, cancel, err) : -ENOENT;
		if (r < 0)
			return r;
		keep_state(fs, m);
	}
	*ret = take_ptr(&m);
	return 0;
}

int mirrored_object(struct fs *fs, uint64_t ino, unsigned which, struct cancel *cancel,
                    struct manifest_object *ret, struct store **ret_store, struct error *err)
{
	_cleanup(free) struct mirrored_copy *copy = mirrored_copy_of(fs, ino);
	_cleanup(free) char *path = mirrored_path_of(fs, ino);
	_cleanup(manifest) struct manifest of = {0};
	struct manifest_object *object;
	size_t at = 0;
	int r = path ? mirrored_manifest(fs, path, copy, cancel, &of, err) : -ENOENT;

	if (r < 0)
		return r;
	object = object_at(&of, which == 0 ? MANIFEST_ROLE_LISTING : MANIFEST_ROLE_LISTING_INDEX, &at);
	if (!object)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "%s has no listing", path);
	r = mirrored_store(fs, ino, copy, ret_store, err);
	if (r == 0) {
		*ret = *object;
		*object = (struct manifest_object){0};
	}
	return r;
}
