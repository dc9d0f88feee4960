// SPDX-License-Identifier: Apache-2.0
/* The handle of a file that is written into the mount: see incoming.h. */
#include "incoming_private.h"

#include "fs_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/report/troubles.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct incoming_handle {
	struct handle base;
	struct incoming *file;
};

struct write_request { /* until its piece is done, whoever answers it */
	struct intake_piece piece;
	struct pending pending;
	struct incoming *file;
	void *buffer;
};

struct end_request { /* a close, or a rename that gives the last name */
	struct intake_piece piece;
	struct pending pending;
	struct incoming *file;
	struct end_request *next;
};

/* Opening. */

static void write_incoming(fuse_req_t req, struct handle *h, const char *buf, size_t size, off_t off,
                           uint64_t owner);
static void flush_incoming(fuse_req_t req, struct handle *h, uint64_t owner);
static void sync_incoming(fuse_req_t req, struct handle *h);
static uint64_t bytes_of_incoming(struct handle *h);
static void release_incoming(struct handle *h);

static const struct handle_ops incoming_ops = {.write = write_incoming,
                                               .flush = flush_incoming,
                                               .sync = sync_incoming,
                                               .bytes = bytes_of_incoming,
                                               .release = release_incoming,
                                               .in_order = true};

static struct handle *handle_of_incoming(struct incoming *f)
{
	struct incoming_handle *ih = mem_alloc(sizeof(*ih));

	ih->file = f;
	handle_init(&ih->base, f->fs, &incoming_ops, f->ino);
	return &ih->base;
}

static int refuse_second_writer(struct error *err)
{
	return error_set(err, ERROR_CONFLICT, EBUSY,
	                 "somebody is writing a file of that name at this moment");
}

/* @ino: 0: a new one. The entry, and the caller, have a reference each. */
static int add_incoming(fuse_req_t req, const struct incoming_place *place, const char *name, uint64_t ino,
                        struct incoming **ret, struct error *err)
{
	struct incomings *all = fs_of(req)->incomings;
	struct incoming *f = mem_alloc(sizeof(*f)), *old;
	int r = 0;

	*f = (struct incoming){.fs = fs_of(req),
	                       .class = place->class,
	                       .directory = place->directory,
	                       .path = mem_strdup(place->path),
	                       .job = mem_strdup(place->job),
	                       .intake = intake_new(),
	                       .has_handle = true,
	                       .refs = 2};
	str_copy(f->name, sizeof(f->name), name);
	caller_of(req, &f->writer);
	pthread_mutex_lock(&all->lock);
	old = incoming_named(all, place->directory, name);
	if (all->ended)
		r = -ESHUTDOWN;
	else if (old && old->state != INCOMING_TAKEN)
		r = -EBUSY;
	else if (!pool_try_reserve(all->pool, 1))
		r = -ENFILE;
	if (r == 0) {
		if (old)
			incoming_strike(all, old);
		f->ino = ino ? ino : incoming_number(all);
		f->next = all->first;
		all->first = f;
	}
	pthread_mutex_unlock(&all->lock);
	if (r == 0 && old)
		incoming_unref(old);
	if (r < 0)
		incoming_free(f);
	else
		*ret = f;
	if (r == -EBUSY)
		refuse_second_writer(err);
	else if (r == -ENFILE)
		error_set(
		        err, ERROR_CONFLICT, ENFILE,
		        "%d files are being written into the mount at once, which is as many as there may be",
		        INCOMING_MAX);
	return r;
}

static int refuse_reader_role(const struct fs *fs, struct error *err)
{
	if (fs->ctx.conf->role != CONF_READER)
		return 0;
	return error_set(
	        err, ERROR_DENIED, EROFS,
	        "this keepfs is a reader ([keepfs] role = reader): write into the mount of the writer");
}

int incoming_create(fuse_req_t req, const struct incoming_place *place, const char *name,
                    const struct node_class *node_class, struct node *ret, struct handle **ret_handle,
                    struct error *err)
{
	struct incoming *f;
	int r = refuse_reader_role(fs_of(req), err);

	if (r == 0)
		r = incoming_check_name(name, err);
	if (r == 0)
		r = add_incoming(req, place, name, 0, &f, err);
	if (r < 0)
		return r;
	*ret = (struct node){.ino = f->ino, .class = node_class};
	*ret_handle = handle_of_incoming(f);
	return 0;
}

int incoming_open_again(fuse_req_t req, const struct incoming_place *place, const struct node *node,
                        int flags, struct handle **ret_handle, struct error *err)
{
	struct incoming_facts facts;
	struct incoming *f;
	int r = incoming_facts(fs_of(req), node->ino, &facts);

	if (r < 0)
		return r;
	if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_TRUNC))
		return error_set(err, ERROR_USAGE, EPERM,
		                 "what was written into an inbox is read in backups/%s", place->job);
	if (!facts.is_taken)
		return refuse_second_writer(err);
	if (!(flags & O_TRUNC))
		return error_set(err, ERROR_USAGE, EPERM,
		                 "what came in cannot be added to: write it anew, as a whole");
	r = refuse_reader_role(fs_of(req), err);
	if (r == 0)
		r = add_incoming(req, place, facts.name, node->ino, &f, err);
	if (r < 0)
		return r;
	*ret_handle = handle_of_incoming(f);
	return 0;
}

int incoming_open_over(fuse_req_t req, const struct incoming_place *place, const char *name, uint64_t ino,
                       struct handle **ret_handle, struct error *err)
{
	struct incoming *f;
	int r = refuse_reader_role(fs_of(req), err);

	if (r == 0)
		r = add_incoming(req, place, name, ino, &f, err);
	if (r == 0)
		*ret_handle = handle_of_incoming(f);
	return r;
}

static uint64_t bytes_of_incoming(struct handle *h)
{
	struct incoming *f = ((struct incoming_handle *)h)->file;
	uint64_t bytes;

	pthread_mutex_lock(&h->fs->incomings->lock);
	bytes = f->bytes;
	pthread_mutex_unlock(&h->fs->incomings->lock);
	return bytes;
}

/* Writing. */

static void give_up_dying(void *arg, uint64_t tag)
{
	intake_give_up(arg, GONE_KILLED);
}

static struct pending_work work_of_writer(fuse_req_t req, const struct incoming *f)
{
	return (struct pending_work){
	        .give_up = give_up_dying, .arg = f->intake, .only_dying = fuse_req_ctx(req)->pid};
}

/* Its handle, or its buffer, is gone: whichever comes last gives back the place. */
static void leave_pool(struct incoming *f, bool *has)
{
	struct incomings *all = f->fs->incomings;
	bool is_last;

	pthread_mutex_lock(&all->lock);
	*has = false;
	is_last = !f->has_handle && !f->has_buffer;
	pthread_mutex_unlock(&all->lock);
	if (is_last)
		pool_unreserve(all->pool, 1);
}

static void done_writing(struct intake_piece *piece, int r)
{
	struct write_request *w = (struct write_request *)piece;
	struct incoming *f = w->file;
	struct incomings *all = f->fs->incomings;
	size_t len = piece->len;

	pool_give(all->pool, take_ptr(&w->buffer));
	leave_pool(f, &f->has_buffer);
	pthread_mutex_lock(&all->lock);
	f->is_busy = false;
	f->bytes += r == 0 ? len : 0;
	pthread_mutex_unlock(&all->lock);
	if (pending_claim(&w->pending)) {
		if (r < 0)
			fuse_reply_err(w->pending.req, incoming_errno(r));
		else
			fuse_reply_write(w->pending.req, len);
	}
	free(w);
	incoming_unref(f);
}

static void begin_incoming(void *arg)
{
	struct incoming *f = arg;

	f->class->begin(f);
	incoming_unref(f);
}

/* 0: the piece may come; its file is busy from now on. */
static int claim_write(struct incoming *f, off_t off, uint64_t owner, bool *ret_is_first)
{
	struct incomings *all = f->fs->incomings;
	int r = 0;

	pthread_mutex_lock(&all->lock);
	if (f->is_busy)
		r = -EIO;
	else if ((uint64_t)off != f->bytes || f->is_ending)
		r = -EINVAL;
	f->is_busy |= r == 0;
	f->has_buffer |= r == 0;
	if (r == 0)
		f->owner = owner;
	*ret_is_first = r == 0 && !f->is_begun;
	f->is_begun |= r == 0;
	pthread_mutex_unlock(&all->lock);
	return r;
}

static void refuse_incoming_write(fuse_req_t req, struct incoming *f, int r)
{
	_cleanup(free) char *name = incoming_name(f), *path = mem_printf("%s/%s", f->path, name);

	report_trouble(
	        f->fs->ctx.troubles, path, -r,
	        r == -EINVAL
	                ? "it is written from its beginning to its end, by one program, and nothing is added behind a close or changed: write it once, as a whole"
	                : "another write is under way");
	fuse_reply_err(req, -r);
}

static void write_incoming(fuse_req_t req, struct handle *h, const char *buf, size_t size, off_t off,
                           uint64_t owner)
{
	struct incoming *f = ((struct incoming_handle *)h)->file;
	struct pending_work work = work_of_writer(req, f);
	struct write_request *w;
	bool is_first;
	int r = size > POOL_BUFFER_BYTES ? -EINVAL : claim_write(f, off, owner, &is_first);

	if (r < 0) {
		refuse_incoming_write(req, f, r);
		return;
	}
	w = mem_alloc(sizeof(*w));
	w->file = incoming_ref(f);
	w->buffer = pool_take(h->fs->incomings->pool);
	memcpy(w->buffer, buf, size);
	w->piece = (struct intake_piece){.data = w->buffer, .len = size, .done = done_writing};
	if (is_first)
		workers_add(h->fs->workers, begin_incoming, incoming_ref(f));
	/* Answered already: the intake was given up, and has no use for the piece. */
	(void)pending_init(&w->pending, req, &work);
	intake_offer(f->intake, &w->piece);
}

/* Closing. */

static void answer_end(struct end_request *e, int r)
{
	struct incoming *f = e->file;

	if (pending_claim(&e->pending))
		fuse_reply_err(e->pending.req, r < 0 ? incoming_errno(r) : 0);
	free(e);
	incoming_unref(f);
}

static void done_ending(struct intake_piece *piece, int r)
{
	struct end_request *e = (struct end_request *)piece, *waiting;
	struct incoming *f = e->file;
	struct incomings *all = f->fs->incomings;

	pthread_mutex_lock(&all->lock);
	if (r == 0 && f->state == INCOMING_OPEN)
		f->state = INCOMING_WAITS;
	f->is_busy = false;
	waiting = take_ptr(&f->waiting);
	pthread_mutex_unlock(&all->lock);
	while (waiting) {
		struct end_request *next = waiting->next;

		answer_end(waiting, r);
		waiting = next;
	}
	answer_end(e, r);
}

enum end_turn {
	END_NOTHING, /* nothing was written, or it was closed before: *@ret_r says the answer */
	END_FIRST,
	END_WAITS, /* another close is looked at */
};

/* With the lock. */
static enum end_turn take_end_turn(struct incoming *f, int *ret_r)
{
	if (!f->is_begun) {
		*ret_r = -EINVAL;
		return END_NOTHING;
	}
	if (f->is_ending && f->is_busy)
		return END_WAITS;
	if (f->is_ending) {
		*ret_r = intake_result(f->intake, NULL);
		*ret_r = *ret_r == -EINPROGRESS ? 0 : *ret_r;
		return END_NOTHING;
	}
	f->is_ending = f->is_busy = true;
	return END_FIRST;
}

void incoming_end(fuse_req_t req, struct incoming *f, bool again)
{
	struct incomings *all = f->fs->incomings;
	const struct pending_work work = work_of_writer(req, f);
	struct end_request *e = mem_alloc(sizeof(*e));
	enum end_turn turn = END_FIRST;
	int r = 0;

	e->file = incoming_ref(f);
	e->piece = (struct intake_piece){.is_end = true, .done = done_ending};
	(void)pending_init(&e->pending, req, &work);
	pthread_mutex_lock(&all->lock);
	if (again)
		f->is_busy = true;
	else
		turn = take_end_turn(f, &r);
	if (turn == END_WAITS) {
		e->next = f->waiting;
		f->waiting = e;
	}
	pthread_mutex_unlock(&all->lock);
	if (turn == END_FIRST)
		intake_offer(f->intake, &e->piece);
	else if (turn == END_NOTHING)
		answer_end(e, r);
}

/* A process that has inherited the descriptor, and never wrote, closes it when it ends, or runs a program. */
static bool is_of_another(struct incoming *f, uint64_t owner)
{
	bool is_other;

	pthread_mutex_lock(&f->fs->incomings->lock);
	is_other = f->is_begun && f->owner != owner;
	pthread_mutex_unlock(&f->fs->incomings->lock);
	return is_other;
}

static void flush_incoming(fuse_req_t req, struct handle *h, uint64_t owner)
{
	struct incoming *f = ((struct incoming_handle *)h)->file;

	if (is_of_another(f, owner)) {
		sync_incoming(req, h);
		return;
	}
	if (caller_is_dying(fuse_req_ctx(req)->pid))
		intake_give_up(f->intake, GONE_KILLED);
	incoming_end(req, f, false);
}

static void sync_incoming(fuse_req_t req, struct handle *h)
{
	int r = intake_result(((struct incoming_handle *)h)->file->intake, NULL);

	fuse_reply_err(req, r < 0 && r != -EINPROGRESS ? incoming_errno(r) : 0);
}

static void end_empty(void *arg)
{
	struct incoming *f = arg;

	incoming_ended(f, -EINVAL, "the file is empty: it is no backup");
	incoming_unref(f);
}

static void release_incoming(struct handle *h)
{
	struct incoming *f = ((struct incoming_handle *)h)->file;
	struct incomings *all = h->fs->incomings;
	bool is_begun, is_ending;

	pthread_mutex_lock(&all->lock);
	is_begun = f->is_begun;
	is_ending = f->is_ending;
	pthread_mutex_unlock(&all->lock);
	if (!is_begun) {
		incoming_drop_entry(f);
		if (h->fs->workers)
			workers_add(h->fs->workers, end_empty, incoming_ref(f));
	} else if (!is_ending) {
		intake_give_up(f->intake, GONE_CLOSED);
	}
	leave_pool(f, &f->has_handle);
	incoming_unref(f);
	free(h);
}
