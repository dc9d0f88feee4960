// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Questions about a node whose answer is made first and given then, so that a worker can make it where the class of the node says
 * that it may wait for the store (node_class.waits). One function makes an answer, whoever calls it.
 */
#include "later.h"

enum answer_kind { ANSWER_ENTRY, ANSWER_ATTRIBUTES, ANSWER_BYTES, ANSWER_SIZE };

struct answer {
	enum answer_kind kind;
	struct fuse_entry_param entry; /* ANSWER_ENTRY */
	struct stat st;                /* ANSWER_ATTRIBUTES */
	double attributes_s;
	char *bytes; /* ANSWER_BYTES, and ANSWER_SIZE, which tells how many they are: heap */
	size_t len;
};

struct asked;
/* 0 with @ret filled; negative errno. @node is what was asked about. */
typedef int answer_fn(struct fs *fs, const struct node *node, const struct asked *a, struct answer *ret);

struct asked {
	answer_fn *make;
	uint64_t ino;
	char name[NAME_MAX_BYTES]; /* of a lookup, or of an extended attribute */
	size_t size; /* how many bytes are wanted, of these or of a listing; of that, what follows */
	off_t after;
	bool plus;
	bool is_listing;
	bool is_of_itself; /* getattr, getxattr, listxattr */
	bool is_of_facts;  /* getxattr, listxattr: a class that has none need not wait */
	bool is_open;      /* getattr: of an open file that tells its size */
	uint64_t open_bytes;
	struct rights rights; /* answer_asked() fills it in */
};

/** answer_asked() - answer @req, now or later; @a is copied. */
void answer_asked(fuse_req_t req, const struct asked *a);
