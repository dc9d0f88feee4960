// SPDX-License-Identifier: Apache-2.0
/* See fs_test.h. */
#include "fs_test.h"
#include "../support/manifests.h"

#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>

#include "../support/tree.h"

static ssize_t device_read(int fd, void *buf, size_t len, void *userdata)
{
	return read(fd, buf, len);
}

static ssize_t device_write(int fd, struct iovec *iov, int count, void *userdata)
{
	return writev(fd, iov, count);
}

void serve_one(struct fuse_session *session)
{
	struct fuse_buf buf = {0};

	assert_true(fuse_session_receive_buf(session, &buf) > 0);
	fuse_session_process_buf(session, &buf);
	free(buf.mem);
}

static const struct fuse_lowlevel_ops operations = {
        .lookup = op_lookup,
        .getattr = op_getattr,
        .setattr = op_setattr,
        .readlink = op_readlink,
        .open = op_open,
        .create = op_create,
        .read = op_read,
        .write = op_write,
        .flush = op_flush,
        .release = op_release,
        .poll = op_poll,
        .unlink = op_unlink,
        .rmdir = op_rmdir,
        .readdir = op_readdir,
        .readdirplus = op_readdirplus,
        .getxattr = op_getxattr,
        .listxattr = op_listxattr,
};

ssize_t receive(struct fixture *f, char *body, size_t size, int flags)
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

ssize_t ask(struct fixture *f, uint32_t opcode, uint64_t ino, const void *body, size_t len, char *answer)
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

static void connect_kernel(struct fixture *f, const struct fuse_lowlevel_ops *ops)
{
	static const struct fuse_custom_io io = {.read = device_read, .writev = device_write};
	const struct fuse_init_in init = {.major = 7, .minor = 31, .max_readahead = 65536};
	static char answer[MESSAGE_BYTES];
	char *argv[] = {(char *)"test", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	f->kernel = ends[1];
	f->fs->session = fuse_session_new(&args, ops, sizeof(*ops), f->fs);
	fuse_opt_free_args(&args);
	assert_int_equal(fuse_session_custom_io(f->fs->session, &io, ends[0]), 0);
	assert_true(ask(f, FUSE_INIT, 0, &init, sizeof(init), answer) > 0);
}

static int set_up_over(void **state, const char *url, const struct fuse_lowlevel_ops *ops)
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
	f->conf.store.secret_key.value = (char *)"hush-hush";
	/* An S3 store without a network: no request is made. */
	assert_int_equal(url ? store_s3_new(&f->conf.store, NULL, &f->store, NULL)
	                     : store_open(&f->conf.store, NULL, NULL, &f->store, NULL),
	                 0);
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
	f->troubles = report_troubles_new();
	f->repository = (struct repository){.store = f->store, .catalog = f->catalog};
	ctx = (struct fs_context){.conf = &f->conf, .repository = &f->repository, .troubles = f->troubles};
	assert_int_equal(fs_new(&ctx, &f->fs, NULL), 0);
	connect_kernel(f, ops);
	*state = f;
	return 0;
}

int set_up(void **state)
{
	return set_up_over(state, NULL, &operations);
}

int set_up_s3(void **state)
{
	return set_up_over(state, "s3://bucket/pre", &operations);
}

int set_up_with(void **state, const struct fuse_lowlevel_ops *ops)
{
	return set_up_over(state, NULL, ops);
}

int tear_down(void **state)
{
	struct fixture *f = *state;

	fs_free(f->fs);
	close(f->kernel);
	report_troubles_free(f->troubles);
	catalog_free(f->catalog);
	store_free(f->store);
	remove_tree(f->directory);
	str_finish(&f->told);
	free(f->url);
	free(f);
	return 0;
}

void add(struct fixture *f, const char *name, bool partial, const char *const *files)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *path = mem_printf("backups/%s", name), *directory = mem_strdup(path);
	char *base = strrchr(directory, '/'), a[SHA256_HEX_BYTES] = "", b[SHA256_HEX_BYTES] = "";

	*base++ = '\0';
	memset(a, 'a', SHA256_HEX_BYTES - 1);
	memset(b, 'b', SHA256_HEX_BYTES - 1);
	manifest_describe(&m, path, 7, "shop");
	manifest_set_fact(&m, "server_version", "17.2");
	manifest_set_fact(&m, "tool_version", "17.2");
	m.is_directory = !strchr(base, '.');
	manifest_set_fact(&m, "format", m.is_directory ? "directory" : "custom");
	manifest_set_fact(&m, "content", partial ? "schema" : "full");
	m.note = partial ? mem_strdup("before the release") : NULL;
	m.partial = partial;
	m.started_at_us = name_sequence(base) / 1000 * US_PER_S;
	m.finished_at_us = m.started_at_us + 5 * US_PER_S;
	m.verified_at_us = partial ? 0 : m.finished_at_us;
	if (m.is_directory)
		str_copy(m.sha256, sizeof(m.sha256), a);
	else
		manifest_put_own(&m, 100, 1, a);
	for (; files && *files; files++) {
		manifest_put_file(&m, *files, 10, 1, b);
		m.files[m.file_count - 1].secret = strstr(*files, "secret") || str_equal(*files, GLOBALS);
		m.size_bytes += m.is_directory ? 10 : 0;
	}
	manifest_seal(&m);
	assert_int_equal(catalog_ensure_directory(f->catalog, directory, m.finished_at_us, NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
}

const char *const dump_files[3] = {TABLES, GLOBALS, NULL};
const char *const tree_files[4] = {"toc.dat", "3456.dat.gz", "SHA256SUMS", NULL};

void add_some(struct fixture *f)
{
	add(f, "full/" DUMP, false, dump_files);
	add(f, "full/" TREE, false, tree_files);
	add(f, "full/" SCHEMA, true, NULL);
}

int find(struct fixture *f, const char *path, struct node *ret)
{
	_cleanup(free) char *copy = mem_strdup(path);
	char *rest = copy, *name;
	int r = node_load(f->fs, INO_ROOT, ret);

	while (r == 0 && (name = strsep(&rest, "/")) && *name) {
		struct node parent = *ret;

		r = node_child(f->fs, &parent, name, ret);
	}
	return r;
}

uint64_t ino_at(struct fixture *f, const char *path)
{
	struct node node;

	if (find(f, path, &node) < 0)
		fail_msg("%s is not there", path);
	return node.ino;
}

struct stat stat_at(struct fixture *f, const char *path)
{
	struct node node;
	struct stat st;

	assert_int_equal(find(f, path, &node), 0);
	assert_int_equal(node_stat(f->fs, &node, &st), 0);
	assert_int_equal(st.st_ino, node.ino);
	return st;
}

char *list(struct fixture *f, const char *path, uint32_t size, bool plus)
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

void assert_lists(struct fixture *f, const char *path, const char *names)
{
	for (uint32_t size = 256; size <= 8192; size *= 2) {
		for (int plus = 0; plus <= 1; plus++) {
			_cleanup(free) char *listed = list(f, path, size, plus);

			assert_string_equal(listed, names);
		}
	}
}

char *attribute(struct fixture *f, const char *path, const char *name)
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

int try_remove(struct fixture *f, uint32_t opcode, const char *directory, const char *name)
{
	static char answer[MESSAGE_BYTES];

	return (int)ask(f, opcode, ino_at(f, directory), name, strlen(name) + 1, answer);
}

char *last_error(struct fixture *f)
{
	_cleanup(spool) struct spool *out = spool_new(f->directory);
	char buf[4096], *rest = buf, *line;
	struct str lines = {0};
	ssize_t n;

	assert_int_equal(report_last_error(&(struct report_sources){.troubles = f->troubles}, out), 0);
	n = spool_read(out, buf, sizeof(buf) - 1, 0);
	assert_true(n >= 0);
	buf[n] = '\0';
	while ((line = strsep(&rest, "\n")) && *line)
		str_appendf(&lines, "%s\n", line + CLOCK_ISO_BYTES);
	return str_take(&lines);
}

const char *told(struct fixture *f)
{
	char rest[1];

	fs_finish_commands(f->fs);
	assert_int_equal(receive(f, rest, sizeof(rest), MSG_DONTWAIT), -EAGAIN);
	return str_text(&f->told);
}
