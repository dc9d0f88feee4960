// SPDX-License-Identifier: Apache-2.0
/* See asked.h. */
#include "asked.h"

#include "comparisons.h"
#include "lookers.h"
#include "rights.h"

#include <keepfs/base/mem.h>

#include <errno.h>

struct asked_later {
	struct later later;
	struct node node;
	struct asked asked;
	struct comparison_waiter waiter;
};

static void give_asked_answer(fuse_req_t req, int r, const struct answer *answer)
{
	if (r < 0)
		fuse_reply_err(req, -r);
	else if (answer->kind == ANSWER_ENTRY)
		fuse_reply_entry(req, &answer->entry);
	else if (answer->kind == ANSWER_ATTRIBUTES)
		fuse_reply_attr(req, &answer->st, answer->attributes_s);
	else if (answer->kind == ANSWER_SIZE)
		fuse_reply_xattr(req, answer->len);
	else
		fuse_reply_buf(req, answer->bytes, answer->len);
}

static void make_answer(void *arg)
{
	struct asked_later *al = arg;
	struct fs *fs = al->later.fs;
	struct answer answer = {0};
	int r = al->asked.make(fs, &al->node, &al->asked, &answer);

	if (r == -EAGAIN && al->node.in_haste) {
		free(answer.bytes);
		al->node.in_haste = false;
		lookers_add(fs->long_lookers, al->node.entry.ino, make_answer, al);
		return;
	}
	/* It is asked again, perhaps just now. */
	if (r == COMPARISON_LATER)
		return;
	if (later_claim(&al->later))
		give_asked_answer(al->later.pending.req, r == -ECANCELED ? -EINTR : r, &answer);
	later_end(&al->later);
	free(answer.bytes);
	free(al);
}

static void make_answer_again(void *arg)
{
	struct asked_later *al = arg;

	lookers_add(al->later.fs->lookers, al->node.entry.ino, make_answer, al);
}

static void ask_later(fuse_req_t req, const struct node *node, const struct asked *a)
{
	struct fs *fs = fs_of(req);
	struct asked_later *al = mem_alloc(sizeof(*al));

	al->asked = *a;
	al->node = *node;
	al->node.cancel = &al->later.cancel;
	al->node.in_haste = true;
	al->waiter =
	        (struct comparison_waiter){.cancel = &al->later.cancel, .wake = make_answer_again, .arg = al};
	al->node.waiter = &al->waiter;
	if (later_begin(&al->later, fs, req))
		lookers_add(fs->lookers, node->entry.ino, make_answer, al);
	else
		free(al);
}

/* What a directory is like is in the catalog, but for some. */
static bool may_wait(const struct node *node, const struct asked *a)
{
	if (a->is_of_itself && node_is_directory(node) && !node->class->stat_waits)
		return false;
	return node->class->waits && (!a->is_of_facts || node->class->facts);
}

void answer_asked(fuse_req_t req, const struct asked *a)
{
	struct fs *fs = fs_of(req);
	struct answer answer = {0};
	struct node node;
	struct asked asked = *a;
	int r = node_load(fs, a->ino, &node);

	rights_of(req, &asked.rights);
	if (r == 0 && !rights_let(fs, &asked.rights, &node, asked.is_listing ? RIGHT_LIST : RIGHT_LOOK))
		r = -EACCES;
	node.for_admin = !rights_see_all(&asked.rights);
	if (r == 0 && may_wait(&node, a)) {
		ask_later(req, &node, &asked);
		return;
	}
	if (r == 0)
		r = a->make(fs, &node, &asked, &answer);
	give_asked_answer(req, r, &answer);
	free(answer.bytes);
}
