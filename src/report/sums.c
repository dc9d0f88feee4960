// SPDX-License-Identifier: Apache-2.0
/* SHA256SUMS: the catalog has the lines. */
#include <keepfs/catalog/entries.h>
#include <keepfs/report/sums.h>

static void write_sum(void *arg, const char *line)
{
	spool_appendf(arg, "%s\n", line);
}

int report_sums(struct catalog *c, uint64_t directory_ino, enum catalog_sums_of of, struct spool *out)
{
	int r = catalog_sums(c, directory_ino, of, write_sum, out);

	return r < 0 ? r : spool_error(out);
}
