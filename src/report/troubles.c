/* The last failures, in memory: errno tells a reader of the mount what class of thing went wrong, this tells
 * why. */
#include "runs.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define TROUBLES_KEPT 32

struct report_troubles {
	pthread_mutex_t lock;
	char *lines[TROUBLES_KEPT]; /* lock; a ring: the newest is at (count - 1) % TROUBLES_KEPT */
	uint64_t count;             /* lock */
	int64_t last_eio_us;        /* lock */
};

struct report_troubles *report_troubles_new(void)
{
	struct report_troubles *t = mem_alloc(sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	return t;
}

struct report_troubles *report_troubles_free(struct report_troubles *t)
{
	if (!t)
		return NULL;
	for (size_t i = 0; i < TROUBLES_KEPT; i++)
		free(t->lines[i]);
	pthread_mutex_destroy(&t->lock);
	free(t);
	return NULL;
}

static char *format_trouble(const char *path, int errnum, const char *message)
{
	const char *name = strerrorname_np(errnum);
	struct str line = {0};
	char at[32];

	str_appendf(&line, "%s %s ", format_time(clock_now_us(), "-", at), name ? name : "error");
	if (path && *path) {
		append_flat(&line, path);
		str_append(&line, ": ");
	}
	append_flat(&line, message);
	str_append_char(&line, '\n');
	return str_take(&line);
}

void report_trouble(struct report_troubles *t, const char *path, int errnum, const char *message)
{
	_cleanup(free) char *line = format_trouble(path, errnum, message);
	char **slot, *old;

	pthread_mutex_lock(&t->lock);
	if (errnum == EIO)
		t->last_eio_us = clock_now_us();
	slot = &t->lines[t->count++ % TROUBLES_KEPT];
	old = *slot;
	*slot = take_ptr(&line);
	pthread_mutex_unlock(&t->lock);
	free(old);
}

void report_last_error(struct report_troubles *t, struct spool *out)
{
	_cleanup(str) struct str text = {0};

	/* Into memory under the lock, into the spool (which may mean a file) without it. */
	pthread_mutex_lock(&t->lock);
	for (uint64_t i = t->count; i > 0 && t->count - i < TROUBLES_KEPT; i--)
		str_append(&text, t->lines[(i - 1) % TROUBLES_KEPT]);
	pthread_mutex_unlock(&t->lock);
	spool_append(out, str_text(&text), text.len);
}

uint64_t report_troubles_generation(struct report_troubles *t)
{
	uint64_t count;

	pthread_mutex_lock(&t->lock);
	count = t->count;
	pthread_mutex_unlock(&t->lock);
	return count;
}

int64_t report_last_read_failure(struct report_troubles *t)
{
	int64_t at_us;

	pthread_mutex_lock(&t->lock);
	at_us = t->last_eio_us;
	pthread_mutex_unlock(&t->lock);
	return at_us;
}
