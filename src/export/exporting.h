// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * One export while it is made. What can be known before is asked before anything is written: who the tenant is, what tables there are, whether all of
 * them are decided (prepare.c). Then the rows of each table come in one snapshot, and go through the writer and the press into the store (read.c,
 * rows.c). The snapshot, with its locks, is let go before the object is read back, and published (publish.c).
 */
#include "key.h"
#include "leave.h"
#include "rows.h"

#include <keepfs/stream/ordered.h>

#define EXPORT_NAMES_SHOWN 10 /* of columns or tables, in a warning */

struct exporting {
	const struct make_context *ctx;
	const struct make_order *order;
	const struct conf_export *conf;
	struct export_shared *shared;
	const struct export_tenant *tenant;
	const struct decided *decided;
	char *database, *schema; /* of the tenant; NULL */
	char *database_label;
	struct compression compression;
	unsigned char key[COPY_JSON_KEY_BYTES];
	bool has_key;
	struct export_context context;
	bool has_context;
	int64_t taken_at_us;
	struct draft *draft;
	struct press *press;      /* NULL: of a format that is not pressed */
	struct segment_file file; /* of the press */
	struct stream_object *object;
	const struct export_format *format;
	struct export_writer *writer;
	uint64_t unpaced_bytes;
	uint64_t tenant_rows; /* without those of shared tables */
	uint64_t *seen;       /* by the place in the plan: so many rows came */
	struct str suspects;
	size_t suspect_count;
	struct str nobodys; /* tables with rows that are no tenant's, when it was this export that looked */
	size_t nobodys_count;
	struct leaving *leaving; /* NULL: the rows stay where they are */
};

/* exporting_prepare() - find the tenant, begin the snapshot, decide, lock, enter the context. */
int exporting_prepare(struct exporting *e, struct error *err);
/* exporting_check_same() - what no lock protects is still as it was: -ESTALE. */
int exporting_check_same(const struct exporting *e, struct error *err);
/* exporting_read() - all rows, to the writer; the snapshot is ended. */
int exporting_read(struct exporting *e, struct error *err);
/* exporting_open() - a draft, its object, and what writes into it. */
int exporting_open(struct exporting *e, struct error *err);
/* exporting_close() - all was written: the object is whole. */
int exporting_close(struct exporting *e, struct error *err);
/* exporting_publish() - tell what was decided, read back, list it. */
int exporting_publish(struct exporting *e, struct manifest *ret, struct error *err);
