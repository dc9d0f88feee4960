// SPDX-License-Identifier: Apache-2.0
/*
 * Version 2: what the tree shows and what the store holds are two lists. Whatever a later keepfs adds to it (a kind,
 * a fact, a cipher, another way to keep a file's bytes) is read as far as it is known here, and the rest is named.
 */
#include "manifest_private.h"

#include <string.h>

#include <keepfs/base/mem.h>

static void take_type(struct decoding *d, struct manifest *m)
{
	const char *type = json_get_string(d->object, "type");

	m->is_directory = str_equal(type, "directory");
	if (!m->is_directory && !str_equal(type, "file"))
		refuse(d, "type", "is neither \"file\" nor \"directory\"");
}

static void take_v2_facts(struct decoding *d, struct manifest *m)
{
	const struct json *facts = json_get(d->object, "facts");

	if (!facts)
		return;
	if (json_is_object_value(facts))
		m->facts = json_clone(facts);
	else
		refuse(d, "facts", "is no object");
}

static int accept_need(void *arg, const struct manifest_need *need)
{
	(void)arg;
	(void)need;
	return 0;
}

static void take_needs(struct decoding *d, struct manifest *m)
{
	const struct json *needs = json_get(d->object, "needs");

	if (!needs)
		return;
	m->needs = json_clone(needs);
	if (manifest_each_need(m, accept_need, NULL) < 0)
		refuse(d, "needs", "is no object of directories of packs and the numbers in them");
}

/* A tier that is not known here is a later keepfs's. */
static void take_tiers(struct decoding *d, struct manifest *m)
{
	const struct json *tiers = json_get(d->object, "tiers");

	if (!tiers)
		return;
	if (!json_is_array_value(tiers)) {
		refuse(d, "tiers", "is no list");
		return;
	}
	m->tiers_known = true;
	for (size_t i = 0; i < json_count(tiers); i++)
		for (unsigned tier = 0; tier < MANIFEST_TIERS; tier++)
			if (str_equal(json_text(json_item(tiers, i)), manifest_tier_name(tier)))
				m->tiers |= 1U << tier;
}

/* Whoever it is encrypted to. What a later keepfs calls them is a word, too. */
static void take_recipients(struct decoding *d, struct manifest *m)
{
	const struct json *list = json_get(d->object, "encrypted_to");
	_cleanup(str) struct str names = {0};

	if (!list)
		return;
	for (size_t i = 0; i < json_count(list); i++) {
		const char *one = json_text(json_item(list, i));

		if (one && *one && !strpbrk(one, ", \n"))
			str_appendf(&names, "%s%s", names.len ? ", " : "", one);
		else
			refuse(d, "encrypted_to", "is no list of recipients");
	}
	if (!json_is_array_value(list))
		refuse(d, "encrypted_to", "is no list of recipients");
	if (names.len > 0)
		m->encrypted_to = str_take(&names);
}

static void take_keeping(struct decoding *d, struct manifest *m)
{
	take_tiers(d, m);
	if (json_get(d->object, "keep_until") && !json_get_null(d->object, "keep_until"))
		take_time(d, "keep_until", &m->keep_until_us);
	if (json_get(d->object, "locked_until") && !json_get_null(d->object, "locked_until"))
		take_time(d, "locked_until", &m->locked_until_us);
	take_optional(d, "hold", &m->hold);
}

static void take_v2_object(struct decoding *parent, const struct json *object, struct manifest *m)
{
	static const char *const known[] = {"key", "role", "cipher", "size", "sha256", "extents", NULL};
	struct decoding d = decoding_of(parent, object);
	const char *key = json_get_string(object, "key");
	size_t index = manifest_add_object(m, key ? key : "");
	struct manifest_object *o = &m->objects[index];

	if (!manifest_object_key_is_valid(m->path, o->key))
		refuse(&d, "key", "of one of \"objects\" is missing or none that a backup's object can have");
	take_optional(&d, "role", &o->role);
	take_optional(&d, "cipher", &o->cipher);
	o->stored_bytes = take_count(&d, "size");
	take_known_sha256(&d, "sha256", o->stored_sha256);
	o->extents_count = take_count(&d, "extents");
	take_note_of_unknown(&d, object, "objects[].", known);
	parent->failed = d.failed;
}

static void take_v2_file(struct decoding *parent, const struct json *object, struct manifest *m)
{
	static const char *const known[] = {"name", "size", "sha256", "object", "secret", NULL};
	struct decoding d = decoding_of(parent, object);
	const char *name = json_get_string(object, "name");
	struct manifest_file *f = manifest_add_file(m, name ? name : "");
	uint64_t number;

	f->size_bytes = take_count(&d, "size");
	take_known_sha256(&d, "sha256", f->sha256);
	f->secret = manifest_name_is_secret(f->name);
	take_flag(&d, "secret", &f->secret);
	if (json_get(object, "object")) {
		number = take_count(&d, "object");
		if (number < m->object_count)
			f->object = (size_t)number;
		else
			refuse(&d, "object", "of one of \"files\" is not in \"objects\"");
	}
	take_note_of_unknown(&d, object, "files[].", known);
	parent->failed = d.failed;
}

/* Where nothing transforms the bytes, a file is as long as its object. */
static void check_sizes(struct decoding *d, const struct manifest *m)
{
	for (size_t i = 0; i < m->file_count; i++) {
		const struct manifest_file *f = &m->files[i];

		if (f->object == MANIFEST_NO_OBJECT || m->objects[f->object].cipher)
			continue;
		if (m->objects[f->object].stored_bytes != f->size_bytes)
			refuse(d, "size", "of one of \"files\" is not that of its object");
	}
}

void manifest_take_v2(struct decoding *d, struct manifest *m)
{
	take_type(d, m);
	take_string(d, "target", &m->target);
	take_optional(d, "class", &m->class);
	take_v2_facts(d, m);
	take_needs(d, m);
	take_keeping(d, m);
	take_recipients(d, m);
	take_items(d, d->objects, take_v2_object, m);
	take_items(d, d->files, take_v2_file, m);
	if (!d->failed)
		check_sizes(d, m);
}
