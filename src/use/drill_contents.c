// SPDX-License-Identifier: Apache-2.0
/* A table of contents, as what a restore must bring back; and that of what was restored, made by pg_dump anew. */
#include "drill.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/pg_archive.h>
#include <keepfs/pg.h>
#include <keepfs/pg/restored.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 << 10)
#define KINDS_MAX  96

DEFINE_CLEANUP(secret, char *, mem_free_secret)

/* Of rows, of the database around it, or of large objects, which are counted by themselves. */
static bool is_no_object(const struct pg_archive_entry *e)
{
	static const char *const kinds[] = {"ENCODING",
	                                    "STDSTRINGS",
	                                    "SEARCHPATH",
	                                    "DATABASE",
	                                    "DATABASE PROPERTIES",
	                                    "TABLE DATA",
	                                    "SEQUENCE SET",
	                                    "BLOB",
	                                    "BLOBS",
	                                    "BLOB COMMENTS",
	                                    "BLOB METADATA",
	                                    "MATERIALIZED VIEW DATA",
	                                    "STATISTICS DATA"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(e->desc, kinds[i]) == 0)
			return true;
	return str_starts(e->tag, "DATABASE ") || str_starts(e->tag, "LARGE OBJECT");
}

static bool is_right(const struct pg_archive_entry *e)
{
	return strcmp(e->desc, "ACL") == 0 || strcmp(e->desc, "DEFAULT ACL") == 0;
}

static int keep_object(struct drill_objects *o, const struct pg_archive_entry *e, struct error *err)
{
	_cleanup(free) char *text = *e->namespace ? mem_printf("%s %s.%s", e->desc, e->namespace, e->tag)
	                                          : mem_printf("%s %s", e->desc, e->tag);

	if ((o->count & (o->count - 1)) == 0)
		o->items = mem_resize(o->items, o->count ? 2 * o->count : 1, sizeof(*o->items));
	o->items[o->count++] = (struct drill_object){.hash = hash64(text), .at = spool_size(o->texts)};
	return spool_put(o->texts, text, strlen(text) + 1, err);
}

struct reading_contents {
	struct drill *drill;
	struct drill_contents *contents;
	struct pg_archive_scan *scan;
	bool ended; /* the table of contents */
};

static void keep_encoding(struct drill_contents *c, const char *defn)
{
	const char *begin = strchr(defn, '\''), *end = begin ? strchr(begin + 1, '\'') : NULL;

	if (end && (size_t)(end - begin) <= sizeof(c->encoding))
		str_copy(c->encoding, (size_t)(end - begin), begin + 1);
}

static int take_content(void *arg, const struct pg_archive_entry *e, struct error *err)
{
	struct reading_contents *reading = arg;
	struct drill_contents *c = reading->contents;
	int r = 0;

	if (e->has_data)
		r = spool_put(c->copies, e->copy_stmt, strlen(e->copy_stmt) + 1, err);
	else if (strcmp(e->desc, "SEQUENCE SET") == 0)
		r = spool_put(c->sequences, e->defn, strlen(e->defn) + 1, err);
	else if (strcmp(e->desc, "ENCODING") == 0)
		keep_encoding(c, e->defn);
	if (r == 0 && !is_no_object(e) && (reading->drill->with_rights || !is_right(e)))
		r = keep_object(&c->objects, e, err);
	return r;
}

static int end_contents(void *arg, const struct pg_archive_facts *facts, struct error *err)
{
	((struct reading_contents *)arg)->ended = true;
	return 0;
}

/* What follows is not read: the restore has. */
static int scan_contents(void *arg, const void *data, size_t len, struct error *err)
{
	struct reading_contents *reading = arg;
	int r = pg_archive_scan_feed(reading->scan, data, len, err);

	return r < 0 ? r : reading->ended ? -EOVERFLOW : 0;
}

static void init_contents(struct drill *d, struct drill_contents *c)
{
	const char *state_dir = d->ctx->conf->state_dir;

	*c = (struct drill_contents){.copies = spool_new(state_dir),
	                             .sequences = spool_new(state_dir),
	                             .objects.texts = spool_new(state_dir)};
}

void drill_contents_finish(struct drill_contents *c)
{
	spool_free(c->copies);
	spool_free(c->sequences);
	spool_free(c->objects.texts);
	free(c->objects.items);
	*c = (struct drill_contents){0};
}

static struct pg_archive_scan *new_contents_scan(struct reading_contents *reading)
{
	const struct pg_archive_events events = {
	        .entry = take_content, .toc_end = end_contents, .arg = reading};

	return pg_archive_scan_new(&events);
}

int drill_contents_read(struct drill *d, struct drill_contents *ret, struct error *err)
{
	struct reading_contents reading = {.drill = d, .contents = ret};
	const struct backup_out out = {.write = scan_contents, .arg = &reading};
	struct error own = {0};
	struct catalog_entry file;
	int r;

	init_contents(d, ret);
	if (str_equal(manifest_fact(&d->backup->m, "format"), "plain"))
		return 0;
	r = d->backup->is_directory ? backup_find(d->backup, "toc.dat", &file) : backup_own(d->backup, &file);
	if (r < 0)
		return error_system(err, -r, "the table of contents cannot be found");
	reading.scan = new_contents_scan(&reading);
	r = backup_read(d->backup, &file, &out, &own);
	pg_archive_scan_free(reading.scan);
	/* Of a version that is not known here. */
	if (r == -ENOTSUP && !reading.ended)
		return 0;
	if (r < 0 && r != -EOVERFLOW) {
		if (err)
			*err = own;
		return r;
	}
	ret->known = true;
	return 0;
}

char *drill_text(const struct spool *spool, uint64_t *at, struct error *err)
{
	_cleanup(str) struct str text = {0};
	char buf[512];

	for (;;) {
		ssize_t n = spool_read(spool, buf, sizeof(buf), *at);
		size_t len = n > 0 ? strnlen(buf, (size_t)n) : 0;

		if (n <= 0) {
			error_set(err, ERROR_INTERNAL, EIO,
			          "what the table of contents said cannot be read again");
			return NULL;
		}
		str_append_bytes(&text, buf, len);
		*at += len;
		if (len < (size_t)n) {
			*at += 1;
			return text.len ? str_take(&text) : mem_strdup("");
		}
	}
}

/* What was restored. */

static int feed_dump(struct drill *d, struct proc *p, struct reading_contents *reading, struct error *err)
{
	_cleanup(free) char *buf = mem_alloc(READ_BYTES);
	ssize_t n = 0;
	int r = 0;

	while (r == 0 && (n = read(proc_stdout(p), buf, READ_BYTES)) != 0) {
		if (n < 0 && errno != EINTR)
			return error_system(err, errno, "pg_dump cannot be read");
		if (n > 0)
			r = pg_archive_scan_feed(reading->scan, buf, (size_t)n, err);
	}
	return r;
}

static int dump_restored(struct drill *d, struct drill_contents *ret, struct error *err)
{
	struct reading_contents reading = {.drill = d, .contents = ret};
	_cleanup(free) char *conninfo = NULL, *database = NULL;
	_cleanup(secret) char *password = NULL;
	_cleanup(proc) struct proc *p = NULL;
	int r = pg_child_conninfo(d->server, d->database, NULL, &conninfo, &password, err);

	if (r < 0)
		return r;
	database = mem_printf("--dbname=%s", conninfo);
	const char *const argv[] = {
	        d->pg_dump, "--format=custom", "--compress=0", "--schema-only", "--no-password", database,
	        NULL};
	const char *const env[] = {"LC_ALL=C", password, NULL};
	const struct proc_options options = {.argv = argv, .extra_env = env, .cancel = d->cancel};

	init_contents(d, ret);
	r = proc_start(&options, &p, err);
	if (r < 0)
		return r;
	reading.scan = new_contents_scan(&reading);
	r = feed_dump(d, p, &reading, err);
	if (r == 0)
		r = proc_wait(p, err);
	if (r == 0)
		r = pg_archive_scan_end(reading.scan, err);
	pg_archive_scan_free(reading.scan);
	if (r < 0)
		error_prefix(err, "what was restored cannot be dumped again");
	return r;
}

/* Both, held against each other. */

struct kinds { /* "INDEX": how many there should be, and are */
	struct {
		char name[48];
		uint64_t expected, found;
	} items[KINDS_MAX];
	size_t count;
};

/* The kind is what stands before the name: of words in capitals. */
static void count_kind(struct kinds *k, const char *text, bool found)
{
	size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ "), i = 0;
	char name[48];

	while (len > 0 && text[len - 1] != ' ')
		len--;
	str_copy(name, len > 0 && len < sizeof(name) ? len : sizeof(name), text);
	while (i < k->count && strcmp(k->items[i].name, name) != 0)
		i++;
	if (i == KINDS_MAX)
		return;
	if (i == k->count)
		str_copy(k->items[k->count++].name, sizeof(name), name);
	k->items[i].expected += !found;
	k->items[i].found += found;
}

static int count_kinds(struct kinds *k, const struct drill_objects *o, bool found, struct error *err)
{
	for (size_t i = 0; i < o->count; i++) {
		uint64_t at = o->items[i].at;
		_cleanup(free) char *text = drill_text(o->texts, &at, err);

		if (!text)
			return -EIO;
		count_kind(k, text, found);
	}
	return 0;
}

static int compare_objects(const void *a, const void *b)
{
	const struct drill_object *x = a, *y = b;

	return (x->hash > y->hash) - (x->hash < y->hash);
}

static int tell_object(struct drill *d, const struct drill_objects *o, size_t i, const char *what,
                       struct error *err)
{
	uint64_t at = o->items[i].at;
	_cleanup(free) char *text = drill_text(o->texts, &at, err);

	if (!text)
		return -EIO;
	drill_differs(d, "%s %s", text, what);
	return 0;
}

static int compare_lists(struct drill *d, struct drill_objects *expected, struct drill_objects *found,
                         struct error *err)
{
	size_t i = 0, k = 0;
	int r = 0;

	if (expected->count)
		qsort(expected->items, expected->count, sizeof(*expected->items), compare_objects);
	if (found->count)
		qsort(found->items, found->count, sizeof(*found->items), compare_objects);
	while (r == 0 && (i < expected->count || k < found->count)) {
		bool missing = k == found->count ||
		               (i < expected->count && expected->items[i].hash < found->items[k].hash);
		bool more = i == expected->count ||
		            (k < found->count && found->items[k].hash < expected->items[i].hash);

		if (missing)
			r = tell_object(d, expected, i++, "is in the backup, and not in what was restored",
			                err);
		else if (more)
			r = tell_object(d, found, k++, "is in what was restored, and not in the backup", err);
		else
			i++, k++;
	}
	return r;
}

static int compare_sequences(struct drill *d, const struct drill_contents *c, struct error *err)
{
	struct pg_session *s = NULL;
	uint64_t at = 0;
	int r = pg_restored_open(d->server, d->database, *c->encoding ? c->encoding : NULL, d->cancel, &s,
	                         err);

	while (r == 0 && at < spool_size(c->sequences)) {
		_cleanup(free) char *setval = drill_text(c->sequences, &at, err), *told = NULL;

		r = setval ? pg_restored_sequence(s, setval, &told, err) : -EIO;
		if (r == 0 && told)
			drill_differs(d, "%s", told);
	}
	pg_session_free(s);
	return r;
}

static void report_kinds(struct drill *d, const struct kinds *k)
{
	for (size_t i = 0; i < k->count; i++) {
		struct json *one = json_object_new();

		json_set_int(one, "in_backup", (int64_t)k->items[i].expected);
		json_set_int(one, "restored", (int64_t)k->items[i].found);
		json_set(d->objects, k->items[i].name, one);
	}
}

int drill_compare_objects(struct drill *d, const struct drill_contents *contents, struct error *err)
{
	_cleanup(drill_contents) struct drill_contents found = {0};
	struct drill_objects expected = contents->objects;
	_cleanup(free) struct kinds *kinds = mem_alloc(sizeof(*kinds));
	int r = dump_restored(d, &found, err);

	if (r == 0)
		r = count_kinds(kinds, &expected, false, err);
	if (r == 0)
		r = count_kinds(kinds, &found.objects, true, err);
	if (r == 0)
		r = compare_lists(d, &expected, &found.objects, err);
	if (r < 0)
		return r;
	report_kinds(d, kinds);
	return compare_sequences(d, contents, err);
}
