// SPDX-License-Identifier: Apache-2.0
/* put_chain DIRECTORY COUNT REMOVED KEY.PEM: a signed chain as years make it, in DIRECTORY/store: so many manifests of small backups, without their objects, and behind them links that say
 * of so many others that they were removed. For 'keepfs verify --key'. DIRECTORY/state is its catalog. */
#include "../support/manifests.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>
#include <keepfs/chain.h>
#include <keepfs/conf.h>
#include <keepfs/keyring/signing.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct filling {
	struct conf conf;
	struct catalog *catalog;
	struct store *store;
	struct signing *signing;
	struct chain *chain;
	struct chain_at at;
};

static int open_filling(struct filling *f, const char *directory, char *key_file, struct error *err)
{
	_cleanup(free) char *state = mem_printf("%s/state", directory),
	                    *root = mem_printf("%s/store", directory);
	int r;

	mkdir(directory, 0700);
	mkdir(state, 0700);
	f->conf.signing_key.file = key_file;
	r = catalog_open(state, &f->catalog, err);
	if (r == 0)
		r = store_dir_new(root, &f->store, err);
	if (r == 0)
		r = signing_new(&f->conf, &f->signing, err);
	if (r < 0)
		return r;
	f->chain = chain_new(f->catalog, f->signing);
	f->at = (struct chain_at){.store = f->store};
	return chain_ready(f->chain, &f->at, err);
}

static void close_filling(struct filling *f)
{
	chain_free(f->chain);
	signing_free(f->signing);
	store_free(f->store);
	catalog_free(f->catalog);
}

static char *path_of_backup(unsigned long number)
{
	char name[CLOCK_NAME_BYTES];

	clock_format_name((INT64_C(1500000000) + (int64_t)number * 3600) * US_PER_S, name);
	return mem_printf("backups/full/%s.dump", name);
}

static int publish_one(struct filling *f, unsigned long number, bool is_put, struct error *err)
{
	_cleanup(free) char *path = path_of_backup(number), *key = manifest_key(path);
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0};
	size_t len;
	int r;

	manifest_describe(&m, path, (int64_t)number + 1, "shop");
	manifest_put_own(&m, 1000, 1, "");
	m.started_at_us = m.finished_at_us = clock_now_us();
	free(manifest_seal_extents(&m, &len));
	r = chain_sign(f->chain, &f->at, &m, &text, err);
	if (r == 0 && is_put)
		r = store_put_bytes(f->store, NULL, key, text.data, text.len, NULL, err);
	else if (r == 0)
		r = chain_end(f->chain, &f->at, path, LINK_REMOVED, 0, err);
	return r;
}

int main(int argc, char **argv)
{
	struct filling f = {0};
	struct error err = {0};
	unsigned long count = argc == 5 ? strtoul(argv[2], NULL, 10) : 0,
	              removed = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;
	int r;

	if (argc != 5) {
		fputs("put_chain DIRECTORY COUNT REMOVED KEY.PEM\n", stderr);
		return 2;
	}
	r = open_filling(&f, argv[1], argv[4], &err);
	for (unsigned long i = 0; r == 0 && i < count + removed; i++)
		r = publish_one(&f, i, i < count, &err);
	if (r < 0)
		fprintf(stderr, "%s\n", err.message);
	close_filling(&f);
	return r < 0;
}
