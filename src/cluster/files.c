// SPDX-License-Identifier: Apache-2.0
/* What arrived, and what was promised, sorted together: of one key the file comes first, and what was promised of it behind it. */
#include "cluster_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/sorter.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PG_WAL "pg_wal/"

enum file_record_kind { RECORD_ARRIVED, RECORD_PROMISED };

/* Behind it the key, with NUL; of what arrived its line, too. */
struct file_record {
	uint64_t bytes;
	size_t key_bytes; /* with NUL */
	size_t line_bytes;
	char crc32c[LISTING_CRC32C_BYTES];
	uint8_t kind; /* enum file_record_kind */
	bool is_directory;
	char key[];
};

struct cluster_files {
	struct sorter *sorter;
	struct str text; /* of the record that is made */
};

static int compare_file_records(const void *a, const void *b)
{
	const struct file_record *x = a, *y = b;
	int order = strcmp(x->key, y->key);

	return order ? order : (int)x->kind - (int)y->kind;
}

struct cluster_files *cluster_files_new(const char *directory)
{
	struct cluster_files *f = mem_alloc(sizeof(*f));

	f->sorter = sorter_new(directory, compare_file_records);
	return f;
}

struct cluster_files *cluster_files_free(struct cluster_files *f)
{
	if (!f)
		return NULL;
	sorter_free(f->sorter);
	str_finish(&f->text);
	free(f);
	return NULL;
}

static int add_file_record(struct cluster_files *f, const struct file_record *record, struct error *err)
{
	return sorter_add(f->sorter, record, offsetof(struct file_record, key), f->text.data, f->text.len,
	                  err);
}

static void begin_record_text(struct cluster_files *f, const char *key)
{
	str_clear(&f->text);
	str_append_bytes(&f->text, key, strlen(key) + 1);
}

int cluster_files_arrived(struct cluster_files *f, const struct listing_entry *e, struct error *err)
{
	struct file_record record = {.kind = RECORD_ARRIVED,
	                             .bytes = e->bytes,
	                             .key_bytes = strlen(e->key) + 1,
	                             .is_directory = e->is_directory};

	str_copy(record.crc32c, sizeof(record.crc32c), e->crc32c);
	begin_record_text(f, e->key);
	listing_entry_encode(e, &f->text);
	record.line_bytes = f->text.len - record.key_bytes;
	return add_file_record(f, &record, err);
}

int cluster_files_promised(struct cluster_files *f, const struct base_manifest_file *promised,
                           struct error *err)
{
	struct file_record record = {
	        .kind = RECORD_PROMISED, .bytes = promised->bytes, .key_bytes = strlen(promised->path) + 1};

	snprintf(record.crc32c, sizeof(record.crc32c), "%08" PRIx32, promised->crc32c);
	begin_record_text(f, promised->path);
	return add_file_record(f, &record, err);
}

/* What was read of a key so far. */
struct joining {
	struct listing_writer *to;
	char *key;
	bool has_arrived, is_promised;
	bool may_be_unpromised;
	uint64_t bytes;
	char crc32c[LISTING_CRC32C_BYTES];
};

static int differs(const char *key, const char *how, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "the base backup that the server has sent is not whole: %s %s; run it again, and "
	                 "look at the server's log if it stays so",
	                 key, how);
}

static int end_joined_key(struct joining *j, struct error *err)
{
	int r = 0;

	if (j->has_arrived && !j->is_promised && !j->may_be_unpromised)
		r = differs(j->key, "was sent, but its " CLUSTER_MANIFEST " does not know it", err);
	free(j->key);
	j->key = NULL;
	return r;
}

static int list_arrived(struct joining *j, const struct file_record *record, struct error *err)
{
	const struct listing_entry e = {
	        .format = LISTING_BASE, .key = j->key, .bytes = record->is_directory ? 0 : record->bytes};
	_cleanup(str) struct str line = {0};

	if (j->has_arrived)
		return differs(j->key, "was sent twice", err);
	j->has_arrived = true;
	j->may_be_unpromised =
	        record->is_directory || str_equal(j->key, CLUSTER_MANIFEST) || str_starts(j->key, PG_WAL);
	j->bytes = record->bytes;
	str_copy(j->crc32c, sizeof(j->crc32c), record->crc32c);
	str_append_bytes(&line, record->key + record->key_bytes, record->line_bytes);
	return listing_writer_add_line(j->to, &e, &line, err);
}

static int compare_with_promise(struct joining *j, const struct file_record *promised, struct error *err)
{
	_cleanup(free) char *how = NULL;

	if (j->is_promised)
		return differs(j->key, "is in its " CLUSTER_MANIFEST " twice", err);
	j->is_promised = true;
	if (!j->has_arrived)
		return differs(j->key, "is in its " CLUSTER_MANIFEST ", but did not arrive", err);
	if (j->bytes != promised->bytes)
		how = mem_printf("arrived with %" PRIu64 " bytes, and its " CLUSTER_MANIFEST " says %" PRIu64,
		                 j->bytes, promised->bytes);
	else if (!str_equal(j->crc32c, promised->crc32c))
		how = mem_printf("arrived with the CRC-32C %s, and its " CLUSTER_MANIFEST " says %s",
		                 j->crc32c, promised->crc32c);
	return how ? differs(j->key, how, err) : 0;
}

static int join_record(struct joining *j, const struct file_record *record, struct error *err)
{
	if (j->key && strcmp(j->key, record->key) != 0) {
		int r = end_joined_key(j, err);

		if (r < 0)
			return r;
	}
	if (!j->key) {
		j->key = mem_strdup(record->key);
		j->has_arrived = j->is_promised = j->may_be_unpromised = false;
	}
	return record->kind == RECORD_ARRIVED ? list_arrived(j, record, err)
	                                      : compare_with_promise(j, record, err);
}

int cluster_files_list(struct cluster_files *f, struct listing_writer *to, struct error *err)
{
	struct joining j = {.to = to};
	const void *record;
	int r = sorter_end(f->sorter, err);

	while (r == 0) {
		r = sorter_next(f->sorter, &record, err);
		if (r <= 0)
			break;
		r = join_record(&j, record, err);
	}
	if (r == 0 && j.key)
		r = end_joined_key(&j, err);
	free(j.key);
	return r;
}
