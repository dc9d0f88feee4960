// SPDX-License-Identifier: Apache-2.0
/*
 * Command files: one command per write, judged in the write itself, answered from the same descriptor. The
 * work waits for the catalog's disk, or (probe) for the network, so it is done by this room's workers, in the
 * function of the file's row. Nothing is left to fail at close: the handles need no flush.
 */
#include "command.h"

#include "confirm.h"
#include "control_rules.h"
#include "made_file.h"
#include "rights.h"
#include "text.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

#define COMMAND_MAX_BYTES 4096

struct command_handle {
	struct handle base;
	pthread_mutex_t lock;
	struct text *text; /* lock: the answer that is read; NULL: there is none yet */
	/* lock: a write moves the descriptor's position, and the answer begins wherever the first read after
	 * it happens to be. -1: not read yet. */
	off_t answer_at;
};

/* @text is consumed. */
static void give_answer(struct command_handle *ch, struct text *text)
{
	pthread_mutex_lock(&ch->lock);
	text_unref(ch->text);
	ch->text = text;
	ch->answer_at = -1;
	pthread_mutex_unlock(&ch->lock);
}

static int refuse_of_reader(struct command *c, struct error *err)
{
	int r;

	if (!c->node.file->of_writer || c->fs->ctx.conf->role != CONF_READER)
		return 0;
	r = error_set(
	        err, ERROR_DENIED, EROFS,
	        "this keepfs is a reader ([keepfs] role = reader): it shows what another one makes, and changes nothing; use %s on the host of the writer",
	        c->audit.object);
	audit(c->fs, &c->audit, c->node.file->name, c->text, r, err->message);
	return r;
}

static void run_command(void *arg)
{
	struct command *c = arg;
	_cleanup(str) struct str answer = {0}, shown = {0};
	struct error err = {0};
	struct text *text;
	int r = refuse_of_reader(c, &err);

	if (r == 0)
		r = confirm_wait(c, &answer, &err);
	if (r == 0)
		r = c->node.file->run(c, &answer, &err);
	else if (r > 0)
		r = 0;

	if (r < 0) {
		str_appendf(&answer, "%s: %s\n", strerrorname_np(-r), err.message);
		report_trouble(c->fs->ctx.troubles, c->audit.object, -r, err.message);
	} else if (c->node.file->copied_soon) {
		copies_soon(c->fs->ctx.copies);
	}
	/* Whoever reads the file next sees it on his terminal, with the words of whoever wrote. */
	str_append_visible(&shown, str_text(&answer));
	text_set_answer(c->fs, c->node.ino, str_text(&shown));
	text = text_answer(c->fs, c->node.ino);
	/* Once answered, or interrupted, the caller may close the file: before the claim, and after the
	 * answer, the handle may be gone. */
	if (pending_claim(&c->pending)) {
		give_answer(c->handle, text);
		if (r < 0)
			fuse_reply_err(c->pending.req, -r);
		else
			fuse_reply_write(c->pending.req, c->bytes);
	} else {
		text_unref(text);
	}
	free(c);
}

/* The command without the white space around it; -EINVAL for what is no text or too long. */
static int take_text(const char *buf, size_t size, struct command *c)
{
	while (size > 0 && strchr(" \t\r\n", buf[size - 1]) && buf[size - 1])
		size--;
	while (size > 0 && strchr(" \t\r\n", buf[0]) && buf[0]) {
		buf++;
		size--;
	}
	if (size == 0 || memchr(buf, '\0', size) || memchr(buf, '\n', size))
		return -EINVAL;
	memcpy(c->text, buf, size);
	c->text[size] = '\0';
	return 0;
}

static void refuse_text(fuse_req_t req, struct command_handle *ch)
{
	static const char why[] =
	        "EINVAL: a command is one line of text and is not empty; see control/README\n";
	struct fs *fs = ch->base.fs;

	text_set_answer(fs, ch->base.ino, why);
	give_answer(ch, text_answer(fs, ch->base.ino));
	report_trouble(fs->ctx.troubles, "control", EINVAL, why);
	fuse_reply_err(req, EINVAL);
}

static void write_command(fuse_req_t req, struct handle *h, const char *buf, size_t size, off_t off,
                          uint64_t owner)
{
	struct command_handle *ch = (struct command_handle *)h;
	struct fs *fs = h->fs;
	struct command *c;
	struct rights rights;
	struct node node;
	int r = node_load(fs, h->ino, &node);

	/* A file can be open for longer than a right lasts, and be handed on. */
	rights_of(req, &rights);
	if (r == 0 && !rights_let(fs, &rights, &node, RIGHT_WRITE))
		r = -EACCES;
	if (r == 0 && size > COMMAND_MAX_BYTES)
		r = -EINVAL;
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	c = mem_alloc(sizeof(*c) + size + 1);
	if (take_text(buf, size, c) < 0) {
		free(c);
		refuse_text(req, ch);
		return;
	}
	c->fs = fs;
	c->handle = ch;
	c->node = node;
	c->bytes = size;
	caller_of(req, &c->audit);
	c->may_confirm = control_rules_confirm_by(fs->control, req);
	/* Before an interrupt can answer it: whoever is killed then has no name any more. */
	c->login = confirm_login_of(c->audit.pid);
	snprintf(c->by, sizeof(c->by), "uid %lld (%s)", (long long)c->audit.uid, c->audit.command);
	/* An interrupt answers the caller, and the command goes on: it may have begun to act. */
	pending_init(&c->pending, req, NULL);
	workers_add(fs->workers, run_command, c);
}

static void read_answer(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct command_handle *ch = (struct command_handle *)h;
	_cleanup(free) char *buf = mem_alloc(size);
	ssize_t n = 0;

	pthread_mutex_lock(&ch->lock);
	if (ch->answer_at < 0)
		ch->answer_at = off;
	if (ch->text && off >= ch->answer_at)
		n = text_read(ch->text, buf, size, (uint64_t)(off - ch->answer_at));
	pthread_mutex_unlock(&ch->lock);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

static void release_command(struct handle *h)
{
	struct command_handle *ch = (struct command_handle *)h;

	text_unref(ch->text);
	pthread_mutex_destroy(&ch->lock);
	free(ch);
}

static const struct handle_ops ops = {
        .read = read_answer, .write = write_command, .release = release_command};

/* It reads the last answer that anybody got, until it has one of its own. */
int command_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                 struct handle **ret_handle, struct error *err)
{
	struct fs *fs = fs_of(req);
	struct command_handle *ch = mem_alloc(sizeof(*ch));

	pthread_mutex_init(&ch->lock, NULL);
	ch->text = text_answer(fs, node->ino);
	handle_init(&ch->base, fs, &ops, node->ino);
	*ret_handle = &ch->base;
	return 0;
}

int command_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->file_mode;
	return 0;
}

/* `echo > control/trigger` truncates, `cp -p` sets times: harmless here. */
int command_keep_attributes(struct fs *fs, const struct node *node, const struct stat *attr, int to_set)
{
	return 0;
}

const struct node_class class_command = {
        .type = S_IFREG,
        .name_s = ATTR_FOREVER_S,
        .writable = true,
        .stat = command_stat,
        .setattr = command_keep_attributes,
        .open = command_open,
};
