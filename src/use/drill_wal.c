// SPDX-License-Identifier: Apache-2.0
/*
 * The place belongs to the server's user. So what is written there is made anew each time, by a descriptor of the directory, and no link is followed; and of what comes out of the pipe only a name of WAL is taken.
 */
#include "drill_wal.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASK_NAME    "keepfs-wal.ask"
#define ANSWER_NAME "keepfs-wal.answer"
#define FILE_NAME   "keepfs-wal.file"

struct drill_wal {
	struct wal_get how;
	const char *job;
	uid_t uid;
	gid_t gid;
	int dir_fd, ask_fd, answer_fd;
	struct cancel cancel; /* nobody asks any more */
	pthread_t thread;
	bool has_thread;
	struct str asked; /* what has come of the line */
	int file_fd;      /* while one is written; else -1 */
	uint64_t files;
	int result; /* of the first that could not be brought */
	struct error first;
};

static int write_wal_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	int r = fd_write_all(((const struct drill_wal *)arg)->file_fd, data, len);

	return r < 0 ? error_system(err, -r, "WAL cannot be written into the scratch directory") : 0;
}

static int make_wal_file(struct drill_wal *w, struct error *err)
{
	if (unlinkat(w->dir_fd, FILE_NAME, 0) < 0 && errno != ENOENT)
		return error_system(err, errno, FILE_NAME);
	w->file_fd = openat(w->dir_fd, FILE_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	return w->file_fd < 0 ? error_system(err, errno, FILE_NAME " cannot be made") : 0;
}

static int bring_wal_file(struct drill_wal *w, const char *name, struct error *err)
{
	struct wal_get how = w->how;
	int r = make_wal_file(w, err);

	if (r < 0)
		return r;
	how.cancel = &w->cancel;
	how.write = write_wal_bytes;
	how.arg = w;
	r = wal_get(&how, w->job, name, err);
	if (r == 0 && fchown(w->file_fd, w->uid, w->gid) < 0)
		r = error_system(err, errno, FILE_NAME);
	close(w->file_fd);
	w->file_fd = -1;
	return r;
}

static void answer_asked(struct drill_wal *w, const char *name)
{
	struct error err = {0};
	int r = bring_wal_file(w, name, &err);
	char unread[64];
	const char *answer = r == 0 ? "got\n" : r == -ENOENT ? "none\n" : "failed\n";

	w->files += r == 0;
	if (r < 0 && r != -ENOENT && w->result == 0 && !cancel_is_set(&w->cancel)) {
		w->result = r;
		w->first = err;
		error_prefix(&w->first, "%.60s, which the recovery needs", name);
	}
	/* What one that was killed has not read is no answer for the next. */
	while (read(w->answer_fd, unread, sizeof(unread)) > 0)
		;
	(void)fd_write_all(w->answer_fd, answer, strlen(answer));
}

static void take_asked(struct drill_wal *w)
{
	char piece[256];
	ssize_t n = read(w->ask_fd, piece, sizeof(piece));

	for (ssize_t i = 0; i < n; i++) {
		if (piece[i] != '\n') {
			if (w->asked.len < 2 * WAL_NAME_BYTES)
				str_append_char(&w->asked, piece[i]);
			continue;
		}
		answer_asked(w, str_text(&w->asked));
		str_finish(&w->asked);
	}
}

static void *serve_wal(void *arg)
{
	struct drill_wal *w = arg;
	struct cancel_fd end;

	if (cancel_fd_open(&end, &w->cancel) < 0)
		return NULL;
	while (!cancel_is_set(&w->cancel)) {
		struct pollfd waits[2] = {{.fd = w->ask_fd, .events = POLLIN},
		                          {.fd = end.fd, .events = POLLIN}};

		if (poll(waits, 2, -1) > 0 && waits[0].revents)
			take_asked(w);
	}
	cancel_fd_close(&end);
	return NULL;
}

/* Opened for both, so that it neither waits for the other side nor ends with it. */
static int make_pipe(const struct drill_wal *w, const char *name, int *ret, struct error *err)
{
	if (mkfifoat(w->dir_fd, name, 0600) < 0 ||
	    fchownat(w->dir_fd, name, w->uid, w->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_system(err, errno, "%s cannot be made in the scratch directory", name);
	*ret = openat(w->dir_fd, name, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	return *ret < 0 ? error_system(err, errno, "%s", name) : 0;
}

static int begin_serving(struct drill_wal *w, const char *place, struct error *err)
{
	int r;

	w->dir_fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (w->dir_fd < 0)
		return error_system(err, errno, "%s", place);
	r = make_pipe(w, ASK_NAME, &w->ask_fd, err);
	if (r == 0)
		r = make_pipe(w, ANSWER_NAME, &w->answer_fd, err);
	if (r < 0)
		return r;
	r = thread_start(&w->thread, "drill-wal", serve_wal, w);
	w->has_thread = r == 0;
	return r < 0 ? error_system(err, -r, "no thread can be started") : 0;
}

int drill_wal_new(const struct pg_scratch_filling *f, const struct wal_get *how, const char *job,
                  struct drill_wal **ret, struct error *err)
{
	struct drill_wal *w = mem_alloc(sizeof(*w));
	int r;

	*w = (struct drill_wal){.how = *how,
	                        .job = job,
	                        .uid = f->uid,
	                        .gid = f->gid,
	                        .dir_fd = -1,
	                        .ask_fd = -1,
	                        .answer_fd = -1,
	                        .file_fd = -1};
	cancel_init(&w->cancel);
	r = begin_serving(w, f->place, err);
	if (r < 0)
		drill_wal_free(w);
	else
		*ret = w;
	return r;
}

static void stop_serving(struct drill_wal *w)
{
	cancel_set(&w->cancel);
	if (w->has_thread)
		pthread_join(w->thread, NULL);
	w->has_thread = false;
}

int drill_wal_end(struct drill_wal *w, uint64_t *ret_files, struct error *err)
{
	stop_serving(w);
	*ret_files = w->files;
	if (w->result < 0 && err)
		*err = w->first;
	return w->result;
}

struct drill_wal *drill_wal_free(struct drill_wal *w)
{
	if (!w)
		return NULL;
	stop_serving(w);
	if (w->answer_fd >= 0)
		close(w->answer_fd);
	if (w->ask_fd >= 0)
		close(w->ask_fd);
	if (w->dir_fd >= 0)
		close(w->dir_fd);
	str_finish(&w->asked);
	cancel_finish(&w->cancel);
	free(w);
	return NULL;
}
