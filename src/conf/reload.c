// SPDX-License-Identifier: Apache-2.0
/*
 * The configuration, read again by a daemon that runs. Jobs are taken over whole, since a run has a copy of its job.
 * Of single sections only keys with .reload are: others have been built into threads, connections and memory.
 */
#include "load.h"

#include <keepfs/base/mem.h>

#include "value.h"

#include <errno.h>
#include <string.h>

/* "[store] url: dir:/a is now dir:/b", a line; secrets are masked. */
static void tell_change(const struct conf *running, struct conf_ref old, const struct conf *fresh,
                        struct conf_ref new, const char *verb, struct str *out)
{
	const struct conf_key *k = &conf_keys[old.key];
	_cleanup(str) struct str before = {0}, after = {0};

	conf_value_format(k, conf_base(running, old), &before);
	conf_value_format(k, conf_base(fresh, new), &after);
	conf_ref_title(running, old, out);
	str_append(out, ": ");
	conf_value_show(k, str_text(&before), out);
	str_appendf(out, " %s ", verb);
	conf_value_show(k, str_text(&after), out);
	str_append_char(out, '\n');
	if (before.data)
		explicit_bzero(before.data, before.cap);
	if (after.data)
		explicit_bzero(after.data, after.cap);
}

/* The value that is in force stays, and so does where it came from. */
static void keep_value(const struct conf *running, struct conf *fresh, struct conf_ref ref)
{
	const struct conf_key *k = &conf_keys[ref.key];
	struct conf_origin *origin = conf_origin_of(fresh, ref);
	const struct conf_origin *before = conf_origin_of(running, ref);
	_cleanup(str) struct str value = {0}, ignored = {0};

	conf_value_format(k, conf_base(running, ref), &value);
	conf_value_parse(k, str_text(&value), conf_base(fresh, ref), &ignored);
	if (origin && before)
		mem_replace_string(&origin->text, before->text);
	if (value.data)
		explicit_bzero(value.data, value.cap);
}

static void merge_section(const struct conf *running, struct conf *fresh, struct conf_ref ref,
                          struct conf_changes *changes)
{
	while (conf_next_key(&ref)) {
		const struct conf_key *k = &conf_keys[ref.key];

		if (conf_value_same(k, conf_base(running, ref), conf_base(fresh, ref)))
			continue;
		tell_change(running, ref, fresh, ref, k->reload ? "is now" : "stays, not yet",
		            k->reload ? &changes->taken : &changes->need_restart);
		if (k->reload && k->policy)
			tell_change(running, ref, fresh, ref, "is now", &changes->policy);
		if (!k->reload)
			keep_value(running, fresh, ref);
	}
}

/* The section in @other that has the name of that in @c; false: there is none of its kind. */
static bool find_same_item(const struct conf *c, struct conf_ref ref, const struct conf *other,
                           struct conf_ref *ret)
{
	const struct conf_list *list = conf_sections[ref.section].list;
	const char *name = conf_item_name(list, conf_item(c, list, ref.item));

	for (size_t i = 0; i < conf_item_count(other, list); i++) {
		const void *item = conf_item(other, list, i);

		*ret = (struct conf_ref){.section = conf_item_section(list, item), .item = i, .key = -1};
		if (str_equal(conf_item_name(list, item), name))
			return ret->section == ref.section;
	}
	return false;
}

static void compare_item(const struct conf *running, struct conf_ref old, const struct conf *fresh,
                         struct conf_changes *changes)
{
	struct conf_ref new;

	if (!find_same_item(running, old, fresh, &new)) {
		conf_place_title(running, old, &changes->taken);
		str_append(&changes->taken, " is gone\n");
		return;
	}
	while (conf_next_key(&old)) {
		new.key = old.key;
		if (conf_value_same(&conf_keys[old.key], conf_base(running, old), conf_base(fresh, new)))
			continue;
		tell_change(running, old, fresh, new, "is now", &changes->taken);
		if (conf_keys[old.key].policy)
			tell_change(running, old, fresh, new, "is now", &changes->policy);
	}
}

static void tell_when_new(const struct conf *running, const struct conf *fresh, struct conf_ref new,
                          struct str *out)
{
	struct conf_ref ignored;

	if (find_same_item(fresh, new, running, &ignored))
		return;
	conf_place_title(fresh, new, out);
	str_append(out, " is new\n");
}

static void merge_sections(const struct conf *running, struct conf *fresh, struct conf_changes *changes)
{
	struct conf_ref ref;

	for (size_t n = 0; conf_place(running, n, &ref); n++) {
		if (conf_sections[ref.section].list)
			compare_item(running, ref, fresh, changes);
		else
			merge_section(running, fresh, ref, changes);
	}
	for (size_t n = 0; conf_place(fresh, n, &ref); n++)
		if (conf_sections[ref.section].list)
			tell_when_new(running, fresh, ref, &changes->taken);
}

void conf_serve_at(struct conf *c, const char *mountpoint)
{
	struct conf_ref ref = {.section = CONF_SECTION_KEEPFS, .key = -1};

	if (str_equal(c->mountpoint, mountpoint))
		return;
	if (c->configured_mountpoint)
		free(c->mountpoint);
	else
		c->configured_mountpoint = c->mountpoint;
	c->mountpoint = mem_strdup(mountpoint);
	while (conf_next_key(&ref)) {
		struct conf_origin *origin = conf_origin_of(c, ref);

		if (origin && str_equal(conf_keys[ref.key].name, "mountpoint")) {
			mem_replace_string(&origin->text, "the command line");
			origin->line = 0;
		}
	}
}

/* A new job may contradict a value that stays. */
static int validate_merged(struct conf *merged, struct str *ret_problems)
{
	struct conf_loader l = {.conf = *merged};

	conf_validate(&l);
	conf_take_problems(&l, ret_problems);
	return l.error_count > 0 ? -EINVAL : 0;
}

int conf_reload(const struct conf *running, struct conf *ret_next, struct conf_changes *ret_changes,
                struct str *ret_problems)
{
	struct conf fresh;
	int r = conf_load(running->path, &fresh, ret_problems);

	if (r < 0)
		return r;
	if (running->configured_mountpoint && str_equal(running->configured_mountpoint, fresh.mountpoint))
		conf_serve_at(&fresh, running->mountpoint);
	merge_sections(running, &fresh, ret_changes);
	if (ret_changes->need_restart.len > 0 || fresh.configured_mountpoint)
		r = validate_merged(&fresh, ret_problems);
	if (r == 0)
		*ret_next = fresh;
	else
		conf_finish(&fresh);
	return r;
}

void conf_changes_finish(struct conf_changes *c)
{
	str_finish(&c->policy);
	str_finish(&c->taken);
	str_finish(&c->need_restart);
}
