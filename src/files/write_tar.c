// SPDX-License-Identifier: Apache-2.0
/*
 * From a walk to an archive. What an entry's header says is asked of the descriptor that its content is read from, so both are
 * of the same file; what that file does while it is read is seen by asking once more.
 */
#include "attributes.h"
#include "content.h"
#include "fd_path.h"
#include "hard_links.h"
#include "owners.h"
#include "tar.h"
#include "troubles.h"
#include "walk.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#define RECORD_BYTES 10240 /* tar's own: a multiple of them is an archive */

struct writer {
	const struct files_options *options;
	struct out out;
	struct files_facts facts;
	struct troubles troubles;
	struct hard_links links;
	struct owners owners;
	struct attributes attributes;
	struct str path, link, records, headers; /* of the entry that is being written */
};

/* Files that cannot be read make it fail: the rest is gone through for their number only. */
static bool is_doomed(const struct writer *w)
{
	return w->troubles.counts[TROUBLE_UNREADABLE] > 0 && !w->options->skip_unreadable;
}

static void set_entry_path(struct writer *w, const struct walk_entry *e)
{
	str_clear(&w->path);
	str_append(&w->path, w->options->prefix ? w->options->prefix : ".");
	if (*e->path)
		str_append_char(&w->path, '/');
	str_append(&w->path, e->path);
	if (S_ISDIR(e->st->stx_mode))
		str_append_char(&w->path, '/');
}

static struct tar_entry describe_entry(struct writer *w, const struct statx *st, char type)
{
	return (struct tar_entry){
	        .path = str_text(&w->path),
	        .type = type,
	        .uname = owners_user(&w->owners, st->stx_uid),
	        .gname = owners_group(&w->owners, st->stx_gid),
	        .mode = st->stx_mode & 07777,
	        .uid = st->stx_uid,
	        .gid = st->stx_gid,
	        .mtime = {st->stx_mtime.tv_sec, st->stx_mtime.tv_nsec},
	        .attributes = &w->records,
	};
}

static int write_headers(struct writer *w, const struct tar_entry *e, struct error *err)
{
	str_clear(&w->headers);
	tar_append_entry(&w->headers, e);
	return out_write(&w->out, w->headers.data, w->headers.len, err);
}

/* Return: whether its attributes could be read. */
static bool read_attributes(struct writer *w, const struct walk_entry *e, int fd)
{
	int r;

	str_clear(&w->records);
	r = attributes_append(&w->attributes, fd, &w->records);
	if (r < 0)
		troubles_note(&w->troubles, TROUBLE_UNREADABLE, e->path, -r);
	return r == 0;
}

static bool times_differ(struct statx_timestamp a, struct statx_timestamp b)
{
	return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
}

/* Where times and sizes are remembered for a while (network file systems), only the bytes that were missing tell. */
static void look_again(struct writer *w, const struct walk_entry *e, int fd, const struct statx *before,
                       bool was_cut)
{
	struct statx now;

	if (was_cut || walk_stat(fd, &now) < 0 || now.stx_size != before->stx_size ||
	    times_differ(now.stx_mtime, before->stx_mtime) || times_differ(now.stx_ctime, before->stx_ctime))
		troubles_note(&w->troubles, TROUBLE_CHANGED, e->path, 0);
}

static int write_content(struct writer *w, const struct walk_entry *e, struct content *c,
                         const struct statx *st, struct error *err)
{
	struct tar_entry entry = describe_entry(w, st, TAR_FILE);
	int r;

	entry.size = content_archived_bytes(c);
	entry.sparse = c->sparse;
	entry.real_size = c->size;
	r = write_headers(w, &entry, err);
	if (r == 0)
		r = content_write(c, &w->out, err);
	if (c->errnum)
		troubles_note(&w->troubles, TROUBLE_UNREADABLE, e->path, c->errnum);
	w->facts.files++;
	w->facts.content_bytes += c->size;
	return r;
}

/* Return: 1 when it is in the archive; 0 when it could not be read. */
static int write_file_entry(struct writer *w, const struct walk_entry *e, struct error *err)
{
	_cleanup(fd) int reopened = e->is_open ? -1 : fd_reopen(e->fd, 0);
	int fd = e->is_open ? e->fd : reopened;
	struct statx st = *e->st;
	struct content c;
	int r = e->is_open ? 0 : fd < 0 ? fd : walk_stat(fd, &st);

	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
		return error_system(err, -r, "opening a file below %s", w->options->source.root);
	if (r < 0) {
		troubles_note(&w->troubles,
		              r == -ESTALE || r == -ENOENT ? TROUBLE_VANISHED : TROUBLE_UNREADABLE, e->path,
		              -r);
		return 0;
	}
	if (is_doomed(w) || !read_attributes(w, e, fd))
		return 0;
	content_init(&c, fd, &st);
	r = write_content(w, e, &c, &st, err);
	content_finish(&c);
	if (r < 0)
		return r;
	look_again(w, e, fd, &st, c.was_cut);
	return 1;
}

static int write_plain(struct writer *w, const struct walk_entry *e, char type, uint64_t *count,
                       struct error *err)
{
	struct tar_entry entry;
	int r;

	if (is_doomed(w) || !read_attributes(w, e, e->fd))
		return 0;
	entry = describe_entry(w, e->st, type);
	entry.link = type == TAR_SYMLINK ? str_text(&w->link) : NULL;
	if (type == TAR_CHARACTER || type == TAR_BLOCK) {
		entry.major = e->st->stx_rdev_major;
		entry.minor = e->st->stx_rdev_minor;
	}
	++*count;
	r = write_headers(w, &entry, err);
	return r < 0 ? r : 1;
}

static int write_symlink(struct writer *w, const struct walk_entry *e, struct error *err)
{
	char target[PATH_MAX + 1];
	ssize_t n = readlinkat(e->fd, "", target, sizeof(target));

	if (n < 0) {
		troubles_note(&w->troubles, TROUBLE_UNREADABLE, e->path, errno);
		return 0;
	}
	str_clear(&w->link);
	str_append_bytes(&w->link, target, (size_t)n);
	return write_plain(w, e, TAR_SYMLINK, &w->facts.symlinks, err);
}

static int write_by_kind(struct writer *w, const struct walk_entry *e, struct error *err)
{
	switch (e->st->stx_mode & S_IFMT) {
	case S_IFREG:
		return write_file_entry(w, e, err);
	case S_IFDIR:
		return write_plain(w, e, TAR_DIRECTORY, &w->facts.directories, err);
	case S_IFLNK:
		return write_symlink(w, e, err);
	case S_IFIFO:
		return write_plain(w, e, TAR_FIFO, &w->facts.specials, err);
	case S_IFCHR:
		return write_plain(w, e, TAR_CHARACTER, &w->facts.specials, err);
	case S_IFBLK:
		return write_plain(w, e, TAR_BLOCK, &w->facts.specials, err);
	default:
		troubles_note(&w->troubles, TROUBLE_SOCKET, e->path, 0);
		return 0;
	}
}

/* A number that is used again belongs to another file: it was born at another time. */
static uint64_t identity(const struct statx *st)
{
	uint64_t born = st->stx_mask & STATX_BTIME
	                        ? (uint64_t)st->stx_btime.tv_sec * 1000000000 + st->stx_btime.tv_nsec
	                        : 0;

	return walk_device(st) ^ born << 16;
}

static int write_hard_link(struct writer *w, const struct walk_entry *e, const char *first, struct error *err)
{
	struct tar_entry entry;

	str_clear(&w->records);
	entry = describe_entry(w, e->st, TAR_HARD_LINK);
	entry.link = first;
	w->facts.hard_links++;
	return is_doomed(w) ? 0 : write_headers(w, &entry, err);
}

static int write_with_links(struct writer *w, const struct walk_entry *e, struct error *err)
{
	uint64_t id = identity(e->st);
	const char *first = hard_links_see(&w->links, id, e->st->stx_ino);
	int r;

	if (first)
		return write_hard_link(w, e, first, err);
	r = write_by_kind(w, e, err);
	if (r > 0)
		hard_links_add(&w->links, id, e->st->stx_ino, str_text(&w->path), e->st->stx_nlink - 1);
	return r;
}

static int visit_entry(void *arg, const struct walk_entry *e, struct error *err)
{
	struct writer *w = arg;
	bool is_directory = S_ISDIR(e->st->stx_mode);
	int r;

	if (e->other_mount) {
		troubles_note(&w->troubles, TROUBLE_MOUNT, e->path, 0);
		if (!is_directory)
			return 0;
	}
	set_entry_path(w, e);
	r = e->st->stx_nlink > 1 && !is_directory ? write_with_links(w, e, err) : write_by_kind(w, e, err);
	return r < 0 ? r : 0;
}

static void note_walk_trouble(void *arg, enum walk_trouble what, const char *path, int errnum)
{
	struct writer *w = arg;

	if (what == WALK_EXCLUDED)
		w->facts.excluded++;
	else if (what == WALK_VANISHED)
		troubles_note(&w->troubles, TROUBLE_VANISHED, path, 0);
	else
		troubles_note(&w->troubles, TROUBLE_UNREADABLE, path, errnum);
}

static int write_end(struct writer *w, struct error *err)
{
	int r = out_zeros(&w->out, 2 * TAR_BLOCK_BYTES, err);

	if (r == 0)
		r = out_pad(&w->out, RECORD_BYTES, err);
	return r == 0 ? out_flush(&w->out, err) : r;
}

static int write_all(struct writer *w, struct error *err)
{
	struct walk_visitor visitor = {
	        .visit = visit_entry, .reads_files = true, .trouble = note_walk_trouble, .arg = w};
	int r = walk_directory(&w->options->source, &visitor, err);

	if (r < 0)
		return r;
	troubles_end(&w->troubles);
	return is_doomed(w) ? troubles_error(&w->troubles, err) : write_end(w, err);
}

static struct files_facts facts_of(const struct writer *w)
{
	struct files_facts facts = w->facts;
	const uint64_t *counts = w->troubles.counts;

	facts.archive_bytes = w->out.bytes;
	facts.changed = counts[TROUBLE_CHANGED];
	facts.vanished = counts[TROUBLE_VANISHED];
	facts.unreadable = counts[TROUBLE_UNREADABLE];
	facts.sockets = counts[TROUBLE_SOCKET];
	facts.other_mounts = counts[TROUBLE_MOUNT];
	return facts;
}

static void writer_free(struct writer *w)
{
	out_finish(&w->out);
	hard_links_finish(&w->links);
	str_finish(&w->path);
	str_finish(&w->link);
	str_finish(&w->records);
	str_finish(&w->headers);
	free(w);
}
DEFINE_CLEANUP(writer, struct writer *, writer_free)

int files_write_tar(const struct files_options *options, struct files_facts *ret, struct error *err)
{
	_cleanup(writer) struct writer *w = mem_alloc(sizeof(*w));
	int r;

	w->options = options;
	w->troubles.source = &options->source;
	out_init(&w->out, options);
	r = write_all(w, err);
	if (r == 0)
		*ret = facts_of(w);
	return r;
}
