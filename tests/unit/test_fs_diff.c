// SPDX-License-Identifier: Apache-2.0
/*
 * diff/ over a real catalog, with the real comparison of dumps that are made up: this program has functions of keepfs/inside.h of its own, so that a dump
 * can have a hundred thousand tables, and a reading waits as long as the test wants.
 */
#include "fs_test.h"

#include "../../src/fs/diff.h"

#include <keepfs/base/clock.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/inside.h>
#include <keepfs/inside.h>

#include <sys/prctl.h>

#define A           "20261120T020000Z"
#define B           "20261123T020000Z"
#define PAIR        "diff/full/" A ".." B
#define ROWS        PAIR "/public.t2"
#define MANY_TABLES 100000
#define DIFFERS     2  /* the table of that number is another one in B */
#define EACH        10 /* and each tenth of many */

/* What the library does in this test. */
static struct made_up {
	uint32_t tables;
	uint64_t a_ino;
	int read_result; /* of A; 0: the rows */
	bool damage;
	bool b_is_damaged; /* in the second of its readings */
	bool is_not_counted;
	bool opens_slowly;
	bool has_new;      /* B has one more */
	uint32_t rows;     /* of each table */
	atomic_bool waits; /* a reading waits until it is given up, or may go on */
	atomic_uint reads, b_reads, opened, opened_in_haste, given_up;
} lib;

struct inside_dump {
	uint64_t ino;
};

/* The rest is in inside_fake.c. */
uint64_t inside_ino(const struct inside_dump *d)
{
	return d->ino;
}

bool inside_opens_at_once(struct inside *in, uint64_t artifact_ino)
{
	return !lib.opens_slowly;
}

bool inside_pread_is_long(struct inside_dump *d, uint32_t number, uint64_t offset)
{
	return false;
}

bool inside_lists_blobs(struct inside_dump *d)
{
	return true;
}

bool inside_knows_blob(struct inside_dump *d, uint32_t oid)
{
	return true;
}

int inside_open(struct inside *in, uint64_t artifact_ino, struct cancel *cancel, struct inside_dump **ret,
                struct error *err)
{
	char thread[16] = {0};

	prctl(PR_GET_NAME, thread);
	lib.opened_in_haste += str_equal(thread, "look");
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

static bool is_b(const struct inside_dump *d)
{
	return d->ino != lib.a_ino;
}

uint32_t inside_tables(const struct inside_dump *d)
{
	return lib.tables + (lib.has_new && is_b(d));
}

static bool differs(uint32_t number)
{
	return number == DIFFERS || number % EACH == 0;
}

int inside_table(struct inside_dump *d, uint32_t number, struct inside_table *ret, struct error *err)
{
	char table[16];

	if (number < 1 || number > inside_tables(d))
		return -ENOENT;
	snprintf(table, sizeof(table), "t%u", number);
	*ret = (struct inside_table){.number = number,
	                             .schema = mem_printf("public%c%s", 0, table),
	                             .rows = lib.rows,
	                             .bytes = 8,
	                             .has_hash = !lib.is_not_counted,
	                             .hash = number + (is_b(d) && differs(number) ? 1 : 0)};
	free(ret->schema);
	ret->schema = mem_alloc(sizeof("public") + sizeof(table));
	strcpy(ret->schema, "public");
	ret->table = strcpy(ret->schema + sizeof("public"), table);
	ret->columns = number == 3 && is_b(d) ? "(b)" : "(a)";
	return 0;
}

int inside_find_table(struct inside_dump *d, const char *schema, const char *table, uint32_t *ret_number)
{
	char *end = NULL;

	if (!str_equal(schema, "public") || table[0] != 't')
		return -ENOENT;
	*ret_number = (uint32_t)strtoul(table + 1, &end, 10);
	return *ret_number >= 1 && *ret_number <= inside_tables(d) && !*end ? 0 : -ENOENT;
}

int inside_measure(struct inside_dump *d, uint32_t number, struct cancel *cancel, struct inside_table *ret,
                   struct error *err)
{
	return inside_table(d, number, ret, err);
}

/* One row that both have, then those that the dump has for itself. */
int inside_read_rows(struct inside_dump *d, uint32_t number, struct cancel *cancel,
                     int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                     struct error *err)
{
	int r = take(arg, "both\n", 5, err);

	lib.reads++;
	lib.b_reads += is_b(d);
	while (r == 0 && atomic_load(&lib.waits)) {
		if (cancel_sleep_ms(cancel, 5)) {
			lib.given_up++;
			return error_set(err, ERROR_CANCELLED, ECANCELED, "given up");
		}
	}
	if (r == 0 && lib.read_result < 0 && !is_b(d)) {
		error_set(err, ERROR_CORRUPT, -lib.read_result, "made up: it cannot be read");
		err->damage = lib.damage;
		return lib.read_result;
	}
	if (r == 0 && lib.b_is_damaged && is_b(d) && lib.b_reads == 2) {
		error_set(err, ERROR_CORRUPT, EBADMSG, "made up: other bytes");
		err->damage = true;
		return -EBADMSG;
	}
	for (uint32_t i = 1; r == 0 && i < lib.rows; i++) {
		char row[32];
		int len = snprintf(row, sizeof(row), "%c%u\n", is_b(d) ? 'b' : 'a', i);

		r = take(arg, row, (size_t)len, err);
	}
	return r;
}

ssize_t inside_pread(struct inside_dump *d, uint32_t number, struct cancel *cancel, void *buf, size_t len,
                     uint64_t offset, struct error *err)
{
	memset(buf, 'n', len);
	return (ssize_t)len;
}

int inside_blobs(struct inside_dump *d, struct cancel *cancel, uint32_t *ret_count, struct error *err)
{
	*ret_count = 0;
	return 0;
}

int inside_blob(struct inside_dump *d, uint32_t index, struct cancel *cancel, struct inside_blob *ret,
                struct error *err)
{
	return -ENOENT;
}

int inside_find_blob(struct inside_dump *d, uint32_t oid, struct cancel *cancel, struct inside_blob *ret,
                     struct error *err)
{
	return -ENOENT;
}

ssize_t inside_blob_pread(struct inside_dump *d, uint32_t oid, struct cancel *cancel, void *buf, size_t len,
                          uint64_t offset, struct error *err)
{
	return -ENOENT;
}

int inside_write_toc(struct inside_dump *d, struct cancel *cancel, struct spool *out, struct error *err)
{
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

static int set_up_diff(void **state)
{
	struct fixture *f;

	lib = (struct made_up){.tables = 3, .rows = 2};
	set_up(state);
	f = *state;
	f->fs->ctx.inside = (struct inside *)f; /* nobody looks into it here */
	f->conf.diff_space_bytes = 64 << 20;
	f->conf.memory_bytes = 64 << 20;
	add(f, "full/" A ".dump", false, NULL);
	add(f, "full/" B ".dump", false, NULL);
	lib.a_ino = ino_at(f, "backups/full/" A ".dump");
	return 0;
}

static int tear_down_diff(void **state)
{
	tear_down(state);
	assert_int_equal(lib.opened, 0);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_diff, tear_down_diff)

/* Names of pairs. */

static void names_of_pairs(void **state)
{
	char a[NAME_MAX_BYTES], b[NAME_MAX_BYTES], name[NAME_MAX_BYTES], long_name[600];

	assert_int_equal(diff_pair_name_parse("x..y", a, b), 0);
	assert_string_equal(a, "x");
	assert_string_equal(b, "y");
	assert_int_equal(diff_pair_name_parse(A "-2.." B, a, b), 0);
	assert_string_equal(a, A "-2");
	assert_string_equal(b, B);
	assert_true(diff_pair_name_format(A ".dump", B ".sql.gz", name));
	assert_string_equal(name, A ".." B);
	assert_true(diff_pair_name_format("x", "y", name));
	assert_string_equal(name, "x..y");
	assert_false(diff_pair_name_format("", "y", name));
	assert_false(diff_pair_name_format("x", ".y", name));
	/* The longest that there is, and one byte more. */
	memset(long_name, 'x', sizeof(long_name));
	memcpy(long_name + 126, "..", 2);
	long_name[255] = '\0';
	assert_int_equal(diff_pair_name_parse(long_name, a, b), 0);
	assert_int_equal(strlen(a), 126);
	assert_int_equal(strlen(b), 127);
	assert_true(diff_pair_name_format(a, b, name));
	assert_string_equal(name, long_name);
	strcat(b, "y");
	assert_false(diff_pair_name_format(a, b, name));
}

static void names_that_are_of_no_pair(void **state)
{
	static const char *const bad[] = {"",      ".",     "..",     "...",    "x",      "x..",     "..y",
	                                  "x.y",   "x...y", "x..y.",  "x..y.z", "x.d..y", "x..y..z", "x....y",
	                                  "x/..y", "x../y", "x..y/z", "/..y",   "x..y/",  ".x..y"};
	char a[NAME_MAX_BYTES] = "untouched", b[NAME_MAX_BYTES] = "untouched", long_name[600];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (diff_pair_name_parse(bad[i], a, b) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
	memset(long_name, 'x', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(diff_pair_name_parse(long_name, a, b), -EINVAL);
	memcpy(long_name + 300, "..", 2);
	assert_int_equal(diff_pair_name_parse(long_name, a, b), -EINVAL);
	memcpy(long_name + 2, "..", 2);
	long_name[300] = 'x';
	long_name[301] = 'x';
	assert_int_equal(diff_pair_name_parse(long_name, a, b), -EINVAL);
	assert_string_equal(a, "untouched");
	assert_string_equal(b, "untouched");
}

/* Numbers of pairs. */

#define MANY_PAIRS 60000

static struct diff_pair_id made_up_pair(uint64_t i)
{
	return (struct diff_pair_id){.inos = {i, i + 1}, .finished_at_us = {1, (int64_t)(i % 3)}};
}

/* A number leads to the pair that got it last, or nowhere; of some thousand none is forgotten. */
static void numbers_of_pairs(void **state)
{
	struct diff_pairs *p = diff_pairs_new();
	uint32_t *numbers = mem_array(MANY_PAIRS, sizeof(*numbers));
	struct diff_pair_id id, found;
	unsigned known = 0;

	for (uint64_t i = 0; i < MANY_PAIRS; i++) {
		id = made_up_pair(i);
		numbers[i] = diff_pairs_add(p, &id);
		assert_true(numbers[i] < UINT32_C(1) << DIFF_PAIR_NUMBER_BITS);
		assert_int_equal(diff_pairs_number(p, &id), numbers[i]);
		assert_int_equal(diff_pairs_add(p, &id), numbers[i]);
		assert_true(diff_pairs_find(p, numbers[i], &found) && diff_pair_id_equal(&found, &id));
	}
	for (uint64_t i = 0; i < MANY_PAIRS; i++) {
		id = made_up_pair(i);
		if (diff_pairs_find(p, numbers[i], &found) && diff_pair_id_equal(&found, &id))
			known++;
	}
	assert_int_equal(known, 16384);
	diff_pairs_free(p);
	p = diff_pairs_new();
	/* A daemon that is started anew gives the same ones. */
	for (uint64_t i = 0; i < 100; i++) {
		id = made_up_pair(i);
		assert_false(diff_pairs_find(p, numbers[i], &found));
		assert_int_equal(diff_pairs_number(p, &id), numbers[i]);
	}
	id = made_up_pair(7);
	found = (struct diff_pair_id){.inos = {id.inos[1], id.inos[0]},
	                              .finished_at_us = {id.finished_at_us[1], id.finished_at_us[0]}};
	assert_int_not_equal(diff_pairs_number(p, &found), numbers[7]);
	diff_pairs_free(p);
	free(numbers);
}

/* The tree. */

static void neighbours_are_listed_and_any_two_found(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *paged = NULL;
	struct node node;

	add(f, "full/20261121T020000Z", false, tree_files);
	add(f, "full/20261122T020000Z.dump", false, NULL);
	add(f, "tenants/acme/" DUMP, false, NULL);
	assert_lists(f, "diff", "./ ../ full/ tenants/ ");
	assert_lists(f, "diff/tenants", "./ ../ acme/ ");
	assert_lists(f, "diff/tenants/acme", "./ ../ ");
	assert_lists(f, "diff/full",
	             "./ ../ " A
	             "..20261121T020000Z/ 20261121T020000Z..20261122T020000Z/ 20261122T020000Z.." B "/ ");
	paged = list(f, "diff/full", 200, false);
	assert_string_equal(paged, "./ ../ " A "..20261121T020000Z/ 20261121T020000Z..20261122T020000Z/ "
	                           "20261122T020000Z.." B "/ ");
	assert_int_equal(find(f, PAIR, &node), 0);
	assert_int_equal(find(f, "diff/full/" B ".." A, &node), 0);
	assert_int_equal(find(f, "diff/full/" A ".." A, &node), 0);
	assert_int_equal(find(f, "diff/full/" A "..20261124T020000Z", &node), -ENOENT);
	assert_int_equal(find(f, "diff/full/20261124T020000Z.." A, &node), -ENOENT);
	assert_int_equal(find(f, "diff/full/" A ".." B ".dump", &node), -ENOENT);
	assert_int_equal(find(f, "diff/full/" A, &node), -ENOENT);
	assert_int_equal(find(f, "diff/nothing", &node), -ENOENT);
	assert_int_equal(find(f, "diff/tenants/" A ".." B, &node), -ENOENT);
}

static void what_differs_is_listed(void **state)
{
	struct fixture *f = *state;
	struct node node;

	lib.tables = 12;
	assert_lists(f, PAIR,
	             "./ ../ summary.csv schema.diff public.t2.added.tsv public.t2.removed.tsv "
	             "public.t10.added.tsv public.t10.removed.tsv ");
	assert_int_equal(find(f, PAIR "/public.t1.added.tsv", &node), -ENOENT);
	assert_int_equal(find(f, PAIR "/public.t3.added.tsv", &node), -ENOENT);
	assert_int_equal(find(f, PAIR "/public.t13.added.tsv", &node), -ENOENT);
	assert_int_equal(find(f, PAIR "/public.t2.tsv", &node), -ENOENT);
	assert_int_equal(find(f, PAIR "/public.t2.added.csv", &node), -ENOENT);
	assert_int_equal(find(f, PAIR "/.added.tsv", &node), -ENOENT);
	assert_int_equal(find(f, PAIR "/public.%74%32.added.tsv", &node), -ENOENT);
	lib.has_new = true;
	assert_int_equal(find(f, PAIR "/public.t13.added.tsv", &node), 0);
	assert_true(node.class == &class_inside_table && node.is_second_name);
	assert_int_equal(find(f, PAIR "/public.t13.removed.tsv", &node), -ENOENT);
	assert_int_equal(find(f, "diff/full/" B ".." A "/public.t13.removed.tsv", &node), 0);
	lib.has_new = false;
	lib.is_not_counted = true;
	assert_int_equal(find(f, PAIR "/public.t1.added.tsv", &node), 0);
}

static void numbers_lead_back(void **state)
{
	static const char *const paths[] = {"diff",
	                                    "diff/full",
	                                    PAIR,
	                                    "diff/full/" B ".." A,
	                                    PAIR "/summary.csv",
	                                    PAIR "/schema.diff",
	                                    PAIR "/public.t2.added.tsv",
	                                    PAIR "/public.t2.removed.tsv"};
	struct fixture *f = *state;
	struct node node, parent;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup(free) char *path = NULL;
		uint64_t ino = ino_at(f, paths[i]);

		for (size_t j = 0; j < i; j++)
			assert_true(ino != ino_at(f, paths[j]));
		assert_true(i == 0 ? ino == INO_DIFF : ino >> 58 == 1);
		assert_int_equal(node_load(f->fs, ino, &node), 0);
		path = node_path(f->fs, &node);
		assert_string_equal(path, paths[i]);
		if (!node_is_directory(&node))
			continue;
		assert_int_equal(node_load(f->fs, node_parent(&node), &parent), 0);
		assert_true(node_is_directory(&parent));
	}
	assert_int_equal(node_load(f->fs, ino_at(f, PAIR) | 3, &node), -ENOENT);
	assert_int_equal(node_load(f->fs, ino_at(f, PAIR) | UINT64_C(3) << 32, &node), -ENOENT);
	assert_int_equal(node_load(f->fs, UINT64_C(1) << 58 | 12345, &node), -ENOENT);
	assert_int_equal(node_load(f->fs, UINT64_C(3) << 57 | 12345, &node), -ENOENT);
}

static void it_is_as_secret_as_either(void **state)
{
	struct fixture *f = *state;
	struct node node;

	assert_int_equal(find(f, PAIR "/public.t2.added.tsv", &node), 0);
	assert_int_equal(stat_at(f, PAIR).st_mode, S_IFDIR | 0550);
	assert_int_equal(stat_at(f, PAIR "/summary.csv").st_mode, S_IFREG | 0440);
	assert_false(node.entry.secret);
}

static void many_tables_are_listed_by_pages(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *listed = NULL;
	const char *at;

	lib.tables = MANY_TABLES;
	listed = list(f, PAIR, 32768, false);
	at = strstr(listed, "public.t10.added.tsv ");
	for (uint32_t number = EACH; number <= MANY_TABLES; number += EACH) {
		char name[80];
		int len = snprintf(name, sizeof(name), "public.t%u.added.tsv public.t%u.removed.tsv ", number,
		                   number);

		if (strncmp(at, name, (size_t)len) != 0)
			fail_msg("%s is not there", name);
		at += len;
	}
	assert_string_equal(at, "");
}

/* Files. */

static int64_t try_open(struct fixture *f, uint64_t ino)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_open_in how = {.flags = O_RDONLY};
	ssize_t n = ask(f, FUSE_OPEN, ino, &how, sizeof(how), answer);

	return n < 0 ? n : (int64_t)((const struct fuse_open_out *)answer)->fh;
}

static ssize_t try_read(struct fixture *f, uint64_t ino, int64_t fh, uint64_t offset, char *answer)
{
	struct fuse_read_in in = {.fh = (uint64_t)fh, .offset = offset, .size = 4096};

	return ask(f, FUSE_READ, ino, &in, sizeof(in), answer);
}

static void release(struct fixture *f, uint64_t ino, int64_t fh)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_release_in in = {.fh = (uint64_t)fh};

	assert_int_equal(ask(f, FUSE_RELEASE, ino, &in, sizeof(in), answer), 0);
}

static int64_t asked_size(struct fixture *f, const char *path)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_getattr_in in = {0};
	ssize_t n = ask(f, FUSE_GETATTR, ino_at(f, path), &in, sizeof(in), answer);

	return n < 0 ? n : (int64_t)((const struct fuse_attr_out *)answer)->attr.size;
}

static void assert_holds(struct fixture *f, const char *path, const char *content)
{
	static char answer[MESSAGE_BYTES];
	uint64_t ino = ino_at(f, path);
	int64_t fh = try_open(f, ino);
	ssize_t n;

	assert_true(fh > 0);
	n = try_read(f, ino, fh, 0, answer);
	assert_int_equal(n, strlen(content));
	assert_memory_equal(answer, content, n);
	assert_int_equal(try_read(f, ino, fh, strlen(content), answer), 0);
	assert_int_equal(asked_size(f, path), strlen(content));
	release(f, ino, fh);
}

static void rows_are_compared_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(asked_size(f, ROWS ".added.tsv"), 3);
	/* Both once to compare them, and once more each for the text. */
	assert_int_equal(lib.reads, 4);
	assert_holds(f, ROWS ".added.tsv", "b1\n");
	assert_holds(f, ROWS ".removed.tsv", "a1\n");
	assert_int_equal(lib.reads, 4);
	assert_holds(f, "diff/full/" B ".." A "/public.t2.added.tsv", "a1\n");
	assert_int_equal(lib.reads, 8);
	assert_holds(f, PAIR "/summary.csv",
	             "schema,table,state,rows_a,rows_b,bytes_a,bytes_b,added,removed,reason\n"
	             "public,t1,same,2,2,8,8,,,\n"
	             "public,t2,changed,2,2,8,8,public.t2.added.tsv,public.t2.removed.tsv,\n"
	             "public,t3,columns,2,2,8,8,,,\"the columns of public.t3 differ, so its rows cannot be "
	             "compared: (a) before, (b) now\"\n");
	assert_int_equal(lib.reads, 8);
}

/* A lookup, which the kernel cannot interrupt while another one of that name is under way, compares nothing; nor does a listing. */
static void a_lookup_does_not_wait(void **state)
{
	static const char name[] = "public.t2.added.tsv";
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	_cleanup(free) char *listed = list(f, PAIR, 4096, true);

	assert_true(ask(f, FUSE_LOOKUP, ino_at(f, PAIR), name, sizeof(name), answer) > 0);
	assert_int_equal(((struct fuse_entry_out *)answer)->attr_valid, 0);
	assert_int_equal(((struct fuse_entry_out *)answer)->attr_valid_nsec, 0);
	assert_int_equal(((struct fuse_entry_out *)answer)->entry_valid, 0);
	assert_int_equal(lib.reads, 0);
}

/* Dumps that take long to open are not opened where short questions wait. */
static void long_looks_hold_up_no_short_ones(void **state)
{
	static const char name[] = "public.t2.added.tsv";
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	uint64_t directory = ino_at(f, PAIR), ino = ino_at(f, ROWS ".added.tsv");
	struct fuse_getattr_in in = {0};
	struct fuse_read_in page = {.size = 4096};
	int64_t fh;

	lib.opens_slowly = true;
	assert_true(ask(f, FUSE_LOOKUP, directory, name, sizeof(name), answer) > 0);
	assert_true(ask(f, FUSE_READDIR, directory, &page, sizeof(page), answer) > 0);
	assert_true(ask(f, FUSE_GETATTR, ino, &in, sizeof(in), answer) > 0);
	fh = try_open(f, ino);
	assert_true(fh > 0);
	release(f, ino, fh);
	assert_int_equal(lib.opened_in_haste, 0);
}

static uint64_t send_open(struct fixture *f, uint64_t ino)
{
	struct {
		struct fuse_in_header head;
		struct fuse_open_in in;
	} message = {.head = {.len = sizeof(message),
	                      .opcode = FUSE_OPEN,
	                      .unique = f->unique += 2,
	                      .nodeid = ino}};

	assert_int_equal(write(f->kernel, &message, sizeof(message)), sizeof(message));
	serve_one(f->fs->session);
	return message.head.unique;
}

/* The answer to one of several requests, whichever comes first: its error; *@ret_unique: of which; *@ret_fh: the file that it has opened. */
static int receive_opened(struct fixture *f, uint64_t *ret_unique, uint64_t *ret_fh)
{
	static char message[MESSAGE_BYTES];
	const struct fuse_out_header *head = (const struct fuse_out_header *)message;

	assert_true(recv(f->kernel, message, sizeof(message), 0) >= (ssize_t)sizeof(*head));
	*ret_unique = head->unique;
	if (head->error == 0)
		*ret_fh = ((const struct fuse_open_out *)(head + 1))->fh;
	return head->error;
}

static int receive_any(struct fixture *f, uint64_t *ret_unique)
{
	uint64_t fh = 0;

	return receive_opened(f, ret_unique, &fh);
}

static void assert_interrupted(struct fixture *f, uint64_t unique)
{
	uint64_t answered;

	assert_int_equal(receive_any(f, &answered), -EINTR);
	assert_int_equal(answered, unique);
}

static void send_interrupt(struct fixture *f, uint64_t unique)
{
	struct {
		struct fuse_in_header head;
		struct fuse_interrupt_in in;
	} interrupt = {.head = {.len = sizeof(interrupt), .opcode = FUSE_INTERRUPT, .unique = unique + 1},
	               .in = {.unique = unique}};

	assert_int_equal(write(f->kernel, &interrupt, sizeof(interrupt)), sizeof(interrupt));
	serve_one(f->fs->session);
}

/* Heap: status/diffs. */
static char *status_text(struct fixture *f)
{
	_cleanup(spool) struct spool *out = spool_new(f->directory);
	char text[4096];
	ssize_t n;

	assert_int_equal(comparisons_write(f->fs->comparisons, out), 0);
	n = spool_read(out, text, sizeof(text), 0);
	return mem_printf("%.*s", (int)n, text);
}

static void wait_for_status(struct fixture *f, const char *what)
{
	for (;;) {
		_cleanup(free) char *text = status_text(f);

		if (strstr(text, what))
			return;
		sched_yield();
	}
}

#define READERS 5

static void who_asks_meanwhile_waits_for_the_same(void **state)
{
	struct fixture *f = *state;
	uint64_t answered, added = ino_at(f, ROWS ".added.tsv"), removed = ino_at(f, ROWS ".removed.tsv");

	atomic_store(&lib.waits, true);
	for (int i = 0; i < READERS; i++)
		send_open(f, i % 2 ? added : removed);
	wait_for_status(f, "5 readers: " ROWS ".");
	/* Nobody's thread waits. */
	assert_int_equal(asked_size(f, PAIR "/summary.csv") > 0, 1);
	atomic_store(&lib.waits, false);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(receive_any(f, &answered), 0);
	assert_int_equal(lib.reads, 4);
	assert_int_equal(lib.given_up, 0);
}

static void the_last_that_leaves_ends_it(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, ROWS ".added.tsv"), first, second;

	atomic_store(&lib.waits, true);
	first = send_open(f, ino);
	second = send_open(f, ino);
	wait_for_status(f, "2 readers");
	send_interrupt(f, first);
	assert_interrupted(f, first);
	wait_for_status(f, "1 reader:");
	while (atomic_load(&lib.reads) == 0)
		sched_yield();
	assert_int_equal(lib.given_up, 0);
	send_interrupt(f, second);
	assert_interrupted(f, second);
	while (atomic_load(&lib.given_up) == 0)
		sched_yield();
	atomic_store(&lib.waits, false);
	/* It is made anew for the next one. */
	assert_holds(f, ROWS ".added.tsv", "b1\n");
}

/* Whoever waits gets his file, and its room is given back, though its pair was forgotten meanwhile. */
static void a_pair_may_be_forgotten_meanwhile(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, ROWS ".added.tsv"), fh = 0, answered;
	struct diff_pair_id found;
	struct node node = {.ino = ino};
	int64_t opened;

	/* One result takes 34 KB, and another one does not fit. */
	lib.rows = 3000;
	f->conf.diff_space_bytes = 80000;
	atomic_store(&lib.waits, true);
	send_open(f, ino);
	wait_for_status(f, "1 reader:");
	for (uint64_t i = 1000; diff_pair_id(f->fs, &node, &found) == 0; i += 10000) {
		for (uint64_t j = 0; j < 10000; j++) {
			struct diff_pair_id id = made_up_pair(i + j);

			diff_pairs_add(f->fs->diff_pairs, &id);
		}
	}
	atomic_store(&lib.waits, false);
	assert_int_equal(receive_opened(f, &answered, &fh), 0);
	release(f, ino, (int64_t)fh);
	ino = ino_at(f, "diff/full/" B ".." A "/public.t2.added.tsv");
	opened = try_open(f, ino);
	assert_true(opened > 0);
	release(f, ino, opened);
}

static void the_end_of_the_mount_ends_comparisons(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, ROWS ".added.tsv");

	atomic_store(&lib.waits, true);
	send_open(f, ino);
	send_open(f, ino);
	wait_for_status(f, "2 readers");
	while (atomic_load(&lib.reads) == 0)
		sched_yield();
	fs_finish_commands(f->fs);
	assert_true(lib.given_up > 0);
}

static void a_failure_is_told(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, ROWS ".added.tsv");
	_cleanup(free) char *error = NULL;

	lib.read_result = -EBADMSG;
	assert_int_equal(try_open(f, ino), -EIO);
	assert_false(catalog_is_damaged(f->catalog, ino_at(f, "backups/full/" A ".dump")));
	lib.damage = true;
	assert_int_equal(try_open(f, ino), -EIO);
	assert_int_equal(asked_size(f, ROWS ".removed.tsv"), -EIO);
	assert_true(catalog_is_damaged(f->catalog, ino_at(f, "backups/full/" A ".dump")));
	assert_false(catalog_is_damaged(f->catalog, ino_at(f, "backups/full/" B ".dump")));
	error = last_error(f);
	assert_non_null(strstr(error, ROWS ".removed.tsv"));
	assert_non_null(strstr(error, "made up: it cannot be read"));
	/* What needs no rows is there, and so are they when they can be read again. */
	assert_true(asked_size(f, PAIR "/summary.csv") > 0);
	assert_int_equal(asked_size(f, PAIR "/schema.diff"), -EIO);
	lib.read_result = 0;
	assert_holds(f, ROWS ".added.tsv", "b1\n");
}

/* The second reading of A was ended before, since the rest of it is not needed. */
static void damage_is_of_the_dump_that_has_it(void **state)
{
	struct fixture *f = *state;

	lib.b_is_damaged = true;
	assert_int_equal(try_open(f, ino_at(f, ROWS ".added.tsv")), -EIO);
	assert_false(catalog_is_damaged(f->catalog, ino_at(f, "backups/full/" A ".dump")));
	assert_true(catalog_is_damaged(f->catalog, ino_at(f, "backups/full/" B ".dump")));
}

static void what_takes_too_much_is_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *error = NULL;

	f->conf.diff_space_bytes = 20000;
	lib.rows = 3000;
	assert_int_equal(try_open(f, ino_at(f, ROWS ".added.tsv")), -EFBIG);
	error = last_error(f);
	assert_non_null(strstr(error, "half of [keepfs] diff_space"));
	f->conf.diff_space_bytes = 200000;
	lib.rows = 3000;
	assert_true(try_open(f, ino_at(f, ROWS ".added.tsv")) > 0);
}

static void a_removed_dump_is_stale(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, ROWS ".added.tsv"), a_ino = ino_at(f, "backups/full/" A ".dump");
	int64_t fh = try_open(f, ino);
	struct node node;

	assert_int_equal(try_read(f, ino, fh, 0, answer), 3);
	assert_int_equal(catalog_entomb_artifact(f->catalog, a_ino, NULL, NULL), 0);
	assert_int_equal(try_read(f, ino, fh, 0, answer), -ESTALE);
	assert_int_equal(find(f, PAIR, &node), -ENOENT);
	assert_int_equal(node_load(f->fs, ino, &node), -ENOENT);
	assert_lists(f, "diff/full", "./ ../ ");
	release(f, ino, fh);
}

static void results_of_a_removed_dump_go(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, ROWS ".added.tsv"), b_ino = ino_at(f, "backups/full/" B ".dump");
	int64_t fh = try_open(f, ino);

	assert_holds(f, "diff/full/" B ".." A "/public.t2.added.tsv", "a1\n");
	assert_holds(f, "diff/full/" A ".." A "/summary.csv",
	             "schema,table,state,rows_a,rows_b,bytes_a,bytes_b,added,removed,reason\n"
	             "public,t1,same,2,2,8,8,,,\npublic,t2,same,2,2,8,8,,,\npublic,t3,same,2,2,8,8,,,\n");
	wait_for_status(f, "kept: 3 of");
	comparisons_forget(f->fs->comparisons, b_ino);
	wait_for_status(f, "kept: 1 of");
	release(f, ino, fh);
	comparisons_forget(f->fs->comparisons, lib.a_ino);
	wait_for_status(f, "kept: 0 of 256 results, 0 B of");
}

/* The room of a removed backup's result is given to who waits for it, as soon as that is closed. */
static void room_of_what_is_gone_is_given_at_once(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = ino_at(f, ROWS ".added.tsv"), second, answered, fh = 0;
	int64_t opened, since_ms;

	/* One result takes 34 KB, and another one does not fit. */
	lib.rows = 3000;
	f->conf.diff_space_bytes = 80000;
	add(f, "full/20261124T020000Z.dump", false, NULL);
	second = ino_at(f, "diff/full/" A "..20261124T020000Z/public.t2.added.tsv");
	opened = try_open(f, ino);
	assert_true(opened > 0);
	comparisons_forget(f->fs->comparisons, ino_at(f, "backups/full/" B ".dump"));
	since_ms = clock_mono_ms();
	send_open(f, second);
	wait_for_status(f, "results, 49.0 KiB of 39.1 KiB");
	release(f, ino, opened);
	assert_int_equal(receive_opened(f, &answered, &fh), 0);
	assert_true(clock_mono_ms() - since_ms < 5000);
	release(f, second, (int64_t)fh);
}

#define OPEN_FILES 128

static void only_so_many_files_are_open(void **state)
{
	struct fixture *f = *state;
	uint64_t inos[OPEN_FILES + 1];
	int64_t files[OPEN_FILES];
	_cleanup(free) char *error = NULL;

	lib.tables = EACH * (OPEN_FILES + 2);
	lib.rows = 3000;
	for (int i = 0; i <= OPEN_FILES; i++) {
		_cleanup(free) char *path = mem_printf(PAIR "/public.t%d.added.tsv", EACH * (i + 1));

		inos[i] = ino_at(f, path);
		if (i < OPEN_FILES) {
			files[i] = try_open(f, inos[i]);
			assert_true(files[i] > 0);
		}
	}
	assert_int_equal(try_open(f, inos[OPEN_FILES]), -ENFILE);
	error = last_error(f);
	assert_non_null(strstr(error, "128 comparisons"));
	/* What is small is in memory. */
	lib.rows = 2;
	assert_holds(f, "diff/full/" B ".." A "/public.t2.added.tsv", "a1\n");
	lib.rows = 3000;
	release(f, inos[0], files[0]);
	files[0] = try_open(f, inos[OPEN_FILES]);
	assert_true(files[0] > 0);
	release(f, inos[OPEN_FILES], files[0]);
	for (int i = 1; i < OPEN_FILES; i++)
		release(f, inos[i], files[i]);
}

static void take_audit(void *arg, const struct catalog_audit *entry)
{
	str_appendf(arg, "%s %s %s: %s\n", entry->action, entry->object, entry->result, entry->detail);
}

static void reading_is_reading_both(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str lines = {0};
	static const char detail[] =
	        "ok: compared, as " ROWS ".added.tsv: 3 of 3 bytes in 2 requests, 0 failed\n";

	assert_holds(f, ROWS ".added.tsv", "b1\n");
	fs_finish_commands(f->fs);
	assert_int_equal(catalog_audits(f->catalog, 0, take_audit, &lines), 0);
	for (int i = 0; i < 2; i++) {
		_cleanup(free) char *line = mem_printf("read backups/full/%s.dump %s", i ? B : A, detail);

		if (!strstr(str_text(&lines), line))
			fail_msg("%s", str_text(&lines));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(names_of_pairs),
	        cmocka_unit_test(names_that_are_of_no_pair),
	        cmocka_unit_test(numbers_of_pairs),
	        TEST(neighbours_are_listed_and_any_two_found),
	        TEST(what_differs_is_listed),
	        TEST(numbers_lead_back),
	        TEST(it_is_as_secret_as_either),
	        TEST(many_tables_are_listed_by_pages),
	        TEST(rows_are_compared_once),
	        TEST(a_lookup_does_not_wait),
	        TEST(long_looks_hold_up_no_short_ones),
	        TEST(who_asks_meanwhile_waits_for_the_same),
	        TEST(the_last_that_leaves_ends_it),
	        TEST(a_pair_may_be_forgotten_meanwhile),
	        TEST(the_end_of_the_mount_ends_comparisons),
	        TEST(a_failure_is_told),
	        TEST(damage_is_of_the_dump_that_has_it),
	        TEST(what_takes_too_much_is_refused),
	        TEST(a_removed_dump_is_stale),
	        TEST(results_of_a_removed_dump_go),
	        TEST(room_of_what_is_gone_is_given_at_once),
	        TEST(only_so_many_files_are_open),
	        TEST(reading_is_reading_both),
	};

	return cmocka_run_group_tests_name("fs_diff", tests, NULL, NULL);
}
