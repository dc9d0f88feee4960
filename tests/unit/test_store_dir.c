// SPDX-License-Identifier: Apache-2.0
/* What the dir: driver does inside: temporaries, slots of parts, large directories, and stores in a bad
 * state. What it does outside, the contract's suite checks. */
#include "../../src/store/dir/dir.h"
#include "store_test.h"

#include <keepfs/base/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static struct store *open_store(void)
{
	struct error err = {0};
	struct store *s = NULL;

	if (store_dir_new(root, &s, &err) < 0)
		fail_msg("%s", err.message);
	return s;
}

static char *path_of(const char *name)
{
	return mem_printf("%s/%s", root, name);
}

static void make_file(const char *name)
{
	_cleanup(free) char *path = path_of(name);
	_cleanup(fd) int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
}

static bool exists(const char *name)
{
	_cleanup(free) char *path = path_of(name);

	return access(path, F_OK) == 0;
}

static size_t entries(const char *name)
{
	_cleanup(free) char *path = path_of(name);
	DIR *dir = opendir(path);
	struct dirent *entry;
	size_t n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static void the_root_is_made_but_not_its_parent(void **state)
{
	_cleanup(free) char *made = path_of("made"), *orphan = path_of("no/parent"), *file = path_of("file");
	struct store *s = NULL;
	struct error err = {0};
	struct stat st;

	assert_int_equal(store_dir_new(made, &s, &err), 0);
	assert_int_equal(stat(made, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	s = store_free(s);
	assert_int_equal(store_dir_new(orphan, &s, &err), -ENODEV); /* not -ENOENT */
	assert_int_equal(err.class, ERROR_USAGE);
	make_file("file");
	assert_int_equal(store_dir_new(file, &s, &err), -ENOTDIR);
	assert_int_equal(store_dir_new("relative", &s, &err), -EINVAL);
	assert_null(s);
}

#define LEFT    ".keepfs/tmp/00000000000000000000000000000001"
#define HELD    ".keepfs/tmp/00000000000000000000000000000002"
#define FOREIGN ".keepfs/tmp/somebody's"

static void leftovers_are_swept_but_not_what_is_used(void **state)
{
	_cleanup(free) char *held = path_of(HELD);
	int fd;

	store_free(open_store());
	make_file(LEFT);
	make_file(HELD);
	make_file(FOREIGN);
	fd = open(held, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	store_free(open_store());
	assert_false(exists(LEFT));
	assert_true(exists(HELD));
	assert_true(exists(FOREIGN));
	close(fd);
	store_free(open_store());
	assert_false(exists(HELD));
}

/* As on file systems without O_TMPFILE. */
static void named_temporaries_do_as_well(void **state)
{
	_cleanup(store) struct store *s = open_store();
	struct dir_temp temp;

	dir_store_of(s)->nameless = false;
	assert_int_equal(put(s, "d/k", "one", false), 0);
	assert_int_equal(put(s, "d/k", "two", true), STORE_EXISTS);
	expect(s, "d/k", "one");
	assert_int_equal(put(s, "d/k", "three", false), 0);
	expect(s, "d/k", "three");
	assert_int_equal(entries(".keepfs/tmp"), 0);
	/* One that is being written is not swept by a store that opens meanwhile. */
	assert_int_equal(dir_temp_open(dir_store_of(s), &temp), 0);
	assert_int_equal(entries(".keepfs/tmp"), 1);
	store_free(open_store());
	assert_int_equal(entries(".keepfs/tmp"), 1);
	dir_temp_finish(&temp);
	assert_int_equal(entries(".keepfs/tmp"), 0);
}

static struct store_upload *begin(struct store *s, const char *key)
{
	struct store_upload *up = NULL;

	assert_int_equal(store_upload_begin(s, NULL, key, &up, NULL), 0);
	return up;
}

static struct store_part send(struct store_upload *up, unsigned number, const char *text)
{
	struct iovec iov = {(void *)text, strlen(text)};
	struct store_part part;

	assert_int_equal(store_upload_part(up, NULL, number, &iov, 1, &part, NULL), 0);
	return part;
}

static ino_t inode(const char *name)
{
	_cleanup(free) char *path = path_of(name);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

/* The object is the file that the parts were written to, and holds only as many files as parts came early. */
static void parts_in_order_are_not_copied(void **state)
{
	_cleanup(store) struct store *s = open_store();
	_cleanup(store_upload) struct store_upload *up = begin(s, "k");
	_cleanup(free) char *dir = mem_printf(".keepfs/uploads/%s", store_upload_id(up));
	_cleanup(free) char *body = mem_printf("%s/body", dir);
	struct store_part parts[5];
	ino_t before = inode(body);

	parts[0] = send(up, 1, "one ");
	parts[1] = send(up, 2, "two ");
	parts[3] = send(up, 4, "four ");
	assert_int_equal(entries(dir), 2); /* the body, and part 4 */
	parts[2] = send(up, 3, "three ");
	parts[4] = send(up, 5, "five");
	assert_int_equal(entries(dir), 2);
	assert_int_equal(store_upload_complete(up, NULL, parts, 5, NULL), 0);
	assert_int_equal(inode("k"), before);
	expect(s, "k", "one two three four five");
	assert_int_equal(entries(".keepfs/uploads"), 0);
}

/* A call that was ended half-way gives its slot back: sent again, the part is not copied either. */
static void a_failed_part_is_sent_again_to_its_slot(void **state)
{
	_cleanup(store) struct store *s = open_store();
	_cleanup(store_upload) struct store_upload *up = begin(s, "k");
	_cleanup(free) char *dir = mem_printf(".keepfs/uploads/%s", store_upload_id(up));
	struct iovec iov[] = {{"on", 2}, {"e ", 2}};
	struct cancel cancel;
	struct store_call call = {.cancel = &cancel};
	struct store_part parts[2];

	cancel_init(&cancel);
	cancel_set(&cancel);
	/* Past the front's check, as when it is cancelled a moment later. */
	assert_int_equal(dir_upload_part(up, &call, 1, iov, 2, &parts[0], NULL), -ECANCELED);
	cancel_finish(&cancel);
	parts[1] = send(up, 2, "two");
	parts[0] = send(up, 1, "one ");
	assert_int_equal(entries(dir), 1);
	assert_int_equal(store_upload_complete(up, NULL, parts, 2, NULL), 0);
	expect(s, "k", "one two");
}

/* A completion that fails destroys nothing: neither with all parts, nor with another choice of them. */
static void a_failed_completion_can_be_made_again(void **state)
{
	_cleanup(store) struct store *s = open_store();
	_cleanup(store_upload) struct store_upload *up = begin(s, "d/k");
	_cleanup(free) char *taken = path_of("d/k"), *kept = path_of("d/k/kept");
	struct store_part parts[3], some[2];
	struct error err = {0};

	parts[2] = send(up, 3, "three");
	parts[0] = send(up, 1, "one ");
	parts[1] = send(up, 2, "two ");
	some[0] = parts[0];
	some[1] = parts[2];
	assert_int_equal(mkdir(taken, 0700), 0);
	assert_int_equal(mkdir(kept, 0700), 0);
	assert_int_equal(store_upload_complete(up, NULL, parts, 3, &err), -EISDIR);
	assert_int_equal(err.class, ERROR_CONFLICT);
	assert_int_equal(store_upload_complete(up, NULL, some, 2, &err), -EISDIR);
	assert_int_equal(rmdir(kept), 0);
	assert_int_equal(rmdir(taken), 0);
	assert_int_equal(store_upload_complete(up, NULL, parts, 3, &err), 0);
	expect(s, "d/k", "one two three");
}

static void uploads_outlive_their_process(void **state)
{
	struct store *s = open_store();
	struct store_upload *up = begin(s, "a/k");
	struct store_upload_info *uploads = NULL;
	size_t count = 0;

	send(up, 1, "x");
	store_upload_free(up);
	store_free(s);
	s = open_store();
	assert_int_equal(store_upload_list(s, NULL, "a/", &uploads, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_string_equal(uploads[0].key, "a/k");
	/* Not by another key, and never outside. */
	assert_int_equal(store_upload_abort(s, NULL, "b", uploads[0].upload_id, NULL), 0);
	assert_int_equal(store_upload_abort(s, NULL, "a/k", "../tmp", NULL), 0);
	assert_int_equal(entries(".keepfs/uploads"), 2);
	assert_true(exists(".keepfs/tmp"));
	assert_int_equal(store_upload_abort(s, NULL, "a/k", uploads[0].upload_id, NULL), 0);
	assert_int_equal(entries(".keepfs/uploads"), 0);
	store_upload_list_free(uploads, count);
	store_free(s);
}

static void a_damaged_upload_is_not_listed(void **state)
{
	_cleanup(store) struct store *s = open_store();
	struct store_upload_info *uploads = NULL;
	size_t count = 1;

	make_file(".keepfs/uploads/00000000000000000000000000000001.key"); /* empty */
	make_file(".keepfs/uploads/short.key");
	make_file(".keepfs/uploads/000000000000000000000000000000001.key"); /* a digit too many */
	assert_int_equal(store_upload_list(s, NULL, "", &uploads, &count, NULL), 0);
	assert_int_equal(count, 0);
	store_upload_list_free(uploads, count);
}

static size_t count_keys(struct store *s, const char *prefix, size_t page)
{
	char last[STORE_KEY_BYTES] = "";
	size_t total = 0;
	bool more = true;

	while (more) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;

		assert_int_equal(store_list(s, NULL, prefix, last, page, &objects, &count, &more, NULL), 0);
		for (size_t i = 0; i < count; i++) {
			assert_true(strcmp(objects[i].key, last) > 0);
			str_copy(last, sizeof(last), objects[i].key);
		}
		total += count;
	}
	return total;
}

/* More names than are held at a time, and more empty directories before the first object. */
static void large_directories(void **state)
{
	_cleanup(store) struct store *s = open_store();
	_cleanup(free) char *many = path_of("many"), *hollow = path_of("hollow");
	char name[64];

	assert_int_equal(mkdir(many, 0700), 0);
	assert_int_equal(mkdir(hollow, 0700), 0);
	for (int i = 0; i < 2300; i++) {
		snprintf(name, sizeof(name), "many/%d", i * 7919 % 2300);
		make_file(name);
	}
	for (int i = 0; i < 1100; i++) {
		_cleanup(free) char *path = mem_printf("%s/%d", hollow, i);

		assert_int_equal(mkdir(path, 0700), 0);
	}
	make_file("hollow/object");
	assert_int_equal(count_keys(s, "many/", 1000), 2300);
	assert_int_equal(count_keys(s, "hollow/", 1), 1);
	assert_int_equal(count_keys(s, "", 1000), 2301);
}

static void what_no_key_can_name_is_not_there(void **state)
{
	_cleanup(store) struct store *s = open_store();
	_cleanup(free) char *fifo = path_of("fifo");
	struct store_object object;
	char byte;
	struct iovec iov = {&byte, 1};

	assert_int_equal(put(s, "object", "x", false), 0);
	make_file("control\x01");
	make_file("latin1\xe9");
	make_file(".keepfs-more");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(count_keys(s, "", 1000), 1);
	assert_int_equal(store_head(s, NULL, "fifo", &object, NULL), -ENOENT);
	assert_int_equal(store_get(s, NULL, "fifo", 0, &iov, 1, NULL, NULL), -ENOENT); /* and does not wait */
}

/* Also when the work directory cannot be had, what is there can be read. */
static void a_store_that_cannot_be_written_can_be_read(void **state)
{
	_cleanup(store) struct store *s = NULL;
	struct store_upload_info *uploads = NULL;
	struct store_upload *up = NULL;
	struct error err = {0};
	size_t count = 1;

	make_file(".keepfs");
	make_file("object");
	s = open_store();
	expect(s, "object", "");
	assert_int_equal(count_keys(s, "", 1000), 1);
	assert_int_equal(store_put_bytes(s, NULL, "k", "x", 1, NULL, &err), -ENOTDIR);
	assert_true(err.message[0] != '\0');
	assert_int_equal(store_upload_begin(s, NULL, "k", &up, NULL), -ENOTDIR);
	assert_int_equal(store_upload_list(s, NULL, "", &uploads, &count, NULL), 0);
	assert_int_equal(count, 0);
	assert_int_equal(store_upload_abort(s, NULL, "k", "none", NULL), 0);
}

static void the_work_directory_may_not_lead_outside(void **state)
{
	char outside[] = "/tmp/keepfs-outside-XXXXXX";
	_cleanup(free) char *link = path_of(".keepfs");
	_cleanup(store) struct store *s = NULL;

	assert_non_null(mkdtemp(outside));
	assert_int_equal(symlink(outside, link), 0);
	s = open_store();
	assert_int_equal(put(s, "k", "x", false), -ELOOP);
	assert_int_equal(rmdir(outside), 0); /* still empty */
}

/* A store whose directory was removed must not look like one whose objects were. */
static void a_removed_root_is_no_missing_object(void **state)
{
	_cleanup(store) struct store *s = open_store();
	struct store_object object, *objects = NULL;
	struct error err = {0};
	size_t count;
	bool more;

	assert_int_equal(put(s, "d/k", "x", false), 0);
	assert_int_equal(remove_tree(root), 0);
	assert_int_equal(store_head(s, NULL, "d/k", &object, &err), -ENODEV);
	assert_int_equal(err.class, ERROR_USAGE);
	assert_int_equal(store_list(s, NULL, "", NULL, 1, &objects, &count, &more, &err), -ENODEV);
	assert_int_equal(store_remove(s, NULL, "d/k", &err), -ENODEV);
	assert_int_not_equal(store_put_bytes(s, NULL, "d/k", "x", 1, NULL, &err), -ENOENT);
	assert_true(err.class != ERROR_NOT_FOUND);
}

static void errors_say_what_to_do(void **state)
{
	_cleanup(store) struct store *s = open_store();
	struct dir_store *d = dir_store_of(s);
	struct error err = {0};

	assert_int_equal(dir_error(d, -ENOSPC, &err, "write", "k"), -ENOSPC);
	assert_int_equal(err.class, ERROR_NO_SPACE);
	assert_non_null(strstr(err.message, root));
	assert_int_equal(dir_error(d, -EDQUOT, &err, "write", "k"), -EDQUOT);
	assert_int_equal(err.class, ERROR_NO_SPACE);
	assert_int_equal(dir_error(d, -EFBIG, &err, "add a part to", "k"), -EFBIG);
	assert_non_null(strstr(err.message, "holds no file that large (vfat: 4 GiB)"));
	assert_int_equal(dir_error(d, -EOPNOTSUPP, &err, "write", "k"), -EOPNOTSUPP);
	assert_non_null(strstr(err.message, "refuses what a store needs (Operation not supported)"));
	/* The contract's meaning of -ESTALE is another than NFS's. */
	assert_int_equal(dir_error(d, -ESTALE, &err, "read", "k"), -EIO);
	assert_true(err.retry);
	assert_int_equal(dir_write_error(d, -ENOENT, &err, "write", "k"), -EIO);
	assert_int_equal(err.class, ERROR_USAGE);
	assert_int_equal(dir_error(d, -ESTALE, NULL, "read", "k"), -EIO);
}

static void features_tell_the_space(void **state)
{
	_cleanup(store) struct store *s = open_store();
	struct store_features features = {0};

	assert_int_equal(store_features(s, &features, NULL), 0);
	assert_true(features.capacity_bytes > 0 && features.capacity_bytes != STORE_UNKNOWN);
	assert_true(features.available_bytes <= features.capacity_bytes);
	assert_true(features.atomic_absent);
	assert_int_equal(features.max_parts, STORE_MAX_PARTS);
}

/* Each character's encoding cut short is refused, wherever it is cut. */
static void keys_are_utf8(void **state)
{
	static const char *const whole[] = {
	        "\x7e",         "\xc2\x80",         "\xe0\xa0\x80",    "\xed\x9f\xbf",
	        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
	char key[8];

	for (size_t i = 0; i < ARRAY_SIZE(whole); i++) {
		assert_int_equal(store_key_check(whole[i], NULL), 0);
		for (size_t len = 1; len < strlen(whole[i]); len++) {
			snprintf(key, sizeof(key), "%.*s", (int)len, whole[i]);
			assert_int_equal(store_key_check(key, NULL), -EINVAL);
			key[len] = 'x';
			key[len + 1] = '\0';
			assert_int_equal(store_key_check(key, NULL), -EINVAL);
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, root_setup, root_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(the_root_is_made_but_not_its_parent),
	        TEST(leftovers_are_swept_but_not_what_is_used),
	        TEST(named_temporaries_do_as_well),
	        TEST(parts_in_order_are_not_copied),
	        TEST(a_failed_part_is_sent_again_to_its_slot),
	        TEST(a_failed_completion_can_be_made_again),
	        TEST(uploads_outlive_their_process),
	        TEST(a_damaged_upload_is_not_listed),
	        TEST(large_directories),
	        TEST(what_no_key_can_name_is_not_there),
	        TEST(a_store_that_cannot_be_written_can_be_read),
	        TEST(the_work_directory_may_not_lead_outside),
	        TEST(a_removed_root_is_no_missing_object),
	        TEST(errors_say_what_to_do),
	        TEST(features_tell_the_space),
	        TEST(keys_are_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
