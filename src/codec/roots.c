// SPDX-License-Identifier: Apache-2.0
/* The roots of the tree: where artifacts lie. */
#include <keepfs/codec/name.h>

#include <string.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

const struct tree_root tree_roots[] = {
        {.name = "backups", .ino = 2, .links_ino = 7, .catalog_ino = 0, .times = true},
        {.name = "exports", .ino = 8, .links_ino = 9, .catalog_ino = 8, .times = true, .is_job = true},
        {.name = TREE_PACKS, .catalog_ino = 15, .is_job = true, .is_hidden = true},
};

const size_t tree_roots_count = ARRAY_SIZE(tree_roots);
const size_t tree_roots_shown = ARRAY_SIZE(tree_roots) - 1;

const struct tree_root *tree_root_of(const char *path)
{
	size_t len = strcspn(path, "/");

	for (size_t i = 0; i < tree_roots_count; i++) {
		if (strlen(tree_roots[i].name) == len && strncmp(tree_roots[i].name, path, len) == 0)
			return &tree_roots[i];
	}
	return NULL;
}

bool tree_is_pack(const char *path)
{
	const struct tree_root *root = tree_root_of(path);

	return root && root->is_hidden;
}

char *tree_path(const char *word)
{
	_cleanup(free) char *path =
	        tree_root_of(word) ? mem_strdup(word) : mem_printf("%s/%s", tree_roots[0].name, word);

	while (str_ends(path, "/"))
		path[strlen(path) - 1] = '\0';
	return take_ptr(&path);
}

const char *tree_short(const char *path)
{
	size_t len = strlen(tree_roots[0].name);
	const char *below = path + len + 1;

	if (tree_root_of(path) != &tree_roots[0] || path[len] != '/' || !*below)
		return path;
	/* A job may be called as a root is. */
	return tree_root_of(below) ? path : below;
}

char *tree_job_of(const char *path)
{
	const struct tree_root *root = tree_root_of(path);
	const char *name = path;

	if (root && !root->is_job)
		name += strlen(root->name) + (path[strlen(root->name)] == '/');
	return root && *name ? mem_printf("%.*s", (int)strcspn(name, "/"), name) : NULL;
}
