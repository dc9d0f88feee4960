// SPDX-License-Identifier: Apache-2.0
/* The last failures, in memory: errno tells a reader of the mount what class of thing went wrong, this tells
 * why. */
#include "troubles.h"

#include "line.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/report/status.h>

#include <inttypes.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

/* They are forgotten many at a time, as the lines of a run's log are: a file that is followed only grows in between. */
#define TROUBLES_KEPT 32
#define TROUBLES_MAX  64

struct trouble {
	char *text;    /* "EIO backups/full/….dump: why"; NULL: none yet */
	int64_t at_us; /* the last time */
	uint64_t times;
};

struct report_troubles {
	pthread_mutex_t lock;
	struct trouble kept[TROUBLES_MAX]; /* lock; a ring: number n is at n % TROUBLES_MAX */
	uint64_t first;                    /* lock; the number of the oldest that is kept */
	uint64_t count;                    /* lock; of different ones so far, so the number of the next */
	uint64_t generation;               /* lock */
	int64_t last_eio_us;               /* lock */
	char *no_cache;                    /* lock; NULL: there is nothing to say */
	char *conf;                        /* lock; likewise */
	const char *conf_what_to_do;       /* lock */
	struct lease *lease;               /* lock; NULL: there is none */
	struct follower *follower;         /* lock; likewise */
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
	for (size_t i = 0; i < TROUBLES_MAX; i++)
		free(t->kept[i].text);
	free(t->no_cache);
	free(t->conf);
	pthread_mutex_destroy(&t->lock);
	free(t);
	return NULL;
}

/* Many messages name the path themselves, first of all. */
static bool begins_with_path(const char *message, const char *path)
{
	size_t len = strlen(path);

	return strncmp(message, path, len) == 0 && strchr(": ,;", message[len]) && message[len];
}

static char *format_trouble(const char *path, int errnum, const char *message)
{
	const char *name = strerrorname_np(errnum);
	struct str text = {0};

	str_appendf(&text, "%s ", name ? name : "error");
	if (path && *path && !begins_with_path(message, path)) {
		str_append_line(&text, path);
		str_append(&text, ": ");
	}
	str_append_line(&text, message);
	return str_take(&text);
}

/* With the lock. */
static void make_room(struct report_troubles *t)
{
	if (t->count - t->first < TROUBLES_MAX)
		return;
	for (; t->count - t->first > TROUBLES_KEPT; t->first++)
		free(take_ptr(&t->kept[t->first % TROUBLES_MAX].text));
}

void report_trouble(struct report_troubles *t, const char *path, int errnum, const char *message)
{
	_cleanup(free) char *text = format_trouble(path, errnum, message);
	int64_t now_us = clock_now_us();
	struct trouble *newest;

	pthread_mutex_lock(&t->lock);
	if (errnum == EIO)
		t->last_eio_us = now_us;
	newest = &t->kept[(t->count + TROUBLES_MAX - 1) % TROUBLES_MAX];
	if (newest->text && strcmp(newest->text, text) == 0) {
		newest->at_us = now_us;
		newest->times++;
	} else {
		make_room(t);
		t->kept[t->count++ % TROUBLES_MAX] =
		        (struct trouble){.text = take_ptr(&text), .at_us = now_us, .times = 1};
	}
	t->generation++;
	pthread_mutex_unlock(&t->lock);
}

void report_no_cache(struct report_troubles *t, const char *why)
{
	pthread_mutex_lock(&t->lock);
	free(t->no_cache);
	t->no_cache = mem_strdup(why);
	pthread_mutex_unlock(&t->lock);
}

char *troubles_no_cache(struct report_troubles *t)
{
	char *why;

	pthread_mutex_lock(&t->lock);
	why = t->no_cache ? mem_strdup(t->no_cache) : NULL;
	pthread_mutex_unlock(&t->lock);
	return why;
}

void report_conf_trouble(struct report_troubles *t, const char *why, const char *what_to_do)
{
	pthread_mutex_lock(&t->lock);
	free(t->conf);
	t->conf = mem_strdup(why);
	t->conf_what_to_do = what_to_do;
	pthread_mutex_unlock(&t->lock);
}

char *troubles_conf(struct report_troubles *t, const char **ret_what_to_do)
{
	char *why;

	pthread_mutex_lock(&t->lock);
	why = mem_strdup(t->conf);
	*ret_what_to_do = t->conf_what_to_do;
	pthread_mutex_unlock(&t->lock);
	return why;
}

void report_watch_lease(struct report_troubles *t, struct lease *lease)
{
	pthread_mutex_lock(&t->lock);
	t->lease = lease;
	pthread_mutex_unlock(&t->lock);
}

void report_watch_follower(struct report_troubles *t, struct follower *follower)
{
	pthread_mutex_lock(&t->lock);
	t->follower = follower;
	pthread_mutex_unlock(&t->lock);
}

void troubles_lease(struct report_troubles *t, struct lease_state *ret)
{
	pthread_mutex_lock(&t->lock);
	lease_look(t->lease, ret);
	pthread_mutex_unlock(&t->lock);
}

bool troubles_follower(struct report_troubles *t, struct follower_state *ret)
{
	bool follows;

	pthread_mutex_lock(&t->lock);
	follows = t->follower != NULL;
	if (follows)
		follower_look(t->follower, ret);
	pthread_mutex_unlock(&t->lock);
	return follows;
}

static void append_trouble(const struct trouble *trouble, struct str *lines)
{
	char at[32];

	str_appendf(lines, "%s %s", line_time(trouble->at_us, "-", at), trouble->text);
	if (trouble->times > 1)
		str_appendf(lines, " (%" PRIu64 " times)", trouble->times);
	str_append_char(lines, '\n');
}

/* With the lock. */
static void append_all(struct report_troubles *t, struct str *lines)
{
	for (uint64_t i = t->count; i > t->first; i--)
		append_trouble(&t->kept[(i - 1) % TROUBLES_MAX], lines);
}

/* With the lock. */
static void append_since(struct report_troubles *t, uint64_t position, struct str *lines)
{
	for (uint64_t i = position > t->first ? position : t->first; i < t->count; i++)
		append_trouble(&t->kept[i % TROUBLES_MAX], lines);
}

int report_last_error_since(const struct report_sources *from, int64_t *position, struct spool *out)
{
	struct report_troubles *t = from->troubles;
	_cleanup(str) struct str lines = {0};

	if (!t)
		return spool_error(out);
	/* Into memory under the lock, into the spool (which may mean a file) without it. */
	pthread_mutex_lock(&t->lock);
	if (*position == REPORT_WHOLE)
		append_all(t, &lines);
	else
		append_since(t, (uint64_t)*position, &lines);
	*position = (int64_t)t->count;
	pthread_mutex_unlock(&t->lock);
	spool_append(out, str_text(&lines), lines.len);
	return spool_error(out);
}

int report_last_error(const struct report_sources *from, struct spool *out)
{
	int64_t position = REPORT_WHOLE;

	return report_last_error_since(from, &position, out);
}

uint64_t report_troubles_generation(struct report_troubles *t)
{
	uint64_t generation;

	pthread_mutex_lock(&t->lock);
	generation = t->generation;
	pthread_mutex_unlock(&t->lock);
	return generation;
}

int64_t troubles_last_read_failure(struct report_troubles *t)
{
	int64_t at_us;

	pthread_mutex_lock(&t->lock);
	at_us = t->last_eio_us;
	pthread_mutex_unlock(&t->lock);
	return at_us;
}
