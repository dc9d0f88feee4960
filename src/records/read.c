// SPDX-License-Identifier: Apache-2.0
/* Records, read back. */
#include "records_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/records.h>
#include <keepfs/codec/decompression.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/keyring.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIST_PAGE 1000

static int append_text(void *arg, const void *data, size_t len, struct error *err)
{
	struct str *text = arg;

	if (text->len + len > RECORD_BYTES_MAX)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "it holds more than a record can");
	str_append_bytes(text, data, len);
	return 0;
}

/* What is encrypted becomes what it was, in place. */
static int decrypt_record(const struct records_context *ctx, const struct store_call *call, const char *key,
                          char **data, size_t *len, struct error *err)
{
	_cleanup(str) struct str plain = {0};
	uint8_t id[SHA256_BYTES];
	const struct keyring_object object = {.id = id, .what = key};
	int r;

	if (!str_ends(key, MANIFEST_SEALED_SUFFIX))
		return 0;
	sha256_once(*data, *len, id);
	r = keyring_decrypt(ctx->keyring, &object, *data, *len, call ? call->cancel : NULL, &plain, err);
	if (r < 0)
		return r;
	free(*data);
	*len = plain.len;
	*data = str_take(&plain);
	return 0;
}

int record_read(const struct records_context *ctx, const struct store_call *call, const char *key,
                struct str *text, struct error *err)
{
	const struct decompressor_out out = {.write = append_text, .arg = text};
	_cleanup(decompressor) struct decompressor *d = decompressor_new(COMPRESSION_GZIP, &out);
	_cleanup(free) char *data = NULL;
	size_t len = 0;
	int r = store_get_all(ctx->store, call, key, RECORD_OBJECT_BYTES_MAX, &data, &len, err);

	if (r == 0)
		r = decrypt_record(ctx, call, key, &data, &len, err);
	if (r == 0)
		r = decompressor_write(d, data, len, err);
	return r == 0 ? decompressor_finish(d, err) : r;
}

bool record_first_number(const char *key, int64_t *ret)
{
	const char *dash = strchr(key, '-');
	char *end;

	if (!dash)
		return false;
	errno = 0;
	*ret = strtoll(dash + 1, &end, 10);
	return errno == 0 && *ret > 0 && *end == '-';
}

/* The audit, all of it. */

#define AUDIT_PREFIX   RECORDS_PREFIX "audit/"
#define HISTORY_PREFIX RECORDS_PREFIX "history/"

struct audit_record {
	int64_t first;
	char *key;
};

struct audit_records {
	const char *prefix; /* of the keys */
	struct audit_record *records;
	size_t count;
	int64_t next; /* the number behind the last line that was given */
};

static void audit_records_finish(struct audit_records *a)
{
	for (size_t i = 0; i < a->count; i++)
		free(a->records[i].key);
	free(a->records);
	a->records = NULL;
	a->count = 0;
}

static int compare_audit_records(const void *a, const void *b)
{
	const struct audit_record *x = a, *y = b;

	return x->first != y->first ? (x->first > y->first) - (x->first < y->first) : strcmp(x->key, y->key);
}

static int list_audit_records(const struct records_reading *io, struct audit_records *ret, struct error *err)
{
	char last[STORE_KEY_BYTES] = "";
	bool more = true;

	while (more) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;
		int r = store_list(io->ctx->store, io->call, ret->prefix, *last ? last : NULL, LIST_PAGE,
		                   &objects, &count, &more, err);

		if (r < 0)
			return r;
		ret->records = mem_resize(ret->records, ret->count + count + 1, sizeof(*ret->records));
		for (size_t i = 0; i < count; i++) {
			struct audit_record *record = &ret->records[ret->count];

			if (!record_first_number(objects[i].key, &record->first) || record->first < ret->next)
				continue;
			record->key = mem_strdup(objects[i].key);
			ret->count++;
		}
		if (count > 0)
			str_copy(last, sizeof(last), objects[count - 1].key);
		more = more && count > 0;
	}
	if (ret->count > 0)
		qsort(ret->records, ret->count, sizeof(*ret->records), compare_audit_records);
	return 0;
}

/* Returns how many there are. */
static int64_t give_lines(const struct records_reading *io, const char *source, const struct str *text)
{
	const char *line = str_text(text), *end = line + text->len;
	int64_t count = 0;

	for (; line < end; count++) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t len = (size_t)((stop ? stop : end) - line);

		io->line(io->arg, source, line, len);
		line += len + 1;
	}
	return count;
}

struct kept_lines {
	const struct records_reading *io;
	struct str text;
};

static bool give_kept_line(void *arg, const struct catalog_audit *entry)
{
	struct kept_lines *kept = arg;
	_cleanup(json) struct json *object = catalog_audit_object(entry);

	str_clear(&kept->text);
	json_write(object, 0, &kept->text);
	kept->io->line(kept->io->arg, "the catalog", str_text(&kept->text), kept->text.len);
	return true;
}

/* Those of records that begin with line @records->next, or behind it. */
static int give_recorded_lines(const struct records_reading *io, struct audit_records *records,
                               struct error *err)
{
	int r = list_audit_records(io, records, err);

	for (size_t i = 0; r == 0 && i < records->count; i++) {
		_cleanup(str) struct str text = {0};
		struct error why = {0};
		const char *key = records->records[i].key;

		r = record_read(io->ctx, io->call, key, &text, &why);
		if (r == 0) {
			records->next = records->records[i].first + give_lines(io, key, &text);
		} else if (r == -EBADMSG || r == -EFBIG || r == -ENOENT || r == -ENOKEY ||
		           r == -EKEYREJECTED) {
			io->unreadable(io->arg, key, why.message);
			r = 0;
		} else if (err) {
			*err = why;
		}
	}
	return r;
}

/* Does the catalog go on where records end? A line may have moved since they were listed. */
static bool has_moved_on(const struct records_reading *io, const struct audit_records *records)
{
	int64_t first = 0, last;

	return io->ctx->catalog && catalog_audit_span(io->ctx->catalog, &first, &last) == 0 &&
	       first > records->next;
}

#define LISTINGS_MAX 5

int records_read_audit(const struct records_reading *io, struct error *err)
{
	struct audit_records records = {.prefix = AUDIT_PREFIX, .next = 1};
	struct kept_lines kept = {.io = io};
	int listings = 0, r;

	do {
		r = give_recorded_lines(io, &records, err);
		audit_records_finish(&records);
	} while (r == 0 && has_moved_on(io, &records) && ++listings < LISTINGS_MAX);
	if (r < 0 || !io->ctx->catalog)
		return r;
	r = catalog_audits_after(io->ctx->catalog, records.next - 1, give_kept_line, &kept);
	str_finish(&kept.text);
	return r < 0 ? error_system(err, -r, "the audit cannot be read from the catalog") : 0;
}

int records_read_history(const struct records_reading *io, struct error *err)
{
	struct audit_records records = {.prefix = HISTORY_PREFIX, .next = 1};
	int r = give_recorded_lines(io, &records, err);

	audit_records_finish(&records);
	return r;
}

/* The head of the chain. */

struct last_line {
	struct records_reading io;
	struct str line;
};

static void keep_last_line(void *arg, const char *source, const char *line, size_t len)
{
	struct last_line *last = arg;

	str_clear(&last->line);
	str_append_bytes(&last->line, line, len);
}

static int read_last_record(struct last_line *last, const struct audit_record *record, struct error *err)
{
	_cleanup(str) struct str text = {0};
	struct catalog_audit_head head = {0};
	_cleanup(json) struct json *row = NULL;
	uint8_t digest[SHA256_BYTES] = {0};
	int r = record_read(last->io.ctx, last->io.call, record->key, &text, err);

	if (r < 0)
		return r;
	head.number = record->first - 1 + give_lines(&last->io, record->key, &text);
	row = json_parse(str_text(&last->line), last->line.len, NULL);
	if (row && json_get_string(row, "previous"))
		sha256_once(str_text(&last->line), last->line.len, digest);
	hex_encode(digest, sizeof(digest), head.hash);
	return catalog_raise_audit_head(last->io.ctx->catalog, &head, err);
}

int records_continue_audit(const struct records_context *ctx, const struct store_call *call,
                           struct error *err)
{
	struct audit_records records = {.prefix = AUDIT_PREFIX, .next = 1};
	struct last_line last = {.io = {.ctx = ctx, .call = call, .line = keep_last_line}};
	int r = list_audit_records(&last.io, &records, err);

	last.io.arg = &last;
	if (r == 0 && records.count > 0)
		r = read_last_record(&last, &records.records[records.count - 1], err);
	audit_records_finish(&records);
	str_finish(&last.line);
	return r;
}
