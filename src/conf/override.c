// SPDX-License-Identifier: Apache-2.0
/* One run's own copy of a job: what a trigger writes as key=value is parsed by the same table as the file,
 * and held against the same rules. A trigger may change how and what is kept, never from where to where. */
#include "load.h"
#include "value.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

#define SHOWN_BYTES 100 /* of a value, in a message */

static enum conf_section section_of(const struct conf_job *job)
{
	return conf_list_section(conf_jobs, job->kind);
}

static struct conf_ref first_key(const struct conf_job *job)
{
	return (struct conf_ref){.section = section_of(job), .key = -1};
}

static struct conf_job *copy_job(const struct conf_job *job)
{
	struct conf_job *copy = mem_alloc(sizeof(*copy));
	struct conf_ref ref = first_key(job);

	*copy = *job;
	copy->name = mem_strdup(job->name);
	copy->origins = NULL;
	while (conf_next_key(&ref))
		conf_value_detach(&conf_keys[ref.key], copy);
	return copy;
}

struct conf_job *conf_job_free(struct conf_job *job)
{
	struct conf_ref ref;

	if (!job)
		return NULL;
	ref = first_key(job);
	while (conf_next_key(&ref))
		conf_value_finish(&conf_keys[ref.key], job);
	free(job->name);
	free(job);
	return NULL;
}

void conf_job_format(const struct conf_job *job, const char *key, struct str *out)
{
	int index = conf_key_find(section_of(job), key);

	if (index >= 0)
		conf_value_format(&conf_keys[index], job, out);
}

/* From one key that a trigger may change to the next, as conf_next_key() does. */
static bool next_trigger_key(struct conf_ref *ref)
{
	while (conf_next_key(ref))
		if (conf_keys[ref->key].trigger)
			return true;
	return false;
}

/* Keys that are not the job's, but of the order that is given for it; those behind the first three choose among what the
 * job makes. */
static const char *const order_keys[][7] = {
        [CONF_JOB_DUMP] = {"note", "hold", "keep", "database", "class", "final", NULL},
        [CONF_JOB_FILES] = {"note", "hold", "keep", NULL},
        [CONF_JOB_MIRROR] = {"note", "hold", "keep", NULL},
        [CONF_JOB_EXPORT] = {"note", "hold", "keep", "tenant", "class", "then-delete", NULL},
        [CONF_JOB_BUNDLE] = {"note", "hold", "keep", NULL},
        [CONF_JOB_INBOX] = {"note", "hold", "keep", NULL},
        [CONF_JOB_CLUSTER] = {"note", "hold", "keep", NULL},
};

static const char *const *order_keys_of(enum conf_section section)
{
	return order_keys[conf_sections[section].kind];
}

static void list_trigger_keys(struct conf_ref ref, struct str *out)
{
	const char *const *of_order = order_keys_of(ref.section);

	while (next_trigger_key(&ref))
		str_appendf(out, "%s, ", conf_keys[ref.key].name);
	for (size_t i = 0; of_order[i]; i++)
		str_appendf(out, "%s%s", i > 0 ? ", " : "", of_order[i]);
}

void conf_list_trigger_keys(const struct conf_job *job, struct str *out)
{
	list_trigger_keys(first_key(job), out);
}

void conf_write_trigger_keys(struct str *out)
{
	for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++) {
		if (conf_sections[s].list != conf_jobs)
			continue;
		str_appendf(out, "  %s: ", conf_sections[s].header);
		list_trigger_keys((struct conf_ref){.section = s, .key = -1}, out);
		str_append_char(out, '\n');
	}
}

static const char *nearest_trigger_key(const struct conf_job *job, const char *word)
{
	_cleanup(free) const char **names =
	        mem_array(conf_key_count + ARRAY_SIZE(order_keys[0]), sizeof(*names));
	struct conf_ref ref = first_key(job);
	const char *const *of_order = order_keys_of(ref.section);
	size_t count = 0;

	while (next_trigger_key(&ref))
		names[count++] = conf_keys[ref.key].name;
	for (size_t i = 0; of_order[i]; i++)
		names[count++] = of_order[i];
	return conf_nearest(word, names, count);
}

/* A key of jobs of another kind. */
static bool is_of_other_kind(const char *name)
{
	for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++)
		if (conf_sections[s].list == conf_jobs && conf_key_find(s, name) >= 0)
			return true;
	return false;
}

static int refuse_key(const struct conf_job *job, const char *name, struct error *err)
{
	const char *nearest = nearest_trigger_key(job, name);
	bool known = conf_key_find(section_of(job), name) >= 0, other = !known && is_of_other_kind(name);
	_cleanup(str) struct str allowed = {0}, title = {0};

	conf_section_title(section_of(job), job->name, &title);
	if (nearest && !known && !other)
		return error_set(err, ERROR_USAGE, EINVAL, "%.100s: no such key; did you mean %s?", name,
		                 nearest);
	conf_list_trigger_keys(job, &allowed);
	if (other)
		return error_set(err, ERROR_USAGE, EINVAL, "%.100s: %s has no such key; allowed: %s", name,
		                 str_text(&title), str_text(&allowed));
	return error_set(err, ERROR_USAGE, EINVAL, "%.100s: %s; allowed: %s", name,
	                 known ? "this key cannot be changed for one run" : "no such key",
	                 str_text(&allowed));
}

static int set_key(struct conf_job *job, const char *name, const char *value, struct error *err)
{
	int key = conf_key_find(section_of(job), name);
	_cleanup(str) struct str wrong = {0}, allowed = {0};

	if (key < 0 || !conf_keys[key].trigger)
		return refuse_key(job, name, err);
	if (conf_value_parse(&conf_keys[key], value, job, &wrong) == 0)
		return 0;
	conf_value_allowed(&conf_keys[key], &allowed);
	return error_set(err, ERROR_USAGE, EINVAL, "%s = %.*s%s: %s; allowed: %s", name, SHOWN_BYTES, value,
	                 strlen(value) > SHOWN_BYTES ? "…" : "", str_text(&wrong), str_text(&allowed));
}

struct first_clash {
	const struct conf_job *job;
	const char *const *keys;
	size_t count;
	int r;
	struct error *err;
};

/* "jobs = 4", or "jobs = 4 (of the job)" when the trigger did not say so. */
static void describe_override(const struct first_clash *f, const char *name, struct str *out)
{
	_cleanup(str) struct str value = {0};
	bool given = false;

	for (size_t i = 0; i < f->count; i++)
		given |= strcmp(f->keys[i], name) == 0;
	conf_job_format(f->job, name, &value);
	str_appendf(out, "%s = %.*s%s%s", name, SHOWN_BYTES, str_text(&value),
	            value.len > SHOWN_BYTES ? "…" : "", given ? "" : " (of the job)");
}

static void keep_first_clash(void *arg, const struct conf_clash *clash)
{
	struct first_clash *f = arg;
	_cleanup(str) struct str key = {0}, other = {0};

	if (f->r < 0)
		return;
	describe_override(f, clash->key, &key);
	describe_override(f, clash->other, &other);
	f->r = error_set(f->err, ERROR_USAGE, EINVAL, "%s: %s %s; allowed: %s", str_text(&key), clash->what,
	                 str_text(&other), clash->allowed);
}

static bool is_partial(const struct conf_job *job, const struct conf_job *copy)
{
	const struct conf_section_info *section = &conf_sections[section_of(job)];
	struct conf_ref ref = first_key(job);
	bool same = true;

	while (conf_next_key(&ref))
		if (conf_keys[ref.key].filter)
			same &= conf_value_same(&conf_keys[ref.key], job, copy);
	return !same && !section->takes_everything(copy);
}

static int set_keys(struct conf_job *job, const char *const *keys, const char *const *values, size_t count,
                    struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		int r = 0;

		for (size_t j = 0; j < i; j++)
			if (strcmp(keys[i], keys[j]) == 0)
				return error_set(err, ERROR_USAGE, EINVAL, "%.100s: this key is given twice",
				                 keys[i]);
		if (strcmp(keys[i], "note") != 0)
			r = set_key(job, keys[i], values[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

int conf_job_override(const struct conf_job *job, const char *const *keys, const char *const *values,
                      size_t count, struct conf_job **ret_job, bool *ret_partial, struct error *err)
{
	_cleanup(conf_job) struct conf_job *copy = copy_job(job);
	struct first_clash clash = {.job = copy, .keys = keys, .count = count, .err = err};
	const struct conf_clashes clashes = {keep_first_clash, &clash};
	int r = set_keys(copy, keys, values, count, err);

	if (r < 0)
		return r;
	/* What contradicts itself in the configuration was refused when that was loaded. */
	if (count > 0)
		conf_sections[section_of(job)].check(copy, &clashes);
	if (clash.r < 0)
		return clash.r;
	*ret_partial = is_partial(job, copy);
	*ret_job = take_ptr(&copy);
	return 0;
}
