// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Text files of the tree: made when opened, and then unchanging for that open, but for two things that let them
 * be followed (text_handle.c). The last text of a file is kept and shared while nothing that it tells of has changed,
 * so that stat, open and read agree about its size and cost one making.
 */
#include "handle.h"
#include "node.h"

#include <stddef.h>
#include <sys/types.h>

struct spool;
struct texts;
struct text;
struct watch;

struct texts *texts_new(void);
struct texts *texts_free(struct texts *t);

/** text_open() - the text of @node (which has .file) as of now; release with text_unref(). */
int text_open(struct fs *fs, const struct node *node, struct text **ret_text);
ssize_t text_read(const struct text *text, void *buf, size_t len, uint64_t offset);
uint64_t text_bytes(const struct text *text);
/** text_position(), text_generation() - of a text that can be followed: behind which line it ends, and what the
 * generation was when it was made. */
int64_t text_position(const struct text *text);
uint64_t text_generation(const struct text *text);
/** text_now() - like text_open(), but of a file that is costly, or made anew at each open, the text of the last open, as stat
 * has it; -ENOENT when there was none. */
int text_now(struct fs *fs, const struct node *node, struct text **ret_text);
struct text *text_ref(struct text *text);
void text_unref(struct text *text);
DEFINE_CLEANUP(text, struct text *, text_unref)
/** text_with() - a text that is nobody else's, and kept nowhere; release with text_unref(). */
struct text *text_with(struct fs *fs, uint64_t ino, const char *content);
/** text_blank() - one that the caller fills, by its spool, before anybody else sees it; text_keep() - text_answer() finds it from now on; text_made_at_us(). */
struct text *text_blank(struct fs *fs, uint64_t ino, struct spool **ret_spool);
void text_keep(struct fs *fs, struct text *text);
int64_t text_made_at_us(const struct text *text);
/** text_set_answer(), text_answer() - what a command file last answered, for those who read it; NULL when it
 * never did. */
void text_set_answer(struct fs *fs, uint64_t ino, const char *answer);
struct text *text_answer(struct fs *fs, uint64_t ino);

/* What `generation` of a text's row may be: see made_file.h. A function of a file's own returns a number that
 * is not GENERATION_NEVER, or that, when a text must be made anew at each open. */
#define GENERATION_NEVER 0
/** text_by_catalog() - it changes with what is in the catalog, but for the audit. */
uint64_t text_by_catalog(struct fs *fs, const struct node *node);
/** text_by_audit() - it changes with the audit. */
uint64_t text_by_audit(struct fs *fs, const struct node *node);
/** text_constant() - it never changes while the mount lasts. */
uint64_t text_constant(struct fs *fs, const struct node *node);
/** text_never_kept() - it may always have changed. */
uint64_t text_never_kept(struct fs *fs, const struct node *node);

/* Slots of the classes of texts: stat tells the size of the text of now and when it was made. */
int text_file_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us);
int text_file_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                   struct handle **ret_handle, struct error *err);
/** text_handle_new() - an open file that reads @text (consumed) of @node; @watch (consumed) is what poll(2) waits for,
 * NULL: it is always ready. */
struct handle *text_handle_new(struct fs *fs, const struct node *node, struct text *text,
                               struct watch *watch);
