// SPDX-License-Identifier: Apache-2.0
/*
 * inside/: its directories. They are those of backups/, and in each a directory for each dump, whose name is that of the dump up to
 * the first '.'. Like tiers/ it follows the catalog, and the kernel keeps nothing of it but what is below the
 * directory of a dump: that never changes, and is out of reach once the name above it is gone.
 */
#include "inside.h"

#include "dir.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/inside.h>
#include <keepfs/catalog/parts.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <string.h>

/* The bits of such a number: see node.h. Of the hash the lowest four are left out, and found again by a range. */
#define BIT_INSIDE     (UINT64_C(1) << 59)
#define BIT_MIRROR     (UINT64_C(1) << 58)
#define BIT_DUMP       (UINT64_C(1) << 57)
#define HASH_LOST      4
#define HASH_MASK      (BIT_DUMP - 1)
#define OF_ARTIFACTS   (UINT64_C(3) << 61)
#define OF_DIRECTORIES (UINT64_C(1) << 62)
#define NUMBER_SHIFT   34
#define KIND_SHIFT     32
#define KIND_MASK      UINT64_C(3)
#define PAGE_ENTRIES   256

_Static_assert((uint64_t)CATALOG_INSIDE_NUMBER_MAX << NUMBER_SHIFT < BIT_MIRROR,
               "a dump's number has its place");
_Static_assert(INSIDE_BLOB <= KIND_MASK, "a kind has its place");

static uint64_t ino_of_mirror(bool is_dump, uint64_t ino)
{
	return BIT_INSIDE | BIT_MIRROR | (is_dump ? BIT_DUMP : 0) | (ino >> HASH_LOST & HASH_MASK);
}

uint64_t ino_of_dump_directory(uint64_t artifact_ino)
{
	return ino_of_mirror(true, artifact_ino);
}

uint64_t ino_inside(uint32_t dump_number, enum inside_kind kind, uint32_t part)
{
	return BIT_INSIDE | (uint64_t)dump_number << NUMBER_SHIFT | (uint64_t)kind << KIND_SHIFT | part;
}

uint32_t inside_number_of(const struct node *node)
{
	return (uint32_t)((node->ino & (BIT_MIRROR - 1)) >> NUMBER_SHIFT);
}

enum inside_kind inside_kind_of(const struct node *node)
{
	return (enum inside_kind)(node->ino >> KIND_SHIFT & KIND_MASK);
}

uint32_t inside_part_of(const struct node *node)
{
	return (uint32_t)node->ino;
}

void node_inside(const struct node *like, enum inside_kind kind, uint32_t part, struct node *ret)
{
	*ret = (struct node){.ino = ino_inside(inside_number_of(like), kind, part),
	                     .entry = like->entry,
	                     .bytes = INSIDE_NOT_KNOWN,
	                     .cancel = like->cancel,
	                     .in_haste = like->in_haste};
}

static bool has_parts(struct fs *fs, uint64_t ino)
{
	struct catalog_part part;

	return catalog_next_part(fs->ctx.repository->catalog, ino, -1, &part) == 0;
}

/* A bundle, or a directory in one that is no part itself, has its parts as directories. */
static bool is_of_bundle(struct fs *fs, const struct catalog_entry *entry)
{
	struct catalog_part part;

	if (!entry->is_directory || entry->kind == CATALOG_DIRECTORY)
		return false;
	return entry->kind == CATALOG_ARTIFACT
	               ? has_parts(fs, entry->ino)
	               : catalog_part(fs->ctx.repository->catalog, entry->ino, &part, NULL) == -ENOENT;
}

/* One that mirrors one of backups/. */
static void node_of_mirrored_directory(const struct catalog_entry *entry, struct node *ret)
{
	*ret = (struct node){
	        .ino = ino_of_mirror(false, entry->ino), .class = &class_inside_directory, .entry = *entry};
}

/* Of any kind: that of a dump, or one of a bundle, too. */
static void node_of_mirror(struct fs *fs, const struct catalog_entry *entry, struct node *ret)
{
	if (entry->kind == CATALOG_DIRECTORY) {
		node_of_mirrored_directory(entry, ret);
		return;
	}
	*ret = (struct node){.ino = ino_of_mirror(true, entry->ino),
	                     .class = is_of_bundle(fs, entry) ? &class_inside_bundle : &class_inside_dump,
	                     .entry = *entry};
}

static int load_mirror(struct fs *fs, uint64_t ino, struct node *ret)
{
	uint64_t from = (ino & HASH_MASK) << HASH_LOST | (ino & BIT_DUMP ? OF_ARTIFACTS : OF_DIRECTORIES);
	struct catalog_entry entry;
	uint64_t to = from + (1 << HASH_LOST) - 1;
	int r = catalog_entry_near(fs->ctx.repository->catalog, from, to, &entry);

	if (r == -ENOENT && ino & BIT_DUMP)
		r = catalog_file_near(fs->ctx.repository->catalog, from, to, &entry);
	if (r == 0)
		node_of_mirror(fs, &entry, ret);
	return r;
}

static int load_fixed(struct fs *fs, struct node *ret)
{
	switch (inside_part_of(ret)) {
	case PART_TABLES:
		ret->class = &class_inside_tables;
		return 0;
	case PART_BLOBS:
		ret->class = &class_inside_blobs;
		return 0;
	default:
		return dump_text_load(fs, inside_part_of(ret), ret);
	}
}

int inside_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	struct node node = {.ino = ino, .bytes = INSIDE_NOT_KNOWN};
	uint64_t artifact_ino;
	int r;

	if (ino & BIT_MIRROR)
		return load_mirror(fs, ino, ret);
	r = catalog_inside_artifact(catalog, inside_number_of(&node), &artifact_ino);
	if (r == 0)
		r = catalog_entry_by_ino(catalog, artifact_ino, &node.entry);
	if (r == 0)
		r = inside_kind_of(&node) == INSIDE_FIXED ? load_fixed(fs, &node)
		                                          : inside_file_load(fs, &node);
	if (r == 0)
		*ret = node;
	return r;
}

char *inside_why_kept(struct fs *fs, const struct node *directory, const struct node *node, const char *name,
                      char **ret_path)
{
	*ret_path = node_path_below(fs, directory, name);
	return mem_strdup(INSIDE_NAME "/ only shows what is in the backups: remove them in backups/");
}

/* What mirrors backups/. */

int mirror_find_directory(struct fs *fs, const struct node *directory, const char *name,
                          struct catalog_entry *ret)
{
	int r = catalog_entry_by_name(fs->ctx.repository->catalog, directory->entry.ino, name, ret);

	return r == 0 && ret->kind != CATALOG_DIRECTORY ? -ENOENT : r;
}

static int mirror_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	struct catalog_entry entry;
	int r = catalog_dump_by_stem(catalog, directory->entry.ino, name, &entry);

	if (r == -ENOENT) {
		r = catalog_entry_by_name(catalog, directory->entry.ino, name, &entry);
		if (r == 0 && entry.kind == CATALOG_ARTIFACT && !has_parts(fs, entry.ino))
			r = -ENOENT;
	}
	if (r == 0)
		node_of_mirror(fs, &entry, ret);
	return r;
}

int mirror_list_directories(struct fs *fs, const struct node *directory, off_t after, struct listing *l,
                            void (*node_of)(const struct node *directory, const struct catalog_entry *entry,
                                            struct node *ret))
{
	_cleanup(free) struct catalog_entry *page = mem_array(PAGE_ENTRIES, sizeof(*page));
	int64_t sequence = after >= OFFSET_NUMBERED ? after - OFFSET_NUMBERED : -1;
	ssize_t count = 0;

	while (after < OFFSET_ARTIFACTS &&
	       (count = catalog_entries(fs->ctx.repository->catalog, directory->entry.ino, CATALOG_DIRECTORY,
	                                sequence, page, PAGE_ENTRIES)) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			struct node node;

			sequence = page[i].sequence;
			node_of(directory, &page[i], &node);
			if (!listing_add(l, page[i].name, &node, OFFSET_NUMBERED + sequence))
				return 1;
		}
	}
	return (int)count;
}

static int list_dumps(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	_cleanup(free) struct catalog_entry *page = mem_array(PAGE_ENTRIES, sizeof(*page));
	int64_t sequence = after >= OFFSET_ARTIFACTS ? after - OFFSET_ARTIFACTS : -1;
	ssize_t count;

	while ((count = catalog_dump_entries(fs->ctx.repository->catalog, directory->entry.ino, sequence,
	                                     true, page, PAGE_ENTRIES)) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			char *name = page[i].name;
			struct node node;

			sequence = page[i].sequence;
			node_of_mirror(fs, &page[i], &node);
			name[strcspn(name, ".")] = '\0';
			if (!listing_add(l, name, &node, OFFSET_ARTIFACTS + sequence))
				return 0;
		}
	}
	return (int)count;
}

static void show_mirror(const struct node *directory, const struct catalog_entry *entry, struct node *ret)
{
	node_of_mirrored_directory(entry, ret);
}

static int mirror_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	int r = mirror_list_directories(fs, directory, after, l, show_mirror);

	return r == 0 ? list_dumps(fs, directory, after, l) : r < 0 ? r : 0;
}

/* One link: nobody has counted its subdirectories. */
int mirror_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode & ~(mode_t)0222;
	if (node->entry.mtime_us)
		*mtime_us = node->entry.mtime_us;
	return 0;
}

static uint64_t mirror_parent(const struct node *directory)
{
	return directory->entry.parent_ino
	               ? ino_of_mirror(directory->entry.kind == CATALOG_FILE, directory->entry.parent_ino)
	               : INO_INSIDE;
}

/* Its path in backups/, without that, and without the suffix of a dump. */
static char *mirror_path(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *path = catalog_path(fs->ctx.repository->catalog, node->entry.ino);
	char *name = path ? strrchr(path, '/') : NULL;

	if (!name)
		return NULL;
	if (node->entry.kind != CATALOG_DIRECTORY)
		name[strcspn(name, ".")] = '\0';
	return mem_printf(INSIDE_NAME "%s", path + strcspn(path, "/"));
}

const struct node_class class_inside = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .lookup = mirror_lookup,
        .list = mirror_list,
        .stat = mirror_stat,
        .path = fixed_directory_path,
        .why_kept = inside_why_kept,
};

const struct node_class class_inside_directory = {
        .type = S_IFDIR,
        .lookup = mirror_lookup,
        .list = mirror_list,
        .parent = mirror_parent,
        .stat = mirror_stat,
        .path = mirror_path,
        .why_kept = inside_why_kept,
};

/* The directories of a bundle: its parts that are dumps, and what these lie in. */

/* heap: where @directory is in its bundle, with a '/' behind it; "": the bundle itself. */
static char *prefix_in_bundle(struct fs *fs, const struct node *directory)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	_cleanup(free) char *own = catalog_path(catalog, directory->entry.ino),
	                    *whole = catalog_path(catalog, directory->entry.artifact_ino);

	if (!own || !whole)
		return NULL;
	return strlen(own) > strlen(whole) ? mem_printf("%s/", own + strlen(whole) + 1) : mem_strdup("");
}

/* The entry in the tree of what is at @path in the bundle. */
static int find_in_bundle(struct fs *fs, const struct node *directory, const char *path,
                          struct catalog_entry *ret)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	_cleanup(free) char *whole = catalog_path(catalog, directory->entry.artifact_ino),
	                    *full = whole ? mem_printf("%s/%s", whole, path) : NULL;

	return full ? catalog_entry_by_ino(catalog, ino_of_artifact(full), ret) : -ENOENT;
}

static int bundle_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	_cleanup(free) char *prefix = prefix_in_bundle(fs, directory),
	                    *path = prefix ? mem_printf("%s%s", prefix, name) : NULL;
	struct catalog_entry entry;
	struct catalog_part part;
	int r = !path || strchr(name, '.')
	                ? -ENOENT
	                : catalog_part_by_stem(catalog, directory->entry.artifact_ino, path, &part);

	if (r == 0 && !str_equal(part.kind, "dump"))
		r = -ENOENT;
	if (r == 0)
		r = catalog_entry_by_ino(catalog, part.ino, &entry);
	else if (path && catalog_part_below(catalog, directory->entry.artifact_ino, path, "dump", &part) == 0)
		r = find_in_bundle(fs, directory, path, &entry);
	if (r == 0)
		node_of_mirror(fs, &entry, ret);
	return r;
}

/* heap: the name that @part has in the directory @prefix, or that of the directory in which it is there; NULL: none. */
static char *name_in_bundle(const struct catalog_part *part, const char *prefix, bool *ret_is_part)
{
	const char *name = part->name + strlen(prefix);
	size_t len;

	if (!str_equal(part->kind, "dump") || !str_starts(part->name, prefix))
		return NULL;
	len = strcspn(name, "/");
	*ret_is_part = name[len] == '\0';
	if (*ret_is_part)
		len = strcspn(name, ".");
	return mem_printf("%.*s", (int)len, name);
}

/* Those of one job lie together, so a directory is named again only right behind itself. */
static int bundle_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	_cleanup(free) char *prefix = prefix_in_bundle(fs, directory), *before = NULL;
	struct catalog_part part = {.number = -1};
	int r = prefix ? 0 : -ENOENT;

	while (r == 0 && catalog_next_part(catalog, directory->entry.artifact_ino, part.number, &part) == 0) {
		bool is_part = false;
		_cleanup(free) char *name = name_in_bundle(&part, prefix, &is_part),
		                    *path = name ? mem_printf("%s%s", prefix,
		                                              is_part ? part.name + strlen(prefix) : name)
		                                 : NULL;
		struct catalog_entry entry;
		struct node node;

		if (!name || str_equal(name, before))
			continue;
		mem_replace_string(&before, name);
		if (OFFSET_NUMBERED + part.number <= after || find_in_bundle(fs, directory, path, &entry) < 0)
			continue;
		node_of_mirror(fs, &entry, &node);
		if (!listing_add(l, name, &node, OFFSET_NUMBERED + part.number))
			break;
	}
	return r;
}

const struct node_class class_inside_bundle = {
        .type = S_IFDIR,
        .lookup = bundle_lookup,
        .list = bundle_list,
        .parent = mirror_parent,
        .stat = mirror_stat,
        .path = mirror_path,
        .why_kept = inside_why_kept,
};

/* The directory of a dump. */

char *inside_path_of(struct fs *fs, const struct node *node)
{
	return mirror_path(fs, node);
}

mode_t inside_dir_mode(struct fs *fs, const struct node *node)
{
	return fs->ctx.conf->dir_mode & ~(mode_t)0222 & (node->entry.secret ? 0700 : 07777);
}

int inside_failed(struct fs *fs, const struct node *node, char *path, int r, const struct error *err)
{
	_cleanup(free) char *owned = path;

	if (r == -ECANCELED || (r == -EAGAIN && node->in_haste))
		return r;
	if (r == -ESTALE || r == -ENOENT) {
		struct catalog_entry entry;

		if (catalog_entry_by_ino(fs->ctx.repository->catalog, node->entry.ino, &entry) == -ENOENT)
			return -ESTALE;
	}
	/* What is made of right bytes says nothing against them: anybody may have put into a database what it stumbles over. */
	note_read_failure(fs, node->entry.ino, owned, r, err && err->damage, err);
	return r == -ESTALE ? r : -EIO;
}

/* Bytes that are what was sent, and are no dump to us: as those of a version that is not known. */
static bool is_not_understood(int r, const struct error *err)
{
	return r == -ENOTSUP || (r == -EBADMSG && err->class == ERROR_CORRUPT && !err->damage);
}

bool inside_is_too_long(const struct fs *fs, const struct node *node)
{
	return node->in_haste && fs->ctx.inside && !inside_opens_at_once(fs->ctx.inside, node->entry.ino);
}

int inside_dump_of(struct fs *fs, const struct node *node, struct inside_dump **ret, struct error *err)
{
	int r;

	if (!fs->ctx.inside)
		return error_set(err, ERROR_USAGE, ENOTSUP, "nothing looks into backups here");
	if (inside_is_too_long(fs, node))
		return -EAGAIN;
	r = inside_open(fs->ctx.inside, node->entry.ino, node->cancel, ret, err);
	if (r < 0 && is_not_understood(r, err))
		return INSIDE_UNKNOWN;
	return r < 0 ? inside_failed(fs, node, inside_path_of(fs, node), r, err) : 0;
}

/* Any part of the dump that has the number: so what is made of it belongs to that. */
static int begin_number(struct fs *fs, const struct node *directory, struct node *ret)
{
	struct error err = {0};
	uint32_t number;
	int r = catalog_inside_number(fs->ctx.repository->catalog, directory->entry.ino, &number, &err);

	if (r == 0)
		*ret = (struct node){.ino = ino_inside(number, INSIDE_FIXED, 0),
		                     .entry = directory->entry,
		                     .cancel = directory->cancel,
		                     .in_haste = directory->in_haste};
	else if (r != -ENOENT)
		log_error("the number of a dump could not be kept: %s", err.message);
	return r;
}

static const struct fixed_part {
	const char *name;
	uint32_t part;
	const struct node_class *class;
} fixed_parts[] = {
        {TABLES_NAME, PART_TABLES, &class_inside_tables},
        {BLOBS_NAME, PART_BLOBS, &class_inside_blobs},
};

static void node_of_part(const struct node *like, const struct fixed_part *part, struct node *ret)
{
	node_inside(like, INSIDE_FIXED, part->part, ret);
	ret->class = part->class;
}

static int dump_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	struct node like;
	int r = begin_number(fs, directory, &like);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(fixed_parts); i++) {
		if (strcmp(name, fixed_parts[i].name) == 0) {
			node_of_part(&like, &fixed_parts[i], ret);
			return 0;
		}
	}
	return dump_text_child(fs, &like, name, ret);
}

static int dump_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	struct node like, node;
	int r = begin_number(fs, directory, &like);

	if (r < 0)
		return r;
	for (unsigned i = listing_position(after); i < ARRAY_SIZE(fixed_parts); i++) {
		node_of_part(&like, &fixed_parts[i], &node);
		if (!listing_add(l, fixed_parts[i].name, &node, OFFSET_FIXED + (off_t)i))
			return 0;
	}
	dump_text_list(fs, &like, after, l);
	return 0;
}

static int dump_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= inside_dir_mode(fs, node);
	st->st_nlink = 2 + ARRAY_SIZE(fixed_parts);
	*mtime_us = node->entry.mtime_us;
	return 0;
}

const struct node_class class_inside_dump = {
        .type = S_IFDIR,
        .waits = true,
        .lookup = dump_lookup,
        .list = dump_list,
        .parent = mirror_parent,
        .stat = dump_stat,
        .path = mirror_path,
        .why_kept = inside_why_kept,
};
