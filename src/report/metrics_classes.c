// SPDX-License-Identifier: Apache-2.0
/* Storage classes. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/classes.h>

#define CLASSES_MAX 64

struct class_sums {
	struct catalog_class_sum items[CLASSES_MAX];
	size_t count;
};

static void keep_class_sum(void *arg, const struct catalog_class_sum *sum)
{
	struct class_sums *s = arg;

	if (s->count < CLASSES_MAX)
		s->items[s->count++] = *sum;
}

int metrics_classes(const struct report_sources *from, struct spool *out)
{
	_cleanup(free) struct class_sums *s = mem_alloc(sizeof(*s));
	struct catalog_class_failing failing;
	int r = catalog_each_class(from->catalog, keep_class_sum, s);

	if (r == 0)
		r = catalog_class_failing(from->catalog, &failing);
	if (r < 0 || s->count + failing.count == 0)
		return r;
	expose_family(
	        out, "keepfs_storage_class_bytes", "gauge",
	        "Bytes of backups that are in a storage class since keepfs moved them, or found them there.");
	for (size_t i = 0; i < s->count; i++)
		expose_number(out, "keepfs_storage_class_bytes", LABELS("class", s->items[i].name),
		              s->items[i].bytes);
	expose_family(out, "keepfs_storage_class_frozen", "gauge",
	              "Backups in that class that have to be thawed before they can be read.");
	for (size_t i = 0; i < s->count; i++)
		expose_number(out, "keepfs_storage_class_frozen", LABELS("class", s->items[i].name),
		              s->items[i].frozen);
	expose_gauge(
	        out, "keepfs_storage_class_failing",
	        "Backups that could not be moved into the storage class of class_after, and are tried again.",
	        failing.count);
	return 0;
}
