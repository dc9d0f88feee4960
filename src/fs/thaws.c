// SPDX-License-Identifier: Apache-2.0
/*
 * status/thaws: backups that are frozen in an archive class, and how thawing stands, as the catalog knows it. Whoever opens it has a worker ask the store, at most once in a minute for each
 * that somebody has asked for: what that says is there the next time. Nothing asks while nobody wants to know.
 */
#include "fs_private.h"
#include "thaws.h"

#include <keepfs/artifact/class.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/classes.h>

#define THAWS_MAX 1000

static void write_thaw_state(const struct catalog_class *row, struct spool *out)
{
	char at[CLOCK_ISO_BYTES];

	if (row->ready_until_us)
		spool_appendf(out, "can be read until %s", clock_format_iso(row->ready_until_us, at));
	else if (row->thaw_at_us && row->thaw_days)
		spool_appendf(out, "being thawed since %s, for %lld days (%s)",
		              clock_format_iso(row->thaw_at_us, at), (long long)row->thaw_days,
		              row->thaw_tier);
	else if (row->thaw_at_us)
		spool_appendf(out, "being thawed, since %s at the latest",
		              clock_format_iso(row->thaw_at_us, at));
	else
		spool_append(out, "frozen", 6);
}

static void write_thaw_line(const struct catalog_class *row, struct spool *out)
{
	char size[16];

	spool_appendf(out, "%s  %s  %s  ", row->path, row->name,
	              str_format_bytes(size, sizeof(size), row->bytes));
	write_thaw_state(row, out);
	spool_append(out, "\n", 1);
}

/* On a worker: it waits for the store. */
static void ask_about_thaws(void *arg)
{
	struct fs *fs = arg;
	struct catalog_class row = {0};

	for (unsigned n = 0; n < THAWS_MAX; n++) {
		struct error err = {0};

		if (catalog_next_frozen(fs->ctx.repository->catalog, row.ino, &row) < 0)
			break;
		if ((row.thaw_at_us || row.ready_until_us) &&
		    artifact_look_frozen(fs->ctx.repository, row.ino, &fs->thaws_cancel, NULL, &err) < 0)
			log_warning("how the thawing of %s stands could not be found out: %s", row.path,
			            err.message);
		if (cancel_is_set(&fs->thaws_cancel))
			break;
	}
	atomic_store(&fs->asks_about_thaws, false);
}

int write_thaws(struct fs *fs, const struct node *node, struct spool *out)
{
	struct catalog_class row = {0};
	unsigned n = 0;

	while (n++ < THAWS_MAX && catalog_next_frozen(fs->ctx.repository->catalog, row.ino, &row) == 0)
		write_thaw_line(&row, out);
	if (n == 1)
		spool_appendf(out, "nothing is frozen, as far as is known\n");
	else if (fs->workers && !atomic_exchange(&fs->asks_about_thaws, true))
		workers_add(fs->workers, ask_about_thaws, fs);
	return spool_error(out);
}

bool append_thaw_state(const struct catalog_class *row, struct str *out)
{
	char at[CLOCK_ISO_BYTES];

	if (!row->is_frozen)
		return false;
	if (row->ready_until_us > clock_now_us())
		str_appendf(out, "ready until %s", clock_format_iso(row->ready_until_us, at));
	else if (row->thaw_at_us)
		str_appendf(out, "asked for at %s", clock_format_iso(row->thaw_at_us, at));
	else
		str_append(out, "frozen");
	return true;
}
