// SPDX-License-Identifier: Apache-2.0
/* The places that a configuration speaks of: what is made for a while, and removed again, must be none of them. */
#include <keepfs/conf.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <string.h>

bool conf_can_be_drilled(const struct conf_job *job)
{
	return job->kind == CONF_JOB_DUMP || job->kind == CONF_JOB_FILES || job->kind == CONF_JOB_BUNDLE ||
	       job->kind == CONF_JOB_CLUSTER;
}

static size_t place_length(const char *place)
{
	size_t len = strlen(place);

	while (len > 0 && place[len - 1] == '/')
		len--;
	return len;
}

static bool lies_within_place(const char *place, const char *around)
{
	size_t len = place_length(around);

	return strncmp(place, around, len) == 0 && (place[len] == '/' || !place[len]);
}

bool conf_places_overlap(const char *a, const char *b)
{
	return lies_within_place(a, b) || lies_within_place(b, a);
}

/* @name: of the section, where it has one. */
static void set_place(struct conf_place_row *ret, const char *section, const char *name, const char *key,
                      char *url)
{
	_cleanup(free) char *title =
	        mem_printf("[%s%s%s] %s", section, name ? " " : "", str_or_empty(name), key);

	str_cut(ret->title, sizeof(ret->title), title);
	ret->url = url;
}

static char *url_of_directory(const char *directory)
{
	return *str_or_empty(directory) ? mem_printf("dir:%s", directory) : NULL;
}

static void set_job_place(const struct conf_job *job, struct conf_place_row *ret)
{
	if (job->kind == CONF_JOB_FILES)
		set_place(ret, "files", job->name, "path", url_of_directory(job->files.path));
	if (job->kind == CONF_JOB_MIRROR && !str_equal(job->mirror.from.url, CONF_MIRROR_NONE))
		set_place(ret, "mirror", job->name, "url", mem_strdup(job->mirror.from.url));
}

#define OWN_PLACES 4

static void set_own_place(const struct conf *c, size_t n, struct conf_place_row *ret)
{
	if (n == 0)
		set_place(ret, "store", NULL, "url", mem_strdup(c->store.url));
	else if (n == 1)
		set_place(ret, "keepfs", NULL, "mountpoint", url_of_directory(c->mountpoint));
	else if (n == 2)
		set_place(ret, "keepfs", NULL, "state_dir", url_of_directory(c->state_dir));
	else
		set_place(ret, "read", NULL, "cache_dir", url_of_directory(c->read.cache_dir));
}

bool conf_used_place(const struct conf *c, size_t n, struct conf_place_row *ret)
{
	*ret = (struct conf_place_row){0};
	if (n < OWN_PLACES) {
		set_own_place(c, n, ret);
		return true;
	}
	n -= OWN_PLACES;
	if (n < c->store_count) {
		set_place(ret, "store", c->stores[n].name, "url", mem_strdup(c->stores[n].store.url));
		return true;
	}
	n -= c->store_count;
	if (n < c->job_count)
		set_job_place(&c->jobs[n], ret);
	return n < c->job_count;
}
