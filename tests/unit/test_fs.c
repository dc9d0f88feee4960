// SPDX-License-Identifier: Apache-2.0
/* The tree over a real catalog, and requests that are answered later, with a kernel that is played by the
 * test over a socket. */
#include "../../src/fs/fs_private.h"
#include "../../src/fs/text.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/name.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#define MESSAGE_BYTES 65536

static struct pending pending;
static bool setting; /* fuse_req_interrupt_func() runs: it still needs the request */
static bool replied_while_setting;

/* In front of libfuse's own. */
void fuse_req_interrupt_func(fuse_req_t req, fuse_interrupt_func_t func, void *data)
{
	void (*real)(fuse_req_t, fuse_interrupt_func_t, void *);

	*(void **)&real = dlsym(RTLD_NEXT, "fuse_req_interrupt_func");
	setting = true;
	real(req, func, data);
	setting = false;
}

static ssize_t device_read(int fd, void *buf, size_t len, void *userdata)
{
	return read(fd, buf, len);
}

static ssize_t device_write(int fd, struct iovec *iov, int count, void *userdata)
{
	replied_while_setting |= setting;
	return writev(fd, iov, count);
}

static void begin(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	assert_false(pending_init(&pending, req, NULL));
}

static void serve_one(struct fuse_session *session)
{
	struct fuse_buf buf = {0};

	assert_true(fuse_session_receive_buf(session, &buf) > 0);
	fuse_session_process_buf(session, &buf);
	free(buf.mem);
}

/* The kernel's interrupt may overtake the request that it is for. */
static void an_interrupt_that_came_first(void **state)
{
	static const struct fuse_lowlevel_ops operations = {.getattr = begin};
	static const struct fuse_custom_io io = {.read = device_read, .writev = device_write};
	const struct {
		struct fuse_in_header head;
		struct fuse_init_in body;
	} init = {.head = {.len = sizeof(init), .opcode = FUSE_INIT, .unique = 2},
	          .body = {.major = 7, .minor = 31, .max_readahead = 65536}};
	const struct {
		struct fuse_in_header head;
		struct fuse_interrupt_in body;
	} interrupt = {.head = {.len = sizeof(interrupt), .opcode = FUSE_INTERRUPT, .unique = 5},
	               .body = {.unique = 4}};
	const struct {
		struct fuse_in_header head;
		struct fuse_getattr_in body;
	} request = {.head = {.len = sizeof(request), .opcode = FUSE_GETATTR, .unique = 4, .nodeid = 1}};
	char *argv[] = {(char *)"test", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_session *session;
	struct fuse_out_header *reply;
	char out[512];
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	session = fuse_session_new(&args, &operations, sizeof(operations), NULL);
	fuse_opt_free_args(&args);
	assert_non_null(session);
	assert_int_equal(fuse_session_custom_io(session, &io, ends[0]), 0);
	assert_int_equal(write(ends[1], &init, sizeof(init)), sizeof(init));
	assert_int_equal(write(ends[1], &interrupt, sizeof(interrupt)), sizeof(interrupt));
	assert_int_equal(write(ends[1], &request, sizeof(request)), sizeof(request));
	for (int i = 0; i < 3; i++)
		serve_one(session);
	assert_true(recv(ends[1], out, sizeof(out), 0) > 0); /* to FUSE_INIT */
	assert_int_equal(recv(ends[1], out, sizeof(out), 0), sizeof(*reply));
	reply = (struct fuse_out_header *)out;
	assert_int_equal(reply->unique, 4);
	assert_int_equal(reply->error, -EINTR);
	assert_false(replied_while_setting);
	assert_false(pending_claim(&pending));
	fuse_session_destroy(session);
	close(ends[1]);
}

/* A tree, and its kernel. */

static const struct fuse_lowlevel_ops operations = {
        .lookup = op_lookup,
        .getattr = op_getattr,
        .readlink = op_readlink,
        .open = op_open,
        .read = op_read,
        .release = op_release,
        .unlink = op_unlink,
        .rmdir = op_rmdir,
        .readdir = op_readdir,
        .readdirplus = op_readdirplus,
        .getxattr = op_getxattr,
        .listxattr = op_listxattr,
};

struct fixture {
	char directory[64];
	char *url;
	struct conf conf;
	struct store *store;
	struct catalog *catalog;
	struct report_troubles *troubles;
	struct fs *fs;
	int kernel; /* the kernel's end of the session */
	uint64_t unique;
	/* names that the kernel was told to forget, each with a line end; "links/" before one that was
	 * there */
	struct str told;
};

/* The body of one message from keepfs: 0 and up its length, negative the error that it carries. What answers
 * no request goes to f->told, and the next message is awaited. */
static ssize_t receive(struct fixture *f, char *body, size_t size, int flags)
{
	static char message[MESSAGE_BYTES];
	const struct fuse_out_header *head = (const struct fuse_out_header *)message;
	ssize_t n;

	while ((n = recv(f->kernel, message, sizeof(message), flags)) > 0) {
		size_t len = (size_t)n - sizeof(*head);

		assert_int_equal(head->len, n);
		if (head->unique != 0) {
			assert_int_equal(head->unique, f->unique);
			assert_true(len <= size);
			memcpy(body, message + sizeof(*head), len);
			return head->error ? head->error : (ssize_t)len;
		}
		if (head->error == FUSE_NOTIFY_INVAL_ENTRY) {
			const struct fuse_notify_inval_entry_out *forget =
			        (const struct fuse_notify_inval_entry_out *)(head + 1);

			str_appendf(&f->told, "%s%s\n", forget->parent >> 63 ? "links/" : "",
			            (const char *)(forget + 1));
		}
	}
	return -EAGAIN;
}

static ssize_t ask(struct fixture *f, uint32_t opcode, uint64_t ino, const void *body, size_t len,
                   char *answer)
{
	char message[1024];
	struct fuse_in_header head = {.len = (uint32_t)(sizeof(head) + len),
	                              .opcode = opcode,
	                              .unique = f->unique += 2,
	                              .nodeid = ino};

	memcpy(message, &head, sizeof(head));
	memcpy(message + sizeof(head), body, len);
	assert_int_equal(write(f->kernel, message, head.len), head.len);
	serve_one(f->fs->session);
	return receive(f, answer, MESSAGE_BYTES, 0);
}

static void connect_kernel(struct fixture *f)
{
	static const struct fuse_custom_io io = {.read = device_read, .writev = device_write};
	const struct fuse_init_in init = {.major = 7, .minor = 31, .max_readahead = 65536};
	static char answer[MESSAGE_BYTES];
	char *argv[] = {(char *)"test", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	f->kernel = ends[1];
	f->fs->session = fuse_session_new(&args, &operations, sizeof(operations), f->fs);
	fuse_opt_free_args(&args);
	assert_int_equal(fuse_session_custom_io(f->fs->session, &io, ends[0]), 0);
	assert_true(ask(f, FUSE_INIT, 0, &init, sizeof(init), answer) > 0);
}

static int set_up_over(void **state, const char *url)
{
	struct fixture *f = mem_alloc(sizeof(*f));
	struct fs_context ctx;

	str_copy(f->directory, sizeof(f->directory), "/tmp/keepfs-fs-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	f->url = url ? mem_strdup(url) : mem_printf("dir:%s/objects", f->directory);
	f->conf = (struct conf){.state_dir = f->directory, .file_mode = 0640, .dir_mode = 0750};
	f->conf.read.link_ttl_ms = 900000;
	f->conf.store.url = f->url;
	f->conf.store.access_key = (char *)"AKIA";
	f->conf.store.secret_key = (char *)"hush-hush";
	/* An S3 store without a network: no request is made. */
	assert_int_equal(url ? store_s3_new(&f->conf.store, NULL, &f->store, NULL)
	                     : store_open(&f->conf.store, NULL, NULL, &f->store, NULL),
	                 0);
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
	f->troubles = report_troubles_new();
	ctx = (struct fs_context){
	        .conf = &f->conf, .store = f->store, .catalog = f->catalog, .troubles = f->troubles};
	assert_int_equal(fs_new(&ctx, &f->fs, NULL), 0);
	connect_kernel(f);
	*state = f;
	return 0;
}

static int set_up(void **state)
{
	return set_up_over(state, NULL);
}

static int set_up_s3(void **state)
{
	return set_up_over(state, "s3://bucket/pre");
}

static int remove_one_path(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	fs_free(f->fs);
	close(f->kernel);
	report_troubles_free(f->troubles);
	catalog_free(f->catalog);
	store_free(f->store);
	nftw(f->directory, remove_one_path, 8, FTW_DEPTH | FTW_PHYS);
	str_finish(&f->told);
	free(f->url);
	free(f);
	return 0;
}

/* An artifact "full/20261120T020000Z.dump" with further files (NULL-terminated; may be NULL). One without a
 * suffix is a directory. Its own file has 100 bytes, a further one 10. */
static void add(struct fixture *f, const char *name, bool partial, const char *const *files)
{
	_cleanup(manifest) struct manifest m = {
	        .path = mem_printf("backups/%s", name),
	        .job = mem_strdup("full"),
	        .kind = mem_strdup("dump"),
	        .database = mem_strdup("shop"),
	        .server_version = mem_strdup("17.2"),
	        .tool_version = mem_strdup("17.2"),
	        .triggered_by = mem_strdup("uid 0 (bash)"),
	        .content = mem_strdup(partial ? "schema" : "full"),
	        .compression = mem_strdup("gzip"),
	        .note = partial ? mem_strdup("before the release") : NULL,
	        .keepfs_version = mem_strdup("0.1.0"),
	        .partial = partial,
	        .run_id = 7,
	};
	_cleanup(free) uint8_t *extents = NULL;
	_cleanup(free) char *directory = mem_strdup(m.path);
	char *base = strrchr(directory, '/');
	size_t len;

	*base++ = '\0';
	m.is_directory = !strchr(base, '.');
	m.format = mem_strdup(m.is_directory ? "directory" : "custom");
	m.started_at_us = name_sequence(base) / 1000 * US_PER_S;
	m.finished_at_us = m.started_at_us + 5 * US_PER_S;
	m.verified_at_us = partial ? 0 : m.finished_at_us;
	memset(m.sha256, 'a', SHA256_HEX_BYTES - 1);
	if (!m.is_directory) {
		m.size_bytes = m.stored_bytes = 100;
		memset(m.stored_sha256, 'a', SHA256_HEX_BYTES - 1);
		extents_append(&m.extents, 100, 1);
	}
	for (; files && *files; files++) {
		struct manifest_file *file = manifest_add_file(&m, *files);

		file->size_bytes = 10;
		memset(file->sha256, 'b', SHA256_HEX_BYTES - 1);
		extents_append(&file->extents, 10, 2);
		m.size_bytes += m.is_directory ? 10 : 0;
	}
	extents = manifest_seal_extents(&m, &len);
	assert_int_equal(catalog_ensure_directory(f->catalog, directory, m.finished_at_us, NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
}

#define DUMP     "20261120T020000Z.dump"
#define TABLES   "20261120T020000Z.tables.csv"
#define GLOBALS  "20261120T020000Z.globals.sql.gz"
#define TREE     "20261121T020000Z"
#define SCHEMA   "20261122T020000Z.schema.dump"
#define FINISHED (INT64_C(1795140000) + 5) /* DUMP */
#define A_DAY_S  86400

static const char *const dump_files[] = {TABLES, GLOBALS, NULL};
static const char *const tree_files[] = {"toc.dat", "3456.dat.gz", "SHA256SUMS", NULL};

/* A dump with two files beside it, a newer one that is a directory, and one that is newer still, but
 * partial. */
static void add_some(struct fixture *f)
{
	add(f, "full/" DUMP, false, dump_files);
	add(f, "full/" TREE, false, tree_files);
	add(f, "full/" SCHEMA, true, NULL);
}

static int find(struct fixture *f, const char *path, struct node *ret)
{
	_cleanup(free) char *copy = mem_strdup(path);
	char *rest = copy, *name;
	int r = node_load(f->fs, INO_ROOT, ret);

	while (r == 0 && (name = strsep(&rest, "/"))) {
		struct node parent = *ret;

		r = node_child(f->fs, &parent, name, ret);
	}
	return r;
}

static uint64_t ino_at(struct fixture *f, const char *path)
{
	struct node node;

	if (find(f, path, &node) < 0)
		fail_msg("%s is not there", path);
	return node.ino;
}

static struct stat stat_at(struct fixture *f, const char *path)
{
	struct node node;
	struct stat st;

	assert_int_equal(find(f, path, &node), 0);
	assert_int_equal(node_stat(f->fs, &node, &st), 0);
	assert_int_equal(st.st_ino, node.ino);
	return st;
}

/* All names of a directory in the order in which they come, each with a blank behind it, read @size bytes at
 * a time. */
static char *list(struct fixture *f, const char *path, uint32_t size, bool plus)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_read_in in = {.size = size};
	uint64_t ino = ino_at(f, path);
	struct str names = {0};
	ssize_t n;

	while ((n = ask(f, plus ? FUSE_READDIRPLUS : FUSE_READDIR, ino, &in, sizeof(in), answer)) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct fuse_direntplus *entry = (const struct fuse_direntplus *)(answer + at);
			const struct fuse_dirent *dirent =
			        plus ? &entry->dirent : (const struct fuse_dirent *)(answer + at);

			if (plus)
				assert_int_equal(dirent->type, (entry->entry_out.attr.mode & S_IFMT) >> 12);
			str_appendf(&names, "%.*s%s ", (int)dirent->namelen, dirent->name,
			            dirent->type == S_IFDIR >> 12 ? "/" : "");
			in.offset = dirent->off;
			at += plus ? (ssize_t)FUSE_DIRENTPLUS_SIZE(entry) : (ssize_t)FUSE_DIRENT_SIZE(dirent);
		}
	}
	assert_int_equal(n, 0);
	return str_take(&names);
}

static void assert_lists(struct fixture *f, const char *path, const char *names)
{
	for (uint32_t size = 256; size <= 8192; size *= 2) {
		for (int plus = 0; plus <= 1; plus++) {
			_cleanup(free) char *listed = list(f, path, size, plus);

			assert_string_equal(listed, names);
		}
	}
}

static void all_that_belongs_to_an_artifact_is_listed(void **state)
{
	struct fixture *f = *state;

	add_some(f);
	assert_lists(f, "backups/full",
	             "./ ../ latest SHA256SUMS " DUMP " " TREE "/ " SCHEMA " " TABLES " " GLOBALS " ");
	assert_lists(f, "backups/full/" TREE, "./ ../ toc.dat 3456.dat.gz SHA256SUMS ");
	assert_lists(f, "backups", "./ ../ full/ ");
}

/* More entries than a page of the catalog. */
static void a_directory_of_many_files(void **state)
{
	enum { FILES = 1000 };
	struct fixture *f = *state;
	const char **names = mem_array(FILES + 1, sizeof(*names));
	_cleanup(free) char *listed = NULL, *inside = NULL;
	struct str expected = {0};

	for (int i = 0; i < FILES; i++) {
		names[i] = mem_printf("%d.dat.gz", i);
		str_appendf(&expected, "%s ", names[i]);
	}
	add(f, "full/" TREE, false, names);
	inside = list(f, "backups/full/" TREE, 4096, true);
	assert_true(str_starts(inside, "./ ../ "));
	assert_string_equal(inside + strlen("./ ../ "), str_text(&expected));
	listed = list(f, "backups/full", 4096, true);
	assert_string_equal(listed, "./ ../ latest SHA256SUMS " TREE "/ ");
	for (int i = 0; i < FILES; i++)
		free((char *)names[i]);
	free(names);
	str_finish(&expected);
}

static void attributes(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	add_some(f);
	st = stat_at(f, "backups/full/" TREE);
	assert_int_equal(st.st_mode, S_IFDIR | 0550);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(st.st_mtim.tv_sec, FINISHED + A_DAY_S);
	st = stat_at(f, "backups/full");
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	assert_int_equal(st.st_nlink, 3);
	st = stat_at(f, "backups/full/" TREE "/toc.dat");
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_size, 10);
	assert_int_equal(st.st_mtim.tv_sec, FINISHED + A_DAY_S);
	st = stat_at(f, "backups/full/" TABLES);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_size, 10);
	assert_int_equal(st.st_mtim.tv_sec, FINISHED);
	assert_int_equal(stat_at(f, "backups/full/" DUMP).st_size, 100);
}

static void what_is_not_there(void **state)
{
	static const char *const paths[] = {
	        "backups/full/20261120T020000Z.nothing",
	        "backups/full/toc.dat",
	        "backups/full/" TREE "/" TABLES,
	        "backups/full/" TREE "/latest",
	        "backups/full/" TREE "/nothing",
	        "backups/full/latest.dump",
	        "backups/" TREE,
	        "links/backups/full/SHA256SUMS",
	        "links/backups/full/latest.dump",
	        "links/backups/full/20261120T020000Z.nothing",
	        "links/backups/" TREE,
	        "links/full",
	        "links/backups/full/" TREE "/latest",
	};
	struct fixture *f = *state;
	struct node node;

	add_some(f);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (find(f, paths[i], &node) != -ENOENT)
			fail_msg("%s", paths[i]);
	}
	assert_int_equal(find(f, "backups/full/" TABLES "/x", &node), -ENOTDIR);
	assert_int_equal(find(f, "links/backups/full/" TABLES "/x", &node), -ENOTDIR);
}

static void assert_latest(struct fixture *f, const char *name, const char *target)
{
	_cleanup(free) char *path = mem_printf("backups/full/%s", name);
	static char answer[MESSAGE_BYTES];
	ssize_t n = ask(f, FUSE_READLINK, ino_at(f, path), "", 0, answer);

	assert_true(n > 0);
	assert_int_equal(n, strlen(target));
	assert_memory_equal(answer, target, strlen(target));
	assert_int_equal(stat_at(f, path).st_size, n);
	assert_true(S_ISLNK(stat_at(f, path).st_mode));
}

static void the_latest_one(void **state)
{
	struct fixture *f = *state;
	struct node node;

	add(f, "full/" SCHEMA, true, NULL);
	assert_latest(f, "latest.schema.dump", SCHEMA);
	add(f, "full/" DUMP, false, dump_files);
	assert_latest(f, "latest.dump", DUMP);
	assert_int_equal(find(f, "backups/full/latest.schema.dump", &node), -ENOENT);
	add(f, "full/" TREE, false, tree_files);
	assert_latest(f, "latest", TREE);
	assert_int_equal(find(f, "backups/full/latest.dump", &node), -ENOENT);
}

/* Databases may have any name. */
static void what_is_stored_hides_what_is_made_up(void **state)
{
	struct fixture *f = *state;
	struct node node;

	add(f, "full/" TREE, false, tree_files);
	add(f, "full/latest/" DUMP, false, NULL);
	add(f, "full/SHA256SUMS/" DUMP, false, NULL);
	assert_lists(f, "backups/full", "./ ../ latest/ SHA256SUMS/ " TREE "/ ");
	assert_int_equal(find(f, "backups/full/latest", &node), 0);
	assert_int_equal(node.kind, NODE_DIRECTORY);
	assert_int_equal(find(f, "backups/full/SHA256SUMS/" DUMP, &node), 0);
	assert_int_equal(node.kind, NODE_ARTIFACT);
	assert_lists(f, "backups/full/latest", "./ ../ latest.dump SHA256SUMS " DUMP " ");
}

/* Attribute user.keepfs.@name of @path; NULL when it has none. On the heap. */
static char *attribute(struct fixture *f, const char *path, const char *name)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_getxattr_in in = {.size = 4096};
	char body[256];
	int len;
	ssize_t n;

	memcpy(body, &in, sizeof(in));
	len = snprintf(body + sizeof(in), sizeof(body) - sizeof(in), "user.keepfs.%s", name);
	n = ask(f, FUSE_GETXATTR, ino_at(f, path), body, sizeof(in) + (size_t)len + 1, answer);
	assert_true(n >= 0 || n == -ENODATA);
	return n < 0 ? NULL : mem_printf("%.*s", (int)n, answer);
}

static void assert_attributes(struct fixture *f, const char *path, const char *const (*wanted)[2],
                              size_t count)
{
	for (size_t i = 0; i < count; i++) {
		_cleanup(free) char *value = attribute(f, path, wanted[i][0]);
		const char *want = wanted[i][1];

		if (!str_equal(value ? value : "(none)", want ? want : "(none)"))
			fail_msg("%s of %s is %s, not %s", wanted[i][0], path, value ? value : "(none)",
			         want ? want : "(none)");
	}
}

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void extended_attributes(void **state)
{
	static const char *const of_dump[][2] = {
	        {"sha256", A64},     {"stored_bytes", "100"}, {"format", "custom"},
	        {"content", "full"}, {"compression", "gzip"}, {"verified_at", "2026-11-20T02:00:05Z"},
	        {"partial", "no"},   {"note", NULL},          {"run", "7"},
	        {"nothing", NULL},
	};
	static const char *const of_tables[][2] = {
	        {"sha256", B64}, {"stored_bytes", "10"}, {"job", "full"},
	        {"run", "7"},    {"database", "shop"},   {"state", "completed"},
	};
	static const char *const of_tree[][2] = {
	        {"sha256", A64}, {"stored_bytes", "30"}, {"format", "directory"}};
	static const char *const of_toc[][2] = {{"sha256", B64}, {"stored_bytes", "10"}};
	static const char *const of_schema[][2] = {{"partial", "yes"},
	                                           {"note", "before the release"},
	                                           {"content", "schema"},
	                                           {"verified_at", NULL}};
	static const char *const of_directory[][2] = {{"sha256", NULL}};
	struct fixture *f = *state;

	add_some(f);
	assert_attributes(f, "backups/full/" DUMP, of_dump, ARRAY_SIZE(of_dump));
	assert_attributes(f, "backups/full/" TABLES, of_tables, ARRAY_SIZE(of_tables));
	assert_attributes(f, "backups/full/" TREE, of_tree, ARRAY_SIZE(of_tree));
	assert_attributes(f, "backups/full/" TREE "/toc.dat", of_toc, ARRAY_SIZE(of_toc));
	assert_attributes(f, "backups/full/" SCHEMA, of_schema, ARRAY_SIZE(of_schema));
	assert_attributes(f, "backups/full", of_directory, ARRAY_SIZE(of_directory));
}

static bool has_name(const char *names, size_t len, const char *name)
{
	for (const char *p = names; p < names + len; p += strlen(p) + 1) {
		if (strcmp(p, name) == 0)
			return true;
	}
	return false;
}

static void extended_attributes_are_listed(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_getxattr_in in = {.size = 4096};
	struct fixture *f = *state;
	ssize_t n;

	add_some(f);
	n = ask(f, FUSE_LISTXATTR, ino_at(f, "backups/full/" TREE "/toc.dat"), &in, sizeof(in), answer);
	assert_true(n > 0);
	assert_true(has_name(answer, (size_t)n, "user.keepfs.verified_at"));
	assert_true(has_name(answer, (size_t)n, "user.keepfs.compression"));
	assert_false(has_name(answer, (size_t)n, "user.keepfs.note"));
	assert_int_equal(ask(f, FUSE_LISTXATTR, ino_at(f, "backups/full"), &in, sizeof(in), answer), 0);
	in.size = 4;
	assert_int_equal(ask(f, FUSE_LISTXATTR, ino_at(f, "backups/full/" TREE), &in, sizeof(in), answer),
	                 -ERANGE);
}

/* A damaged file damages the whole of it. */
static void damage_shows_on_all_files(void **state)
{
	static const char *const damaged[][2] = {{"state", "damaged"}};
	struct fixture *f = *state;

	add_some(f);
	assert_int_equal(catalog_mark_damaged(f->catalog, ino_at(f, "backups/full/" TREE), "bad", NULL), 0);
	assert_attributes(f, "backups/full/" TREE, damaged, 1);
	assert_attributes(f, "backups/full/" TREE "/toc.dat", damaged, 1);
}

/* Removal */

static int try_remove(struct fixture *f, uint32_t opcode, const char *directory, const char *name)
{
	static char answer[MESSAGE_BYTES];

	return (int)ask(f, opcode, ino_at(f, directory), name, strlen(name) + 1, answer);
}

/* The lines of status/last-error without their times; on the heap. */
static char *last_error(struct fixture *f)
{
	_cleanup(spool) struct spool *out = spool_new(f->directory);
	char buf[4096], *rest = buf, *line;
	struct str lines = {0};
	ssize_t n;

	report_last_error(f->troubles, out);
	n = spool_read(out, buf, sizeof(buf) - 1, 0);
	assert_true(n >= 0);
	buf[n] = '\0';
	while ((line = strsep(&rest, "\n")) && *line)
		str_appendf(&lines, "%s\n", line + CLOCK_ISO_BYTES);
	return str_take(&lines);
}

static void what_cannot_be_removed_says_what_can(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *why = NULL;

	add_some(f);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "backups/full", TABLES), -EPERM);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "backups/full/" TREE, "toc.dat"), -EPERM);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "backups/full/" TREE, "3456.dat.gz"), -EPERM);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "backups/full", "latest"), -EPERM);
	assert_int_equal(try_remove(f, FUSE_RMDIR, "backups", "full"), -EPERM);
	why = last_error(f);
	assert_string_equal(
	        why,
	        "EPERM backups/full: only backups can be removed: this directory is made by keepfs itself\n"
	        "EPERM backups/full/latest: only backups can be removed: this file is made by keepfs itself\n"
	        "EPERM backups/full/" TREE
	        ": its files are one backup and go together; remove the directory itself: rmdir " TREE
	        " (2 times)\n"
	        "EPERM backups/full/" TABLES
	        ": it belongs to a backup and goes with it; remove that one: rm " DUMP "\n");
	assert_int_equal(try_remove(f, FUSE_RMDIR, "backups/full", DUMP), -ENOTDIR);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "backups/full", TREE), -EISDIR);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "backups/full", "nothing"), -ENOENT);
	assert_lists(f, "backups/full/" TREE, "./ ../ toc.dat 3456.dat.gz SHA256SUMS ");
}

/* Once the workers are done, all that they had to tell the kernel. */
static const char *told(struct fixture *f)
{
	char rest[1];

	fs_finish_commands(f->fs);
	assert_int_equal(receive(f, rest, sizeof(rest), MSG_DONTWAIT), -EAGAIN);
	return str_text(&f->told);
}

static void rm_takes_along_what_lies_beside(void **state)
{
	struct fixture *f = *state;

	add_some(f);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "backups/full", DUMP), 0);
	/* Its own name is forgotten by whoever asked for it. */
	assert_string_equal(told(f),
	                    "links/" DUMP "\nlinks/" TABLES "\nlinks/" GLOBALS "\n" TABLES "\n" GLOBALS "\n");
	assert_lists(f, "backups/full", "./ ../ latest SHA256SUMS " TREE "/ " SCHEMA " ");
}

static void rmdir_takes_a_directory_whole(void **state)
{
	struct fixture *f = *state;
	uint64_t inside;
	struct node node;

	add_some(f);
	inside = ino_at(f, "backups/full/" TREE "/toc.dat");
	assert_int_equal(try_remove(f, FUSE_RMDIR, "backups/full", TREE), 0);
	assert_string_equal(told(f), "links/" TREE "\n");
	assert_int_equal(find(f, "backups/full/" TREE, &node), -ENOENT);
	assert_int_equal(node_load(f->fs, inside, &node), -ENOENT);
	assert_int_equal(stat_at(f, "backups/full").st_nlink, 2);
	assert_lists(f, "backups/full",
	             "./ ../ latest.dump SHA256SUMS " DUMP " " SCHEMA " " TABLES " " GLOBALS " ");
}

/* Whoever looked at a run just before it ended must not keep its text as that of its end: nothing would
 * change it any more, and who waits for the end would wait for ever. */
static void a_run_that_ends_while_its_status_is_made(void **state)
{
	const struct catalog_run run = {.job = "full", .kind = "dump"};
	struct fixture *f = *state;
	struct node root, jobs, directory, before;
	struct text *text = NULL;
	char number[24], words[1024] = "";
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, &run, &id, NULL), 0);
	assert_int_equal(catalog_start_run(f->catalog, id, NULL), 0);
	snprintf(number, sizeof(number), "%" PRId64, id);
	assert_int_equal(node_load(f->fs, FUSE_ROOT_ID, &root), 0);
	assert_int_equal(node_child(f->fs, &root, "jobs", &jobs), 0);
	assert_int_equal(node_child(f->fs, &jobs, number, &directory), 0);
	assert_int_equal(node_child(f->fs, &directory, "status", &before), 0);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_COMPLETED, NULL, NULL), 0);
	assert_int_equal(text_open(f->fs, &before, &text), 0);
	assert_true(text_read(text, words, sizeof(words) - 1, 0) > 0);
	text_unref(text);
	assert_non_null(strstr(words, "state completed\n"));
}

/* How many bytes the text of status/metrics.prom has for this open; it must hold @line. */
static uint64_t open_metrics(struct fixture *f, const char *line)
{
	static char words[64 << 10];
	struct text *text = NULL;
	struct node node;
	uint64_t bytes;
	ssize_t n;

	assert_int_equal(find(f, "status/metrics.prom", &node), 0);
	assert_int_equal(text_open(f->fs, &node, &text), 0);
	bytes = text_bytes(text);
	n = text_read(text, words, sizeof(words) - 1, 0);
	assert_int_equal(n, bytes);
	words[n] = '\0';
	assert_non_null(strstr(words, line));
	text_unref(text);
	return bytes;
}

/* Counters change without the catalog: each open makes the text anew, and the size is that of the last. */
static void metrics_are_of_now(void **state)
{
	static struct store_metrics metrics;
	struct fixture *f = *state;
	uint64_t bytes;

	f->fs->ctx.store_metrics = &metrics;
	open_metrics(f, "\nkeepfs_store_calls_total{call=\"get\"} 0\n");
	atomic_store(&metrics.of[STORE_CALL_GET].calls, UINT64_MAX);
	bytes = open_metrics(f, "\nkeepfs_store_calls_total{call=\"get\"} 18446744073709551615\n");
	assert_int_equal(stat_at(f, "status/metrics.prom").st_size, bytes);
}

static void the_last_one_stays(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *why = NULL;

	add(f, "full/" TREE, false, tree_files);
	add(f, "full/" SCHEMA, true, NULL);
	assert_int_equal(try_remove(f, FUSE_RMDIR, "backups/full", TREE), -EPERM);
	/* The kernel may have dropped it: it is told to ask anew. */
	assert_string_equal(told(f), "links/" TREE "\n" TREE "\n");
	why = last_error(f);
	assert_true(str_starts(why, "EPERM backups/full/" TREE));
	assert_lists(f, "backups/full/" TREE, "./ ../ toc.dat 3456.dat.gz SHA256SUMS ");
}

/* Links */

static void links_mirror_backups(void **state)
{
	struct fixture *f = *state;

	add_some(f);
	add(f, "tenants/a=20b/" DUMP, false, NULL);
	assert_lists(f, "links", "./ ../ backups/ ");
	assert_lists(f, "links/backups", "./ ../ full/ tenants/ ");
	assert_int_equal(stat_at(f, "links").st_nlink, 3);
	assert_lists(f, "links/backups/full",
	             "./ ../ latest " DUMP " " TREE "/ " SCHEMA " " TABLES " " GLOBALS " ");
	assert_lists(f, "links/backups/full/" TREE, "./ ../ toc.dat 3456.dat.gz SHA256SUMS ");
	assert_lists(f, "links/backups/tenants", "./ ../ a=20b/ ");
	assert_lists(f, "links/backups/tenants/a=20b", "./ ../ latest.dump " DUMP " ");
	assert_int_equal(stat_at(f, "links/backups").st_nlink, 4);
	assert_int_equal(stat_at(f, "links/backups/full").st_nlink, 3);
	assert_int_equal(stat_at(f, "links/backups/full").st_mode, S_IFDIR | 0750);
	assert_int_equal(stat_at(f, "links/backups/full").st_mtim.tv_sec,
	                 stat_at(f, "backups/full").st_mtim.tv_sec);
}

static void root_is_counted(struct fixture *f)
{
	struct node root;
	struct stat st;

	assert_int_equal(node_load(f->fs, INO_ROOT, &root), 0);
	assert_int_equal(node_stat(f->fs, &root, &st), 0);
	assert_int_equal(st.st_nlink, 7);
}

/* Nothing has the number of something else, and numbers of nothing lead nowhere. */
static void links_mirror_backups_numbers(void **state)
{
	static const char *const paths[] = {"full",       "full/latest",           "full/" DUMP,
	                                    "full/" TREE, "full/" TREE "/toc.dat", "full/" TABLES};
	static const uint64_t none[] = {INO_ROOT,    INO_BACKUPS,
	                                INO_LINKS,   INO_STATUS,
	                                INO_CONTROL, INO_FIXED,
	                                0,           UINT64_C(1) << 60 | 1 << 3,
	                                (1 << 20),   UINT64_C(5) << 61 | 12};
	struct fixture *f = *state;
	struct node node;

	add_some(f);
	root_is_counted(f);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup(free) char *backup = mem_printf("backups/%s", paths[i]);
		_cleanup(free) char *link = mem_printf("links/backups/%s", paths[i]);

		assert_int_equal(ino_at(f, link), ino_link(ino_at(f, backup)));
		assert_int_equal(node_load(f->fs, ino_at(f, link), &node), 0);
		assert_int_equal(node.ino, ino_at(f, link));
		assert_true(node.mirrored);
	}
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_int_equal(node_load(f->fs, ino_link(none[i]), &node), -ENOENT);
	assert_int_equal(node_load(f->fs, ino_link(ino_at(f, "backups/full/SHA256SUMS")), &node), -ENOENT);
}

static void links_go_with_their_backups(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *why = NULL;
	uint64_t inside;
	struct node node;

	add_some(f);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "links/backups/full", DUMP), -EPERM);
	assert_int_equal(try_remove(f, FUSE_RMDIR, "links/backups/full", TREE), -EPERM);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "links/backups/full/" TREE, "toc.dat"), -EPERM);
	assert_int_equal(try_remove(f, FUSE_RMDIR, "links/backups", "full"), -EPERM);
	why = last_error(f);
#define MIRROR ": links/ only mirrors backups/: what is removed there vanishes here\n"
	assert_string_equal(why, "EPERM links/backups/full" MIRROR "EPERM links/backups/full/" TREE
	                         "/toc.dat" MIRROR "EPERM links/backups/full/" TREE MIRROR
	                         "EPERM links/backups/full/" DUMP MIRROR);
	inside = ino_at(f, "links/backups/full/" TREE "/toc.dat");
	assert_int_equal(try_remove(f, FUSE_RMDIR, "backups/full", TREE), 0);
	assert_int_equal(find(f, "links/backups/full/" TREE, &node), -ENOENT);
	assert_int_equal(node_load(f->fs, inside, &node), -ENOENT);
	assert_int_equal(stat_at(f, "links/backups/full").st_nlink, 2);
}

/* Opens for reading, unless @flags say else; what the file holds (heap), with errno's negative NULL. */
static char *open_and_read(struct fixture *f, const char *path, uint32_t flags, int *ret_result)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_open_in how = {.flags = flags};
	struct fuse_read_in in = {.size = 4096};
	struct fuse_release_in out = {0};
	uint64_t ino = ino_at(f, path);
	char *text;
	ssize_t n = ask(f, FUSE_OPEN, ino, &how, sizeof(how), answer);

	*ret_result = n < 0 ? (int)n : 0;
	if (n < 0)
		return NULL;
	assert_true(((const struct fuse_open_out *)answer)->open_flags & FOPEN_DIRECT_IO);
	in.fh = out.fh = ((const struct fuse_open_out *)answer)->fh;
	n = ask(f, FUSE_READ, ino, &in, sizeof(in), answer);
	assert_true(n >= 0);
	text = mem_printf("%.*s", (int)n, answer);
	in.offset = (uint64_t)n;
	assert_int_equal(ask(f, FUSE_READ, ino, &in, sizeof(in), answer), 0);
	assert_int_equal(ask(f, FUSE_RELEASE, ino, &out, sizeof(out), answer), 0);
	return text;
}

static void see_audit(void *arg, const struct catalog_audit *entry)
{
	str_appendf(arg, "%s %s %s %.12s;", entry->action, entry->object, entry->result, entry->detail);
}

static char *audited(struct fixture *f)
{
	struct str seen = {0};

	assert_int_equal(catalog_audits(f->catalog, see_audit, &seen), 0);
	return str_take(&seen);
}

static void assert_link(struct fixture *f, const char *path)
{
	_cleanup(free) char *begin = mem_printf(
	        "https://bucket.s3.us-east-1.amazonaws.com/pre/%s?X-Amz-Algorithm=", path + strlen("links/"));
	_cleanup(free) char *line = NULL;
	int result;

	line = open_and_read(f, path, 0, &result);
	assert_int_equal(result, 0);
	assert_true(str_starts(line, begin));
	assert_non_null(strstr(line, "&X-Amz-Expires=900&"));
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_int_equal(stat_at(f, path).st_size, strlen(line));
}

static void attributes_of_links(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *audits = NULL;
	struct stat st;

	add_some(f);
	st = stat_at(f, "links/backups/full/" DUMP);
	assert_int_equal(st.st_mode, S_IFREG | 0440);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_mtim.tv_sec, FINISHED);
	assert_true(st.st_size > 200);
	assert_int_equal(st.st_blocks, 1);
	assert_int_equal(stat_at(f, "links/backups/full/" GLOBALS).st_mode, S_IFREG | 0400);
	assert_int_equal(stat_at(f, "links/backups/full/" TREE).st_mode, S_IFDIR | 0550);
	assert_int_equal(stat_at(f, "links/backups/full/latest").st_size, strlen(TREE));
	assert_null(attribute(f, "links/backups/full/" DUMP, "sha256"));
	assert_null(attribute(f, "links/backups/full/" TREE, "sha256"));
	/* All that was seen, and nobody was given a URL. */
	audits = audited(f);
	assert_string_equal(audits, "");
}

static void each_open_makes_a_url(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *audits = NULL;

	add_some(f);
	assert_link(f, "links/backups/full/" DUMP);
	assert_link(f, "links/backups/full/" DUMP);
	assert_link(f, "links/backups/full/" TABLES);
	assert_link(f, "links/backups/full/" TREE "/SHA256SUMS");
	audits = audited(f);
	assert_string_equal(audits, "link backups/full/" TREE "/SHA256SUMS ok valid until ;"
	                            "link backups/full/" TABLES " ok valid until ;"
	                            "link backups/full/" DUMP " ok valid until ;"
	                            "link backups/full/" DUMP " ok valid until ;");
}

static void a_link_is_only_read(void **state)
{
	static const uint32_t flags[] = {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC};
	struct fixture *f = *state;
	_cleanup(free) char *audits = NULL;
	int result;

	add_some(f);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		assert_null(open_and_read(f, "links/backups/full/" DUMP, flags[i], &result));
		assert_int_equal(result, -EPERM);
	}
	audits = audited(f);
	assert_string_equal(audits, "");
}

/* One line, whoever reads the whole tree. */
static void a_directory_has_no_urls(void **state)
{
	static const char *const paths[] = {"links/backups/full/" DUMP, "links/backups/full/" TABLES};
	struct fixture *f = *state;
	_cleanup(free) char *why = NULL, *audits = NULL;
	int result;

	add_some(f);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		assert_int_equal(stat_at(f, paths[i]).st_size, 0);
		assert_null(open_and_read(f, paths[i], 0, &result));
		assert_int_equal(result, -EOPNOTSUPP);
	}
	why = last_error(f);
	assert_true(str_starts(why, "EOPNOTSUPP links: the store dir:/tmp/"));
	assert_true(str_ends(why,
	                     "/objects is a directory and has no URLs: copy the file from backups/ of the "
	                     "mount instead (2 times)\n"));
	audits = audited(f);
	assert_string_equal(audits, "");
}

static void no_link_to_what_is_damaged(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *why = NULL, *audits = NULL;
	int result;

	add_some(f);
	assert_int_equal(catalog_mark_damaged(f->catalog, ino_at(f, "backups/full/" DUMP), "bad", NULL), 0);
	assert_null(open_and_read(f, "links/backups/full/" DUMP, 0, &result));
	assert_int_equal(result, -EIO);
	why = last_error(f);
	assert_true(str_starts(why, "EIO links/backups/full/" DUMP ": no link, since backups/full/" DUMP
	                            " is damaged"));
	audits = audited(f);
	assert_string_equal(audits, "");
	assert_link(f, "links/backups/full/" TABLES);
}

static void no_link_without_credentials(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *why = NULL;
	int result;

	f->conf.store.access_key = f->conf.store.secret_key = (char *)"";
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	add_some(f);
	assert_int_equal(stat_at(f, "links/backups/full/" DUMP).st_size, 0);
	assert_null(open_and_read(f, "links/backups/full/" DUMP, 0, &result));
	assert_int_equal(result, -ENOKEY);
	why = last_error(f);
	assert_true(str_starts(why, "ENOKEY links/backups/full/" DUMP ": "));
	assert_non_null(strstr(why, "/nonexistent"));
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
}

int main(void)
{
#define TREE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define LINK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_s3, tear_down)
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_interrupt_that_came_first),
	        TREE_TEST(all_that_belongs_to_an_artifact_is_listed),
	        TREE_TEST(a_directory_of_many_files),
	        TREE_TEST(attributes),
	        TREE_TEST(what_is_not_there),
	        TREE_TEST(the_latest_one),
	        TREE_TEST(what_is_stored_hides_what_is_made_up),
	        TREE_TEST(extended_attributes),
	        TREE_TEST(extended_attributes_are_listed),
	        TREE_TEST(damage_shows_on_all_files),
	        TREE_TEST(what_cannot_be_removed_says_what_can),
	        TREE_TEST(rm_takes_along_what_lies_beside),
	        TREE_TEST(rmdir_takes_a_directory_whole),
	        TREE_TEST(the_last_one_stays),
	        TREE_TEST(a_run_that_ends_while_its_status_is_made),
	        TREE_TEST(links_mirror_backups),
	        TREE_TEST(links_mirror_backups_numbers),
	        TREE_TEST(links_go_with_their_backups),
	        TREE_TEST(a_directory_has_no_urls),
	        LINK_TEST(attributes_of_links),
	        LINK_TEST(each_open_makes_a_url),
	        LINK_TEST(a_link_is_only_read),
	        LINK_TEST(no_link_to_what_is_damaged),
	        LINK_TEST(no_link_without_credentials),
	        TREE_TEST(metrics_are_of_now),
	};

	return cmocka_run_group_tests_name("fs", tests, NULL, NULL);
}
