// SPDX-License-Identifier: Apache-2.0
/* Bringing states back: what a walk of two listings finds; names and headers of listings that are forged; how files are written, and how objects are cut. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/mirror/back_private.h"
#include "../support/tree.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>
#include <keepfs/conf.h>

#define SHA     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define MIB     ((uint64_t)1 << 20)
#define MD5_OF  "d41d8cd98f00b204e9800998ecf8427e"
#define TIME_US INT64_C(1795140000123456)
#define LONG    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

struct back_place {
	char root[64];
	char *url;
	struct conf_store conf;
	struct str listing;
	struct mirror_back back;
	struct str found; /* "missing a, same b" */
};

static int set_up_back(void **state)
{
	struct back_place *p = mem_alloc(sizeof(*p));

	str_copy(p->root, sizeof(p->root), "/tmp/keepfs-back-XXXXXX");
	assert_non_null(mkdtemp(p->root));
	p->url = mem_printf("dir:%s", p->root);
	p->conf.url = p->url;
	assert_int_equal(source_open(&p->conf, 2, &p->back.target, NULL), 0);
	p->back.is_directory = true;
	*state = p;
	return 0;
}

static int tear_down_back(void **state)
{
	struct back_place *p = *state;

	source_free(p->back.target);
	mirror_tree_free(p->back.tree);
	remove_tree(p->root);
	str_finish(&p->listing);
	str_finish(&p->found);
	free(p->url);
	free(p);
	return 0;
}

static int append_back_listing(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static int read_back_listing(void *arg, struct cancel *cancel, uint64_t at, void *buf, size_t len,
                             struct error *err)
{
	const struct str *listing = arg;

	assert_true(at + len <= listing->len);
	memcpy(buf, listing->data + at, len);
	return 0;
}

/* A state of these keys, in their order; each has its key's bytes, TIME_US and the ETag "e". */
static void make_state(struct back_place *p, const char *const *keys)
{
	const struct listing_out out = {.write = append_back_listing, .arg = &p->listing};
	const struct listing_head head = {.job = "docs", .source = "s3://docs", .taken_at_us = 1};
	const struct mirror_tree_source source = {.read = read_back_listing, .arg = &p->listing};
	_cleanup(listing_writer) struct listing_writer *w = listing_writer_new(&head, &out);
	_cleanup(listing_index) struct listing_index x = {0};
	_cleanup(str) struct str index = {0};

	for (; *keys; keys++) {
		const struct listing_entry e = {.key = (char *)*keys,
		                                .bytes = strlen(*keys),
		                                .etag = (char *)"e",
		                                .sha256 = SHA,
		                                .modified_us = TIME_US,
		                                .pack = (char *)"20261120T020000Z/00001"};

		assert_int_equal(listing_writer_add(w, &e, NULL), 0);
	}
	assert_int_equal(listing_writer_finish(w, &index, NULL), 0);
	assert_int_equal(listing_index_decode(str_text(&index), index.len, &x, NULL), 0);
	assert_int_equal(mirror_tree_new(&x, &source, 0, &p->back.tree, NULL), 0);
}

static int put_text(struct back_place *p, const char *key, const char *text, struct error *err)
{
	const struct source_new what = {
	        .key = key, .bytes = strlen(text), .modified_us = TIME_US, .most_piece_bytes = 16 * MIB};
	_cleanup(source_put) struct source_put *put = NULL;
	int r = source_put_begin(p->back.target, NULL, &what, &put, err);

	if (r == 0)
		r = source_put_write(put, NULL, text, strlen(text), err);
	return r < 0 ? r : source_put_end(put, NULL, err);
}

static int note_back_found(void *arg, enum back_found what, const struct listing_entry *e,
                           const struct source_object *o, const struct error *why, struct error *err)
{
	static const char *const words[] = {"missing", "different", "unsure", "same", "extra", "refused"};
	struct back_place *p = arg;

	str_appendf(&p->found, "%s%s %s", p->found.len ? ", " : "", words[what], e ? e->key : o->key);
	return 0;
}

static int walk(struct back_place *p, struct error *err)
{
	const struct back_walker walker = {.found = note_back_found, .arg = p};

	str_clear(&p->found);
	return back_walk(&p->back, &walker, err);
}

static void set_time_of(const struct back_place *p, const char *name)
{
	_cleanup(free) char *path = mem_printf("%s/%s", p->root, name);
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_a_walk_finds_all_of_both(void **state)
{
	static const char *const keys[] = {"b", "c", "d", "e/f", "g", NULL};
	struct back_place *p = *state;
	struct error err = {0};

	make_state(p, keys);
	assert_int_equal(put_text(p, "a", "extra", &err), 0);
	assert_int_equal(put_text(p, "b", "b", &err), 0);
	assert_int_equal(put_text(p, "d", "longer", &err), 0);
	assert_int_equal(put_text(p, "e/a", "extra", &err), 0);
	assert_int_equal(put_text(p, "g", "x", &err), 0);
	assert_int_equal(put_text(p, "z", "extra", &err), 0);
	set_time_of(p, "g");
	assert_int_equal(walk(p, &err), 0);
	assert_string_equal(str_text(&p->found), "extra a, same b, missing c, different d, extra e/a, "
	                                         "missing e/f, unsure g, extra z");
}

static void test_a_walk_of_nothing(void **state)
{
	static const char *const none[] = {NULL};
	struct back_place *p = *state;
	struct error err = {0};

	make_state(p, none);
	assert_int_equal(walk(p, &err), 0);
	assert_string_equal(str_text(&p->found), "");
	assert_int_equal(put_text(p, "a", "extra", &err), 0);
	assert_int_equal(walk(p, &err), 0);
	assert_string_equal(str_text(&p->found), "extra a");
	/* A directory that is not there has nothing. */
	assert_int_equal(remove_tree(p->root), 0);
	assert_int_equal(walk(p, &err), 0);
	assert_string_equal(str_text(&p->found), "");
}

/* What was missing when the target was listed, and is there by now. */
static void test_a_file_that_has_come_meanwhile(void **state)
{
	struct back_place *p = *state;
	const struct source_new what = {.key = "a/b",
	                                .bytes = 3,
	                                .modified_us = TIME_US,
	                                .most_piece_bytes = 16 * MIB,
	                                .only_new = true};
	_cleanup(source_put) struct source_put *put = NULL;
	_cleanup(source_object) struct source_object there = {0};
	struct error err = {0};

	assert_int_equal(put_text(p, "a/b", "newer", &err), 0);
	assert_int_equal(source_put_begin(p->back.target, NULL, &what, &put, &err), 0);
	assert_int_equal(source_put_write(put, NULL, "old", 3, &err), 0);
	assert_int_equal(source_put_end(put, NULL, &err), -ESTALE);
	assert_non_null(strstr(err.message, "a/b: somebody has made a file there meanwhile"));
	assert_int_equal(source_head(p->back.target, NULL, "a/b", &there, &err), 0);
	assert_int_equal(there.bytes, 5);
}

/* Who may write there would replace what he was told is missing. */
static void test_a_walk_of_what_cannot_be_listed(void **state)
{
	static const char *const keys[] = {"a/x", NULL};
	struct back_place *p = *state;
	_cleanup(free) char *path = mem_printf("%s/a", p->root);
	bool is_root = geteuid() == 0;
	struct error err = {0};
	int r;

	make_state(p, keys);
	assert_int_equal(put_text(p, "a/x", "another one", &err), 0);
	assert_int_equal(chmod(p->root, 0755), 0);
	if (is_root)
		assert_int_equal(chown(path, 65534, 65534), 0);
	assert_int_equal(chmod(path, 0300), 0);
	if (is_root)
		assert_int_equal(seteuid(65534), 0);
	r = walk(p, &err);
	if (is_root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(path, 0700), 0);
	assert_string_equal(str_text(&p->found), "missing a/x");
	assert_int_equal(r, -EACCES);
	assert_non_null(strstr(err.message, "a/: "));
}

static void test_a_walk_below(void **state)
{
	static const char *const keys[] = {"a", "a!", "a/b", "a/c/d", "a0", "b", NULL};
	struct back_place *p = *state;
	struct error err = {0};

	make_state(p, keys);
	assert_int_equal(put_text(p, "a/x", "extra", &err), 0);
	assert_int_equal(put_text(p, "ax", "extra", &err), 0);
	p->back.options.below = "a/";
	assert_int_equal(walk(p, &err), 0);
	assert_string_equal(str_text(&p->found), "missing a/b, missing a/c/d, extra a/x");
	p->back.options.below = "a";
	assert_int_equal(walk(p, &err), 0);
	assert_string_equal(str_text(&p->found), "refused a, missing a/b, missing a/c/d, extra a/x");
	p->back.options.below = "b";
	assert_int_equal(walk(p, &err), 0);
	assert_string_equal(str_text(&p->found), "missing b");
	p->back.options.below = "none";
	assert_int_equal(walk(p, &err), -ENOENT);
}

/* Names that would lead out of the directory, or are those of no file. */
static void test_names_that_cannot_be(void **state)
{
	static const char *const keys[] = {
	        "",     "../x", "./x",  "/etc/passwd",       "a", "a-", "a/../b", "a/b", "b//c", "d/",
	        "e/..", "f/.",  "fine", LONG LONG LONG LONG, NULL};
	struct back_place *p = *state;
	struct error err = {0};

	make_state(p, keys);
	assert_int_equal(walk(p, &err), 0);
	assert_string_equal(
	        str_text(&p->found),
	        "refused , refused ../x, refused ./x, refused /etc/passwd, refused a, missing a-, "
	        "refused a/../b, missing a/b, refused b//c, refused d/, refused e/.., refused f/., missing fine, "
	        "refused " LONG LONG LONG LONG);
	for (size_t i = 0; keys[i]; i++)
		if (source_check_key(p->back.target, keys[i], &err) < 0) {
			assert_int_equal(put_text(p, keys[i], "x", &err), -EINVAL);
			assert_int_equal(source_remove(p->back.target, NULL, keys[i], &err), -EINVAL);
		}
	assert_int_equal(put_text(p, ".keepfs-back-x", "x", &err), -EINVAL);
}

static void test_what_a_comparison_tells(void **state)
{
	struct listing_entry e = {.bytes = 5, .etag = (char *)MD5_OF, .modified_us = 7};
	struct source_object o = {.bytes = 5, .etag = (char *)MD5_OF, .modified_us = 7};

	(void)state;
	assert_int_equal(back_compare(false, &e, &o), BACK_SAME);
	o.bytes = 6;
	assert_int_equal(back_compare(false, &e, &o), BACK_DIFFERENT);
	o.bytes = 5;
	o.etag = (char *)"00000000000000000000000000000000";
	assert_int_equal(back_compare(false, &e, &o), BACK_DIFFERENT);
	o.etag = (char *)MD5_OF "-2";
	assert_int_equal(back_compare(false, &e, &o), BACK_UNSURE);
	o.etag = (char *)"";
	e.etag = (char *)"";
	assert_int_equal(back_compare(false, &e, &o), BACK_UNSURE);
	e.etag = (char *)"1f-5-6a.0-6a.0";
	assert_int_equal(back_compare(false, &e, &o), BACK_UNSURE);
	/* Files. */
	o.etag = (char *)"2f-5-6a.0-6a.0";
	assert_int_equal(back_compare(true, &e, &o), BACK_SAME);
	o.modified_us = 8;
	assert_int_equal(back_compare(true, &e, &o), BACK_UNSURE);
}

/* Files. */

static void assert_file(const struct back_place *p, const char *name, const char *text)
{
	_cleanup(free) char *path = mem_printf("%s/%s", p->root, name);
	_cleanup(str) struct str found = {0};
	struct stat st;

	assert_int_equal(fd_read_file(path, 1000, &found), 0);
	assert_string_equal(str_text(&found), text);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000, TIME_US);
}

static void test_a_file_is_there_when_it_is_whole(void **state)
{
	const struct source_new what = {
	        .key = "a/b", .bytes = 4, .modified_us = TIME_US, .most_piece_bytes = 16 * MIB};
	struct back_place *p = *state;
	struct source_put *put = NULL;
	struct error err = {0};

	assert_int_equal(put_text(p, "a/b", "old", &err), 0);
	assert_int_equal(source_put_begin(p->back.target, NULL, &what, &put, &err), 0);
	assert_int_equal(source_put_write(put, NULL, "ne", 2, &err), 0);
	assert_file(p, "a/b", "old");
	/* What is being written is no file of the directory. */
	{
		_cleanup(source_list) struct source_list *list = source_list_new(p->back.target, NULL);
		_cleanup(source_object) struct source_object o = {0};

		assert_int_equal(source_list_next(list, &o, &err), 1);
		assert_string_equal(o.key, "a/b");
		assert_int_equal(source_list_next(list, &(struct source_object){0}, &err), 0);
	}
	assert_true(source_put_end(put, NULL, &err) < 0);
	assert_true(source_put_write(put, NULL, "wer", 3, &err) < 0);
	put = source_put_free(put);
	assert_file(p, "a/b", "old");
	assert_int_equal(source_put_begin(p->back.target, NULL, &what, &put, &err), 0);
	assert_int_equal(source_put_write(put, NULL, "ne", 2, &err), 0);
	assert_int_equal(source_put_write(put, NULL, "w!", 2, &err), 0);
	assert_int_equal(source_put_end(put, NULL, &err), 0);
	source_put_free(put);
	assert_file(p, "a/b", "new!");
	assert_int_equal(source_remove(p->back.target, NULL, "a/b", &err), 0);
	assert_int_equal(source_remove(p->back.target, NULL, "a/b", &err), 0);
	assert_int_equal(source_remove(p->back.target, NULL, "none/b", &err), 0);
	assert_int_equal(put_text(p, "a", "x", &err), -EEXIST);
}

static void test_links_are_not_followed(void **state)
{
	struct back_place *p = *state;
	_cleanup(free) char *file = mem_printf("%s/link", p->root), *dir = mem_printf("%s/d", p->root),
	                    *inner = mem_printf("%s/e/in", p->root);
	char outside[] = "/tmp/keepfs-outside-XXXXXX";
	struct error err = {0};

	assert_non_null(mkdtemp(outside));
	assert_int_equal(put_text(p, "e/f", "x", &err), 0);
	assert_int_equal(symlink("target", file), 0);
	assert_int_equal(symlink(outside, dir), 0);
	assert_int_equal(symlink("..", inner), 0);
	assert_int_equal(put_text(p, "link", "x", &err), -EEXIST);
	assert_non_null(strstr(err.message, "symbolic link"));
	assert_int_equal(put_text(p, "d/x", "x", &err), -EEXIST);
	assert_int_equal(put_text(p, "e/in/x", "x", &err), -EEXIST);
	assert_int_equal(source_remove(p->back.target, NULL, "link", &err), -EEXIST);
	assert_int_equal(source_remove(p->back.target, NULL, "d/x", &err), -EEXIST);
	assert_int_equal(rmdir(outside), 0); /* it is empty */
}

/* Buckets: nothing is asked of any. */

static struct source *open_bucket(struct conf_store *conf, const char *url)
{
	struct source *s = NULL;

	*conf = (struct conf_store){.url = (char *)url,
	                            .endpoint = (char *)"http://127.0.0.1:9",
	                            .region = (char *)"us-east-1",
	                            .access_key = (char *)"a",
	                            .secret_key = {.value = (char *)"b"},
	                            .allow_http = true};
	assert_int_equal(source_open(conf, 1, &s, NULL), 0);
	return s;
}

static void assert_cut(const struct source *s, uint64_t bytes, const char *etag, uint64_t piece)
{
	const struct source_new what = {
	        .key = "k", .bytes = bytes, .etag = etag, .most_piece_bytes = 32 * MIB};

	assert_int_equal(source_piece_bytes(s, &what), piece);
}

static void test_objects_are_cut_as_they_were(void **state)
{
	struct conf_store conf;
	_cleanup(source) struct source *s = open_bucket(&conf, "s3://docs");

	(void)state;
	assert_cut(s, 100, NULL, 100);
	assert_cut(s, 100, MD5_OF, 100);
	assert_cut(s, 0, MD5_OF, 1);
	assert_cut(s, 0, MD5_OF "-1", 1);
	assert_cut(s, 100, MD5_OF "-1", 100);
	assert_cut(s, 20 * MIB, MD5_OF, 20 * MIB);
	assert_cut(s, 20 * MIB, NULL, 8 * MIB);
	assert_cut(s, 40 * MIB, MD5_OF, 8 * MIB);
	assert_cut(s, 20 * MIB, MD5_OF "-3", 8 * MIB);
	assert_cut(s, 20 * MIB, MD5_OF "-4", 5 * MIB);
	assert_cut(s, 21 * MIB, MD5_OF "-2", 16 * MIB);
	assert_cut(s, 60 * MIB, MD5_OF "-3", 20 * MIB);
	/* Forged, or of some server. */
	assert_cut(s, 20 * MIB, MD5_OF "-9999", 8 * MIB);
	assert_cut(s, 20 * MIB, MD5_OF "-0", 8 * MIB);
	assert_cut(s, 20 * MIB, MD5_OF "-99999999999999999999", 8 * MIB);
	assert_cut(s, 20 * MIB, MD5_OF "-3x", 8 * MIB);
	assert_cut(s, 100, MD5_OF "-7", 100);
	assert_cut(s, 100 * 1024 * MIB, NULL, 11 * MIB);
	assert_cut(s, 1000 * 1024 * MIB, NULL, 0); /* no piece has more than 32 MiB */
}

static void test_etags_that_are_made(void **state)
{
	struct conf_store conf;
	_cleanup(source) struct source *s = open_bucket(&conf, "s3://docs");
	const struct source_new whole = {.key = "k", .bytes = 0, .most_piece_bytes = 32 * MIB};
	const struct source_new parts = {
	        .key = "k", .bytes = 20 * MIB, .etag = MD5_OF "-3", .most_piece_bytes = 32 * MIB};
	const struct iovec none = {.iov_base = (char *)"", .iov_len = 0};
	uint8_t md5s[3][SOURCE_MD5_BYTES];
	char *etag;

	(void)state;
	for (int i = 0; i < 3; i++)
		md5_iov(&none, 1, md5s[i]);
	etag = source_made_etag(s, &whole, md5s, 1);
	assert_string_equal(etag, MD5_OF);
	free(etag);
	etag = source_made_etag(s, &parts, md5s, 3);
	assert_true(str_ends(etag, "-3") && strlen(etag) == 34 && !str_starts(etag, MD5_OF));
	free(etag);
	assert_true(source_may_tell(s, &whole, MD5_OF));
	assert_false(source_may_tell(s, &whole, MD5_OF "-1"));
	assert_false(source_may_tell(s, &whole, "odd"));
	assert_true(source_may_tell(s, &parts, MD5_OF "-3"));
	assert_false(source_may_tell(s, &parts, MD5_OF "-2"));
	assert_false(source_may_tell(s, &parts, MD5_OF));
}

static void refuse_meta(struct source *s, const char *type, const char *name, const char *value)
{
	_cleanup(json) struct json *meta = json_object_new();
	const struct source_new what = {
	        .key = "k", .bytes = 1, .type = type, .meta = meta, .most_piece_bytes = 32 * MIB};
	struct source_put *put = NULL;
	struct error err = {0};

	json_set_string(meta, name, value);
	assert_int_equal(source_put_begin(s, NULL, &what, &put, &err), -EINVAL);
}

static void test_headers_that_are_forged(void **state)
{
	struct conf_store conf;
	_cleanup(source) struct source *s = open_bucket(&conf, "s3://docs");

	(void)state;
	refuse_meta(s, "text/plain\r\nx-amz-acl: public-read", "cache-control", "no-store");
	refuse_meta(s, "text/plain", "cache-control", "no-store\r\nx-amz-acl: public-read");
	refuse_meta(s, "text/plain", "x-amz-acl", "public-read");
	refuse_meta(s, "text/plain", "authorization", "x");
	refuse_meta(s, "text/plain", "x-amz-meta-a: b\r\nx", "x");
	refuse_meta(s, "text/plain", "x-amz-meta-a b", "x");
}

static void test_keys_of_a_bucket(void **state)
{
	struct conf_store conf, with_prefix;
	_cleanup(source) struct source *s = open_bucket(&conf, "s3://docs");
	_cleanup(source) struct source *p = open_bucket(&with_prefix, "s3://docs/some");
	_cleanup(str) struct str key = {0};

	(void)state;
	for (int i = 0; i < 1024; i++)
		str_append_char(&key, 'k');
	assert_int_equal(source_check_key(s, str_text(&key), NULL), 0);
	assert_int_equal(source_check_key(p, str_text(&key), NULL), -EINVAL);
	assert_int_equal(source_check_key(p, str_text(&key) + 5, NULL), 0);
	assert_int_equal(source_check_key(s, "", NULL), -EINVAL);
	assert_int_equal(source_check_key(p, "", NULL), 0);
	assert_int_equal(source_check_key(s, "..", NULL), 0);
}

/* Places. */

static void test_where_a_state_goes(void **state)
{
	struct conf_job mirror = {
	        .name = (char *)"docs", .kind = CONF_JOB_MIRROR, .mirror.from.url = (char *)"s3://docs"};
	struct conf conf = {.jobs = &mirror, .job_count = 1, .store.url = (char *)"dir:/store"};
	struct conf_store to;
	struct error err = {0};

	(void)state;
	mirror.mirror.from.endpoint = (char *)"https://one";
	conf.store.endpoint = (char *)"https://two";
	assert_int_equal(mirror_back_place(&conf, "docs", NULL, &to, &err), 0);
	assert_string_equal(to.url, "s3://docs");
	assert_int_equal(mirror_back_place(&conf, "docs", "s3://other/p", &to, &err), 0);
	assert_string_equal(to.url, "s3://other/p");
	assert_string_equal(to.endpoint, "https://one");
	assert_int_equal(mirror_back_place(&conf, "gone", "s3://other/p", &to, &err), 0);
	assert_string_equal(to.endpoint, "https://two");
	assert_int_equal(mirror_back_place(&conf, "gone", NULL, &to, &err), -EINVAL);
	assert_int_equal(mirror_back_place(&conf, "docs", "/srv", &to, &err), -EINVAL);
	assert_int_equal(mirror_back_place(&conf, "docs", "dir:srv", &to, &err), -EINVAL);
	assert_int_equal(mirror_back_place(&conf, "docs", "s3://", &to, &err), -EINVAL);
	assert_int_equal(mirror_back_place(&conf, "docs", "dir:/srv", &to, &err), 0);
	mirror.mirror.from.url = (char *)"dir:/uploads";
	assert_int_equal(mirror_back_place(&conf, "docs", "s3://other", &to, &err), 0);
	assert_string_equal(to.endpoint, "https://two");
	mirror.mirror.from.url = (char *)CONF_MIRROR_NONE;
	assert_int_equal(mirror_back_place(&conf, "docs", NULL, &to, &err), -EINVAL);
	assert_non_null(strstr(err.message, "to=s3://"));
}

/* Of two objects, each with its key as its bytes. */
static void make_honest_state(struct back_place *p, const char *const *keys)
{
	const struct listing_out out = {.write = append_back_listing, .arg = &p->listing};
	const struct listing_head head = {.job = "docs", .source = "s3://docs", .taken_at_us = 1};
	const struct mirror_tree_source source = {.read = read_back_listing, .arg = &p->listing};
	_cleanup(listing_writer) struct listing_writer *w = listing_writer_new(&head, &out);
	_cleanup(listing_index) struct listing_index x = {0};
	_cleanup(str) struct str index = {0};

	for (; *keys; keys++) {
		uint8_t digest[SHA256_BYTES];
		struct listing_entry e = {.key = (char *)*keys,
		                          .bytes = strlen(*keys),
		                          .etag = (char *)"e",
		                          .modified_us = TIME_US,
		                          .pack = (char *)"20261120T020000Z/00001"};

		sha256_once(*keys, strlen(*keys), digest);
		hex_encode(digest, sizeof(digest), e.sha256);
		assert_int_equal(listing_writer_add(w, &e, NULL), 0);
	}
	assert_int_equal(listing_writer_finish(w, &index, NULL), 0);
	assert_int_equal(listing_index_decode(str_text(&index), index.len, &x, NULL), 0);
	assert_int_equal(mirror_tree_new(&x, &source, 0, &p->back.tree, NULL), 0);
}

static void check_says(struct back_place *p, int result, const char *said, uint64_t same)
{
	_cleanup(mirror_back_counts) struct mirror_back_counts found = {0};
	struct error err = {0};

	assert_int_equal(mirror_back_check(&p->back, &found, &err), result);
	if (said && !strstr(err.message, said))
		fail_msg("want: %s\ngot: %s", said, err.message);
	assert_int_equal(found.same.count, same);
}

/* A check believes no time, and no size alone. */
static void test_every_object_is_read(void **state)
{
	static const char *const keys[] = {"a/one", "b/two", NULL};
	struct back_place *p = *state;
	struct make_context ctx = {.pool = pool_new(MIRROR_BACK_POOL_BYTES)};

	p->back.options = (struct mirror_back_options){.ctx = &ctx, .connections = 2};
	make_honest_state(p, keys);
	check_says(p, -EEXIST, "2 objects are missing: a/one, b/two", 0);
	assert_int_equal(put_text(p, "a/one", "a/one", NULL), 0);
	assert_int_equal(put_text(p, "b/two", "b/two", NULL), 0);
	check_says(p, 0, NULL, 2);
	/* The same size and the same time. */
	assert_int_equal(put_text(p, "b/two", "b/TWO", NULL), 0);
	check_says(p, -EBADMSG, "1 objects are not those that were backed up: b/two; the first: its SHA-256",
	           1);
	assert_int_equal(put_text(p, "b/two", "b/tw", NULL), 0);
	check_says(p, -EEXIST, "1 objects have another size: b/two", 1);
	assert_int_equal(put_text(p, "b/two", "b/two", NULL), 0);
	assert_int_equal(put_text(p, "c", "c", NULL), 0);
	check_says(p, -EEXIST, "1 objects are there, and not in the backup: c", 2);
	pool_free(ctx.pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_a_file_that_has_come_meanwhile, set_up_back,
	                                        tear_down_back),
	        cmocka_unit_test_setup_teardown(test_a_walk_of_what_cannot_be_listed, set_up_back,
	                                        tear_down_back),
	        cmocka_unit_test_setup_teardown(test_a_walk_finds_all_of_both, set_up_back, tear_down_back),
	        cmocka_unit_test_setup_teardown(test_every_object_is_read, set_up_back, tear_down_back),
	        cmocka_unit_test_setup_teardown(test_a_walk_of_nothing, set_up_back, tear_down_back),
	        cmocka_unit_test_setup_teardown(test_a_walk_below, set_up_back, tear_down_back),
	        cmocka_unit_test_setup_teardown(test_names_that_cannot_be, set_up_back, tear_down_back),
	        cmocka_unit_test(test_what_a_comparison_tells),
	        cmocka_unit_test_setup_teardown(test_a_file_is_there_when_it_is_whole, set_up_back,
	                                        tear_down_back),
	        cmocka_unit_test_setup_teardown(test_links_are_not_followed, set_up_back, tear_down_back),
	        cmocka_unit_test(test_objects_are_cut_as_they_were),
	        cmocka_unit_test(test_etags_that_are_made),
	        cmocka_unit_test(test_headers_that_are_forged),
	        cmocka_unit_test(test_keys_of_a_bucket),
	        cmocka_unit_test(test_where_a_state_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
