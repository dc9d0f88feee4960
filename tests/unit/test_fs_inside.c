// SPDX-License-Identifier: Apache-2.0
/*
 * inside/ over a real catalog and a library that is made up: this program has functions of keepfs/inside.h of its own, so that
 * a dump can have a hundred thousand tables, and a read waits as long as the test wants.
 */
#include "fs_test.h"

#include "../../src/fs/inside.h"

#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/inside.h>
#include <keepfs/codec/table_name.h>
#include <keepfs/inside.h>
#include <keepfs/use/counted.h>

#define STEM        "20261120T020000Z"
#define DUMP_DIR    "inside/full/" STEM
#define MANY_TABLES 100000
#define TABLE_BYTES 300000
#define MEASURED    7777

/* What the library does in this test. */
static struct made_up {
	uint32_t tables;
	int open_result; /* of opening */
	int read_result; /* 0: the bytes */
	enum error_class error;
	bool damage;                 /* it is of bytes that were checked */
	bool is_short;               /* the rows end before they should */
	bool last_is_first;          /* the last table has the name of the first */
	atomic_bool measuring_waits; /* until it is given up */
	atomic_bool opening_is_long, reading_is_long;
	atomic_bool waits;   /* a read waits until it is given up */
	atomic_bool waiting; /* it does */
	uint64_t waits_not;  /* reads of this dump do not */
	atomic_uint measured, opened, reads;
	uint64_t offsets[64]; /* of the reads, in their order */
} lib;

struct inside_dump {
	uint64_t ino;
};

static const struct {
	const char *schema, *table;
} names[] = {
        {"public", "orders"},
        {"public", "a/b"},
        {"a.b", "c"},
        {"public", ".hidden"},
        {"public", "Größe \"x\"\n"},
        /* cut */
        {"///////////////////////////////////////////////////////////////",
         "///////////////////////////////////////////////////////////////"},
};

/* The rest is in inside_fake.c. */
bool inside_opens_at_once(struct inside *in, uint64_t artifact_ino)
{
	return !atomic_load(&lib.opening_is_long);
}

bool inside_pread_is_long(struct inside_dump *d, uint32_t number, uint64_t offset)
{
	return atomic_load(&lib.reading_is_long) && d->ino != lib.waits_not;
}

bool inside_lists_blobs(struct inside_dump *d)
{
	return !atomic_load(&lib.reading_is_long);
}

bool inside_knows_blob(struct inside_dump *d, uint32_t oid)
{
	return !atomic_load(&lib.reading_is_long);
}

uint64_t inside_ino(const struct inside_dump *d)
{
	return 0;
}

static int made_up_error(struct error *err, int errnum, const char *what)
{
	error_set(err, lib.error, errnum, "made up: it cannot be %s", what);
	if (err)
		err->damage = lib.damage;
	return -errnum;
}

int inside_open(struct inside *in, uint64_t artifact_ino, struct cancel *cancel, struct inside_dump **ret,
                struct error *err)
{
	if (lib.open_result < 0)
		return made_up_error(err, -lib.open_result, "opened");
	lib.opened++;
	*ret = mem_alloc(sizeof(**ret));
	(*ret)->ino = artifact_ino;
	return 0;
}

struct inside_dump *inside_close(struct inside_dump *d)
{
	if (d)
		lib.opened--;
	free(d);
	return NULL;
}

uint32_t inside_tables(const struct inside_dump *d)
{
	return lib.tables;
}

int inside_table(struct inside_dump *d, uint32_t number, struct inside_table *ret, struct error *err)
{
	const char *schema = "many", *table;
	uint32_t at = number - 1;
	char made_up[32];

	if (number < 1 || number > lib.tables)
		return -ENOENT;
	snprintf(made_up, sizeof(made_up), "t%u", number);
	table = made_up;
	if (lib.last_is_first && number == lib.tables)
		at = 0;
	if (at < ARRAY_SIZE(names)) {
		schema = names[at].schema;
		table = names[at].table;
	}
	*ret = (struct inside_table){.number = number,
	                             .schema = mem_alloc(strlen(schema) + strlen(table) + 2),
	                             .bytes = number == 2 ? INSIDE_NOT_KNOWN : TABLE_BYTES};
	ret->columns = "(a)";
	strcpy(ret->schema, schema);
	ret->table = ret->schema + strlen(schema) + 1;
	strcpy(ret->schema + strlen(schema) + 1, table);
	return 0;
}

int inside_find_table(struct inside_dump *d, const char *schema, const char *table, uint32_t *ret_number)
{
	if (str_equal(schema, "many")) {
		*ret_number = (uint32_t)strtoul(table + 1, NULL, 10);
		return *ret_number > ARRAY_SIZE(names) && *ret_number <= lib.tables ? 0 : -ENOENT;
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (str_equal(names[i].schema, schema) && str_equal(names[i].table, table)) {
			*ret_number = i + 1;
			return 0;
		}
	}
	return -ENOENT;
}

int inside_measure(struct inside_dump *d, uint32_t number, struct cancel *cancel, struct inside_table *ret,
                   struct error *err)
{
	int r = inside_table(d, number, ret, err);

	lib.measured++;
	if (r == 0 && atomic_load(&lib.measuring_waits)) {
		free(ret->schema);
		ret->schema = NULL;
		while (!cancel_sleep_ms(cancel, 60000))
			;
		return -ECANCELED;
	}
	if (r == 0)
		ret->bytes = MEASURED;
	return r;
}

int inside_read_rows(struct inside_dump *d, uint32_t number, struct cancel *cancel,
                     int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                     struct error *err)
{
	lib.measured++;
	return take(arg, "1\n2\n", 4, err);
}

static char byte_at(uint64_t offset)
{
	return (char)('a' + offset % 26);
}

ssize_t inside_pread(struct inside_dump *d, uint32_t number, struct cancel *cancel, void *buf, size_t len,
                     uint64_t offset, struct error *err)
{
	lib.offsets[lib.reads++ % ARRAY_SIZE(lib.offsets)] = offset;
	if (atomic_load(&lib.waits) && d->ino != lib.waits_not) {
		atomic_store(&lib.waiting, true);
		while (!cancel_sleep_ms(cancel, 60000))
			;
		return -ECANCELED;
	}
	if (lib.read_result < 0)
		return made_up_error(err, -lib.read_result, "read");
	for (size_t i = 0; i < len; i++)
		((char *)buf)[i] = byte_at(offset + i);
	return (ssize_t)(lib.is_short ? len / 2 : len);
}

int inside_blobs(struct inside_dump *d, struct cancel *cancel, uint32_t *ret_count, struct error *err)
{
	*ret_count = 3;
	return 0;
}

int inside_blob(struct inside_dump *d, uint32_t index, struct cancel *cancel, struct inside_blob *ret,
                struct error *err)
{
	*ret = (struct inside_blob){.oid = index == 2 ? UINT32_MAX : 16384 + index, .bytes = 10};
	return index < 3 ? 0 : -ENOENT;
}

int inside_find_blob(struct inside_dump *d, uint32_t oid, struct cancel *cancel, struct inside_blob *ret,
                     struct error *err)
{
	*ret = (struct inside_blob){.oid = oid, .bytes = 10};
	return oid == 16384 || oid == 16385 || oid == UINT32_MAX ? 0 : -ENOENT;
}

ssize_t inside_blob_pread(struct inside_dump *d, uint32_t oid, struct cancel *cancel, void *buf, size_t len,
                          uint64_t offset, struct error *err)
{
	memset(buf, 'B', len);
	return (ssize_t)len;
}

int inside_write_toc(struct inside_dump *d, struct cancel *cancel, struct spool *out, struct error *err)
{
	spool_append(out, ";toc\n", 5);
	return 0;
}

int inside_write_schema(struct inside_dump *d, struct cancel *cancel, struct spool *out, struct error *err)
{
	return error_set(err, ERROR_USAGE, ENOENT, "made up: no pg_restore is new enough");
}

const char *inside_encoding(const struct inside_dump *d)
{
	return "UTF8";
}

/* Of history/, whose counts are those of another test. */
int use_counting_read(struct use_counting *c, const struct make_context *ctx, const char *path,
                      struct cancel *cancel, struct error *err)
{
	return error_set(err, ERROR_UNAVAILABLE, EIO, "made up: the store does not answer");
}

static int set_up_inside(void **state)
{
	struct fixture *f;

	lib = (struct made_up){.tables = ARRAY_SIZE(names)};
	set_up(state);
	f = *state;
	f->fs->ctx.inside = (struct inside *)f; /* nobody looks into it here */
	add_some(f);
	return 0;
}

static int tear_down_inside(void **state)
{
	tear_down(state);
	assert_int_equal(lib.opened, 0);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_inside, tear_down_inside)

static void it_mirrors_the_backups(void **state)
{
	struct fixture *f = *state;
	struct node node;
	struct stat st;

	add(f, "tenants/acme/" DUMP, false, NULL);
	assert_lists(f, "inside", "./ ../ full/ tenants/ ");
	assert_lists(f, "inside/full", "./ ../ 20261120T020000Z/ 20261121T020000Z/ 20261122T020000Z/ ");
	assert_lists(f, "inside/tenants", "./ ../ acme/ ");
	assert_lists(f, "inside/tenants/acme", "./ ../ " STEM "/ ");
	assert_lists(f, DUMP_DIR, "./ ../ tables/ blobs/ toc.txt schema.sql attach.sql ");
	assert_int_equal(find(f, DUMP_DIR "/nothing", &node), -ENOENT);
	assert_int_equal(find(f, DUMP_DIR ".dump", &node), -ENOENT);
	assert_int_equal(find(f, "inside/full/" DUMP, &node), -ENOENT);
	assert_int_equal(find(f, "inside/nothing", &node), -ENOENT);
	st = stat_at(f, DUMP_DIR);
	assert_int_equal(st.st_mode, S_IFDIR | 0550);
	assert_int_equal(st.st_nlink, 4);
	assert_int_equal(st.st_mtim.tv_sec, FINISHED);
	assert_int_equal(stat_at(f, "inside/full").st_nlink, 1);
	assert_int_equal(stat_at(f, DUMP_DIR "/toc.txt").st_size, 5);
	assert_int_equal(stat_at(f, DUMP_DIR "/toc.txt").st_mode, S_IFREG | 0440);
}

/* Numbers are all different, have their region for themselves, and lead back. */
static void numbers(void **state)
{
	static const char *const paths[] = {
	        "inside",
	        "inside/full",
	        "inside/full/20261121T020000Z",
	        "inside/full/20261121T020000Z/tables",
	        DUMP_DIR,
	        DUMP_DIR "/tables",
	        DUMP_DIR "/blobs",
	        DUMP_DIR "/toc.txt",
	        DUMP_DIR "/schema.sql",
	        DUMP_DIR "/attach.sql",
	        DUMP_DIR "/tables/public.orders.tsv",
	        DUMP_DIR "/tables/public.orders.csv",
	        DUMP_DIR "/tables/public.a%2Fb.tsv",
	        DUMP_DIR "/blobs/16384",
	        DUMP_DIR "/blobs/4294967295",
	};
	struct fixture *f = *state;
	struct node node, parent;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		uint64_t ino = ino_at(f, paths[i]);

		for (size_t j = 0; j < i; j++)
			assert_true(ino != ino_at(f, paths[j]));
		assert_true(i == 0 ? ino == INO_INSIDE : ino >> 59 == 1);
		assert_int_equal(node_load(f->fs, ino, &node), 0);
		assert_true(node.ino == ino);
		if (!node_is_directory(&node))
			continue;
		assert_int_equal(node_load(f->fs, node_parent(&node), &parent), 0);
		assert_true(node_is_directory(&parent));
	}
	assert_int_equal(find(f, DUMP_DIR "/tables", &node), 0);
	assert_true(node_parent(&node) == ino_at(f, DUMP_DIR));
	assert_int_equal(find(f, DUMP_DIR, &node), 0);
	assert_true(node_parent(&node) == ino_at(f, "inside/full"));
	assert_int_equal(find(f, "inside/full", &node), 0);
	assert_true(node_parent(&node) == INO_INSIDE);
	assert_int_equal(node_load(f->fs, ino_inside(99, INSIDE_TSV, 1), &node), -ENOENT);
	assert_int_equal(node_load(f->fs, ino_inside(1, INSIDE_FIXED, 9), &node), -ENOENT);
}

static void tables_have_names(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *listed = NULL;
	char *rest, *name;
	struct node node;
	unsigned count = 0;

	listed = list(f, DUMP_DIR "/blobs", 4096, true);
	assert_string_equal(listed, "./ ../ 16384 16385 4294967295 ");
	free(take_ptr(&listed));
	listed = list(f, DUMP_DIR "/tables", 4096, true);
	assert_true(str_starts(
	        listed,
	        "./ ../ public.orders.tsv public.orders.csv public.a%2Fb.tsv public.a%2Fb.csv a%2Eb.c.tsv a%2Eb.c.csv "
	        "public.%2Ehidden.tsv public.%2Ehidden.csv public.Größe \"x\"%0A.tsv "));
	for (uint32_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[512], file[NAME_MAX_BYTES];

		table_name_format(names[i].schema, names[i].table, ".tsv", file);
		snprintf(path, sizeof(path), DUMP_DIR "/tables/%s", file);
		assert_non_null(strstr(listed, file));
		assert_int_equal(find(f, path, &node), 0);
		assert_int_equal(inside_part_of(&node), i + 1);
	}
	rest = listed;
	while ((name = strsep(&rest, " ")))
		count += str_ends(name, ".tsv");
	assert_int_equal(count, ARRAY_SIZE(names));
	assert_int_equal(find(f, DUMP_DIR "/tables/public.orders", &node), -ENOENT);
	assert_int_equal(find(f, DUMP_DIR "/tables/public.order%73.tsv", &node), -ENOENT);
	assert_int_equal(find(f, DUMP_DIR "/tables/%2F%~0123456789ABCDEF.tsv", &node), -ENOENT);
	assert_int_equal(find(f, DUMP_DIR "/blobs/016384", &node), -ENOENT);
	assert_int_equal(find(f, DUMP_DIR "/blobs/16386", &node), -ENOENT);
	assert_int_equal(find(f, DUMP_DIR "/blobs/4294967296", &node), -ENOENT);
}

/* SQL of other makers: the rows of one table in two places. */
static void a_table_that_is_there_twice(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *listed = NULL;
	struct node node;

	lib.tables = ARRAY_SIZE(names) + 1;
	lib.last_is_first = true;
	listed = list(f, DUMP_DIR "/tables", 4096, true);
	assert_non_null(strstr(listed, " public.orders.tsv "));
	assert_non_null(strstr(listed, " public.orders%+7.tsv public.orders%+7.csv "));
	assert_int_equal(find(f, DUMP_DIR "/tables/public.orders.tsv", &node), 0);
	assert_int_equal(inside_part_of(&node), 1);
	assert_int_equal(find(f, DUMP_DIR "/tables/public.orders%+7.tsv", &node), 0);
	assert_int_equal(inside_part_of(&node), 7);
	assert_int_equal(find(f, DUMP_DIR "/tables/public.orders%+1.tsv", &node), -ENOENT);
	assert_int_equal(find(f, DUMP_DIR "/tables/public.orders%+07.tsv", &node), -ENOENT);
	assert_int_equal(find(f, DUMP_DIR "/tables/public.orders%+8.tsv", &node), -ENOENT);
	assert_int_equal(find(f, DUMP_DIR "/tables/public.orders%+.tsv", &node), -ENOENT);
	assert_int_equal(find(f, DUMP_DIR "/tables/public.ordersx%+7.tsv", &node), -ENOENT);
}

static void many_tables_are_listed_by_pages(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *listed = NULL;
	const char *at;
	struct node node;

	lib.tables = MANY_TABLES;
	listed = list(f, DUMP_DIR "/tables", 32768, false);
	at = strstr(listed, "many.t7.tsv ");
	for (uint32_t number = ARRAY_SIZE(names) + 1; number <= MANY_TABLES; number++) {
		char name[64];
		int len = snprintf(name, sizeof(name), "many.t%u.tsv many.t%u.csv ", number, number);

		if (strncmp(at, name, (size_t)len) != 0)
			fail_msg("%s is not there", name);
		at += len;
	}
	assert_string_equal(at, "");
	assert_int_equal(find(f, DUMP_DIR "/tables/many.t99999.tsv", &node), 0);
	assert_int_equal(find(f, DUMP_DIR "/tables/many.t100001.tsv", &node), -ENOENT);
}

/* history/ has the tables of the newest whole dump of which tables were counted. */
static void history_lists_the_tables_of_the_newest(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *listed = NULL, *many = NULL;
	struct node node;
	const char *at;

	listed = list(f, "history/full", 4096, true);
	assert_true(str_starts(
	        listed,
	        "./ ../ public.orders/ public.a%2Fb/ a%2Eb.c/ public.%2Ehidden/ public.Größe \"x\"%0A/ "));
	assert_int_equal(find(f, "history/full/public.orders", &node), 0);
	assert_int_equal(find(f, "history/full/a%2Eb.c", &node), 0);
	lib.tables = MANY_TABLES;
	many = list(f, "history/full", 32768, false);
	at = strstr(many, "many.t7/ ");
	for (uint32_t number = ARRAY_SIZE(names) + 1; number <= MANY_TABLES; number++) {
		char name[64];
		int len = snprintf(name, sizeof(name), "many.t%u/ ", number);

		if (strncmp(at, name, (size_t)len) != 0)
			fail_msg("%s is not there", name);
		at += len;
	}
	assert_string_equal(at, "");
	lib.open_result = -EBADMSG;
	lib.error = ERROR_CORRUPT;
	assert_int_equal(find(f, "history/full/public.orders", &node), -EIO);
}

static void what_is_not_known_is_measured_once(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *listed = NULL;

	assert_int_equal(stat_at(f, DUMP_DIR "/tables/public.orders.tsv").st_size, TABLE_BYTES);
	/* A listing waits for nothing. */
	listed = list(f, DUMP_DIR "/tables", 4096, true);
	assert_int_equal(lib.measured, 0);
	assert_int_equal(stat_at(f, DUMP_DIR "/tables/public.a%2Fb.tsv").st_size, MEASURED);
	assert_int_equal(stat_at(f, DUMP_DIR "/tables/public.a%2Fb.tsv").st_size, MEASURED);
	assert_int_equal(lib.measured, 1);
	assert_int_equal(stat_at(f, DUMP_DIR "/tables/public.a%2Fb.tsv").st_blocks, (MEASURED + 511) / 512);
	assert_int_equal(stat_at(f, DUMP_DIR "/tables/public.orders.csv").st_size, strlen("a\n1\n2\n"));
	assert_int_equal(stat_at(f, DUMP_DIR "/tables/public.orders.csv").st_size, strlen("a\n1\n2\n"));
	assert_int_equal(lib.measured, 2);
	assert_int_equal(stat_at(f, DUMP_DIR "/blobs/16384").st_size, 10);
}

/* Reading. */

static int64_t try_open(struct fixture *f, uint64_t ino)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_open_in how = {.flags = O_RDONLY};
	ssize_t n = ask(f, FUSE_OPEN, ino, &how, sizeof(how), answer);

	return n < 0 ? n : (int64_t)((const struct fuse_open_out *)answer)->fh;
}

static ssize_t try_read(struct fixture *f, uint64_t ino, int64_t fh, uint64_t offset, uint32_t size,
                        char *answer)
{
	struct fuse_read_in in = {.fh = (uint64_t)fh, .offset = offset, .size = size};

	return ask(f, FUSE_READ, ino, &in, sizeof(in), answer);
}

static void release(struct fixture *f, uint64_t ino, int64_t fh)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_release_in in = {.fh = (uint64_t)fh};

	assert_int_equal(ask(f, FUSE_RELEASE, ino, &in, sizeof(in), answer), 0);
}

static void take_audit(void *arg, const struct catalog_audit *entry)
{
	str_appendf(arg, "%s %s %s: %s\n", entry->action, entry->object, entry->result, entry->detail);
}

static void assert_audited(struct fixture *f, const char *line)
{
	_cleanup(str) struct str lines = {0};

	fs_finish_commands(f->fs);
	assert_int_equal(catalog_audits(f->catalog, 0, take_audit, &lines), 0);
	if (!strstr(str_text(&lines), line))
		fail_msg("%s", str_text(&lines));
}

static void rows_are_read_at_any_place(void **state)
{
	static const uint64_t offsets[] = {0, 4096, 1, TABLE_BYTES - 10, 200000};
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, DUMP_DIR "/tables/public.orders.tsv");
	int64_t fh = try_open(f, ino);

	assert_true(fh > 0);
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		ssize_t n = try_read(f, ino, fh, offsets[i], 4096, answer);

		assert_int_equal(n, i == 3 ? 10 : 4096);
		for (ssize_t at = 0; at < n; at++)
			assert_int_equal(answer[at], byte_at(offsets[i] + (uint64_t)at));
	}
	assert_int_equal(try_read(f, ino, fh, TABLE_BYTES, 4096, answer), 0);
	assert_int_equal(try_read(f, ino, fh, TABLE_BYTES * 3, 4096, answer), 0);
	release(f, ino, fh);
	assert_audited(f, "read " DUMP_DIR
	                  "/tables/public.orders.tsv ok: 16394 of 300000 bytes in 7 requests, 0 failed\n");
}

static void a_large_object_is_read(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, DUMP_DIR "/blobs/16385");
	int64_t fh = try_open(f, ino);

	assert_int_equal(try_read(f, ino, fh, 0, 4096, answer), 10);
	assert_memory_equal(answer, "BBBBBBBBBB", 10);
	release(f, ino, fh);
	assert_audited(f, "read " DUMP_DIR "/blobs/16385 ok: 10 of 10 bytes in 1 requests, 0 failed\n");
}

static void a_failure_says_why(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, DUMP_DIR "/tables/public.orders.tsv");
	int64_t fh = try_open(f, ino);
	_cleanup(free) char *first = NULL, *second = NULL;

	lib.read_result = -ETIMEDOUT;
	lib.error = ERROR_UNAVAILABLE;
	assert_int_equal(try_read(f, ino, fh, 0, 4096, answer), -EIO);
	first = last_error(f);
	assert_non_null(strstr(first, DUMP_DIR "/tables/public.orders.tsv"));
	assert_non_null(strstr(first, "made up: it cannot be read"));
	assert_false(catalog_is_damaged(f->catalog, ino_at(f, "backups/full/" DUMP)));
	lib.read_result = -EBADMSG;
	lib.error = ERROR_CORRUPT;
	assert_int_equal(try_read(f, ino, fh, 0, 4096, answer), -EIO);
	/* A parser does not like what is right, by its checksums. */
	assert_false(catalog_is_damaged(f->catalog, ino_at(f, "backups/full/" DUMP)));
	lib.damage = true;
	assert_int_equal(try_read(f, ino, fh, 0, 4096, answer), -EIO);
	assert_true(catalog_is_damaged(f->catalog, ino_at(f, "backups/full/" DUMP)));
	release(f, ino, fh);
	assert_audited(f, "read " DUMP_DIR
	                  "/tables/public.orders.tsv failed: 0 of 300000 bytes in 0 requests, 3 failed\n");
}

/* The kernel would take what is missing for zeros. */
static void rows_that_end_too_early_are_a_failure(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, DUMP_DIR "/tables/public.orders.tsv");
	int64_t fh = try_open(f, ino);

	lib.is_short = true;
	assert_int_equal(try_read(f, ino, fh, 0, 4096, answer), -EIO);
	release(f, ino, fh);
}

static void a_removed_dump(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, DUMP_DIR "/tables/public.orders.tsv");
	uint64_t artifact_ino = ino_at(f, "backups/full/" DUMP);
	int64_t fh = try_open(f, ino);
	struct node node;

	assert_int_equal(try_read(f, ino, fh, 0, 4096, answer), 4096);
	assert_int_equal(catalog_entomb_artifact(f->catalog, artifact_ino, NULL, NULL), 0);
	assert_int_equal(try_read(f, ino, fh, 0, 4096, answer), -ESTALE);
	assert_int_equal(find(f, DUMP_DIR, &node), -ENOENT);
	assert_int_equal(node_load(f->fs, ino, &node), -ENOENT);
	assert_lists(f, "inside/full", "./ ../ 20261121T020000Z/ 20261122T020000Z/ ");
	release(f, ino, fh);
}

/* Sends a request without waiting for its answer; returns its number. */
static uint64_t send_read(struct fixture *f, uint64_t ino, int64_t fh, uint64_t offset)
{
	struct {
		struct fuse_in_header head;
		struct fuse_read_in in;
	} message = {.head = {.len = sizeof(message),
	                      .opcode = FUSE_READ,
	                      .unique = f->unique += 2,
	                      .nodeid = ino},
	             .in = {.fh = (uint64_t)fh, .offset = offset, .size = 4096}};

	assert_int_equal(write(f->kernel, &message, sizeof(message)), sizeof(message));
	serve_one(f->fs->session);
	return message.head.unique;
}

static void wait_for_read(void)
{
	while (!atomic_load(&lib.waiting))
		sched_yield();
}

/* Others are not held up meanwhile. */
static void an_interrupt_ends_a_read(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, DUMP_DIR "/tables/public.orders.tsv");
	int64_t fh = try_open(f, ino);
	struct {
		struct fuse_in_header head;
		struct fuse_interrupt_in in;
	} interrupt = {.head = {.len = sizeof(interrupt), .opcode = FUSE_INTERRUPT, .unique = 1001}};

	atomic_store(&lib.waits, true);
	interrupt.in.unique = send_read(f, ino, fh, 0);
	wait_for_read();
	assert_int_equal(write(f->kernel, &interrupt, sizeof(interrupt)), sizeof(interrupt));
	serve_one(f->fs->session);
	assert_int_equal(receive(f, answer, sizeof(answer), 0), -EINTR);
	atomic_store(&lib.waits, false);
	assert_int_equal(try_read(f, ino, fh, 0, 4096, answer), 4096);
	release(f, ino, fh);
}

static void a_closed_descriptor_ends_a_read(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, DUMP_DIR "/tables/public.orders.tsv");
	int64_t fh = try_open(f, ino);
	struct fuse_out_header heads[2];
	struct {
		struct fuse_in_header head;
		struct fuse_flush_in in;
	} flush = {.head = {.len = sizeof(flush),
	                    .opcode = FUSE_FLUSH,
	                    .unique = 1003,
	                    .nodeid = ino,
	                    .pid = 77},
	           .in = {.fh = (uint64_t)fh}};
	struct {
		struct fuse_in_header head;
		struct fuse_read_in in;
	} message = {.head = {.len = sizeof(message),
	                      .opcode = FUSE_READ,
	                      .unique = 1001,
	                      .nodeid = ino,
	                      .pid = 77},
	             .in = {.fh = (uint64_t)fh, .size = 4096}};

	atomic_store(&lib.waits, true);
	assert_int_equal(write(f->kernel, &message, sizeof(message)), sizeof(message));
	serve_one(f->fs->session);
	wait_for_read();
	assert_int_equal(write(f->kernel, &flush, sizeof(flush)), sizeof(flush));
	serve_one(f->fs->session);
	for (int i = 0; i < 2; i++)
		assert_true(recv(f->kernel, &heads[i], sizeof(heads[i]), 0) > 0);
	assert_true(heads[0].unique + heads[1].unique == 1001 + 1003);
	assert_int_equal(heads[0].error + heads[1].error, -EINTR);
	release(f, ino, fh);
	assert_int_equal(lib.reads, 1);
	(void)answer;
}

/* The kernel's requests come in any order; the rows are read in theirs. */
static void reads_are_put_into_order(void **state)
{
	static const uint64_t sent[] = {0, 12288, 4096, 8192};
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, DUMP_DIR "/tables/public.orders.tsv"), first = 0;
	int64_t fh = try_open(f, ino);
	struct {
		struct fuse_in_header head;
		struct fuse_interrupt_in in;
	} interrupt = {.head = {.len = sizeof(interrupt), .opcode = FUSE_INTERRUPT, .unique = 1001}};

	/* The first one waits until all are there. */
	atomic_store(&lib.waits, true);
	for (size_t i = 0; i < ARRAY_SIZE(sent); i++) {
		uint64_t unique = send_read(f, ino, fh, sent[i]);

		if (i == 0) {
			first = unique;
			wait_for_read();
		}
	}
	atomic_store(&lib.waits, false);
	interrupt.in.unique = first;
	assert_int_equal(write(f->kernel, &interrupt, sizeof(interrupt)), sizeof(interrupt));
	serve_one(f->fs->session);
	for (size_t i = 0; i < ARRAY_SIZE(sent); i++)
		assert_true(recv(f->kernel, answer, sizeof(answer), 0) > 0);
	assert_int_equal(lib.reads, 4);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(lib.offsets[i], i * 4096);
	release(f, ino, fh);
}

/* Sends a request for attributes without waiting for its answer. */
static void send_getattr(struct fixture *f, uint64_t ino)
{
	struct {
		struct fuse_in_header head;
		struct fuse_getattr_in in;
	} message = {.head = {.len = sizeof(message),
	                      .opcode = FUSE_GETATTR,
	                      .unique = f->unique += 2,
	                      .nodeid = ino}};

	assert_int_equal(write(f->kernel, &message, sizeof(message)), sizeof(message));
	serve_one(f->fs->session);
}

/* Many want to know what is not known yet of one dump, which takes long. */
static void one_dump_does_not_hold_up_others(void **state)
{
	static char answer[MESSAGE_BYTES];
	static const char other_file[] = "public.orders.tsv";
	struct fixture *f = *state;
	struct fuse_getattr_in in = {0};
	uint64_t slow, directory, other, other_size;

	add(f, "tenants/acme/" DUMP, false, NULL);
	slow = ino_at(f, DUMP_DIR "/tables/public.a%2Fb.tsv");
	directory = ino_at(f, DUMP_DIR "/tables");
	other = ino_at(f, "inside/tenants/acme/" STEM "/tables");
	other_size = ino_at(f, "inside/tenants/acme/" STEM "/tables/public.orders.tsv");
	atomic_store(&lib.measuring_waits, true);
	for (int i = 0; i < 20; i++)
		send_getattr(f, slow);
	while (atomic_load(&lib.measured) < 2)
		sched_yield();
	assert_true(ask(f, FUSE_LOOKUP, other, other_file, sizeof(other_file), answer) > 0);
	assert_true(ask(f, FUSE_GETATTR, other_size, &in, sizeof(in), answer) > 0);
	/* Nor what the catalog knows of that one. */
	assert_true(ask(f, FUSE_GETATTR, directory, &in, sizeof(in), answer) > 0);
	assert_int_equal(lib.measured, 2);
	fs_finish_commands(f->fs);
	assert_int_equal(lib.measured, 20);
}

#define SLOW_FILES 8

static void reads_of_one_dump_do_not_hold_up_others(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	uint64_t slow, quick;
	int64_t slow_fhs[SLOW_FILES], quick_fh;

	add(f, "tenants/acme/" DUMP, false, NULL);
	slow = ino_at(f, DUMP_DIR "/tables/public.orders.tsv");
	quick = ino_at(f, "inside/tenants/acme/" STEM "/tables/public.orders.tsv");
	quick_fh = try_open(f, quick);
	for (size_t i = 0; i < SLOW_FILES; i++)
		slow_fhs[i] = try_open(f, slow);
	lib.waits_not = ino_at(f, "backups/tenants/acme/" DUMP);
	atomic_store(&lib.waits, true);
	for (size_t i = 0; i < SLOW_FILES; i++)
		send_read(f, slow, slow_fhs[i], 0);
	while (atomic_load(&lib.reads) < 6)
		sched_yield();
	assert_int_equal(try_read(f, quick, quick_fh, 0, 4096, answer), 4096);
	fs_finish_commands(f->fs);
}

#define LONG_DUMPS 5

/* As many tables of as many dumps are read to their end as may be at once, and more: whatever is known is told meanwhile, of these dumps and of others. */
static void what_takes_long_does_not_hold_up_the_rest(void **state)
{
	static char answer[MESSAGE_BYTES];
	static const char file[] = "public.orders.tsv";
	struct fixture *f = *state;
	struct fuse_getattr_in in = {0};
	uint64_t slow[LONG_DUMPS], tables[LONG_DUMPS], quick;
	int64_t fh;

	for (int i = 0; i < LONG_DUMPS; i++) {
		_cleanup(free) char *dump = mem_printf("tenants/t%d/" DUMP, i);
		_cleanup(free) char *directory = mem_printf("inside/tenants/t%d/" STEM "/tables", i);
		_cleanup(free) char *table = mem_printf("%s/public.a%%2Fb.tsv", directory);

		add(f, dump, false, NULL);
		slow[i] = ino_at(f, table);
		tables[i] = ino_at(f, directory);
	}
	quick = ino_at(f, DUMP_DIR "/tables/public.orders.tsv");
	atomic_store(&lib.measuring_waits, true);
	for (int i = 0; i < LONG_DUMPS * 4; i++)
		send_getattr(f, slow[i % LONG_DUMPS]);
	while (atomic_load(&lib.measured) < 8)
		sched_yield();
	for (int i = 0; i < LONG_DUMPS; i++)
		assert_true(ask(f, FUSE_LOOKUP, tables[i], file, sizeof(file), answer) > 0);
	assert_true(ask(f, FUSE_GETATTR, quick, &in, sizeof(in), answer) > 0);
	fh = try_open(f, quick);
	assert_int_equal(try_read(f, quick, fh, 0, 4096, answer), 4096);
	release(f, quick, fh);
	assert_int_equal(lib.measured, 8);
	fs_finish_commands(f->fs);
	assert_int_equal(lib.measured, LONG_DUMPS * 4);
}

static void reads_that_take_long_do_not_hold_up_others(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	uint64_t quick;
	int64_t quick_fh;

	add(f, "tenants/quick/" DUMP, false, NULL);
	quick = ino_at(f, "inside/tenants/quick/" STEM "/tables/public.orders.tsv");
	quick_fh = try_open(f, quick);
	lib.waits_not = ino_at(f, "backups/tenants/quick/" DUMP);
	for (int i = 0; i < LONG_DUMPS; i++) {
		_cleanup(free) char *dump = mem_printf("tenants/t%d/" DUMP, i);
		_cleanup(free) char *path =
		        mem_printf("inside/tenants/t%d/" STEM "/tables/public.orders.tsv", i);
		uint64_t ino;

		add(f, dump, false, NULL);
		ino = ino_at(f, path);
		atomic_store(&lib.reading_is_long, true);
		atomic_store(&lib.waits, true);
		for (int j = 0; j < 4; j++)
			send_read(f, ino, try_open(f, ino), 0);
	}
	while (atomic_load(&lib.reads) < 8)
		sched_yield();
	assert_int_equal(try_read(f, quick, quick_fh, 0, 4096, answer), 4096);
	assert_int_equal(lib.reads, 9);
	fs_finish_commands(f->fs);
}

/* Whatever takes long is done all the same: directories, files and texts of a dump that has to be read to be opened. */
static void what_takes_long_is_done(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	static const char file[] = "public.orders.tsv", text[] = "toc.txt", blob[] = "16384";
	struct fuse_read_in listing = {.size = 4096};
	uint64_t dump = ino_at(f, DUMP_DIR), tables = ino_at(f, DUMP_DIR "/tables"),
	         blobs = ino_at(f, DUMP_DIR "/blobs"),
	         orders = ino_at(f, DUMP_DIR "/tables/public.orders.tsv"),
	         toc = ino_at(f, DUMP_DIR "/toc.txt");
	int64_t fh;

	atomic_store(&lib.opening_is_long, true);
	atomic_store(&lib.reading_is_long, true);
	assert_true(ask(f, FUSE_LOOKUP, tables, file, sizeof(file), answer) > 0);
	assert_true(ask(f, FUSE_LOOKUP, dump, text, sizeof(text), answer) > 0);
	assert_true(ask(f, FUSE_LOOKUP, blobs, blob, sizeof(blob), answer) > 0);
	assert_true(ask(f, FUSE_READDIR, tables, &listing, sizeof(listing), answer) > 200);
	assert_true(ask(f, FUSE_READDIR, blobs, &listing, sizeof(listing), answer) > 100);
	fh = try_open(f, orders);
	assert_int_equal(try_read(f, orders, fh, 0, 4096, answer), 4096);
	release(f, orders, fh);
	fh = try_open(f, toc);
	assert_int_equal(try_read(f, toc, fh, 0, 4096, answer), 5);
	release(f, toc, fh);
}

/* Its end does not wait for the store. */
static void the_end_of_the_mount_ends_all_waiting(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, DUMP_DIR "/tables/public.orders.tsv");
	int64_t fh = try_open(f, ino);

	atomic_store(&lib.waits, true);
	send_read(f, ino, fh, 0);
	wait_for_read();
	fs_finish_commands(f->fs);
}

static char *text_at(struct fixture *f, const char *path)
{
	static char answer[MESSAGE_BYTES];
	uint64_t ino = ino_at(f, path);
	int64_t fh = try_open(f, ino);
	ssize_t n = try_read(f, ino, fh, 0, 4096, answer);

	assert_true(n >= 0);
	release(f, ino, fh);
	return mem_printf("%.*s", (int)n, answer);
}

static void texts(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *toc = text_at(f, DUMP_DIR "/toc.txt"),
	                    *schema = text_at(f, DUMP_DIR "/schema.sql");

	assert_string_equal(toc, ";toc\n");
	assert_string_equal(schema, "-- made up: no pg_restore is new enough\n");
	assert_int_equal(stat_at(f, DUMP_DIR "/schema.sql").st_size, strlen(schema));
	assert_audited(f, "read " DUMP_DIR "/toc.txt ok: \n");
}

/* The library's, over the made-up dump: no pg_restore, so no types; and more than a page of it. */
static void attach_names_files_of_the_mount(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *attach = text_at(f, DUMP_DIR "/attach.sql");
	_cleanup(free) char *expected = mem_printf(
	        "CREATE FOREIGN TABLE \"full_20261120t020000z\".\"a/b\" (\n\t\"a\" text -- its type is not in the backup\n"
	        ") SERVER keepfs OPTIONS (filename '%s/" DUMP_DIR
	        "/tables/public.a%%2Fb.tsv', format 'text', encoding 'UTF8');\n",
	        f->fs->ctx.conf->mountpoint);

	if (!strstr(attach, expected))
		fail_msg("%s is not in %s", expected, attach);
	assert_audited(f, "read " DUMP_DIR "/attach.sql ok: \n");
}

static void a_dump_that_is_not_understood_says_so(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *toc = NULL, *again = NULL;
	struct node node;

	lib.open_result = -ENOTSUP;
	lib.error = ERROR_USAGE;
	toc = text_at(f, DUMP_DIR "/toc.txt");
	assert_string_equal(toc, "; made up: it cannot be opened\n");
	assert_lists(f, DUMP_DIR, "./ ../ tables/ blobs/ toc.txt schema.sql attach.sql ");
	assert_lists(f, DUMP_DIR "/tables", "./ ../ ");
	assert_lists(f, DUMP_DIR "/blobs", "./ ../ ");
	assert_int_equal(find(f, DUMP_DIR "/tables/public.orders.tsv", &node), -ENOENT);
	/* Nor what is what was sent, and no archive. */
	lib.open_result = -EBADMSG;
	lib.error = ERROR_CORRUPT;
	assert_lists(f, DUMP_DIR "/tables", "./ ../ ");
	assert_int_equal(stat_at(f, DUMP_DIR "/toc.txt").st_size, strlen(toc));
	/* A newer keepfs, or pg_restore, is not waited for until the next mount. */
	lib.open_result = 0;
	again = text_at(f, DUMP_DIR "/toc.txt");
	assert_string_equal(again, ";toc\n");
}

static void a_dump_that_cannot_be_opened(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_read_in in = {.size = 4096};
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, DUMP_DIR "/tables"),
	         file_ino = ino_at(f, DUMP_DIR "/tables/public.a%2Fb.tsv");
	_cleanup(free) char *error = NULL;
	struct node node;

	lib.open_result = -EBADMSG;
	lib.error = ERROR_CORRUPT;
	lib.damage = true;
	assert_int_equal(find(f, DUMP_DIR "/tables/public.orders.tsv", &node), -EIO);
	assert_int_equal(try_open(f, file_ino), -EIO);
	in.offset = 2; /* behind ".." */
	assert_int_equal(ask(f, FUSE_READDIR, ino, &in, sizeof(in), answer), -EIO);
	error = last_error(f);
	assert_non_null(strstr(error, "made up: it cannot be opened"));
	assert_true(catalog_is_damaged(f->catalog, ino_at(f, "backups/full/" DUMP)));
}

static void nothing_can_be_removed_or_written(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_open_in how = {.flags = O_WRONLY};
	struct fixture *f = *state;
	_cleanup(free) char *error = NULL;

	assert_int_equal(try_remove(f, FUSE_UNLINK, DUMP_DIR "/tables", "public.orders.tsv"), -EPERM);
	assert_int_equal(try_remove(f, FUSE_UNLINK, DUMP_DIR, "toc.txt"), -EPERM);
	assert_int_equal(try_remove(f, FUSE_RMDIR, DUMP_DIR, "tables"), -EPERM);
	assert_int_equal(try_remove(f, FUSE_RMDIR, "inside/full", STEM), -EPERM);
	error = last_error(f);
	assert_non_null(strstr(error, DUMP_DIR "/tables/public.orders.tsv"));
	assert_non_null(strstr(error, "inside/ only shows what is in the backups: remove them in backups/"));
	assert_int_equal(
	        ask(f, FUSE_OPEN, ino_at(f, DUMP_DIR "/tables/public.orders.tsv"), &how, sizeof(how), answer),
	        -EPERM);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        TEST(it_mirrors_the_backups),
	        TEST(numbers),
	        TEST(tables_have_names),
	        TEST(a_table_that_is_there_twice),
	        TEST(many_tables_are_listed_by_pages),
	        TEST(history_lists_the_tables_of_the_newest),
	        TEST(what_is_not_known_is_measured_once),
	        TEST(rows_are_read_at_any_place),
	        TEST(a_large_object_is_read),
	        TEST(a_failure_says_why),
	        TEST(rows_that_end_too_early_are_a_failure),
	        TEST(a_removed_dump),
	        TEST(an_interrupt_ends_a_read),
	        TEST(a_closed_descriptor_ends_a_read),
	        TEST(reads_are_put_into_order),
	        TEST(one_dump_does_not_hold_up_others),
	        TEST(reads_of_one_dump_do_not_hold_up_others),
	        TEST(what_takes_long_does_not_hold_up_the_rest),
	        TEST(reads_that_take_long_do_not_hold_up_others),
	        TEST(what_takes_long_is_done),
	        TEST(the_end_of_the_mount_ends_all_waiting),
	        TEST(texts),
	        TEST(attach_names_files_of_the_mount),
	        TEST(a_dump_that_is_not_understood_says_so),
	        TEST(a_dump_that_cannot_be_opened),
	        TEST(nothing_can_be_removed_or_written),
	};

	return cmocka_run_group_tests_name("fs_inside", tests, NULL, NULL);
}
