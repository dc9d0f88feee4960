// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The inside of a loader: restore_load.c writes to the server, restore_read.c reads from the store. */
#include "restore_load.h"

#include <keepfs/codec/decompression.h>
#include <keepfs/pg/session.h>

struct loader {
	struct load_options options;
	struct backup backup; /* its own: a backup belongs to one thread */
	struct make_context ctx;
	struct pg_session *session;
	struct load_totals totals;
	struct rows_scan *rows;
	/* Of the entry that is loaded. */
	const struct inside_entry *entry;
	struct rows found;
	bool is_part; /* of the entry's rows, and others load the others */
	bool failed;  /* the server refused it, and the rest of it is passed over */
	uint32_t oid;
	uint64_t blob_at; /* what was written of that large object */
	struct str piece; /* of it, not written yet */
	/* Of the custom format. */
	struct pg_archive_scan *scan;
	struct manifest_object object;
	struct decompressor *decompressor;
	size_t next; /* the entry whose block comes next */
};

static inline const struct restore_database_options *loader_options(const struct loader *l)
{
	return l->options.data->options;
}

/* What is read of an entry, in this order: it begins; bytes of rows; or each large object begins, its bytes, its end; the entry ends. */
int loader_begin_entry(struct loader *l, const struct inside_entry *e, struct error *err);
int loader_begin_blob(struct loader *l, uint32_t oid, struct error *err);
/** loader_take_plain() - @arg: the loader; decompressed bytes. */
int loader_take_plain(void *arg, const void *data, size_t len, struct error *err);
/** loader_write_blob() - what was gathered of a large object; at its end. */
int loader_write_blob(struct loader *l, struct error *err);
int loader_end_entry(struct loader *l, struct error *err);

/** loader_end_part() - in place of loader_end_entry(): what was counted of a part of the entry's rows, which others have, too. */
int loader_end_part(struct loader *l, struct rows *ret, struct error *err);

/** loader_open_custom() - of the custom format: the scan, which has seen the table of contents. */
int loader_open_custom(struct loader *l, struct error *err);
