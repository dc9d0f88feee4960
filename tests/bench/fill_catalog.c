// SPDX-License-Identifier: Apache-2.0
/* fill_catalog STATE_DIR COUNT: a catalog that lists COUNT artifacts in backups/full, to measure the tree
 * with. */
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

static int add(struct catalog *catalog, int64_t number, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	char name[NAME_MAX_BYTES];
	int64_t at_us = FIRST_AT_US + number * 60 * US_PER_S;

	name_format(at_us / US_PER_S * 1000, ".dump", name);
	m.path = mem_printf("backups/full/%s", name);
	m.job = mem_strdup("full");
	m.kind = mem_strdup("dump");
	m.database = mem_strdup("bench");
	m.server_version = mem_strdup("15.0");
	m.tool_version = mem_strdup("15.0");
	m.triggered_by = mem_strdup("bench");
	m.format = mem_strdup("custom");
	m.content = mem_strdup("full");
	m.compression = mem_strdup("gzip");
	m.keepfs_version = mem_strdup("bench");
	m.run_id = number + 1;
	m.started_at_us = at_us;
	m.finished_at_us = at_us + 30 * US_PER_S;
	m.size_bytes = m.stored_bytes = ARTIFACT_BYTES;
	memset(m.sha256, 'a', SHA256_HEX_BYTES - 1);
	memset(m.stored_sha256, 'a', SHA256_HEX_BYTES - 1);
	for (int i = 0; i < 3; i++)
		extents_append(&m.extents, EXTENT_MAX_BYTES, (uint32_t)number);
	m.extents_count = m.extents.count;
	return catalog_add_artifact(catalog, &m, err);
}

int main(int argc, char **argv)
{
	_cleanup(catalog) struct catalog *catalog = NULL;
	struct error err = {0};
	int64_t count;
	int r;

	if (argc != 3) {
		fprintf(stderr, "usage: fill_catalog STATE_DIR COUNT\n");
		return 2;
	}
	count = strtoll(argv[2], NULL, 10);
	r = catalog_open(argv[1], &catalog, &err);
	if (r == 0)
		r = catalog_begin_rebuild(catalog, &err);
	for (int64_t i = 0; i < count && r == 0; i++)
		r = add(catalog, i, &err);
	if (r == 0)
		r = catalog_end_rebuild(catalog, true, &err);
	if (r < 0)
		fprintf(stderr, "fill_catalog: %s\n", err.message);
	return r < 0;
}
