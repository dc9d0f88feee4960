// SPDX-License-Identifier: Apache-2.0
/* Secrets have three keys: the value itself, a file, a command. One of them may be set. */
#include "load.h"

#include "validate.h"
#include "value.h"

#include <string.h>

/* The first bytes of what age makes ("age-encryption.org/v1"), in base64. */
#define SEALED_BEGIN "YWdlLWVuY3J5cHRpb24ub3JnL3Yx"

bool conf_is_sealed(const char *value)
{
	return str_starts(value, CONF_SEALED SEALED_BEGIN);
}

bool conf_secret_is_set(const struct conf_secret *s)
{
	return *str_or_empty(s->value) || *str_or_empty(s->file) || *str_or_empty(s->command);
}

const char *conf_secret_key(const struct conf_secret *s, const char *const names[static 3])
{
	if (*str_or_empty(s->file))
		return names[1];
	return *str_or_empty(s->command) ? names[2] : names[0];
}

/* From @at to the next key of the section that may be set in the place of @of. */
static bool next_place(struct conf_ref *at, struct conf_ref of)
{
	while (conf_next_key(at)) {
		const char *instead_of = conf_keys[at->key].instead_of;

		if (instead_of && strcmp(instead_of, conf_keys[of.key].name) == 0)
			return true;
	}
	return false;
}

static struct conf_ref before_keys(struct conf_ref ref)
{
	ref.key = -1;
	return ref;
}

bool conf_key_has_places(struct conf_ref ref)
{
	struct conf_ref at = before_keys(ref);

	return next_place(&at, ref);
}

static bool is_empty(const struct conf *c, struct conf_ref ref)
{
	_cleanup(str) struct str value = {0};
	bool empty;

	conf_value_format(&conf_keys[ref.key], conf_base(c, ref), &value);
	empty = value.len == 0;
	if (value.data)
		explicit_bzero(value.data, value.cap);
	return empty;
}

static bool is_set_here(const struct conf *c, struct conf_ref ref)
{
	return conf_key_is_given(c, ref) && !is_empty(c, ref);
}

bool conf_is_set_elsewhere(const struct conf *c, struct conf_ref ref)
{
	struct conf_ref at = before_keys(ref);

	while (next_place(&at, ref))
		if (is_set_here(c, at) || conf_origin_of(c, at)->wrong)
			return true;
	return false;
}

bool conf_is_wrong_somewhere(const struct conf *c, struct conf_ref ref)
{
	const char *instead_of = conf_keys[ref.key].instead_of;
	struct conf_ref at;

	if (instead_of)
		ref.key = conf_key_find(ref.section, instead_of);
	if (conf_origin_of(c, ref)->wrong)
		return true;
	at = before_keys(ref);
	while (next_place(&at, ref))
		if (conf_origin_of(c, at)->wrong)
			return true;
	return false;
}

/* The row of X_file leads to the whole, also where X itself is a list. */
static void look_at_secret(const struct conf *c, struct conf_ref file,
                           void (*look)(void *arg, const char *title, const struct conf_secret *secret),
                           void *arg)
{
	const struct conf_key *k = &conf_keys[file.key];
	const char *base = conf_base(c, file);
	_cleanup(str) struct str title = {0};

	conf_place_title(c, file, &title);
	str_appendf(&title, " %s", k->instead_of);
	look(arg, str_text(&title),
	     (const struct conf_secret *)(base + k->offset - offsetof(struct conf_secret, file)));
}

void conf_each_secret(const struct conf *c,
                      void (*look)(void *arg, const char *title, const struct conf_secret *secret), void *arg)
{
	struct conf_ref ref;

	for (size_t n = 0; conf_place(c, n, &ref); n++)
		while (conf_next_key(&ref))
			if (conf_keys[ref.key].instead_of && conf_keys[ref.key].type == CONF_SECRET_FILE)
				look_at_secret(c, ref, look, arg);
}

static void tell_two_places(struct conf_loader *l, struct conf_ref first, struct conf_ref second,
                            const char *name)
{
	_cleanup(str) struct str allowed = {0};

	str_appendf(&allowed, "one of %s, %s_file and %s_command", name, name, name);
	conf_contradiction(l, second, first, "stands beside", str_text(&allowed));
}

/* @ref: the key of the value itself. */
static void check_places_of(struct conf_loader *l, struct conf_ref ref)
{
	struct conf_ref at = before_keys(ref), first = ref;
	bool found = is_set_here(&l->conf, ref);

	while (next_place(&at, ref)) {
		if (!is_set_here(&l->conf, at))
			continue;
		if (found && !(first.key == ref.key && conf_keys[at.key].comes_before))
			tell_two_places(l, first, at, conf_keys[ref.key].name);
		first = at;
		found = true;
	}
}

void conf_validate_secrets(struct conf_loader *l)
{
	struct conf_ref ref;

	for (size_t n = 0; conf_place(&l->conf, n, &ref); n++)
		while (conf_next_key(&ref))
			if (conf_key_has_places(ref))
				check_places_of(l, ref);
}
