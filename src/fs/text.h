// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Text files of the tree: made when opened, and then unchanging for that open. The last text of a file is
 * kept and shared while nothing that it tells of has changed, so that stat, open and read agree about its
 * size and cost one making.
 */
#include "node.h"

#include <stddef.h>
#include <sys/types.h>

struct texts;
struct text;

struct texts *texts_new(void);
struct texts *texts_free(struct texts *t);

/** text_open() - the text of @node as of now; release with text_unref(). */
int text_open(struct fs *fs, const struct node *node, struct text **ret_text);
/** text_size() - how long it is now, and when it was made. */
int text_size(struct fs *fs, const struct node *node, uint64_t *ret_bytes, int64_t *ret_made_at_us);
ssize_t text_read(const struct text *text, void *buf, size_t len, uint64_t offset);
uint64_t text_bytes(const struct text *text);
void text_unref(struct text *text);
/** text_with() - a text that is nobody else's, and kept nowhere; release with text_unref(). */
struct text *text_with(struct fs *fs, uint64_t ino, const char *content);
/** text_set_answer(), text_answer() - what a command file last answered, for those who read it; NULL when it
 * never did. */
void text_set_answer(struct fs *fs, uint64_t ino, const char *answer);
struct text *text_answer(struct fs *fs, uint64_t ino);
