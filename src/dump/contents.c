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
#include <keepfs/codec/json.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS_AT_ONCE     1024
#define LINES_AT_ONCE_BYTES ((size_t)64 << 10)

struct contents *contents_new(const char *directory)
{
	struct contents *c = mem_alloc(sizeof(*c));

	c->max = CONTENTS_MAX;
	c->spool = spool_new(directory);
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

struct contents *contents_free(struct contents *c)
{
	if (!c)
		return NULL;
	free(c->items);
	free(c->lists);
	free(c->by_id);
	spool_free(c->spool);
	segment_index_finish(&c->index);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
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

/* "16403\n16404\n" becomes as many numbers of 32 bits in the spool. */
static int add_list_numbers(struct contents *c, struct content_list *list, const char *text,
                            struct error *err)
{
	uint32_t oids[NUMBERS_AT_ONCE];
	size_t count = 0;
	int r = 0;

	while (r == 0 && parse_oid(&text, &oids[count])) {
		text += strspn(text, "\n");
		list->place.bytes += sizeof(*oids);
		if (++count < NUMBERS_AT_ONCE)
			continue;
		r = spool_put(c->spool, oids, count * sizeof(*oids), err);
		count = 0;
	}
	if (r == 0 && *text)
		r = error_set(err, ERROR_CORRUPT, EBADMSG,
		              "the archive's list of large objects (entry %d) cannot be read at: %.40s",
		              list->dump_id, text);
	return r == 0 ? spool_put(c->spool, oids, count * sizeof(*oids), err) : r;
}

static int add_list(struct contents *c, const struct pg_archive_entry *entry, struct error *err)
{
	struct content_list *list;

	if (c->list_count == c->list_cap) {
		c->list_cap = c->list_cap ? c->list_cap * 2 : 64;
		c->lists = mem_resize(c->lists, c->list_cap, sizeof(*c->lists));
	}
	list = &c->lists[c->list_count++];
	*list = (struct content_list){.dump_id = entry->dump_id, .place.at = spool_size(c->spool)};
	return add_list_numbers(c, list, entry->defn, err);
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
			blobs->list = c->lists[i].place;
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

static int append_content(struct contents *c, struct content **ret, struct error *err)
{
	if (c->count == c->max)
		return error_set(
		        err, ERROR_USAGE, EFBIG,
		        "the database has more than %zu tables with data: dump it in parts (schemas, exclude_schemas)",
		        c->max);
	if (c->count == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 64;
		c->items = mem_resize(c->items, c->cap, sizeof(*c->items));
	}
	*ret = &c->items[c->count++];
	**ret = (struct content){0};
	return 0;
}

/* Each with its NUL. */
static int keep_texts(struct contents *c, struct content *content, const char *schema, const char *table,
                      const char *copy_stmt, struct error *err)
{
	const char *const texts[] = {schema, table, copy_stmt};
	int r = 0;

	content->texts.at = spool_size(c->spool);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++) {
		size_t len = strlen(texts[i]) + 1;

		content->texts.bytes += (uint32_t)len;
		r = spool_put(c->spool, texts[i], len, err);
	}
	return r;
}

static int add_content(struct contents *c, const struct pg_archive_entry *entry, struct error *err)
{
	struct content *content = NULL;
	const char *oid = entry->oid;
	bool blobs = strcmp(entry->desc, "BLOBS") == 0;
	int r = append_content(c, &content, err);

	if (r < 0)
		return r;
	content->dump_id = entry->dump_id;
	content->place_at = entry->place_at;
	content->blobs = blobs;
	/* "COPY public.t (a, b) FROM stdin;\n" */
	content->has_columns = str_ends(entry->copy_stmt, ") FROM stdin;\n");
	parse_oid(&oid, &content->oid);
	r = keep_texts(c, content, blobs ? "pg_catalog" : entry->namespace,
	               blobs ? "pg_largeobject" : entry->tag, entry->copy_stmt, err);
	if (r < 0 || !blobs)
		return r;
	take_list(c, entry, content);
	return check_list(c, content, err);
}

int contents_add(struct contents *c, const struct pg_archive_entry *entry, struct error *err)
{
	if (strcmp(entry->desc, "ENCODING") == 0)
		take_encoding(c, entry->defn);
	if (strcmp(entry->desc, "BLOB METADATA") == 0)
		return add_list(c, entry, err);
	return entry->has_data ? add_content(c, entry, err) : 0;
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

int contents_texts(const struct contents *c, const struct content *content, struct content_texts *ret,
                   struct error *err)
{
	char *texts = mem_alloc(content->texts.bytes);

	*ret = (struct content_texts){.schema = texts};
	if (spool_get(c->spool, texts, content->texts.bytes, content->texts.at, err) < 0)
		return -EIO;
	ret->table = texts + strlen(texts) + 1;
	ret->copy_stmt = ret->table + strlen(ret->table) + 1;
	return 0;
}

void content_texts_finish(struct content_texts *t)
{
	free(t->schema);
	*t = (struct content_texts){0};
}

ssize_t contents_listed(const struct contents *c, const struct content *content, uint64_t *at, uint32_t *oids,
                        size_t max, struct error *err)
{
	size_t left = content->list.bytes / sizeof(*oids) - (size_t)*at, n = left < max ? left : max;

	if (n > 0 &&
	    spool_get(c->spool, oids, n * sizeof(*oids), content->list.at + *at * sizeof(*oids), err) < 0)
		return -EIO;
	*at += n;
	return (ssize_t)n;
}

int contents_check(const struct contents *c, struct error *err)
{
	for (size_t i = 0; i < c->count; i++) {
		_cleanup(content_texts) struct content_texts texts = {0};
		int r;

		if (c->items[i].ended)
			continue;
		r = contents_texts(c, &c->items[i], &texts, err);
		if (r < 0)
			return r;
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "the data of %s.%s (entry %d of the table of contents) did not come: the dump is not whole",
		        texts.schema, texts.table, c->items[i].dump_id);
	}
	return 0;
}

static int append_csv_line(const struct contents *c, const struct content *item, struct str *out,
                           struct error *err)
{
	_cleanup(content_texts) struct content_texts texts = {0};
	int r = contents_texts(c, item, &texts, err);

	if (r < 0)
		return r;
	str_append_csv(out, texts.schema);
	str_append_char(out, ',');
	str_append_csv(out, texts.table);
	str_appendf(out, ",%" PRIu64 ",%" PRIu64 ",", item->rows.count, item->rows.bytes);
	if (!item->blobs)
		str_appendf(out, "%016" PRIx64, item->rows.hash);
	str_append_char(out, '\n');
	return 0;
}

int contents_write_csv(const struct contents *c,
                       int (*write)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                       struct error *err)
{
	_cleanup(str) struct str lines = {0};
	int r = 0;

	str_append(&lines, "schema,table,rows,bytes,hash\n");
	for (size_t i = 0; r == 0 && i < c->count; i++) {
		r = append_csv_line(c, &c->items[i], &lines, err);
		if (r < 0 || lines.len < LINES_AT_ONCE_BYTES)
			continue;
		r = write(arg, lines.data, lines.len, err);
		str_clear(&lines);
	}
	return r == 0 ? write(arg, str_text(&lines), lines.len, err) : r;
}

void contents_totals(const struct contents *c, struct rows *ret)
{
	*ret = (struct rows){0};
	for (size_t i = 0; i < c->count; i++) {
		ret->count += c->items[i].rows.count;
		ret->bytes += c->items[i].rows.bytes;
	}
}

size_t contents_table_count(const struct contents *c)
{
	size_t tables = 0;

	for (size_t i = 0; i < c->count; i++)
		tables += !c->items[i].blobs;
	return tables;
}

/* In @largest, which is sorted and has @count; the last one falls out when it is full. */
static size_t insert_largest(const struct content **largest, size_t count, const struct content *item)
{
	size_t at = count;

	if (count == CONTENTS_LARGEST && item->rows.bytes <= largest[count - 1]->rows.bytes)
		return count;
	if (count == CONTENTS_LARGEST)
		at = --count;
	for (; at > 0 && largest[at - 1]->rows.bytes < item->rows.bytes; at--)
		largest[at] = largest[at - 1];
	largest[at] = item;
	return count + 1;
}

static bool is_utf8_table(const char *name)
{
	size_t n = 1;

	for (; *name && n > 0; name += n)
		n = str_utf8_char(name);
	return n > 0;
}

/* The fact is in each manifest and each row of the catalog. */
#define LARGEST_NAME_MAX_BYTES 130

static int add_largest(const struct contents *c, const struct content *item, struct json *list,
                       struct error *err)
{
	_cleanup(content_texts) struct content_texts texts = {0};
	_cleanup(free) char *whole = NULL;
	char name[LARGEST_NAME_MAX_BYTES];
	struct json *entry;
	int r = contents_texts(c, item, &texts, err);

	if (r < 0)
		return r;
	whole = mem_printf("%s.%s", texts.schema, texts.table);
	/* Names of an archive in another encoding are not told. */
	if (!is_utf8_table(whole))
		return 0;
	str_cut(name, sizeof(name), whole);
	entry = json_array_new();
	json_append(entry, json_string_new(name));
	json_append(entry, json_int_new((int64_t)item->rows.count));
	json_append(entry, json_int_new((int64_t)item->rows.bytes));
	json_append(list, entry);
	return 0;
}

int contents_largest(const struct contents *c, char **ret, struct error *err)
{
	const struct content *largest[CONTENTS_LARGEST];
	_cleanup(json) struct json *list = json_array_new();
	_cleanup(str) struct str text = {0};
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < c->count; i++)
		if (!c->items[i].blobs && c->items[i].rows.count > 0)
			count = insert_largest(largest, count, &c->items[i]);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_largest(c, largest[i], list, err);
	if (r < 0)
		return r;
	json_write(list, 0, &text);
	*ret = json_count(list) > 0 ? str_take(&text) : NULL;
	return 0;
}
