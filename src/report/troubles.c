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

#define TROUBLES_KEPT 32

struct trouble {
	char *text;    /* "EIO backups/full/….dump: why"; NULL: none yet */
	int64_t at_us; /* the last time */
	uint64_t times;
};

struct report_troubles {
	pthread_mutex_t lock;
	struct trouble kept[TROUBLES_KEPT]; /* lock; a ring: the newest is at (count - 1) % TROUBLES_KEPT */
	uint64_t count;                     /* lock; of different ones */
	uint64_t generation;                /* lock */
	int64_t last_eio_us;                /* lock */
	char *no_cache;                     /* lock; NULL: there is nothing to say */
	char *conf;                         /* lock; likewise */
	const char *conf_what_to_do;        /* lock */
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
		line_append_flat(&text, path);
		str_append(&text, ": ");
	}
	line_append_flat(&text, message);
	return str_take(&text);
}

void report_trouble(struct report_troubles *t, const char *path, int errnum, const char *message)
{
	_cleanup(free) char *text = format_trouble(path, errnum, message);
	int64_t now_us = clock_now_us();
	struct trouble *newest;

	pthread_mutex_lock(&t->lock);
	if (errnum == EIO)
		t->last_eio_us = now_us;
	newest = &t->kept[(t->count + TROUBLES_KEPT - 1) % TROUBLES_KEPT];
	if (newest->text && strcmp(newest->text, text) == 0) {
		newest->at_us = now_us;
		newest->times++;
	} else {
		struct trouble *next = &t->kept[t->count++ % TROUBLES_KEPT];
		char *oldest = next->text;

		*next = (struct trouble){.text = take_ptr(&text), .at_us = now_us, .times = 1};
		text = oldest;
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

static void append_kept(struct report_troubles *t, struct str *lines)
{
	for (uint64_t i = t->count; i > 0 && t->count - i < TROUBLES_KEPT; i--) {
		const struct trouble *trouble = &t->kept[(i - 1) % TROUBLES_KEPT];
		char at[32];

		str_appendf(lines, "%s %s", line_time(trouble->at_us, "-", at), trouble->text);
		if (trouble->times > 1)
			str_appendf(lines, " (%" PRIu64 " times)", trouble->times);
		str_append_char(lines, '\n');
	}
}

int report_last_error(const struct report_sources *from, struct spool *out)
{
	_cleanup(str) struct str lines = {0};

	if (!from->troubles)
		return spool_error(out);
	/* Into memory under the lock, into the spool (which may mean a file) without it. */
	pthread_mutex_lock(&from->troubles->lock);
	append_kept(from->troubles, &lines);
	pthread_mutex_unlock(&from->troubles->lock);
	spool_append(out, str_text(&lines), lines.len);
	return spool_error(out);
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
