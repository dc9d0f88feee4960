// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * One export while it is made. What can be known before is asked before anything is written: who the tenant is, what tables there are, whether all of
 * them are decided (prepare.c). Then the rows of each table come in one snapshot, and go through the writer into the store (read.c,
 * reading.c). The snapshot, with its locks, is let go before the object is read back, and published (publish.c).
 */
#include "leave.h"
#include "squeeze.h"
#include "writer.h"

#include <keepfs/codec/copy_json.h>
#include <keepfs/stream/ordered.h>

#define EXPORT_NAMES_SHOWN 10 /* of columns or tables, in a warning */

struct export_suspect {
	char *column;    /* heap: "public.users.name" */
	const char *why; /* static */
};

struct exporting {
	const struct make_context *ctx;
	const struct make_order *order;
	const struct conf_export *conf;
	struct export_shared *shared;
	struct export_lane *lane; /* NULL: it did not come that far */
	char *snapshot;           /* of the lane's transaction, for others to join */
	const struct export_tenant *tenant;
	const struct decided *decided;
	uint64_t store;          /* that gets it: keepfs/catalog/stores.h */
	char *database, *schema; /* of the tenant; NULL */
	char *database_label;
	struct compression compression;
	unsigned char key[COPY_JSON_KEY_BYTES];
	bool has_key;
	struct export_context context;
	bool has_context;
	int64_t taken_at_us;
	struct draft *draft;
	size_t feeding_buffers; /* of the pool, reserved: for what is squeezed, here and by readers, and for what is read out of turn */
	struct squeeze squeeze; /* of what is written here; zeroed of a format that is not pressed */
	/* Where what is compressed goes: into the file of the object, or a local one. */
	int (*put)(struct exporting *e, const struct segment *s, const void *data, struct error *err);
	struct segment_file file;
	struct stream_object *object;
	struct export_local *local; /* in place of draft and object: a file of this host; NULL */
	const struct export_format *format;
	struct export_writer *writer;
	uint64_t tenant_rows; /* without those of shared tables */
	uint64_t *seen;       /* by the place in the plan: so many rows came */
	struct export_suspect *suspects;
	size_t suspect_count;
	bool tells_tables; /* it is this export that tells what all have in common: export_shared_claim_told() */
	bool has_told_tables;
	struct str nobodys; /* tables with rows that are no tenant's, when it was this export that looked */
	size_t nobodys_count;
	bool collects_places;    /* of its rows, for whoever deletes them */
	struct leaving *leaving; /* NULL: the rows stay where they are */
};

/* exporting_reserve() - the memory of e->feeding_buffers. */
int exporting_reserve(struct exporting *e, struct error *err);
/* exporting_write_squeezed() - of a format that is pressed, for exporting_open_writer(). */
int exporting_write_squeezed(void *arg, const void *data, size_t len, struct error *err);
/* exporting_open_writer() - of its format; @write gets the exporting. */
void exporting_open_writer(struct exporting *e,
                           int (*write)(void *arg, const void *data, size_t len, struct error *err));
/* local.c: the file of an export_copy that has a path. As exporting_open(), and so on; what was not ended is removed by exporting_free_local(). */
int exporting_open_local(struct exporting *e, struct error *err);
int exporting_close_local(struct exporting *e, struct error *err);
void exporting_free_local(struct exporting *e);

/* exporting_prepare() - find the tenant, begin the snapshot, decide, lock, enter the context. */
int exporting_prepare(struct exporting *e, struct error *err);
/* exporting_enter() - the context, if there is one, in a session that sees the snapshot. */
int exporting_enter(const struct exporting *e, struct pg_session *session, struct error *err);
/* exporting_check_same() - what no lock protects is still as it was: -ESTALE. */
int exporting_check_same(const struct exporting *e, struct error *err);
/* exporting_read() - all rows, to the writer; the snapshot is ended. */
int exporting_read(struct exporting *e, struct error *err);
/* exporting_open() - a draft, its object, and what writes into it. */
int exporting_open(struct exporting *e, struct error *err);
/* exporting_put_segment() - behind all that was written: compressed already. Of the thread that writes. */
int exporting_put_segment(struct exporting *e, const struct segment *s, const void *data, struct error *err);
/* exporting_close() - all was written: the object is whole. */
int exporting_close(struct exporting *e, struct error *err);
/* exporting_give_back() - the object and the memory, wherever it has come to; again is nothing. */
void exporting_give_back(struct exporting *e);
/* exporting_publish() - tell what was decided, read back, list it. */
int exporting_publish(struct exporting *e, struct manifest *ret, struct error *err);
