// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A tenant leaves: what was exported is deleted (docs/architecture.md, "Off-boarding"). The order:
 *
 *   leaving_new()
 *   leaving_collect()   in the snapshot of the export, behind its last row: where each row stands
 *   … the export is published, and was read back …
 *   leaving_delete()    or leaving_look(), which changes nothing
 *   leaving_free()
 *
 * One thread. Places of rows are in a spool below state_dir.
 */
#include "export.h"

#include <keepfs/export/leaving.h>
#include <keepfs/pg/tenant_delete.h>

struct leaving_target { /* borrowed, until leaving_free(), but for the names of database and schema */
	const struct make_context *ctx;
	const struct make_order *order; /* NULL: nobody asked for it, it is only looked at */
	const struct conf_export *conf;
	const struct decided *decided;
	const struct export_tenant *tenant;
	const char *database, *schema; /* its own; NULL */
	bool is_replaced; /* other rows take the place of those of the export, and nothing else is deleted */
	struct cancel *cancel;
};

struct leaving *leaving_new(const struct leaving_target *of);
/** leaving_bind() - what it was made with of these ends before it does. */
void leaving_bind(struct leaving *l, const struct make_order *order);

/**
 * leaving_collect() - @s: outside of a tenant's context
 * @seen: by the place in the plan, how many rows the export has; NULL: none was made
 * -EPERM: a table has other rows than the export, or cannot be deleted from.
 */
int leaving_collect(struct leaving *l, struct pg_session *s, const uint64_t *seen, struct error *err);
/** leaving_delete() - refused as a whole where anything could be deleted that was not exported; then batch by batch. @err says what is gone when it ends before
 * its end. */
int leaving_delete(struct leaving *l, struct error *err);
/** leaving_look() - append for people what leaving_delete() would delete now, and why it would refuse. */
int leaving_look(struct leaving *l, struct str *out, struct error *err);
