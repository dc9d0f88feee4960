// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the files of this room share. */
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "node.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/fs.h>

#include <stdatomic.h>

struct based_files;
struct comparisons;
struct descents;
struct kept_packs;
struct mirrored_states;
struct export_learner;
struct diff_pairs;
struct laters;
struct texts;
struct incomings;
struct lookers;
struct watches;

/* One mount. Locks of this room: fs->handles_lock, fs->forgetting, fs->tenants_lock, and those of texts, watches, an open text and a
 * command's handle, and that of comparisons. None is taken while another is held, but for that of a queue (lookers.h), and none but fs->forgetting is held while the
 * kernel, the catalog's writers, the store or the network is waited for. */
struct fs {
	struct fs_context ctx;
	struct jobs *jobs;
	struct jobs_events events;
	struct artifact_events artifact_events;
	int64_t started_at_us; /* mtime of what has none of its own */
	struct texts *texts;
	struct watches *watches;
	struct mirrored_states *mirrored;
	struct kept_packs *kept_packs;
	struct based_files *based; /* files of bases: based.h */
	struct descents *descents; /* has a lock of its own */
	/* what waits for the catalog's disk or the store: commands, removals, links, notes */
	struct workers *workers;
	/* look into dumps, by dump: what waits for the store before there is a handle */
	struct lookers *lookers;
	struct lookers *inside_readers; /* read from them, by dump */
	struct lookers *base_readers;   /* read files of bases, by base */
	struct lookers *long_lookers; /* what of both takes as long as reading all of a table, or of a dump */
	struct laters *laters;
	struct diff_pairs *diff_pairs;
	struct comparisons *comparisons;
	struct wal_missed *wal_missed;
	struct workers *wal_takers;  /* read what is written into wal/: each as long as its writer needs */
	struct incomings *incomings; /* files that are written into the mount: a lock of its own */
	pthread_mutex_t tenants_lock;
	struct export_learner *tenants; /* tenants_lock, or main's; NULL: there is nobody to ask for them */
	struct workers *forgetters;     /* has the kernel forget names: see remove.c */
	pthread_mutex_t forgetting;     /* held while the kernel forgets names */
	atomic_bool asks_about_thaws;   /* a worker asks the store how they stand */
	struct cancel thaws_cancel;     /* ends that */
	atomic_bool ending;             /* removals are refused, and nothing is forgotten any more */
	atomic_ullong read_tag;         /* the last read's */
	pthread_mutex_t handles_lock;
	struct handle *handles; /* handles_lock: open files */
	struct fuse_session *session;
	char *mountpoint;
	pthread_t loop;
	bool looping;
	bool is_locked;                /* set before it serves: no identity is configured, see sealed.h */
	bool is_gated;                 /* set before it serves: see rights.h */
	struct control_rules *control; /* constant */
	struct confirmations *confirmations; /* has a lock of its own */
	atomic_int loop_error;               /* set before ended_fd becomes readable */
	int ended_fd;
};

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* Finished artifacts never change and leave only through this mount, so the kernel may keep what it knows of
 * them. */
#define ATTR_FOREVER_S 3600.0

/** fs_conf_ref() - the configuration that is in force now: for jobs, and all else that a reload changes. The caller's
 * fs_conf_unref(). */
static inline const struct conf *fs_conf_ref(struct fs *fs)
{
	return fs->ctx.live ? conf_live_ref(fs->ctx.live) : fs->ctx.conf;
}

static inline void fs_conf_unref(struct fs *fs, const struct conf *conf)
{
	if (fs->ctx.live)
		conf_unref(conf);
}

/** node_entry_param() - @node as a reply to a lookup. */
int node_entry_param(struct fs *fs, const struct node *node, struct fuse_entry_param *ret);

/*
 * A request that is answered later, by another thread. Either the answer or an interrupt of the caller comes
 * first; whoever does claims it, the other finds it claimed. That keeps "exactly one reply" true and lets a
 * killed process go at once.
 *
 * The kernel interrupts a request when a signal comes for the process that waits for it, and waits for the
 * answer all the same. Once it is answered, with EINTR, the process may close the file, so that a release
 * comes and the handle goes, while the thread that was to answer is still at work. Therefore a struct pending
 * lies on the heap, in a struct that belongs to that thread and has a copy of all that it needs; and a handle
 * is only touched between a claim that was true and the answer.
 */
struct pending_work { /* what an interrupt ends, before it answers */
	void (*give_up)(void *arg, uint64_t tag);
	void *arg; /* must live until the request has its answer, as the open file does */
	uint64_t tag;
	pid_t only_dying; /* an interrupt is heard only when this process is about to die: caller_is_dying(); 0: any is */
};
struct pending {
	fuse_req_t req;
	struct pending_work work;
	atomic_int state; /* pending.c */
};

/** pending_init() - from now on an interrupt gives up the work (NULL: it goes on unheard) and answers with
 * EINTR. False when it has done so already: a read then must not begin, since its file may be gone. */
bool pending_init(struct pending *p, fuse_req_t req, const struct pending_work *work);
/** pending_claim() - true once: the caller must reply now. After it returned, @p may be freed. */
bool pending_claim(struct pending *p);

#define RIGHTS_GROUPS 256 /* of whoever has more of them, the others give no right */
/** struct rights - who makes a request, and what he is: see rights.h */
struct rights {
	bool has_all;  /* he may have everything */
	bool is_admin; /* he is the admin of a tenant: else the modes say what he may have */
	uid_t uid;
	gid_t gid;
	gid_t groups[RIGHTS_GROUPS];
	size_t group_count;
};

/** caller_of() - who made a request: "uid 0 (bash)", and an audit entry filled with uid, pid and command. */
void caller_of(fuse_req_t req, struct catalog_audit *ret_audit);
/** process_of() - of whose threads one made a request, which is not answered yet; 0: it cannot be seen from here. Reads /proc. */
pid_t process_of(fuse_req_t req);
/** caller_is_dying() - was the process (or thread) @pid killed by a signal, or is it about to be? It closes its files all the same then. False where that cannot be told, as of
 * one in a namespace that is not seen from here. Reads /proc. */
bool caller_is_dying(pid_t pid);
/** audit() - complete and write an audit entry. Return: 0; negative errno when it could not be written, which is logged:
 * who may only act with an audit must not. */
int audit(struct fs *fs, struct catalog_audit *entry, const char *action, const char *object, int result,
          const char *detail);

/* The operations, by file. */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_statfs(fuse_req_t req, fuse_ino_t ino);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
               const char *new_name, unsigned flags);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
              struct fuse_file_info *fi);
void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);

/** note_read_failure() - what is at @path (NULL: it is gone), of the artifact or file @ino, could not be read: log, status/last-error, and
 * the mark that it is damaged, when @damage. */
void note_read_failure(struct fs *fs, uint64_t ino, const char *path, int r, bool damage,
                       const struct error *err); /* artifact_file.c */

struct prune;
/** fs_begin_prune() - what removals are judged by, as of now; @conf: fs_conf_ref()'s. */
int fs_begin_prune(struct fs *fs, const struct conf *conf, struct prune *ret,
                   struct error *err); /* remove.c */

/** fs_lets_others() - has the mount the option allow_other? */
bool fs_lets_others(const struct fs *fs); /* session.c */

/** node_create() - answer a create of @name in @directory, by the class of that. */
void node_create(fuse_req_t req, const struct node *directory, const char *name, struct fuse_file_info *fi);

/* Slots of classes that stand in a file of their own. */
char *fixed_directory_path(struct fs *fs, const struct node *node); /* root.c */
node_open_fn artifact_file_open;                                    /* artifact_file.c */
struct reader_what;
/** artifact_handle_open() - a handle that reads @what, which is consumed as reader_open() does; @reader is noted in the audit when it is closed. */
int artifact_handle_open(struct fs *fs, const struct node *node, const struct reader_what *what,
                         const struct catalog_audit *reader, struct handle **ret_handle,
                         struct error *err); /* artifact_file.c */
/** struct artifact_part - what is read under a name of its own of an object: a stretch of it, which no row of the catalog is of. */
struct artifact_part {
	const char *path;      /* that is read, in the mount */
	uint64_t artifact_ino; /* whose object it is of; who finds it damaged marks that */
	uint64_t at, bytes;    /* of what is read of the object */
};
/** artifact_part_open() - as artifact_handle_open(), of a part of @what. */
int artifact_part_open(struct fs *fs, const struct node *node, const struct reader_what *what,
                       const struct artifact_part *part, const struct catalog_audit *reader,
                       struct handle **ret_handle, struct error *err); /* artifact_file.c */
/**
 * artifact_pack_open() - the same, of the artifact with the row @pack, at @pack_path, whatever this mount shows of it; node->cancel ends waiting for the store
 * What is in the reader of a few packs stays there when they are closed: whoever reads one member reads the next one.
 */
int artifact_pack_open(struct fs *fs, const struct node *node, const struct catalog_entry *pack,
                       const char *pack_path, const struct artifact_part *part,
                       const struct catalog_audit *reader, struct handle **ret_handle,
                       struct error *err); /* artifact_file.c */
/** artifact_pack_file() - the bytes of the pack @pack, at @pack_path, by the mount's reader; whoever closes it sees to artifact_open_begin() by himself. *@ret_bytes: how many there are. */
int artifact_pack_file(struct fs *fs, const struct catalog_entry *pack, const char *pack_path,
                       struct cancel *cancel, struct reader_file **ret, uint64_t *ret_bytes,
                       struct error *err); /* artifact_file.c */
struct kept_packs *kept_packs_new(void);
struct kept_packs *kept_packs_free(struct kept_packs *k); /* NULL allowed; returns NULL */
/** kept_packs_forget() - that one was removed, or has got another object. */
void kept_packs_forget(struct kept_packs *k, uint64_t ino);
/** kept_packs_doubt() - what was read of it failed: whoever opens it next opens it anew. Any thread; closes nothing. */
void kept_packs_doubt(struct kept_packs *k, uint64_t ino);
/** artifact_facts() - slot: of an artifact, or a file of one. */
int artifact_facts(struct fs *fs, const struct node *node, struct facts *ret); /* artifact.c */
/** on_artifact_removed() - artifact_events.removed: have kernel and cache forget it. */
void on_artifact_removed(void *arg, const struct artifact_removed *what); /* remove.c */
int artifact_begin_removal(fuse_req_t req, const struct node *directory, const struct node *node,
                           const char *name); /* remove.c */
