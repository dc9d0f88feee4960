// SPDX-License-Identifier: Apache-2.0
/* One run's own copy of a job: what a trigger writes as key=value is parsed by the same table as the file,
 * and held against the same rules. A trigger may change how and what is dumped, never from where to where. */
#include "backup.h"
#include "load.h"
#include "value.h"
#include "words.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

#define SHOWN_BYTES 100 /* of a value, in a message */

static struct conf_backup *copy_backup(const struct conf_backup *job)
{
	struct conf_backup *copy = mem_alloc(sizeof(*copy));

	*copy = *job;
	copy->name = mem_strdup(job->name);
	for (size_t i = 0; i < conf_key_count; i++)
		if (conf_keys[i].section == CONF_SECTION_BACKUP)
			conf_value_detach(&conf_keys[i], copy);
	return copy;
}

struct conf_backup *conf_backup_free(struct conf_backup *job)
{
	if (!job)
		return NULL;
	for (size_t i = 0; i < conf_key_count; i++)
		if (conf_keys[i].section == CONF_SECTION_BACKUP)
			conf_value_finish(&conf_keys[i], job);
	free(job->name);
	free(job);
	return NULL;
}

void conf_backup_format(const struct conf_backup *job, const char *key, struct str *out)
{
	int index = conf_key_find(CONF_SECTION_BACKUP, key);

	if (index >= 0)
		conf_value_format(&conf_keys[index], job, out);
}

void conf_list_trigger_keys(struct str *out)
{
	for (size_t i = 0; i < conf_key_count; i++)
		if (conf_keys[i].trigger)
			str_appendf(out, "%s, ", conf_keys[i].name);
	str_append(out, "note");
}

static const char *nearest_trigger_key(const char *word)
{
	_cleanup(free) const char **names = mem_array(conf_key_count + 1, sizeof(*names));
	size_t count = 0;

	for (size_t i = 0; i < conf_key_count; i++)
		if (conf_keys[i].trigger)
			names[count++] = conf_keys[i].name;
	names[count++] = "note";
	return conf_nearest(word, names, count);
}

static int refuse_key(const char *name, struct error *err)
{
	const char *nearest = nearest_trigger_key(name);
	bool known = conf_key_find(CONF_SECTION_BACKUP, name) >= 0;
	_cleanup(str) struct str allowed = {0};

	if (nearest && !known)
		return error_set(err, ERROR_USAGE, EINVAL, "%.100s: no such key; did you mean %s?", name,
		                 nearest);
	conf_list_trigger_keys(&allowed);
	return error_set(err, ERROR_USAGE, EINVAL, "%.100s: %s; allowed: %s", name,
	                 known ? "this key cannot be changed for one run" : "no such key",
	                 str_text(&allowed));
}

static int set_key(struct conf_backup *job, const char *name, const char *value, struct error *err)
{
	int key = conf_key_find(CONF_SECTION_BACKUP, name);
	_cleanup(str) struct str wrong = {0}, allowed = {0};

	if (key < 0 || !conf_keys[key].trigger)
		return refuse_key(name, err);
	if (conf_value_parse(&conf_keys[key], value, job, &wrong) == 0)
		return 0;
	conf_value_allowed(&conf_keys[key], &allowed);
	return error_set(err, ERROR_USAGE, EINVAL, "%s = %.*s%s: %s; allowed: %s", name, SHOWN_BYTES, value,
	                 strlen(value) > SHOWN_BYTES ? "…" : "", str_text(&wrong), str_text(&allowed));
}

struct first_clash {
	const struct conf_backup *job;
	const char *const *keys;
	size_t count;
	int r;
	struct error *err;
};

/* "jobs = 4", or "jobs = 4 (of the job)" when the trigger did not say so. */
static void describe(const struct first_clash *f, const char *name, struct str *out)
{
	_cleanup(str) struct str value = {0};
	bool given = false;

	for (size_t i = 0; i < f->count; i++)
		given |= strcmp(f->keys[i], name) == 0;
	conf_backup_format(f->job, name, &value);
	str_appendf(out, "%s = %.*s%s%s", name, SHOWN_BYTES, str_text(&value),
	            value.len > SHOWN_BYTES ? "…" : "", given ? "" : " (of the job)");
}

static void on_clash(void *arg, const struct conf_clash *clash)
{
	struct first_clash *f = arg;
	_cleanup(str) struct str key = {0}, other = {0};

	if (f->r < 0)
		return;
	describe(f, clash->key, &key);
	describe(f, clash->other, &other);
	f->r = error_set(f->err, ERROR_USAGE, EINVAL, "%s: %s %s; allowed: %s", str_text(&key), clash->what,
	                 str_text(&other), clash->allowed);
}

static bool is_partial(const struct conf_backup *job, const struct conf_backup *copy)
{
	bool same = job->dump.content == copy->dump.content;

	for (size_t i = 0; i < conf_key_count; i++) {
		size_t offset = conf_keys[i].offset;

		if (conf_keys[i].filter)
			same &= conf_words_same(*(char **const *)((const char *)job + offset),
			                        *(char **const *)((const char *)copy + offset));
	}
	return !same && !conf_backup_takes_everything(copy);
}

int conf_backup_override(const struct conf_backup *job, const char *const *keys, const char *const *values,
                         size_t count, struct conf_backup **ret_job, bool *ret_partial, struct error *err)
{
	_cleanup(conf_backup) struct conf_backup *copy = copy_backup(job);
	struct first_clash clash = {.job = copy, .keys = keys, .count = count, .err = err};

	for (size_t i = 0; i < count; i++) {
		int r = 0;

		for (size_t j = 0; j < i; j++)
			if (strcmp(keys[i], keys[j]) == 0)
				return error_set(err, ERROR_USAGE, EINVAL, "%.100s: this key is given twice",
				                 keys[i]);
		if (strcmp(keys[i], "note") != 0)
			r = set_key(copy, keys[i], values[i], err);
		if (r < 0)
			return r;
	}
	/* What contradicts itself in the configuration was refused when that was loaded. */
	if (count > 0)
		conf_backup_check(copy, on_clash, &clash);
	if (clash.r < 0)
		return clash.r;
	*ret_partial = is_partial(job, copy);
	*ret_job = take_ptr(&copy);
	return 0;
}
