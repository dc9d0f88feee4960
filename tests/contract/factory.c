/* The stores that the contract is tried on. */
#include "suite.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void open_dir(struct suite *t)
{
	const char *tmp = getenv("TMPDIR");
	struct error err = {0};

	t->root = mem_printf("%s/keepfs-contract-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(t->root) || store_dir_new(t->root, &t->store, &err) < 0) {
		fprintf(stderr, "%s: %s\n", t->root, err.message);
		exit(2);
	}
}

static const struct {
	const char *name;
	void (*open)(struct suite *t);
} kinds[] = {
        {"dir", open_dir},
};

const char *suite_kinds(void)
{
	return "dir";
}

bool suite_open(struct suite *t, const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!str_equal(kinds[i].name, kind))
			continue;
		t->kind = kinds[i].name;
		kinds[i].open(t);
		return true;
	}
	return false;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void suite_close(struct suite *t)
{
	t->store = store_free(t->store);
	if (t->root)
		nftw(t->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	free(t->root);
}
