// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as what the kernel hands to the mount: a name to look up in each kind of directory, and the number
 * of an inode. What is found by name is found again by its number, and is the same; no number is that of another node.
 */
#include "../../src/fs/fs_private.h"
#include "../../src/fs/made_file.h"
#include "../support/manifests.h"
#include "fuzz.h"

#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/store.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/tree.h"

#define NODES_MAX 64

static struct tree {
	char directory[32];
	struct conf conf;
	struct repository repository;
	struct fs *fs;
	struct node nodes[NODES_MAX]; /* one of each kind and more */
	size_t count;
} tree;

static void must_work(int r, const char *what)
{
	fuzz_must(r == 0, what, r < 0 ? strerrorname_np(-r) : NULL);
}

static void tear_down(void)
{
	fs_free(tree.fs);
	catalog_free(tree.repository.catalog);
	store_free(tree.repository.store);
	remove_tree(tree.directory);
}

static void add(const char *path, bool partial, const char *const *files)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *directory = mem_strdup(path);

	*strrchr(directory, '/') = '\0';
	manifest_describe(&m, path, 1, "shop");
	m.is_directory = !*name_suffix(strrchr(path, '/') + 1);
	m.partial = partial;
	m.started_at_us = m.finished_at_us = 1;
	if (!m.is_directory)
		manifest_put_own(&m, 100, 1, "");
	for (; files && *files; files++)
		manifest_put_file(&m, *files, 10, 1, "");
	manifest_seal(&m);
	must_work(catalog_ensure_directory(tree.repository.catalog, directory, 1, NULL), "a directory");
	must_work(catalog_add_artifact(tree.repository.catalog, &m, NULL), "an artifact");
}

static void add_some(void)
{
	static const char *const beside[] = {"20261120T020000Z.tables.csv", NULL};
	static const char *const inside[] = {"toc.dat", "base/1/2619", NULL};
	const struct catalog_run run = {.job = "full", .kind = "dump"};
	int64_t id;

	add("backups/full/20261120T020000Z.dump", false, beside);
	add("backups/full/20261121T020000Z", false, inside);
	add("backups/full/20261122T020000Z.schema.dump", true, NULL);
	add("backups/full/20261122T020000Z-2.sql.gz", false, NULL);
	add("backups/tenants/=53HA256SUMS/20261120T020000Z.dump", false, NULL);
	add("backups/media/2026-11.tar.gz", false, NULL);
	must_work(catalog_add_run(tree.repository.catalog, &run, &id, NULL), "a run");
	must_work(catalog_finish_run(tree.repository.catalog, id, RUN_CANCELLED, NULL, NULL), "its end");
}

static void remember(const char *path)
{
	_cleanup(free) char *copy = mem_strdup(path);
	struct node *node = &tree.nodes[tree.count++];
	char *rest = copy, *name;

	must_work(node_load(tree.fs, INO_ROOT, node), "the root");
	while ((name = strsep(&rest, "/")) && *name) {
		struct node parent = *node;

		must_work(node_child(tree.fs, &parent, name, node), path);
	}
}

static void set_up(void)
{
	static const char *const paths[] = {
	        "",
	        "backups",
	        "backups/full",
	        "backups/full/latest.dump",
	        "backups/full/SHA256SUMS",
	        "backups/full/20261120T020000Z.dump",
	        "backups/full/20261120T020000Z.tables.csv",
	        "backups/full/20261121T020000Z",
	        "backups/full/20261121T020000Z/base",
	        "backups/full/20261121T020000Z/base/1/2619",
	        "backups/tenants",
	        "backups/tenants/=53HA256SUMS",
	        "backups/media",
	        "links",
	        "links/backups",
	        "links/backups/full",
	        "links/backups/full/latest",
	        "links/backups/full/20261121T020000Z",
	        "links/backups/full/20261120T020000Z.dump",
	        "jobs",
	        "jobs/1",
	        "jobs/1/log",
	        "status",
	        "status/audit.jsonl",
	        "control",
	        "control/trigger",
	};
	struct fs_context ctx = {.conf = &tree.conf, .repository = &tree.repository};

	str_copy(tree.directory, sizeof(tree.directory), "/tmp/keepfs-fuzz-XXXXXX");
	fuzz_must(mkdtemp(tree.directory) != NULL, "a directory for the catalog", NULL);
	atexit(tear_down);
	tree.conf = (struct conf){.state_dir = tree.directory, .file_mode = 0640, .dir_mode = 0750};
	must_work(store_dir_new(tree.directory, &tree.repository.store, NULL), "a store");
	must_work(catalog_open(tree.directory, &tree.repository.catalog, NULL), "a catalog");
	must_work(fs_new(&ctx, &tree.fs, NULL), "a tree");
	add_some();
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		remember(paths[i]);
}

static bool is_listed_by_the_catalog(const struct node *node)
{
	return node->class == &class_artifact || node->class == &class_artifact_directory ||
	       node->class == &class_directory || node->class == &class_file || node->class == &class_link;
}

static void check_child(const struct node *directory, const char *name)
{
	struct node found, again;
	char target[NAME_MAX_BYTES] = "";
	int r = node_child(tree.fs, directory, name, &found);

	fuzz_must(r == 0 || r == -ENOENT || (r == -ENOTDIR && !node_is_directory(directory)),
	          "a name is there, or it is not", name);
	if (r < 0)
		return;
	fuzz_must(*name && !strchr(name, '/'), "a name is one component", name);
	must_work(node_load(tree.fs, found.ino, &again), "what has a name has a number");
	fuzz_must(again.ino == found.ino && again.class == found.class, "the same by name and number", name);
	if (is_listed_by_the_catalog(&found))
		fuzz_must(str_equal(found.entry.name, name), "it has the name that was asked for", name);
	if (!found.class->readlink)
		return;
	must_work(found.class->readlink(tree.fs, &found, target), "a link leads somewhere");
	must_work(node_child(tree.fs, directory, target, &again), "a link leads to what is beside it");
}

static void check_number(uint64_t ino)
{
	_cleanup(free) char *path = NULL;
	struct node node, parent;
	int r = node_load(tree.fs, ino, &node);

	fuzz_must(r == 0 || r == -ENOENT, "a number is somebody's, or nobody's", NULL);
	if (r < 0)
		return;
	fuzz_must(node.ino == ino && node.class, "a number is that of its node", NULL);
	path = node_path(tree.fs, &node);
	if (node_is_directory(&node))
		must_work(node_load(tree.fs, node_parent(&node), &parent), "a directory lies in one");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(free) char *text = fuzz_text(data, size);
	uint64_t bits = 0;

	if (!tree.fs)
		set_up();
	memcpy(&bits, data, size < sizeof(bits) ? size : sizeof(bits));
	check_number(bits);
	for (size_t i = 0; i < tree.count; i++) {
		check_child(&tree.nodes[i], text);
		check_number(tree.nodes[i].ino ^ bits);
		/* Kinds are told apart by the highest bits, files of one thing by the lowest. */
		check_number(tree.nodes[i].ino ^ bits << 60);
		check_number(tree.nodes[i].ino ^ (bits & 7));
	}
	return 0;
}
