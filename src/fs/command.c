// SPDX-License-Identifier: Apache-2.0
/*
 * Command files: one command per write, judged in the write itself, answered from the same descriptor. The
 * work waits for the catalog's disk, or (probe) for the network, so it is done by this room's workers.
 */
#include "fs_private.h"
#include "text.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/check.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COMMAND_MAX_BYTES 4096

struct command {
	struct pending pending;
	struct fs *fs;
	struct handle *handle;
	struct node node;
	struct catalog_audit audit;
	char by[128];
	size_t bytes; /* of the write: what a success returns */
	char text[];
};

struct handle *command_open(struct fs *fs, const struct node *node)
{
	struct handle *h = handle_new(fs, HANDLE_COMMAND, node->ino);

	h->text = text_answer(fs, node->ino);
	return h;
}

static void run_trigger(struct command *c, struct str *answer, struct error *err, int *result)
{
	struct catalog_run run;

	*result = jobs_trigger(c->fs->jobs, c->text, c->by, &run, err);
	if (*result == 0)
		str_appendf(answer, "%lld %s %s\n", (long long)run.id, run_state_name(RUN_PENDING), run.job);
	audit(c->fs, &c->audit, "trigger", c->text, *result, *result < 0 ? err->message : str_text(answer));
}

static void run_cancel(struct command *c, struct str *answer, struct error *err, int *result)
{
	_cleanup(free) char *object = mem_printf("jobs/%lld", (long long)c->node.run.id);

	if (strcmp(c->text, "1") != 0)
		*result = error_set(err, ERROR_USAGE, EINVAL,
		                    "'%s' is not a command for cancel: write 1 to stop run %lld", c->text,
		                    (long long)c->node.run.id);
	else
		*result = jobs_cancel(c->fs->jobs, c->node.run.id, err);
	if (*result == 0)
		str_appendf(answer, "%lld cancelling\n", (long long)c->node.run.id);
	audit(c->fs, &c->audit, "cancel", object, *result, *result < 0 ? err->message : "");
}

static void run_probe(struct command *c, struct str *answer, struct error *err, int *result)
{
	_cleanup(free) struct check_result *check = mem_alloc(sizeof(*check));

	if (strcmp(c->text, "now") != 0) {
		*result = error_set(err, ERROR_USAGE, EINVAL, "'%s' is not a command for probe: write 'now'",
		                    c->text);
	} else {
		check_run(c->fs->ctx.conf, c->fs->ctx.store, NULL, c->fs->ctx.catalog, check);
		for (size_t i = 0; i < check->count; i++)
			str_appendf(answer, "%s %s: %s\n", check->items[i].ok ? "ok  " : "FAIL",
			            check->items[i].check, check->items[i].detail);
		*result = 0;
	}
	audit(c->fs, &c->audit, "probe", "control/probe", *result,
	      *result < 0     ? err->message
	      : check->failed ? "some checks failed"
	                      : "all checks passed");
}

/* @text is consumed. */
static void give_answer(struct handle *h, struct text *text)
{
	pthread_mutex_lock(&h->lock);
	text_unref(h->text);
	h->text = text;
	h->answer_at = -1;
	pthread_mutex_unlock(&h->lock);
}

static void run_command(void *arg)
{
	struct command *c = arg;
	_cleanup(str) struct str answer = {0};
	struct error err = {0};
	struct text *text;
	int result;

	if (c->node.kind == NODE_RUN_FILE)
		run_cancel(c, &answer, &err, &result);
	else if (c->node.fixed == FIXED_TRIGGER)
		run_trigger(c, &answer, &err, &result);
	else
		run_probe(c, &answer, &err, &result);
	if (result < 0) {
		str_appendf(&answer, "%s: %s\n", strerrorname_np(-result), err.message);
		report_trouble(c->fs->ctx.troubles, c->audit.object, -result, err.message);
	}
	text_set_answer(c->fs, c->node.ino, str_text(&answer));
	/* Once answered, the caller may close the file: the handle is not touched after the claim. */
	text = text_answer(c->fs, c->node.ino);
	if (pending_claim(&c->pending)) {
		give_answer(c->handle, text);
		if (result < 0)
			fuse_reply_err(c->pending.req, -result);
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

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
              struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = handle_of(fi);
	struct command *c;
	struct node node;
	int r = node_load(fs, ino, &node);

	if (r == 0 && h->kind != HANDLE_COMMAND)
		r = -EBADF;
	if (r == 0 && size > COMMAND_MAX_BYTES)
		r = -EINVAL;
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	c = mem_alloc(sizeof(*c) + size + 1);
	if (take_text(buf, size, c) < 0) {
		static const char why[] =
		        "EINVAL: a command is one line of text and is not empty; see control/README\n";

		text_set_answer(fs, ino, why);
		give_answer(h, text_answer(fs, ino));
		report_trouble(fs->ctx.troubles, "control", EINVAL, why);
		free(c);
		fuse_reply_err(req, EINVAL);
		return;
	}
	c->fs = fs;
	c->handle = h;
	c->node = node;
	c->bytes = size;
	caller_of(req, &c->audit);
	snprintf(c->by, sizeof(c->by), "uid %lld (%s)", (long long)c->audit.uid, c->audit.command);
	pending_init(&c->pending, req, NULL);
	workers_add(fs->workers, run_command, c);
}
