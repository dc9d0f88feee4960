// SPDX-License-Identifier: Apache-2.0
/* What is in one dump. */
#include "inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>

#include <errno.h>
#include <string.h>

/* Loading. */

struct backup inside_backup(const struct inside_dump *d, struct cancel *cancel)
{
	struct backup b = d->backup;

	b.cancel = cancel;
	return b;
}

bool inside_is_gone(const struct inside_dump *d)
{
	_cleanup(manifest) struct manifest m = {0};
	int r = catalog_manifest(d->ctx.repository->catalog, d->ino, &m);

	return r == -ENOENT || (r == 0 && m.finished_at_us != d->backup.m.finished_at_us);
}

int inside_blame(const struct inside_dump *d, int r, struct error *err)
{
	if (r == -ECANCELED || !inside_is_gone(d))
		return r;
	return error_set(err, ERROR_NOT_FOUND, ESTALE, "the backup was removed meanwhile");
}

/* What is not right about the counts and the index costs time, and nothing else: what they say is found by reading. */
static int load_helps(struct inside_dump *d, struct backup *b, struct error *err)
{
	struct error why = {0};
	int r = inside_toc_take_counts(&d->toc, b, &why);
	bool counted = r == 0;

	if (r == 0 || backup_is_wrong(&why))
		r = inside_toc_load_segments(&d->toc, b, !counted, &why);
	if (r == 0 || backup_is_wrong(&why) || r == -ENOTSUP)
		return 0;
	if (err)
		*err = why;
	return r;
}

/* Offsets of which not all are good are none. */
static void forget_offsets(struct inside_toc *t)
{
	for (size_t i = 0; i < t->count; i++) {
		struct inside_entry *e = &t->entries[i];

		e->has_offset = t->has_offsets;
		if (!t->has_offsets && t->facts.format == PG_ARCHIVE_CUSTOM)
			e->record_count = 0;
	}
}

static int load_archive(struct inside_dump *d, struct backup *b, struct error *err)
{
	int r = inside_toc_open(&d->toc, b, err);

	if (r == 0)
		r = load_helps(d, b, err);
	if (r == 0)
		forget_offsets(&d->toc);
	return r;
}

/* "SET client_encoding = 'UTF8';" */
static void find_encoding(struct inside_dump *d)
{
	static const char begin[] = "SET client_encoding = '";
	const char *at = strstr(str_text(&d->toc.settings), begin), *end;

	if (!at)
		return;
	at += sizeof(begin) - 1;
	end = strchr(at, '\'');
	if (!end || (size_t)(end - at) >= sizeof(d->encoding))
		return;
	memcpy(d->encoding, at, (size_t)(end - at));
}

/* Names. */

static uint64_t hash_name(const char *schema, const char *table)
{
	const char *const texts[] = {schema, table};
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		for (const char *c = texts[i]; *c; c++)
			hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
		hash = (hash ^ 0x100) * UINT64_C(0x100000001b3);
	}
	return hash;
}

static int by_hash(const void *a, const void *b)
{
	const struct inside_name *one = a, *other = b;

	if (one->hash != other->hash)
		return one->hash < other->hash ? -1 : 1;
	return (one->number > other->number) - (one->number < other->number);
}

static int list_tables(struct inside_dump *d, struct error *err)
{
	d->tables = mem_array(d->toc.count + 1, sizeof(*d->tables));
	d->names = mem_array(d->toc.count + 1, sizeof(*d->names));
	for (size_t i = 0; i < d->toc.count; i++) {
		_cleanup(inside_texts) struct inside_texts texts = {0};
		int r = 0;

		if (d->toc.entries[i].blobs)
			continue;
		r = inside_toc_texts(&d->toc, &d->toc.entries[i], &texts, err);
		if (r < 0)
			return r;
		d->tables[d->table_count] = (uint32_t)i;
		d->names[d->table_count] =
		        (struct inside_name){hash_name(texts.schema, texts.name), d->table_count + 1};
		d->table_count++;
	}
	qsort(d->names, d->table_count, sizeof(*d->names), by_hash);
	return 0;
}

bool inside_is_name_of_text(const char *name)
{
	return str_ends(name, ".sql") || str_ends(name, ".sql.gz") || str_ends(name, ".sql.zst");
}

static int check_dump_kind(struct inside_dump *d, struct error *err)
{
	d->is_text = inside_is_name_of_text(d->backup.path);
	if (str_equal(d->backup.m.kind, "export"))
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "it is an export of a tenant's data, and no dump of a database: each row stands on a line of its own, so that two of them are compared with zcat and diff");
	if (!str_equal(d->backup.m.kind, "dump"))
		return error_set(err, ERROR_USAGE, ENOTSUP, "it is no dump of a database");
	return 0;
}

int inside_dump_load(struct inside_dump *d, struct cancel *cancel, struct error *err)
{
	struct backup b;
	int r;

	d->ctx = d->in->ctx;
	d->backup.ctx = &d->ctx;
	r = backup_open(&d->backup, d->ino, err);
	if (r == 0)
		r = check_dump_kind(d, err);
	if (r < 0)
		return r;
	b = inside_backup(d, cancel);
	r = d->is_text ? inside_text_load(d, cancel, err) : load_archive(d, &b, err);
	if (r < 0)
		return r;
	find_encoding(d);
	return list_tables(d, err);
}

void inside_dump_unload(struct inside_dump *d)
{
	for (unsigned i = 0; i < INSIDE_KNOWN; i++)
		inside_points_unref(d->known[i].points);
	inside_points_unref(d->text_points);
	inside_toc_finish(&d->toc);
	spool_free(d->schema);
	spool_free(d->blobs);
	inside_text_blobs_finish(&d->text_blobs);
	free(d->tables);
	free(d->names);
	backup_finish(&d->backup);
}

const char *inside_encoding(const struct inside_dump *d)
{
	return d->encoding;
}

/* Tables. */

uint32_t inside_tables(const struct inside_dump *d)
{
	return d->table_count;
}

struct inside_entry *inside_entry_of(const struct inside_dump *d, uint32_t number)
{
	return number >= 1 && number <= d->table_count ? &d->toc.entries[d->tables[number - 1]] : NULL;
}

static int no_such_table(struct error *err)
{
	return error_set(err, ERROR_NOT_FOUND, ENOENT, "the dump has no such table");
}

static void fill_texts(const struct inside_texts *texts, struct inside_table *t)
{
	_cleanup(inside_copy) struct inside_copy copy = {0};
	size_t schema = strlen(texts->schema) + 1, table = strlen(texts->name) + 1;
	char *at;

	if (!inside_copy_parse(texts->copy_stmt, strlen(texts->copy_stmt), &copy))
		copy.columns_len = 0;
	at = t->schema = mem_alloc(schema + table + copy.columns_len + 1);
	memcpy(at, texts->schema, schema);
	t->table = memcpy(at + schema, texts->name, table);
	if (copy.columns_len > 0)
		memcpy(at + schema + table, copy.columns, copy.columns_len);
	t->columns = at + schema + table;
}

int inside_table(struct inside_dump *d, uint32_t number, struct inside_table *ret, struct error *err)
{
	const struct inside_entry *e = inside_entry_of(d, number);
	_cleanup(inside_texts) struct inside_texts texts = {0};
	int r = e ? inside_toc_texts(&d->toc, e, &texts, err) : no_such_table(err);

	if (r < 0)
		return r;
	*ret = (struct inside_table){.number = number, .rows = INSIDE_NOT_KNOWN, .bytes = INSIDE_NOT_KNOWN};
	fill_texts(&texts, ret);
	pthread_mutex_lock(&d->lock);
	if (e->has_counts) {
		ret->rows = e->expected.count;
		ret->bytes = e->expected.bytes;
		ret->has_hash = e->has_hash;
		ret->hash = e->has_hash ? e->expected.hash : 0;
	}
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static bool is_called_so(const struct inside_dump *d, uint32_t number, const char *schema, const char *table)
{
	_cleanup(inside_texts) struct inside_texts texts = {0};

	return inside_toc_texts(&d->toc, inside_entry_of(d, number), &texts, NULL) == 0 &&
	       str_equal(texts.schema, schema) && str_equal(texts.name, table);
}

int inside_find_table(struct inside_dump *d, const char *schema, const char *table, uint32_t *ret_number)
{
	uint64_t hash = hash_name(schema, table);
	uint32_t low = 0, high = d->table_count;
	bool found = false;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (d->names[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < d->table_count && d->names[low].hash == hash; low++) {
		if (!is_called_so(d, d->names[low].number, schema, table))
			continue;
		if (found)
			return -ENOTUNIQ;
		*ret_number = d->names[low].number;
		found = true;
	}
	return found ? 0 : -ENOENT;
}

static bool is_counted(struct inside_dump *d, const struct inside_entry *e)
{
	bool counted;

	pthread_mutex_lock(&d->lock);
	counted = e->has_counts;
	pthread_mutex_unlock(&d->lock);
	return counted;
}

int inside_measure(struct inside_dump *d, uint32_t number, struct cancel *cancel, struct inside_table *ret,
                   struct error *err)
{
	const struct inside_entry *e = inside_entry_of(d, number);
	int r = e ? 0 : no_such_table(err);

	if (r == 0 && !is_counted(d, e))
		r = inside_survey_table(d, number, cancel, err);
	return r < 0 ? r : inside_table(d, number, ret, err);
}

bool inside_pread_is_long(struct inside_dump *d, uint32_t number, uint64_t offset)
{
	_cleanup(inside_member) struct inside_member m = {0};
	const struct inside_entry *e = inside_entry_of(d, number);

	/* Mostly somebody reads on: then the catalog need not be asked. */
	if (!e || inside_seat_is_near(d, number, (d->is_text ? e->offset : 0) + offset))
		return false;
	if (!is_counted(d, e) || !inside_is_located(d, e))
		return true;
	return inside_member_of_table(d, number, NULL, &m, NULL) == 0 &&
	       inside_seat_read_is_long(d, &m, offset);
}

ssize_t inside_pread(struct inside_dump *d, uint32_t number, struct cancel *cancel, void *buf, size_t len,
                     uint64_t offset, struct error *err)
{
	_cleanup(inside_member) struct inside_member m = {0};
	const struct inside_entry *e = inside_entry_of(d, number);
	int r = e ? 0 : no_such_table(err);

	if (r == 0 && !is_counted(d, e))
		r = inside_survey_table(d, number, cancel, err);
	if (r == 0)
		r = inside_member_of_table(d, number, cancel, &m, err);
	return r < 0 ? r : inside_seat_read(d, &m, cancel, buf, len, offset, err);
}
