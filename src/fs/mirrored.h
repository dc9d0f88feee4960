// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * States of mirrors, and bases: backups/JOB/TIME/… whose files are in no row of the catalog. What is there says the listing of the state (keepfs/mirror/tree.h), which is read
 * through the reader like any file; the bytes of a file are a stretch of a pack. mirrored.c has the nodes, mirrored_state.c what is open of a state, mirrored_text.c its SHA256SUMS, and
 * what is shown of one that this host cannot decrypt, mirrored_file.c its files, those of bases based_file.c (based.h).
 *
 * The number of a node is that of its artifact (keepfs/catalog/inside.h), and of it in the artifact's listings (struct mirror_item). So nothing is
 * remembered, and numbers stay over a remount. A node below a state has the catalog's row of the state in `entry`.
 *
 * Several listings can be in one artifact: those of a directory that others share have a name, and their tree is in the directory of that name. The numbers of all differ.
 */
#include "fs_private.h"

#include <keepfs/catalog/replicas.h>
#include <keepfs/mirror/tree.h>

struct mirrored_states;
struct mirrored_tree {
	char *name; /* of its directory in the artifact; NULL: it is the artifact */
	char *job;  /* whose packs it is in */
	struct mirror_tree *tree;
	struct mirrored_listing *listing; /* mirrored_state.c */
};
struct mirrored { /* what is open of an artifact; never changes */
	atomic_uint refs;
	struct fs *fs;
	uint64_t ino;               /* of the artifact */
	uint32_t number;            /* of it, in inode numbers */
	char *path;                 /* of the artifact, as the mount shows it */
	struct mirrored_copy *copy; /* mirrored_copies.c: it is one in copies/; NULL: of an artifact */
	bool is_locked;             /* nobody here can decrypt it: there are no trees */
	uint64_t stored_bytes[2];   /* is_locked: of the listing, and of its index */
	struct mirrored_tree *trees;
	size_t count;
};

/* The numbers of what is no part of a listing; never changed. */
#define MIRRORED_SUMS      UINT64_C(1)
#define MIRRORED_OBJECTS   UINT64_C(2)        /* of the listing, as it is stored; one more: its index */
#define MIRRORED_TREES     MIRROR_DIRECTORIES /* of the directory of the first tree; one more: of the next */
#define MIRRORED_TREES_MAX CONF_BUNDLE_MIRRORS_MAX

/** mirrored_states_new() - what is open of states, a few at a time. */
struct mirrored_states *mirrored_states_new(void);
/** mirrored_states_free() - all are closed. NULL allowed; returns NULL. */
struct mirrored_states *mirrored_states_free(struct mirrored_states *s);
/** mirrored_forget() - that artifact was removed, or has got other objects. */
void mirrored_forget(struct fs *fs, uint64_t artifact_ino);
/**
 * mirrored_open() - the caller's mirrored_close(); waits for the store
 * Return: 0; -ECANCELED; -ENOKEY and others of sealed_key(); -EBADMSG (ERROR_CORRUPT) or ERROR_NOT_FOUND: the state is damaged; what the store says.
 */
int mirrored_open(struct fs *fs, uint64_t artifact_ino, struct cancel *cancel, struct mirrored **ret,
                  struct error *err);
void mirrored_close(struct mirrored *m); /* NULL allowed */
static inline void cleanup_mirrored(struct mirrored **m)
{
	mirrored_close(*m);
}
/** mirrored_object() - of the listing (0) or the index (1) of the state @ino, as the store has it, and that store: the caller's. Asks the store. */
int mirrored_object(struct fs *fs, uint64_t ino, unsigned which, struct cancel *cancel,
                    struct manifest_object *ret, struct store **ret_store, struct error *err);

/** is_state_of_mirror() - is an artifact, a row of the catalog, nothing but a listing? */
static inline bool is_state_of_mirror(const struct catalog_entry *entry)
{
	return entry->has_listing && entry->files == 0;
}

/** mirrored_has() - is that number one of these? */
bool mirrored_has(uint64_t ino);
/** mirrored_load() - the node of such a number, from the catalog alone; -ENOENT. */
int mirrored_load(struct fs *fs, uint64_t ino, struct node *ret);
/** ino_of_mirrored() - of what has @part in the artifact with that number. */
uint64_t ino_of_mirrored(uint32_t number, uint64_t part);
uint64_t mirrored_part_of(const struct node *node);
/** mirrored_find() - the tree that has @node, and it in that. 0; -ENOENT; otherwise as mirrored_open(). */
int mirrored_find(const struct node *node, const struct mirrored *m, const struct mirrored_tree **ret_tree,
                  struct mirror_item *ret, struct error *err);
/** mirrored_path() - heap: of an item of that tree, in the mount. */
char *mirrored_path(const struct mirrored *m, const struct mirrored_tree *tree, const char *path);
/**
 * mirrored_failed() - the errno for the kernel of a failure: EIO, with the reason in status/last-error, and the artifact is marked as damaged when it is; ECANCELED;
 * EAGAIN; ENOENT; of what this host cannot decrypt what sealed_key() said.
 */
int mirrored_failed(struct fs *fs, const struct node *node, int r, const struct error *err);
/** mirrored_pack_failed() - the same of a file at @path (in the mount) whose bytes are in the pack at @pack_path, of the copy @copy (NULL: of the artifact): the pack alone is marked, since others may need it, and it may come back. */
int mirrored_pack_failed(struct fs *fs, const struct mirrored_copy *copy, const char *pack_path,
                         const char *path, int r, const struct error *err); /* mirrored_file.c */
/** mirrored_is_base() - is it the tree of a base? */
static inline bool mirrored_is_base(const struct mirrored_tree *tree)
{
	return mirror_tree_format(tree->tree) == LISTING_BASE;
}
/** mirrored_why_kept() - slot. */
char *mirrored_why_kept(struct fs *fs, const struct node *directory, const struct node *node,
                        const char *name, char **ret_path);

/** mirrored_lookup(), mirrored_list(), mirrored_beside_lookup(), mirrored_beside_list(), mirrored_directory_stat(), mirrored_state_stat() - slots. */
int mirrored_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret);
int mirrored_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l);
int mirrored_beside_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret);
int mirrored_beside_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l);
int mirrored_directory_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us);
int mirrored_state_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us);

/*
 * mirrored_copies.c: states in copies/, whose listing, packs and manifests are asked of their further store.
 */
struct mirrored_copy {
	uint64_t store;
	char path[REPLICA_PATH_BYTES];          /* of the artifact */
	char manifest_sha256[SHA256_HEX_BYTES]; /* of what was read */
};
/** mirrored_path_of() - heap: of the state @ino, as the mount shows it; NULL: it is gone. */
char *mirrored_path_of(struct fs *fs, uint64_t ino);
/** mirrored_entry() - the row of the state @ino; -ENOENT. */
int mirrored_entry(struct fs *fs, uint64_t ino, struct catalog_entry *ret);
/** mirrored_copy_of() - heap: of the state @ino, as the catalog knows its copy now; NULL: it is none. */
struct mirrored_copy *mirrored_copy_of(struct fs *fs, uint64_t ino);
/** mirrored_is_of_base() - is the state @ino a base, as the catalog knows it? Waits for nothing but the catalog. */
bool mirrored_is_of_base(struct fs *fs, uint64_t ino);
/** mirrored_manifest() - of a state at @path, or of the copy @copy. */
int mirrored_manifest(struct fs *fs, const char *path, const struct mirrored_copy *copy,
                      struct cancel *cancel, struct manifest *ret, struct error *err);
/** mirrored_store() - from which the state @ino is read: the caller's. */
int mirrored_store(struct fs *fs, uint64_t ino, const struct mirrored_copy *copy, struct store **ret,
                   struct error *err);
/** mirrored_pack_ino() - the number of the pack @path: of the artifact, or of its copy in the same store as @copy. */
uint64_t mirrored_pack_ino(const struct mirrored_copy *copy, const char *path);
/** mirrored_pack_copy() - the manifest of the copy of the pack with that number in copies/, and its store: the caller's. */
int mirrored_pack_copy(struct fs *fs, uint64_t ino, struct cancel *cancel, struct manifest *ret,
                       struct store **ret_store, struct error *err);
/** mirrored_copy_facts() - slot, of a file of a copy: what is known of the whole, and whether it, or the pack @pack, is not right. */
int mirrored_copy_facts(struct fs *fs, const struct node *node, const struct mirrored_copy *copy,
                        const char *pack, struct facts *ret);

/* mirrored_text.c: what is beside the tree of a state. */
int mirrored_text_child(const struct mirrored *m, const struct node *state, const char *name,
                        struct node *ret);
/** mirrored_text_list() - false: the page is full. */
bool mirrored_text_list(const struct mirrored *m, const struct node *state, off_t after, struct listing *l);
int mirrored_text_load(uint64_t part, struct node *ret);
/** mirrored_open_later() - answer an open by a worker: by @make, which is given the node with what ends its waiting. */
typedef int mirrored_make_fn(struct fs *fs, const struct node *node, const struct catalog_audit *reader,
                             struct handle **ret, struct error *err);
int mirrored_open_later(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                        mirrored_make_fn *make);

node_open_fn mirrored_file_open; /* mirrored_file.c */
