// SPDX-License-Identifier: Apache-2.0
/*
 * What is known of each entry with data. Numbers of entries are looked up by bisection once the table of
 * contents is complete; until then there is nothing to look up, since data follows it.
 *
 * Which large objects an entry holds is not said by the entry itself: up to version 16 of pg_dump there is
 * one entry for all of them, from 17 on each is a group, whose numbers stand in the text of another entry, on
 * which it depends.
 */
#include "contents.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct contents *contents_new(void)
{
	struct contents *c = mem_alloc(sizeof(*c));

	pthread_mutex_init(&c->lock, NULL);
	return c;
}

static void free_contents(struct content *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(items[i].schema);
		free(items[i].table);
		free(items[i].copy_stmt);
		free(items[i].oids);
	}
	free(items);
}

struct contents *contents_free(struct contents *c)
{
	if (!c)
		return NULL;
	free_contents(c->items, c->count);
	free_contents(c->lists, c->list_count);
	free(c->by_id);
	segment_index_finish(&c->index);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}

static struct content *append_content(struct content **items, size_t *count, size_t *cap)
{
	if (*count == *cap) {
		*cap = *cap ? *cap * 2 : 64;
		*items = mem_resize(*items, *cap, sizeof(**items));
	}
	(*items)[*count] = (struct content){0};
	return &(*items)[(*count)++];
}

/* A number of at most 32 bits; false when @text does not begin with one. */
static bool parse_oid(const char **text, uint32_t *ret)
{
	char *end;
	unsigned long long value;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	value = strtoull(*text, &end, 10);
	if (errno || value > UINT32_MAX)
		return false;
	*text = end;
	*ret = (uint32_t)value;
	return true;
}

/* "16403\n16404\n" */
static int parse_content_list(struct content *list, const char *text, struct error *err)
{
	size_t cap = 0;
	uint32_t oid;

	while (parse_oid(&text, &oid)) {
		if (list->oid_count == cap) {
			cap = cap ? cap * 2 : 16;
			list->oids = mem_resize(list->oids, cap, sizeof(*list->oids));
		}
		list->oids[list->oid_count++] = oid;
		text += strspn(text, "\n");
	}
	if (*text)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the archive's list of large objects (entry %d) cannot be read at: %.40s",
		                 list->dump_id, text);
	return 0;
}

static int add_list(struct contents *c, const struct pg_archive_entry *entry, struct error *err)
{
	struct content *list = append_content(&c->lists, &c->list_count, &c->list_cap);

	list->dump_id = entry->dump_id;
	return parse_content_list(list, entry->defn, err);
}

/* Nobody wrote an archive in which the large objects are in groups, and some in none. */
static int check_list(const struct contents *c, const struct content *blobs, struct error *err)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct content *other = &c->items[i];

		if (other != blobs && other->blobs && (!other->listed || !blobs->listed))
			return error_set(err, ERROR_CORRUPT, EBADMSG,
			                 "the archive does not say which large objects entry %d holds",
			                 blobs->dump_id);
	}
	return 0;
}

static void take_list(struct contents *c, const struct pg_archive_entry *entry, struct content *blobs)
{
	for (size_t d = 0; d < entry->dependency_count; d++) {
		for (size_t i = c->list_count; i-- > 0;) {
			if (c->lists[i].dump_id != entry->dependencies[d])
				continue;
			blobs->listed = true;
			blobs->oids = take_ptr(&c->lists[i].oids);
			blobs->oid_count = c->lists[i].oid_count;
			/* Each list belongs to one entry, mostly the next: the search stays short. */
			c->lists[i] = c->lists[--c->list_count];
			return;
		}
	}
}

/* "SET client_encoding = 'UTF8';\n" */
static void take_encoding(struct contents *c, const char *defn)
{
	const char *from = strchr(defn, '\'');
	const char *to = from ? strchr(from + 1, '\'') : NULL;

	if (to && (size_t)(to - from) <= sizeof(c->encoding)) {
		memcpy(c->encoding, from + 1, (size_t)(to - from - 1));
		c->encoding[to - from - 1] = '\0';
	}
}

int contents_add(struct contents *c, const struct pg_archive_entry *entry, struct error *err)
{
	struct content *content;
	const char *oid = entry->oid;

	if (strcmp(entry->desc, "ENCODING") == 0)
		take_encoding(c, entry->defn);
	if (strcmp(entry->desc, "BLOB METADATA") == 0)
		return add_list(c, entry, err);
	if (!entry->has_data)
		return 0;
	content = append_content(&c->items, &c->count, &c->cap);
	content->dump_id = entry->dump_id;
	content->place_at = entry->place_at;
	content->blobs = strcmp(entry->desc, "BLOBS") == 0;
	content->schema = mem_strdup(content->blobs ? "pg_catalog" : entry->namespace);
	content->table = mem_strdup(content->blobs ? "pg_largeobject" : entry->tag);
	content->copy_stmt = mem_strdup(entry->copy_stmt);
	parse_oid(&oid, &content->oid);
	if (!content->blobs)
		return 0;
	take_list(c, entry, content);
	return check_list(c, content, err);
}

static int by_content_number(const void *a, const void *b)
{
	const struct content *x = *(struct content *const *)a, *y = *(struct content *const *)b;

	return (x->dump_id > y->dump_id) - (x->dump_id < y->dump_id);
}

void contents_complete(struct contents *c)
{
	c->by_id = mem_array(c->count, sizeof(struct content *));
	for (size_t i = 0; i < c->count; i++)
		c->by_id[i] = &c->items[i];
	if (c->count > 0)
		qsort(c->by_id, c->count, sizeof(struct content *), by_content_number);
}

struct content *contents_find(const struct contents *c, int dump_id)
{
	struct content key = {.dump_id = dump_id}, *wanted = &key, **found = NULL;

	if (c->count > 0)
		found = bsearch(&wanted, c->by_id, c->count, sizeof(struct content *), by_content_number);
	return found ? *found : NULL;
}

void contents_count_rows(struct contents *c, struct content *content, const struct rows *rows)
{
	pthread_mutex_lock(&c->lock);
	content->rows.count += rows->count;
	content->rows.bytes += rows->bytes;
	content->rows.hash += rows->hash;
	pthread_mutex_unlock(&c->lock);
}

int contents_check(const struct contents *c, struct error *err)
{
	for (size_t i = 0; i < c->count; i++) {
		if (!c->items[i].ended)
			return error_set(
			        err, ERROR_CORRUPT, EBADMSG,
			        "the data of %s.%s (entry %d of the table of contents) did not come: the dump is not whole",
			        c->items[i].schema, c->items[i].table, c->items[i].dump_id);
	}
	return 0;
}

void contents_write_csv(const struct contents *c, struct str *out)
{
	str_append(out, "schema,table,rows,bytes,hash\n");
	for (size_t i = 0; i < c->count; i++) {
		const struct content *item = &c->items[i];

		str_append_csv(out, item->schema);
		str_append_char(out, ',');
		str_append_csv(out, item->table);
		str_appendf(out, ",%" PRIu64 ",%" PRIu64 ",", item->rows.count, item->rows.bytes);
		if (!item->blobs)
			str_appendf(out, "%016" PRIx64, item->rows.hash);
		str_append_char(out, '\n');
	}
}

void contents_totals(const struct contents *c, struct rows *ret)
{
	*ret = (struct rows){0};
	for (size_t i = 0; i < c->count; i++) {
		ret->count += c->items[i].rows.count;
		ret->bytes += c->items[i].rows.bytes;
	}
}
