// SPDX-License-Identifier: Apache-2.0
/*
 * One archive. What is read goes as a tar through a check of its structure into the press, whose segments are the object:
 * nothing lies on a disk in between. That it is whole is known before the object is completed: the reading has ended
 * without an error, the tar has its end, and as many entries as were read.
 */
#include "job.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/files/tar_check.h>
#include <keepfs/make/draft.h>
#include <keepfs/proc.h>
#include <keepfs/stream/ordered.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct archive {
	struct sink sink; /* of the tar */
	const struct make_context *ctx;
	const struct make_order *order;
	const struct conf_files *conf;
	struct compression compression;
	struct draft *draft;
	struct press *press;
	struct segment_file file;
	struct tar_check check;
	struct files_facts facts;
	char *root;
	/* Of the thread that reads. */
	int result;
	struct error error;
};

static int archive_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct archive *a = (struct archive *)s;
	int r = tar_check_write(&a->check, data, len, err);

	return r < 0 ? r : press_write(a->press, data, len, err);
}

static const struct sink_ops archive_ops = {.write = archive_write};

static int pace(void *arg, uint64_t bytes, struct error *err)
{
	return draft_pace(((struct archive *)arg)->draft, bytes, err);
}

static void say(void *arg, const char *line)
{
	make_say(((struct archive *)arg)->order, "%s", line);
}

static int take_archive_segment(void *arg, const struct segment *s, const void *data, struct error *err)
{
	return segment_file_add(&((struct archive *)arg)->file, s, data, err);
}

static int open_archive_press(struct archive *a, struct error *err)
{
	bool gzip = a->compression.method == COMPRESSION_GZIP;
	const struct press_options options = {
	        .compression = a->compression,
	        .check = gzip ? SEGMENT_CHECK_CRC32 : SEGMENT_CHECK_NONE,
	        .threads = make_press_threads(a->ctx),
	        .pool = a->ctx->pool,
	        .cancel = a->order->cancel,
	        .out = {.segment = take_archive_segment, .arg = a},
	};

	return press_new(&options, &a->press, err);
}

static int write_tar(struct archive *a, struct error *err)
{
	const struct files_options options = {
	        .source = {.root = a->conf->path,
	                   .below = a->order->target->name,
	                   .exclude = a->conf->exclude,
	                   .cross_mounts = a->conf->cross_mounts,
	                   .cancel = a->order->cancel,
	                   .say = say,
	                   .arg = a},
	        .skip_unreadable = a->conf->skip_unreadable,
	        .sink = &a->sink,
	        .pace = pace,
	};

	tar_check_init(&a->check);
	return files_write_tar(&options, &a->facts, err);
}

static int check_tar(const struct archive *a, struct error *err)
{
	const struct files_facts *f = &a->facts;
	uint64_t expected = f->files + f->directories + f->symlinks + f->hard_links + f->specials, found = 0;
	int r = tar_check_finish(&a->check, &found, err);

	if (r < 0 || found == expected)
		return r;
	return error_set(err, ERROR_INTERNAL, EBADMSG,
	                 "the archive has %" PRIu64 " entries, but %" PRIu64 " were read", found, expected);
}

/* On a thread of its own, so that it alone gives way to others. */
static void *read_whole_directory(void *arg)
{
	struct archive *a = arg;

	proc_lower_thread((int)a->order->job->nice, a->order->job->ionice);
	a->result = write_tar(a, &a->error);
	if (a->result == 0)
		a->result = check_tar(a, &a->error);
	if (a->result == 0)
		a->result = press_finish(a->press, &a->error);
	return NULL;
}

static int read_on_a_thread(struct archive *a, struct error *err)
{
	pthread_t thread;
	int r = thread_start(&thread, "files-read", read_whole_directory, a);

	if (r < 0)
		return error_system(err, -r, "a thread for reading %s cannot be started", a->root);
	pthread_join(thread, NULL);
	if (a->result < 0 && err)
		*err = a->error;
	return a->result;
}

static const char *suffix_of(const struct compression *c)
{
	return c->method == COMPRESSION_GZIP   ? ".tar.gz"
	       : c->method == COMPRESSION_ZSTD ? ".tar.zst"
	                                       : ".tar";
}

static int begin_archive(struct archive *a, struct error *err)
{
	_cleanup(free) char *suffix =
	        mem_printf("%s%s", a->order->partial ? ".partial" : "", suffix_of(&a->compression));
	const struct draft_options options = {.ctx = a->ctx,
	                                      .order = a->order,
	                                      .kind = files_kind.name,
	                                      .suffix = suffix,
	                                      .started_at_us = make_now_us(a->ctx)};

	if (a->order->partial && a->order->target->stem)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "an archive that is made once must not leave out more than its job says: trigger %s without exclude",
		        a->order->job->name);
	return draft_new(&options, &a->draft, err);
}

static void say_facts(const struct archive *a)
{
	const struct files_facts *f = &a->facts;
	char size[16];

	make_say(a->order,
	         "read %s: %" PRIu64 " files (%s), %" PRIu64 " directories, %" PRIu64 " links, %" PRIu64
	         " others",
	         a->root, f->files, str_format_bytes(size, sizeof(size), f->content_bytes), f->directories,
	         f->symlinks + f->hard_links, f->specials);
	if (f->changed + f->vanished > 0)
		make_say(a->order, "%" PRIu64 " files changed and %" PRIu64 " vanished while they were read",
		         f->changed, f->vanished);
	if (f->unreadable > 0)
		make_warn(
		        a->order,
		        "%" PRIu64
		        " files or directories of %s could not be read: they are not in the archive, or end in zeros there",
		        f->unreadable, a->root);
}

/* A disk that was not mounted leaves an empty directory. A subdirectory may well be empty. */
static void warn_of_nothing(const struct archive *a)
{
	const struct files_facts *f = &a->facts;

	if (a->order->target->stem || f->directories > 1 ||
	    f->files + f->symlinks + f->hard_links + f->specials > 0)
		return;
	make_warn(
	        a->order,
	        "there is nothing in the archive of %s: is the disk mounted that belongs there, and is exclude right?",
	        a->root);
}

static void describe_archive(struct archive *a)
{
	const struct files_facts *f = &a->facts;
	struct manifest *m = draft_manifest(a->draft);
	char compression[16];

	manifest_set_fact(m, "path", a->root);
	manifest_set_fact(m, "format", "tar");
	manifest_set_fact(m, "compression", compression_format(&a->compression, compression));
	make_describe_selection(a->order->job, m);
	manifest_set_fact_int(m, "files", (int64_t)f->files);
	manifest_set_fact_int(m, "directories", (int64_t)f->directories);
	manifest_set_fact_int(m, "links", (int64_t)(f->symlinks + f->hard_links));
	manifest_set_fact_int(m, "others", (int64_t)f->specials);
	manifest_set_fact_int(m, "content_bytes", (int64_t)f->content_bytes);
	manifest_set_fact_int(m, "changed", (int64_t)f->changed);
	manifest_set_fact_int(m, "vanished", (int64_t)f->vanished);
	manifest_set_fact_int(m, "unreadable", (int64_t)f->unreadable);
	manifest_set_fact_int(m, "excluded", (int64_t)f->excluded);
	manifest_set_fact_int(m, "other_mounts", (int64_t)f->other_mounts);
	manifest_set_fact_int(m, "sockets", (int64_t)f->sockets);
}

/* A read of what keepfs itself serves would wait for keepfs. */
static int refuse_own_mount(const struct archive *a, struct error *err)
{
	const char *mountpoint = a->ctx->conf->mountpoint;
	size_t len = strlen(a->root);

	len -= len > 0 && a->root[len - 1] == '/';
	if (!a->conf->cross_mounts || !mountpoint || strncmp(mountpoint, a->root, len) != 0 ||
	    mountpoint[len] != '/')
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "with cross_mounts = yes the archive of %s would hold keepfs's own mount %s: mount elsewhere, or set cross_mounts = no",
	        a->root, mountpoint);
}

/* An archive that is made once has to be of one state: what changed under our eyes had not settled. */
static int refuse_what_changed(const struct archive *a, struct error *err)
{
	const struct files_facts *f = &a->facts;

	if (!a->order->target->stem || f->changed + f->vanished == 0)
		return 0;
	return error_set(err, ERROR_CONFLICT, EBUSY,
	                 "%s: %" PRIu64 " files changed and %" PRIu64
	                 " vanished while it was read: its archive is made once, so a later run makes it",
	                 a->root, f->changed, f->vanished);
}

static int make_files_archive(struct archive *a, struct manifest *ret, struct error *err)
{
	struct stream_object *object = NULL;
	int r = refuse_own_mount(a, err);

	if (a->order->target->problem)
		return error_set(err, ERROR_DENIED, EACCES, "%s: no archive is made of it: %s", a->root,
		                 a->order->target->problem);

	if (r == 0)
		r = begin_archive(a, err);
	if (r == 0)
		r = open_archive_press(a, err);
	if (r == 0)
		r = draft_open(a->draft, NULL, 0, &object, err);
	if (r == 0)
		r = segment_file_begin(&a->file, object, a->compression.method == COMPRESSION_GZIP, err);
	if (r == 0)
		r = read_on_a_thread(a, err);
	if (r == 0)
		r = refuse_what_changed(a, err);
	if (r == 0)
		r = segment_file_end(&a->file, err);
	if (r == 0)
		r = draft_finish(a->draft, NULL, object, NULL, err);
	stream_object_free(object);
	if (r < 0)
		return r;
	if (a->conf->secret)
		draft_keep_secret(a->draft, NULL);
	say_facts(a);
	warn_of_nothing(a);
	describe_archive(a);
	return draft_publish(a->draft, NULL, ret, err);
}

int files_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
               struct error *err)
{
	const struct conf_files *conf = &order->job->files;
	const char *below = order->target->name;
	struct archive a = {
	        .sink.ops = &archive_ops,
	        .ctx = ctx,
	        .order = order,
	        .conf = conf,
	        .compression = compression_resolve(&order->job->compression, true),
	        .root = below ? mem_printf("%s/%s", conf->path, below) : mem_strdup(conf->path),
	};
	int r = make_files_archive(&a, ret, err);

	press_free(a.press);
	draft_free(a.draft);
	free(a.root);
	return r;
}

const struct make_kind files_kind = {
        .name = "files",
        .targets_name = "directories",
        .accepts = files_accepts,
        .targets = files_targets,
        .make = files_make,
        .look_around = files_look_around,
        .check = files_check,
};
