// SPDX-License-Identifier: Apache-2.0
/* The tables of made files and the classes: nothing in them is forgotten, and what has no slot has its errno.
 * */
#include "fs_test.h"

#include <keepfs/catalog/runs.h>
#include <keepfs/codec/name.h>

static const struct table {
	const char *path;
	const struct made_files *files;
} tables[] = {{"status", &status_files}, {"control", &control_files}, {"jobs/1", &run_files}};

#define LAST_POSITION                                                                                        \
	60 /* that may be given out: it has an offset of its own (dir.h), and no other inode number lies there (node.h) */

static void a_row_is_a_text_or_a_command(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		for (size_t j = 0; j < tables[i].files->count; j++) {
			const struct made_file *file = &tables[i].files->rows[j];
			int writers = !!file->write + !!file->report + !!file->follow;
			bool text = writers == 1 && file->generation && !file->run && !file->help;
			bool command = file->run && file->help && writers == 0 && !file->generation;

			if (!file->name || !name_is_safe(file->name))
				fail_msg("row %zu of %s has no name", j, tables[i].path);
			if (!text && !command)
				fail_msg(
				        "%s/%s: a row has generation and one of write, report and follow, or it has run and help",
				        tables[i].path, file->name);
		}
	}
}

static void rows_ascend(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		const struct made_files *files = tables[i].files;

		for (size_t j = 0; j < files->count; j++) {
			assert_true(files->rows[j].number <= LAST_POSITION);
			if (j > 0 && files->rows[j].number <= files->rows[j - 1].number)
				fail_msg("%s/%s must have a greater number than the row above it",
				         tables[i].path, files->rows[j].name);
			assert_ptr_equal(made_file_at(files, files->rows[j].number), &files->rows[j]);
		}
	}
	/* A file of a run has three bits of its inode number, and 0 is the directory. */
	assert_true(run_files.rows[run_files.count - 1].number < 7);
}

static void no_number_or_name_twice(void **state)
{
	for (size_t i = 0; i < status_files.count; i++)
		assert_null(made_file_at(&control_files, status_files.rows[i].number));
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		const struct made_files *files = tables[i].files;

		for (size_t j = 0; j < files->count; j++) {
			for (size_t k = 0; k < j; k++)
				assert_string_not_equal(files->rows[j].name, files->rows[k].name);
		}
	}
}

/* Programs remember inode numbers: those of today are for ever. */
static void files_keep_their_numbers(void **state)
{
	static const struct {
		const char *path;
		uint64_t ino;
	} known[] = {
	        {"backups", 2},
	        {"jobs", 3},
	        {"status", 4},
	        {"control", 5},
	        {"links", 6},
	        {"links/backups", 7},
	        {"status/health", 16},
	        {"status/history.csv", 17},
	        {"status/history.jsonl", 18},
	        {"status/stats.json", 19},
	        {"status/last-error", 20},
	        {"status/config", 21},
	        {"status/audit.jsonl", 22},
	        {"control/trigger", 23},
	        {"control/probe", 24},
	        {"control/README", 25},
	        {"status/metrics.prom", 26},
	        {"status/dashboard.html", 29},
	        {"status/backups.jsonl", 32},
	        {"status/recovery", 33},
	        {"status/keys", 35},
	        {"control/drill", 43},
	        {"drills", 11},
	        {"inside", 12},
	        {"diff", 14},
	        {"copies", UINT64_C(5) << 58},
	        {"status/diffs", 30},
	        {"status/schedule", 27},
	        {"status/schedule.json", 31},
	        {"control/schedule", 36},
	        {"tiers", 10},
	        {"tiers/daily", UINT64_C(1) << 63 | UINT64_C(1) << 58},
	        {"status/retention", 28},
	        {"control/prune", 37},
	        {"control/hold", 38},
	        {"control/ack", 39},
	        {"control/undelete", 40},
	        {"control/verify", 41},
	        {"control/restore", 42},
	        {"control/rescue", 44},
	        {"jobs/1", UINT64_C(1) << 60 | 8},
	        {"jobs/1/status", UINT64_C(1) << 60 | 9},
	        {"jobs/1/progress", UINT64_C(1) << 60 | 10},
	        {"jobs/1/log", UINT64_C(1) << 60 | 11},
	        {"jobs/1/cancel", UINT64_C(1) << 60 | 12},
	};
	const struct catalog_run run = {.job = "full", .kind = "dump"};
	struct fixture *f = *state;
	_cleanup(free) char *files = NULL;
	struct node node;
	int64_t id;

	assert_int_equal(catalog_add_run(f->catalog, &run, &id, NULL), 0);
	assert_int_equal(id, 1);
	/* How far a live one is would be asked of the jobs, which this tree has none of. */
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_CANCELLED, NULL, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		assert_int_equal(ino_at(f, known[i].path), known[i].ino);
		assert_int_equal(node_load(f->fs, known[i].ino, &node), 0);
		assert_int_equal(node.ino, known[i].ino);
	}
	assert_lists(
	        f, "",
	        "./ ../ backups/ exports/ jobs/ status/ control/ links/ tiers/ drills/ inside/ history/ diff/ copies/ inbox/ wal/ ");
	assert_lists(
	        f, "status",
	        "./ ../ health history.csv history.jsonl stats.json last-error config audit.jsonl "
	        "metrics.prom schedule retention dashboard.html diffs schedule.json backups.jsonl recovery keys replicas replicas.jsonl confirmations evidence/ recovery.json thaws ");
	assert_lists(
	        f, "control",
	        "./ ../ trigger probe README schedule prune hold ack undelete verify restore drill rescue import restore-tenant erase replicate confirm rewrap adopt thaw ");
	assert_lists(f, "jobs", "./ ../ 1/ ");
	/* Without attributes: that of progress asks them in any case. */
	files = list(f, "jobs/1", 4096, false);
	assert_string_equal(files, "./ ../ status progress log cancel ");
}

/* No number in between, or behind, is that of anything. */
static void other_numbers_are_nobodys(void **state)
{
	const uint64_t run = UINT64_C(1) << 60 | 1 << 3;
	const uint64_t inos[] = {0,
	                         UINT64_C(1) << 57 | 1,
	                         UINT64_C(3) << 56,
	                         70,
	                         71,
	                         UINT64_C(1) << 32 | 16,
	                         run,
	                         run | 1,
	                         run | 5,
	                         run | 7};
	struct fixture *f = *state;
	struct node node;

	for (size_t i = 0; i < ARRAY_SIZE(inos); i++)
		assert_int_equal(node_load(f->fs, inos[i], &node), -ENOENT);
}

/* The whole of a text as `cat` gets it; on the heap. */
static char *read_text(struct fixture *f, const struct node *node)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_open_in how = {.flags = O_RDONLY};
	struct fuse_read_in in = {.size = 4096};
	struct fuse_release_in out = {0};
	struct str text = {0};
	ssize_t n;

	assert_int_equal(ask(f, FUSE_OPEN, node->ino, &how, sizeof(how), answer),
	                 sizeof(struct fuse_open_out));
	assert_true(((const struct fuse_open_out *)answer)->open_flags & FOPEN_DIRECT_IO);
	in.fh = out.fh = ((const struct fuse_open_out *)answer)->fh;
	while ((n = ask(f, FUSE_READ, node->ino, &in, sizeof(in), answer)) > 0) {
		str_append_bytes(&text, answer, (size_t)n);
		in.offset += (uint64_t)n;
	}
	assert_int_equal(n, 0);
	assert_int_equal(ask(f, FUSE_RELEASE, node->ino, &out, sizeof(out), answer), 0);
	return str_take(&text);
}

/* Each can be read, as long as it says it is, and is itself: what is forgotten must not be another file. */
static void each_text_is_its_own(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str seen = {0};

	add_some(f);
	for (size_t i = 0; i < 2; i++) {
		for (size_t j = 0; j < tables[i].files->count; j++) {
			const struct made_file *file = &tables[i].files->rows[j];
			_cleanup(free) char *path = mem_printf("%s/%s", tables[i].path, file->name);
			_cleanup(free) char *text = NULL;
			struct node node;

			if (file->run)
				continue;
			assert_int_equal(find(f, path, &node), 0);
			text = read_text(f, &node);
			assert_int_equal(stat_at(f, path).st_size, strlen(text));
			if (*text && strstr(str_text(&seen), text))
				fail_msg("%s has the text of another file", path);
			str_append(&seen, text);
		}
	}
}

static void readme_has_a_paragraph_of_each_command(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;
	struct node node;
	const char *at;

	assert_int_equal(find(f, "control/README", &node), 0);
	text = read_text(f, &node);
	at = text;
	assert_true(str_starts(text, "One command per write; "));
	for (size_t i = 0; i < control_files.count; i++) {
		const struct made_file *file = &control_files.rows[i];

		if (!file->run)
			continue;
		assert_true(str_starts(file->help, file->name));
		assert_true(str_ends(file->help, "\n"));
		at = strstr(at, file->help);
		if (!at)
			fail_msg("control/README does not have the help of %s, or not in its place",
			         file->name);
		at += strlen(file->help);
	}
	at = strstr(at,
	            "\nTo hand out a backup: cat links/backups/<job>/<name> gives a URL that ends by itself\n"
	            "To stop a run: echo 1 > jobs/<run>/cancel\n"
	            "To remove a backup: rm backups/<job>/<name>, or rm -r when it is a directory.");
	assert_non_null(at);
}

/* The classes. */

static const struct node_class *const classes[] = {
        &class_top,
        &class_fixed_directory,
        &class_root,
        &class_directory,
        &class_linked_root,
        &class_linked_directory,
        &class_latest,
        &class_linked_latest,
        &class_sums,
        &class_artifact,
        &class_file,
        &class_artifact_directory,
        &class_linked_artifact_directory,
        &class_links,
        &class_link,
        &class_tiers,
        &class_tier,
        &class_tier_directory,
        &class_tier_link,
        &class_history,
        &class_history_directory,
        &class_history_table,
        &class_history_link,
        &class_copies,
        &class_copies_directory,
        &class_copies_file,
        &class_copies_sums,
        &class_jobs,
        &class_run,
        &class_run_text,
        &class_text,
        &class_command,
};

static void classes_are_whole(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		const struct node_class *c = classes[i];

		assert_non_null(c->stat);
		assert_int_equal(c->lookup != NULL, S_ISDIR(c->type));
		assert_int_equal(c->list != NULL, S_ISDIR(c->type));
		assert_int_equal(c->open != NULL, S_ISREG(c->type));
		assert_int_equal(c->readlink != NULL, S_ISLNK(c->type));
		assert_true(c->path || !S_ISDIR(c->type));
		assert_true(S_ISDIR(c->type) || !c->create);
		assert_true(c->why_kept || !c->in_links);
		assert_true(!c->in_links || (!c->remove && !c->mirror && !c->facts));
		if (c->mirror) {
			assert_true(c->mirror->in_links);
			assert_int_equal(c->mirror->type, c->type);
		}
	}
}

/* What the kernel may keep for an hour leaves or changes only through the mount, or the kernel is told. */
static void the_kernel_keeps_what_lasts(void **state)
{
	static const struct {
		const char *directory, *name;
		bool name_lasts, attributes_last;
	} known[] = {
	        {"", "backups", true, true},
	        {"", "jobs", true, true},
	        {"", "status", true, true},
	        {"", "links", true, true},
	        {"links", "backups", true, true},
	        {"backups", "full", true, true},
	        {"backups/full", DUMP, true, true},
	        {"backups/full", TABLES, true, true},
	        {"backups/full", TREE, true, true},
	        {"backups/full/" TREE, "toc.dat", true, true},
	        {"backups/full", "latest", false, false},
	        {"backups/full", "SHA256SUMS", false, false},
	        {"links/backups", "full", true, true},
	        {"links/backups/full", DUMP, true, false},
	        {"links/backups/full", TREE, true, false},
	        {"links/backups/full", "latest", false, false},
	        {"status", "health", true, false},
	        {"control", "trigger", true, false},
	        {"jobs", "1", true, false},
	        {"jobs/1", "status", true, false},
	        {"jobs/1", "cancel", true, false},
	};
	static char answer[MESSAGE_BYTES];
	const struct fuse_entry_out *entry = (const struct fuse_entry_out *)answer;
	const struct catalog_run run = {.job = "full", .kind = "dump"};
	struct fixture *f = *state;
	int64_t id;

	add_some(f);
	assert_int_equal(catalog_add_run(f->catalog, &run, &id, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		assert_int_equal(ask(f, FUSE_LOOKUP, ino_at(f, known[i].directory), known[i].name,
		                     strlen(known[i].name) + 1, answer),
		                 sizeof(*entry));
		if (entry->entry_valid != (known[i].name_lasts ? 3600 : 0) ||
		    entry->attr_valid != (known[i].attributes_last ? 3600 : 0))
			fail_msg("%s/%s", known[i].directory, known[i].name);
	}
}

static int ask_open(struct fixture *f, const char *path, uint32_t flags)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_open_in how = {.flags = flags};

	return (int)ask(f, FUSE_OPEN, ino_at(f, path), &how, sizeof(how), answer);
}

static int ask_truncate(struct fixture *f, const char *path)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_setattr_in in = {.valid = FATTR_SIZE};
	ssize_t n = ask(f, FUSE_SETATTR, ino_at(f, path), &in, sizeof(in), answer);

	return n < 0 ? (int)n : 0;
}

static int ask_create(struct fixture *f, const char *directory)
{
	static char answer[MESSAGE_BYTES];
	struct {
		struct fuse_create_in in;
		char name[2];
	} body = {.in = {.flags = O_WRONLY | O_CREAT, .mode = S_IFREG | 0644}, .name = "x"};

	return (int)ask(f, FUSE_CREATE, ino_at(f, directory), &body, sizeof(body.in) + 2, answer);
}

static int ask_readdir(struct fixture *f, const char *path)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_read_in in = {.size = 4096};

	return (int)ask(f, FUSE_READDIR, ino_at(f, path), &in, sizeof(in), answer);
}

static int ask_readlink(struct fixture *f, const char *path)
{
	static char answer[MESSAGE_BYTES];

	return (int)ask(f, FUSE_READLINK, ino_at(f, path), "", 0, answer);
}

static void what_has_no_slot_has_its_errno(void **state)
{
	static const char *const directories[] = {
	        "",       "backups", "backups/full", "backups/full/" TREE, "jobs",
	        "status", "control", "links",        "links/backups/full"};
	static const char *const files[] = {"backups/full/" DUMP, "backups/full/SHA256SUMS", "status/health",
	                                    "control/README", "links/backups/full/" DUMP};
	struct fixture *f = *state;

	add_some(f);
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		assert_int_equal(ask_open(f, directories[i], O_RDONLY), -EISDIR);
		assert_int_equal(ask_create(f, directories[i]), -EPERM);
		assert_int_equal(ask_truncate(f, directories[i]), -EPERM);
		assert_int_equal(ask_readlink(f, directories[i]), -EINVAL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		assert_int_equal(ask_open(f, files[i], O_WRONLY), -EPERM);
		assert_int_equal(ask_open(f, files[i], O_RDONLY | O_TRUNC), -EPERM);
		assert_int_equal(ask_truncate(f, files[i]), -EPERM);
		assert_int_equal(ask_readdir(f, files[i]), -ENOTDIR);
		assert_int_equal(ask_readlink(f, files[i]), -EINVAL);
	}
	assert_int_equal(ask_open(f, "backups/full/latest", O_RDONLY), -ELOOP);
	assert_int_equal(ask_readdir(f, "backups/full/latest"), -ENOTDIR);
	assert_int_equal(ask_truncate(f, "control/trigger"), 0);
	assert_null(attribute(f, "status/health", "sha256"));
	assert_int_equal(try_remove(f, FUSE_UNLINK, "status", "health"), -EPERM);
	assert_int_equal(try_remove(f, FUSE_RMDIR, "", "jobs"), -EPERM);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_row_is_a_text_or_a_command),
	        cmocka_unit_test(rows_ascend),
	        cmocka_unit_test(no_number_or_name_twice),
	        TREE_TEST(files_keep_their_numbers),
	        TREE_TEST(other_numbers_are_nobodys),
	        TREE_TEST(each_text_is_its_own),
	        TREE_TEST(readme_has_a_paragraph_of_each_command),
	        cmocka_unit_test(classes_are_whole),
	        TREE_TEST(the_kernel_keeps_what_lasts),
	        TREE_TEST(what_has_no_slot_has_its_errno),
	};

	return cmocka_run_group_tests_name("fs_tables", tests, NULL, NULL);
}
