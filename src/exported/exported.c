// SPDX-License-Identifier: Apache-2.0
/* What a file is, is told by what is in it. */
#include "exported.h"

#include "bytes.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_BYTES 64

static int open_source(struct exported *e, const struct exported_source *source, struct error *err)
{
	e->name = mem_strdup(source->path ? source->path : "the file");
	e->temporary_dir = mem_strdup(source->temporary_dir ? source->temporary_dir : "/tmp");
	e->fd = source->fd;
	if (e->fd < 0) {
		/* Whoever is waited for at the other end of a pipe may never come. */
		e->fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		e->owns_fd = e->fd >= 0;
	}
	if (e->fd < 0 || fstat(e->fd, &e->opened) < 0)
		return error_system(err, errno, "it cannot be opened");
	if (!S_ISREG(e->opened.st_mode))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "it is no regular file: an export is read more than once");
	return 0;
}

static int look_at_begin(struct bytes *bytes, char text[static LOOK_BYTES + 1], struct error *err)
{
	ssize_t n = 1;
	size_t len = 0;

	memset(text, 0, LOOK_BYTES + 1);
	while (len < LOOK_BYTES && (n = bytes->read(bytes, text + len, LOOK_BYTES - len, err)) > 0)
		len += (size_t)n;
	return n < 0 ? (int)n : 0;
}

static int is_no_export(struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "it does not begin as any export of keepfs does");
}

/* Plain text: of the file, or of what is in a gzip file. */
static int tell_text(struct exported *e, const char *text, struct error *err)
{
	text += strspn(text, " \t\r\n");
	if (str_starts(text, "--"))
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "it is SQL, which keepfs does not read: \"psql -1 -f\" loads it into an empty database");
	if (*text != '{')
		return is_no_export(err);
	e->head.format = EXPORTED_JSON;
	e->reader = &exported_reader_json;
	return 0;
}

static int tell_packed(struct exported *e, struct error *err)
{
	_cleanup(bytes) struct bytes *bytes = bytes_of_gzip(bytes_of_file(e->fd, e->cancel));
	char text[LOOK_BYTES + 1];
	int r = look_at_begin(bytes, text, err);

	e->is_packed = true;
	return r < 0 ? r : tell_text(e, text, err);
}

static int tell_format(struct exported *e, struct error *err)
{
	_cleanup(bytes) struct bytes *bytes = bytes_of_file(e->fd, e->cancel);
	char text[LOOK_BYTES + 1];
	int r = look_at_begin(bytes, text, err);

	if (r < 0)
		return r;
	if (e->opened.st_size == 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "it is empty");
	if (memcmp(text, "\x1f\x8b", 2) == 0)
		return tell_packed(e, err);
	if (memcmp(text, "PK\003\004", 4) == 0)
		e->reader = &exported_reader_zipped;
	else if (memcmp(text, "SQLite format 3", 16) == 0)
		e->reader = &exported_reader_sqlite;
	if (e->reader)
		return 0;
	return tell_text(e, text, err);
}

/* Hold the name against what was found. */

static const struct {
	const char *suffix;
	enum exported_format format;
} suffixes[] = {
        {".json.gz", EXPORTED_JSON}, {".json", EXPORTED_JSON},     {".ndjson.zip", EXPORTED_NDJSON},
        {".csv.zip", EXPORTED_CSV},  {".sqlite", EXPORTED_SQLITE},
};

static void look_at_name(struct exported *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if (!str_ends(e->name, suffixes[i].suffix))
			continue;
		if (suffixes[i].format != e->head.format)
			exported_remark(&e->head, "its name ends in %s, but it is %s", suffixes[i].suffix,
			                exported_format_name(e->head.format));
		return;
	}
}

int exported_open(const struct exported_source *source, struct cancel *cancel, struct exported **ret,
                  struct error *err)
{
	_cleanup(exported) struct exported *e = mem_alloc(sizeof(*e));
	int r;

	e->fd = -1;
	e->cancel = cancel;
	r = open_source(e, source, err);
	if (r == 0)
		r = tell_format(e, err);
	if (r == 0)
		r = e->reader->open(e, err);
	if (r < 0) {
		if (r != -ECANCELED)
			error_prefix(err, "%s", e->name);
		return r;
	}
	look_at_name(e);
	*ret = take_ptr(&e);
	return 0;
}

struct exported *exported_close(struct exported *e)
{
	if (!e)
		return NULL;
	if (e->reader)
		e->reader->close(e);
	if (e->owns_fd)
		close(e->fd);
	row_batch_finish(&e->batch);
	exported_head_finish(&e->head);
	free(e->name);
	free(e->temporary_dir);
	free(e);
	return NULL;
}

const struct exported_head *exported_head(const struct exported *e)
{
	return &e->head;
}

static int check_unchanged(const struct exported *e, struct error *err)
{
	struct stat now;

	if (fstat(e->fd, &now) < 0)
		return error_system(err, errno, "%s cannot be read", e->name);
	if (now.st_size == e->opened.st_size && now.st_mtim.tv_sec == e->opened.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == e->opened.st_mtim.tv_nsec)
		return 0;
	return error_set(err, ERROR_CONFLICT, ESTALE, "%s was changed while it was read", e->name);
}

/* What was whole when it was opened, and is not any more, was changed since. */
static int judge_reading(const struct exported *e, int r, struct error *err)
{
	if (r == -EBADMSG) {
		error_prefix(err, "%s was changed while it was read", e->name);
		if (err)
			err->class = ERROR_CONFLICT;
		return -ESTALE;
	}
	if (r < 0 && r != -ECANCELED && r != -ESTALE)
		error_prefix(err, "%s", e->name);
	return r;
}

int exported_table_begin(struct exported *e, size_t place, struct error *err)
{
	int r = check_unchanged(e, err);

	return r < 0 ? r : judge_reading(e, e->reader->begin(e, place, err), err);
}

int exported_row(struct exported *e, const struct exported_value **ret, struct error *err)
{
	int r = e->reader->row(e, ret, err);

	return r == 0 ? check_unchanged(e, err) : judge_reading(e, r, err);
}
