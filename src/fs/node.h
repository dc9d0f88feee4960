// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Nodes: what an inode number stands for. Nothing is kept for a node: its number says where its facts are, so
 * that a tree of a million files costs no memory, and the same file has the same number after every remount.
 *
 *   1 … 15                          the fixed directories (below), and the roots (tree_roots in codec/name.h)
 *   16 + number                     a file of status/ or control/, by its number in made_file.h's tables; 47: status/evidence
 *   2^16 + number                   a quarter in status/evidence/
 *   bit 60, run << 3                jobs/<run>; + 1 + number: a file of it, by its number in run_files
 *   bit 62, bit 61, hash            an artifact, or one of its further files (ino_of_artifact())
 *   bit 61, hash                    the latest link that leads to that artifact (ino_latest()): one that leads to
 *                                   another is another link
 *   bit 62, hash & ~3               a directory below a root (ino_of_directory()); | 2 its SHA256SUMS; of a tenant | 1 its .trigger, | 3 its .explain.txt
 *   bit 63 | any with bit 62 or 61  what mirrors it in links/ (ino_link()); of SHA256SUMS, which has no mirror, SHA256SUMS.stored
 *   bit 59, bit 58, hash            what mirrors it in inside/: bit 57 the directory of a dump; else a directory. The hash is that
 *                                   of what it shows in backups/, without its four lowest bits (inside.c)
 *   bit 59, dump << 34, kind << 32, part
 *                                   what is in the directory of a dump (enum inside_kind). The dump is a number that the catalog gives
 *                                   it when somebody first looks into it (keepfs/catalog/inside.h), and gives
 *                                   to no other one; the part is the number of a table, an oid, or a fixed one
 *
 *   bits 60, 59 and 58, hash        what is in history/: bit 56 what mirrors a directory of backups/, without the five lowest bits of its hash; bit 57 a
 *                                   link, else the directory of a table: both are found in the catalog (keepfs/catalog/history.h)
 *
 *   bit 58, bit 57, hash            what is in diff/: what mirrors a directory of backups/, without the four lowest bits of its hash
 *   bit 58, pair << 34, kind << 32, part
 *                                   the directory of two dumps, and what is in it (enum diff_kind). The number of a pair is a hash, and which
 *                                   pair it is of is remembered (diff_pairs.h); the part is the number of a table, or a fixed one
 *
 *   bit 63 alone, tier << 59, hash   what is in tiers/: bit 58 a directory; else the link to an artifact. The hash is that of
 *                                   what it shows in backups/, without its three lowest bits (tiers.c)
 *
 *   bit 57, bit 56, hash             the directory of an inbox, by its name; bit 57 alone, number: a file that is written into one, by a number that counts from the start of the mount (incoming.h)
 *
 *   bits 60 and 58, hash             what is in copies/, by the number of its store and its path (keepfs/catalog/copy_tree.h); 0: copies/ itself; | 1 the SHA256SUMS of a directory
 *
 *   bits 60 and 57, bit 56, hash     the directory of a WAL archive, by its name; without bit 56: the number of a file of one in the catalog (keepfs/catalog/wal.h), or with bit 55 that of a tail (keepfs/wal.h); 0: wal/ itself
 *
 *   below bit 58, artifact << 34, part   what is in a state of a mirror, or in a base (mirrored.h): the artifact is a number that the catalog gives it, as a dump; the part says
 *                                    where it is in its listing (keepfs/mirror/tree.h), or is a fixed one
 *
 * What can be done with a node is told by its class. A struct node is a value: it is filled by one query of
 * the catalog, lives on the stack of whoever answers a request, owns nothing, and may be copied. What it says
 * was true when it was loaded.
 */
#include <keepfs/base/error.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/runs.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct cancel;
struct comparison_waiter;
struct fs;
struct facts;
struct fuse_req;
struct fuse_file_info;
struct handle;
struct listing;
struct made_file;
struct made_files;
struct node_class;

#define INO_ROOT    UINT64_C(1)
#define INO_JOBS    UINT64_C(3)
#define INO_STATUS  UINT64_C(4)
#define INO_CONTROL UINT64_C(5)
#define INO_LINKS   UINT64_C(6)
#define INO_TIERS   UINT64_C(10)
#define INO_DRILLS  UINT64_C(11)
#define INO_INSIDE  UINT64_C(12)
#define INO_HISTORY UINT64_C(13)
#define INO_DIFF    UINT64_C(14)
#define INO_INBOX   UINT64_C(15)
#define INO_COPIES  (UINT64_C(5) << 58)
#define INO_WAL     (UINT64_C(9) << 57)
#define INO_FIXED   UINT64_C(16) /* + the number of a file in status/ or control/ */

#define INO_EVIDENCE (INO_FIXED + 47)  /* status/evidence, in the place of a file's number */
#define INO_QUARTERS UINT64_C(0x10000) /* + four times the years since 2000, and the quarter from 0 */

#define EVIDENCE_NAME    "evidence"
#define LINKS_NAME       "links"
#define SUMS_NAME        "SHA256SUMS"
#define STORED_SUMS_NAME "SHA256SUMS.stored"
#define INSIDE_NAME      "inside"
#define HISTORY_NAME     "history"
#define DIFF_NAME        "diff"
#define COPIES_NAME      "copies"
#define INBOX_NAME       "inbox"
#define WAL_NAME         "wal"

#define NODE_TARGET_BYTES 1024 /* of a symbolic link, with its NUL */

struct node {
	uint64_t ino;
	const struct node_class *class; /* never NULL in a node that was loaded */
	const struct tree_root *root;   /* of a root itself and of what mirrors it; NULL for all others */
	/* What lies in a root, and the root itself: the catalog's row. A latest link: the row of what it leads
	 * to. SHA256SUMS: the row of its directory. In links/: the row of what is mirrored, so that its inode
	 * number is not the node's. */
	struct catalog_entry entry;
	struct catalog_run run;         /* jobs/<run> and its files */
	const struct made_files *files; /* a directory of made files: which ones */
	const struct made_file *file;   /* a file that keepfs makes: its row */
	char name[40];                  /* of a drill */
	bool is_second_name; /* it is shown somewhere else, too: the kernel must not keep this name of it */
	uint64_t
	        bytes; /* of a table, or a file of a mirror, when it is known from listing it; else INSIDE_NOT_KNOWN */
	int64_t mtime_us; /* likewise: of a file of a mirror */
	bool has_mode;    /* likewise: what is in a base has @mode, of its listing */
	mode_t mode;
	/* Of what may wait for the store: what ends that. Borrowed from whoever asks; NULL: nothing does. */
	struct cancel *cancel;
	/* Likewise: what takes as long as reading all of a table, or of a dump, is not begun: -EAGAIN, and then asked once more, without haste. */
	bool in_haste;
	bool for_admin; /* whoever asks is the admin of a tenant, and reads what is written for those: rights.h */
	struct comparison_waiter
	        *waiter; /* likewise: who is woken when stat has said that it is known later */
};

/* What an open() is given. Return: 0 with a handle; OPENED_LATER; negative errno, with a message in @err when
 * status/last-error is to have one. */
typedef int node_open_fn(struct fuse_req *req, const struct node *node, const struct fuse_file_info *fi,
                         struct handle **ret_handle, struct error *err);
#define OPENED_LATER 1 /* the class answers the request itself, from another thread (link.c) */

/*
 * The class of a node: what the kernel can ask of it. Those that are NULL have one answer for all classes,
 * which is given by the function in brackets, and nowhere else. The slots run on FUSE's threads and may wait
 * for the local disk, but for nothing else: what waits for the store or the network is handed to fs->workers,
 * to fs->lookers (`waits`), or to the reader. They hold no lock of this room. None answers a request but open, when it returns
 * OPENED_LATER, and remove.
 */
struct node_class {
	mode_t type; /* S_IFDIR, S_IFREG or S_IFLNK */
	/* How long the kernel may keep the name, and the attributes: 0, or ATTR_FOREVER_S for what changes
	 * only through this mount or is told to the kernel (notify.c). */
	double name_s, attributes_s;
	bool in_links; /* links/ and all below it */
	/* Its slots lookup and list may wait for the store, and stat of what is no directory, until node->cancel is set:
	 * workers call them (asked.h), of one dump, which node->entry is of, a few at a time; first in haste. */
	bool waits;
	/* So may stat of a directory. */
	bool stat_waits;
	/* It is the directory of a backup, or lies in it: node->entry.artifact_ino is the backup's number. What is in it goes with the backup (descents.h). */
	bool is_within_backup;
	/* The kernel may open it for writing, and for truncating: others answer EPERM. */
	bool writable;
	/* Its attributes are computed only when somebody asks for them: a listing leaves them out. */
	bool stat_is_costly;
	/* That depends on the node: are they known from what listing it has found? NULL: what stat_is_costly says. */
	bool (*stat_is_known)(const struct node *node);
	/* The class of what mirrors it in links/. NULL: nothing does [node_mirror(): ENOENT]. */
	const struct node_class *mirror;

	/* Its child @name. NULL: no directory [node_child(): ENOTDIR]. */
	int (*lookup)(struct fs *fs, const struct node *directory, const char *name, struct node *ret);
	/* One page of a directory: give what comes behind the offset @after to listing_add(), in the order of
	 * offsets (dir.h), until that returns false or no more is there. Negative errno: the rest cannot be
	 * told. NULL: no directory [list(), dir.c: ENOTDIR]. */
	int (*list)(struct fs *fs, const struct node *directory, off_t after, struct listing *l);
	/* The inode number of "..", of directories. NULL: the root of the mount [node_parent()]. */
	uint64_t (*parent)(const struct node *directory);
	/* Add to what node_stat() has filled in: permissions in st_mode (its type is set), st_size, st_nlink
	 * when it is not 1, and *mtime_us when it is not the start of the mount. Never NULL. With a
	 * node->waiter it may return COMPARISON_LATER: that will ask again. */
	int (*stat)(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us);
	/* A change of attributes, O_TRUNC being one: 0 takes it for done. NULL: EPERM [op_setattr()]. */
	int (*setattr)(struct fs *fs, const struct node *node, const struct stat *attr, int to_set);
	/* Heap: the path in the tree without a leading '/' ("" for the root of the mount); NULL when it is
	 * gone. NULL slot: it is not needed for messages [node_path(): NULL]. */
	char *(*path)(struct fs *fs, const struct node *node);
	/* Where a symbolic link leads. NULL: no link [op_readlink(): EINVAL]. */
	int (*readlink)(struct fs *fs, const struct node *node, char ret_target[static NODE_TARGET_BYTES]);
	/* The facts of an artifact or a file of one. NULL: it has no attributes of ours [op_getxattr():
	 * ENODATA]. */
	int (*facts)(struct fs *fs, const struct node *node, struct facts *ret);
	/* NULL: nothing to read [node_open(): EISDIR, a symbolic link ELOOP]. */
	node_open_fn *open;
	/* Make file @name in a directory and open it: 0 with the new node and its handle, or negative errno
	 * as for open. It is one request with its open, and the caller has seen that no such name exists.
	 * NULL: EPERM [node_create()]. */
	int (*create)(struct fuse_req *req, const struct node *directory, const char *name,
	              const struct fuse_file_info *fi, struct node *ret, struct handle **ret_handle,
	              struct error *err);
	/* Give @name in a directory the name @new_name in the same one, and answer the request, now or later. @flags: of
	 * renameat2(2). NULL: EPERM [op_rename()]. */
	void (*rename)(struct fuse_req *req, const struct node *directory, const char *name,
	               const char *new_name, unsigned flags);
	/* rm or rmdir (which of them fits the type was checked). 0: it answers the request, now or later;
	 * negative errno: it did not. NULL: EPERM, with why_kept in status/last-error [remove_node(),
	 * remove.c]. */
	int (*remove)(struct fuse_req *req, const struct node *directory, const struct node *node,
	              const char *name);
	/* Heap: why it cannot be removed, and in *@ret_path (heap) what that is about. NULL, or one that
	 * answers NULL: it is made by keepfs itself [note_refusal(), remove.c]. */
	char *(*why_kept)(struct fs *fs, const struct node *directory, const struct node *node,
	                  const char *name, char **ret_path);
};

/* The classes, by the file that has them. */
extern const struct node_class class_top, class_fixed_directory;                      /* root.c */
extern const struct node_class class_root, class_directory;                           /* catalog_dir.c */
extern const struct node_class class_linked_root, class_linked_directory;             /* catalog_dir.c */
extern const struct node_class class_latest, class_linked_latest, class_sums;         /* generated.c */
extern const struct node_class class_stored_sums;                                     /* generated.c */
extern const struct node_class class_artifact, class_file;                            /* artifact.c */
extern const struct node_class class_artifact_directory, class_artifact_subdirectory; /* artifact.c */
extern const struct node_class class_linked_artifact_directory;                       /* artifact.c */
extern const struct node_class class_drills, class_drill_text;                        /* drills.c */
extern const struct node_class class_evidence, class_quarter;                         /* evidence.c */
extern const struct node_class class_tiers, class_tier, class_tier_directory;         /* tiers.c */
extern const struct node_class class_tier_link;                                       /* tiers.c */
extern const struct node_class class_inside, class_inside_directory;                  /* inside.c */
extern const struct node_class class_inside_dump;                                     /* inside.c */
extern const struct node_class class_inside_bundle;                                   /* inside.c */
extern const struct node_class class_inside_tables, class_inside_table;               /* inside_tables.c */
extern const struct node_class class_inside_blobs, class_inside_blob;                 /* inside_tables.c */
extern const struct node_class class_inside_text;                                     /* inside_texts.c */
extern const struct node_class class_diff, class_diff_directory;                      /* diff.c */
extern const struct node_class class_diff_pair;                                       /* diff_pair.c */
extern const struct node_class class_diff_file;                                       /* diff_file.c */
extern const struct node_class class_history, class_history_directory;                /* history.c */
extern const struct node_class class_history_table, class_history_link;               /* history_table.c */
extern const struct node_class class_mirrored_state, class_mirrored_directory;        /* mirrored.c */
extern const struct node_class class_mirrored_file, class_mirrored_beside;            /* mirrored.c */
extern const struct node_class class_copied_state, class_copied_beside;               /* mirrored_copies.c */
extern const struct node_class class_mirrored_sums, class_mirrored_object;            /* mirrored_text.c */
extern const struct node_class class_copies, class_copies_directory, class_copies_file; /* copies.c */
extern const struct node_class class_inbox;                                             /* inbox.c */
extern const struct node_class class_wal;                                               /* wal.c */
extern const struct node_class class_copies_sums;                                       /* copies.c */
extern const struct node_class class_links, class_link;                                 /* link.c */
extern const struct node_class class_jobs, class_run, class_run_text;                   /* jobs.c */
extern const struct node_class class_tenant_explain, class_tenant_trigger;              /* tenant.c */
extern const struct node_class class_text;                                              /* text.c */
extern const struct node_class class_command;                                           /* command.c */

/** node_load() - the node of @ino; -ENOENT when it is gone. */
int node_load(struct fs *fs, uint64_t ino, struct node *ret);
/** node_backup() - the number of the backup that is this directory, or in which it lies; 0: there is none. What is shown of a copy is none. */
uint64_t node_backup(const struct node *directory);
/** node_child() - @name in directory @parent; -ENOENT, -ENOTDIR. */
int node_child(struct fs *fs, const struct node *parent, const char *name, struct node *ret);
/** node_parent() - the inode number of a directory's "..". */
uint64_t node_parent(const struct node *directory);
/** node_mirror() - from a node of a root to the one of links/ that mirrors it; -ENOENT: none does. */
int node_mirror(struct node *node);
/** node_is_directory() - by its type: holds other nodes. */
bool node_is_directory(const struct node *node);
/** node_path() - heap: the path of a directory, or of a file in a root or in links/ ("links/full/…"); NULL
 * for others, and when it is gone. */
char *node_path(struct fs *fs, const struct node *node);
/** node_path_below() - heap: the path of @name in @directory; just @name when that is gone. */
char *node_path_below(struct fs *fs, const struct node *directory, const char *name);
/** node_stat() - all of struct stat; may make the text of a status file to know its size. */
int node_stat(struct fs *fs, const struct node *node, struct stat *ret);

uint64_t ino_latest(uint64_t artifact_ino);
uint64_t ino_sums(uint64_t directory_ino);
uint64_t ino_stored_sums(uint64_t directory_ino);
uint64_t ino_link(uint64_t ino);
/** ino_of_tenant_file() - of .trigger (@file 1) or .explain.txt (3) in the directory of a tenant. */
uint64_t ino_of_tenant_file(uint64_t directory_ino, unsigned file);
/** ino_of_drill() - of a report in drills/. */
uint64_t ino_of_drill(int64_t id, unsigned file);
/** ino_of_run() - of jobs/<run>, and, with @file from 1, of a file of it (its number and 1). */
uint64_t ino_of_run(int64_t run_id, unsigned file);

/* Where node_load() finds a node, by the range of its number. -ENOENT: there is none. */
int fixed_load(struct fs *fs, uint64_t ino, struct node *ret);                 /* root.c */
int quarter_load(uint64_t ino, struct node *ret);                              /* evidence.c; INO_QUARTERS */
int drill_load(struct fs *fs, int64_t id, unsigned file, struct node *ret);    /* drills.c; ino_of_drill() */
int run_load(struct fs *fs, int64_t run_id, unsigned file, struct node *ret);  /* jobs.c; ino_of_run() */
int catalog_load(struct fs *fs, uint64_t ino, struct node *ret);               /* catalog_dir.c */
int latest_load(struct fs *fs, uint64_t artifact_ino, struct node *ret);       /* generated.c */
int sums_load(struct fs *fs, uint64_t directory_ino, struct node *ret);        /* generated.c */
int stored_sums_load(struct fs *fs, uint64_t directory_ino, struct node *ret); /* generated.c */
int tenant_file_load(struct fs *fs, uint64_t ino, struct node *ret); /* tenant.c; ino_of_tenant_file() */
int tier_load(struct fs *fs, uint64_t ino, struct node *ret);        /* tiers.c */
int inside_load(struct fs *fs, uint64_t ino, struct node *ret);      /* inside.c */
int history_load(struct fs *fs, uint64_t ino, struct node *ret);     /* history.c */
int diff_load(struct fs *fs, uint64_t ino, struct node *ret);        /* diff.c */

/** root_load() - a root, or (@links) what mirrors it in links/. */
int root_load(struct fs *fs, const struct tree_root *root, bool links, struct node *ret);
/** node_of_entry() - the node of the catalog's row @entry of @directory, without another query. False: it is in links/, which does not show it. */
bool node_of_entry(const struct node *directory, const struct catalog_entry *entry, struct node *ret);
/** generated_child() - a latest link or SHA256SUMS of @directory, when @name is theirs; -ENOENT. */
int generated_child(struct fs *fs, const struct node *directory, const char *name, struct node *ret);
/** generated_list() - give those of @directory that come behind @after to listing_add(); false: the page is full. */
bool generated_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l);
/** file_permissions() - of a stored file of the catalog: what the configuration says, less for secrets. */
mode_t file_permissions(struct fs *fs, const struct node *node);
