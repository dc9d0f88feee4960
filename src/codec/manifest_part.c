// SPDX-License-Identifier: Apache-2.0
/*
 * Artifacts that consist of several. A part has a range of the files and one of the objects of the whole, so it costs nothing to say what it is, and
 * whoever reads, copies or deletes the whole need not know of parts.
 */
#include "manifest_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>

struct manifest_part *manifest_add_part(struct manifest *m, const char *name)
{
	m->parts = mem_resize(m->parts, m->part_count + 1, sizeof(*m->parts));
	m->parts[m->part_count] = (struct manifest_part){.name = mem_strdup(name)};
	return &m->parts[m->part_count++];
}

static void finish_part(struct manifest_part *p)
{
	free(p->name);
	free(p->job);
	free(p->kind);
	free(p->target);
	free(p->class);
	json_free(p->facts);
}

void manifest_finish_parts(struct manifest *m)
{
	for (size_t i = 0; i < m->part_count; i++)
		finish_part(&m->parts[i]);
	free(m->parts);
	m->parts = NULL;
	m->part_count = 0;
}

ssize_t manifest_part(const struct manifest *m, const char *name)
{
	for (size_t i = 0; i < m->part_count; i++)
		if (str_equal(m->parts[i].name, name))
			return (ssize_t)i;
	return -ENOENT;
}

static bool has_object(const struct manifest_part *p, size_t object)
{
	return object >= p->first_object && object - p->first_object < p->object_count;
}

const struct manifest_part *manifest_part_of_object(const struct manifest *m, size_t object)
{
	for (size_t i = 0; i < m->part_count; i++)
		if (has_object(&m->parts[i], object))
			return &m->parts[i];
	return NULL;
}

bool manifest_is_of_part(const struct manifest *m, size_t object)
{
	return manifest_part_of_object(m, object) != NULL;
}

/* Encoding. */

static bool hides_facts(const struct manifest *m, const struct manifest_part *p)
{
	for (size_t i = 0; i < p->object_count; i++)
		if (str_equal(m->objects[p->first_object + i].role, MANIFEST_ROLE_FACTS))
			return true;
	return false;
}

struct json *manifest_part_facts(const struct manifest *m, const struct manifest_part *part)
{
	return manifest_written_facts(part->facts, hides_facts(m, part));
}

static struct json *encode_range(size_t first, size_t count)
{
	struct json *range = json_array_new();

	json_append(range, json_int_new((int64_t)first));
	json_append(range, json_int_new((int64_t)count));
	return range;
}

static struct json *encode_part(const struct manifest *m, const struct manifest_part *p)
{
	struct json *j = json_object_new();

	json_set_string(j, "name", p->name);
	json_set_string(j, "type", p->is_directory ? "directory" : "file");
	json_set_string(j, "job", p->job);
	json_set_string(j, "kind", p->kind);
	json_set_string(j, "target", p->target);
	if (p->class)
		json_set_string(j, "class", p->class);
	json_set_time(j, "started_at", p->started_at_us);
	json_set_time(j, "finished_at", p->finished_at_us);
	json_set_int(j, "size", (int64_t)p->size_bytes);
	json_set_string(j, "sha256", p->sha256[0] ? p->sha256 : NULL);
	json_set(j, "facts", manifest_part_facts(m, p));
	json_set(j, "files", encode_range(p->first_file, p->file_count));
	json_set(j, "objects", encode_range(p->first_object, p->object_count));
	return j;
}

void manifest_encode_parts(const struct manifest *m, struct str *out)
{
	if (m->part_count == 0)
		return;
	json_list_open("parts", out);
	for (size_t i = 0; i < m->part_count; i++)
		json_list_add(encode_part(m, &m->parts[i]), i == 0, out);
	json_list_close(out);
}

/* Decoding. Whoever takes a part for an artifact relies on its ranges: they lie within the lists, no two overlap, and its files are where its name says. */

struct ranges { /* of the parts before */
	size_t files, objects;
};

/* A range that begins where those before it have ended, or later, and lies within @all. */
static void decode_range(struct decoding *d, const char *field, size_t *from, size_t all, size_t *ret_first,
                         size_t *ret_count)
{
	const struct json *range = json_get(d->object, field);
	const struct json *numbers[2] = {json_item(range, 0), json_item(range, 1)};
	int64_t first = -1, count = -1;

	if (json_count(range) == 2) {
		json_number(numbers[0], &first);
		json_number(numbers[1], &count);
	}
	if (first < 0 || count < 0 || (uint64_t)first < *from || (uint64_t)first > all ||
	    (uint64_t)count > all - (uint64_t)first) {
		refuse(d, field, "of one of \"parts\" is no range behind those of the parts before");
		return;
	}
	*ret_first = (size_t)first;
	*ret_count = (size_t)count;
	*from = (size_t)first + (size_t)count;
}

/* What a file of a part is called, seen from where the part lies; NULL: it is not of this part. */
static const char *name_in_part(const struct manifest_part *p, const char *name)
{
	const char *slash = strrchr(p->name, '/');
	size_t above = slash ? (size_t)(slash - p->name) + 1 : 0, stem;

	if (p->is_directory) {
		size_t len = strlen(p->name);

		return strncmp(name, p->name, len) == 0 && name[len] == '/' && name[len + 1] ? name + len + 1
		                                                                             : NULL;
	}
	stem = above + strcspn(p->name + above, ".");
	return strncmp(name, p->name, stem) == 0 && name[stem] == '.' && !strchr(name + above, '/')
	               ? name + above
	               : NULL;
}

static bool has_own_file_first(const struct manifest *m, const struct manifest_part *p)
{
	const struct manifest_file *own = &m->files[p->first_file];

	return p->file_count > 0 && p->file_count <= 1 + MANIFEST_BESIDE_MAX &&
	       str_equal(own->name, p->name) && own->size_bytes == p->size_bytes &&
	       str_equal(own->sha256, p->sha256);
}

static void check_part_files(struct decoding *d, const struct manifest *m, const struct manifest_part *p)
{
	if (!p->is_directory && !has_own_file_first(m, p))
		refuse(d, "files",
		       "of one of \"parts\" do not begin with its own file, of its size and SHA-256");
	for (size_t i = 0; !d->failed && i < p->file_count; i++) {
		const struct manifest_file *f = &m->files[p->first_file + i];

		if (!name_in_part(p, f->name))
			refuse(d, "files", "of one of \"parts\" has one that is not called after it");
		else if (f->object != MANIFEST_NO_OBJECT && !has_object(p, f->object))
			refuse(d, "objects", "of one of \"parts\" lacks that of one of its files");
	}
}

static void decode_part_type(struct decoding *d, struct manifest_part *p)
{
	const char *type = json_get_string(d->object, "type");

	p->is_directory = str_equal(type, "directory");
	if (!p->is_directory && !str_equal(type, "file"))
		refuse(d, "type", "of one of \"parts\" is neither \"file\" nor \"directory\"");
}

static void decode_part(struct decoding *d, struct manifest *m, struct ranges *before)
{
	static const char *const known[] = {"name",  "type",       "job",         "kind", "target",
	                                    "class", "started_at", "finished_at", "size", "sha256",
	                                    "facts", "files",      "objects",     NULL};
	const char *name = json_get_string(d->object, "name");
	struct manifest_part *p = manifest_add_part(m, name ? name : "");
	const struct json *facts = json_get(d->object, "facts");

	if (!manifest_name_within_is_valid(p->name) || str_ends(p->name, "/"))
		refuse(d, "name", "of one of \"parts\" is missing or no name of a file");
	decode_part_type(d, p);
	take_string(d, "job", &p->job);
	if (p->job && !name_is_safe(p->job))
		refuse(d, "job", "of one of \"parts\" is no name of a job");
	take_string(d, "kind", &p->kind);
	take_string(d, "target", &p->target);
	take_optional(d, "class", &p->class);
	take_time(d, "started_at", &p->started_at_us);
	take_time(d, "finished_at", &p->finished_at_us);
	p->size_bytes = take_count(d, "size");
	take_known_sha256(d, "sha256", p->sha256);
	if (facts && json_is_object_value(facts))
		p->facts = json_clone(facts);
	else if (facts)
		refuse(d, "facts", "of one of \"parts\" is no object");
	decode_range(d, "files", &before->files, m->file_count, &p->first_file, &p->file_count);
	decode_range(d, "objects", &before->objects, m->object_count, &p->first_object, &p->object_count);
	take_note_of_unknown(d, d->object, "parts[].", known);
	if (!d->failed)
		check_part_files(d, m, p);
}

static bool is_part_twice(const struct manifest *m)
{
	return m->part_count > 0 &&
	       manifest_part(m, m->parts[m->part_count - 1].name) != (ssize_t)m->part_count - 1;
}

void manifest_take_parts(struct decoding *d, struct manifest *m)
{
	const struct json *list = json_get(d->object, "parts");
	struct ranges before = {0};

	if (!list)
		return;
	if (!json_is_array_value(list) || json_count(list) > MANIFEST_PARTS_MAX || !m->is_directory)
		refuse(d, "parts", "is no list of parts of a directory");
	for (size_t i = 0; !d->failed && i < json_count(list); i++) {
		struct decoding of_part = decoding_of(d, json_item(list, i));

		decode_part(&of_part, m, &before);
		d->failed = of_part.failed;
		if (!d->failed && is_part_twice(m))
			refuse(d, "parts", "has a name twice");
	}
}

/* One of them alone. */

static void keep_files(struct manifest *m, const struct manifest_part *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->file_count; i++) {
		struct manifest_file *f = &m->files[i];
		const char *name = name_in_part(p, f->name);

		if (i < p->first_file || i - p->first_file >= p->file_count || !name) {
			free(f->name);
			continue;
		}
		memmove(f->name, name, strlen(name) + 1);
		if (f->object != MANIFEST_NO_OBJECT)
			f->object -= p->first_object;
		m->files[kept++] = *f;
	}
	m->file_count = kept;
}

static void keep_objects(struct manifest *m, const struct manifest_part *p)
{
	for (size_t i = 0; i < m->object_count; i++)
		if (!has_object(p, i))
			manifest_object_finish(&m->objects[i]);
	memmove(m->objects, m->objects + p->first_object, p->object_count * sizeof(*m->objects));
	m->object_count = p->object_count;
}

/* Each mirror has packs of its own, in directories that are called after it. */
static void keep_needs(struct manifest *m, const char *job)
{
	_cleanup(free) char *directories = mem_printf(TREE_PACKS "/%s/", job);
	struct json *all = m->needs;

	m->needs = NULL;
	for (const char *key = all ? json_first_key(all) : NULL; key; key = json_next_key(all, key)) {
		if (!str_starts(key, directories))
			continue;
		m->needs = m->needs ? m->needs : json_object_new();
		json_set(m->needs, key, json_clone(json_get(all, key)));
	}
	json_free(all);
}

void manifest_become_part(struct manifest *m, size_t number)
{
	struct manifest_part p = m->parts[number];
	char *path = mem_printf("%s/%s", m->path, p.name);

	keep_files(m, &p);
	if (m->objects)
		keep_objects(m, &p);
	m->parts[number] = (struct manifest_part){0};
	manifest_finish_parts(m);
	json_free(m->facts);
	m->facts = take_ptr(&p.facts);
	mem_replace_string(&m->path, path);
	mem_replace_string(&m->job, p.job);
	mem_replace_string(&m->kind, p.kind);
	mem_replace_string(&m->target, p.target);
	free(m->class);
	m->class = take_ptr(&p.class);
	keep_needs(m, m->job);
	m->is_directory = p.is_directory;
	m->started_at_us = p.started_at_us;
	m->finished_at_us = p.finished_at_us;
	m->size_bytes = p.size_bytes;
	str_copy(m->sha256, sizeof(m->sha256), p.sha256);
	finish_part(&p);
	free(path);
}
