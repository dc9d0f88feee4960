// SPDX-License-Identifier: Apache-2.0
/* fill_catalog STATE_DIR COUNT [DIRECTORIES]: a catalog that lists COUNT artifacts in backups/full, or by turns in as many
 * directories of databases below it (d0, d1, …), to measure the tree and health with. */
#include "../support/manifests.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/rebuild.h>
#include <keepfs/codec/name.h>

#include <stdio.h>
#include <string.h>

#define FIRST_AT_US    (INT64_C(1700000000) * US_PER_S)
#define ARTIFACT_BYTES ((uint64_t)3 << 20)

static int add(struct catalog *catalog, int64_t number, int64_t directories, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *path = NULL, *below = NULL;
	char name[NAME_MAX_BYTES], sha256[SHA256_HEX_BYTES] = "";
	int64_t at_us = FIRST_AT_US + number * 60 * US_PER_S;

	name_format(at_us / US_PER_S * 1000, ".dump", name);
	below = directories > 0 ? mem_printf("d%lld/", (long long)(number % directories)) : mem_strdup("");
	path = mem_printf("backups/full/%s%s", below, name);
	memset(sha256, 'a', SHA256_HEX_BYTES - 1);
	manifest_describe(&m, path, number + 1, "bench");
	m.started_at_us = at_us;
	m.finished_at_us = at_us + 30 * US_PER_S;
	manifest_set_fact(&m, "selection", "0123456789abcdef");
	manifest_set_fact_int(&m, "rows", 100000 + number);
	manifest_set_fact_int(&m, "tables", 40);
	manifest_set_fact_int(&m, "raw_bytes", (int64_t)ARTIFACT_BYTES * 4);
	manifest_put_own(&m, ARTIFACT_BYTES, 3, sha256);
	m.objects[0].extents_count = m.objects[0].extents.count;
	return catalog_add_artifact(catalog, &m, err);
}

int main(int argc, char **argv)
{
	_cleanup(catalog) struct catalog *catalog = NULL;
	struct error err = {0};
	int64_t count, directories;
	int r;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: fill_catalog STATE_DIR COUNT [DIRECTORIES]\n");
		return 2;
	}
	count = strtoll(argv[2], NULL, 10);
	directories = argc == 4 ? strtoll(argv[3], NULL, 10) : 0;
	r = catalog_open(argv[1], &catalog, &err);
	if (r == 0)
		r = catalog_begin_rebuild(catalog, &err);
	for (int64_t i = 0; i < count && r == 0; i++)
		r = add(catalog, i, directories, &err);
	if (r == 0)
		r = catalog_end_rebuild(catalog, true, &err);
	if (r < 0)
		fprintf(stderr, "fill_catalog: %s\n", err.message);
	return r < 0;
}
