// SPDX-License-Identifier: Apache-2.0
/*
 * The frame of a rebuild: one transaction around all that is listed anew. It belongs to the thread that began
 * it; other writers wait until it ends, readers see the catalog as it was.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/rebuild.h>

#define OF_STORES_THAT_ANSWER " AND store NOT IN (SELECT id FROM store WHERE trouble <> '')"

static int clear_artifacts(struct connection *c)
{
	/* Tombs stay: the bucket may still hold what a deletion has begun to remove. So does what is in a store that does not answer now. */
	static const char files_sql[] =
	        "DELETE FROM artifact_file WHERE (parent_ino, sequence) IN"
	        " (SELECT f.parent_ino, f.sequence FROM artifact_file f"
	        "  CROSS JOIN artifact a ON a.ino = f.artifact_ino WHERE a.tomb = 0" OF_STORES_THAT_ANSWER
	        " LIMIT 1000)";
	static const char artifacts_sql[] =
	        "DELETE FROM artifact WHERE (directory_ino, sequence) IN"
	        " (SELECT directory_ino, sequence FROM artifact WHERE tomb = 0" OF_STORES_THAT_ANSWER
	        " LIMIT 1000)";
	/* Times turn negative, so that each becomes the newest of what is found anew; those of directories
	 * where nothing is found are turned back at the end. */
	static const char times_sql[] = "UPDATE directory SET mtime_us = -mtime_us";
	int r = known_keep(c);

	if (r == 0)
		r = db_repeat(c, files_sql, NULL, 0);
	if (r == 0)
		r = db_repeat(c, artifacts_sql, NULL, 0);
	return r < 0 ? r : db_run(c, times_sql, NULL, 0);
}

static void set_rebuilding(struct catalog *c, bool rebuilding)
{
	pthread_mutex_lock(&c->lock);
	c->rebuilding = rebuilding;
	c->rebuilder = pthread_self();
	pthread_mutex_unlock(&c->lock);
}

int catalog_begin_rebuild(struct catalog *c, struct error *err)
{
	int r = write_begin(c, err);

	if (r < 0)
		return r;
	r = clear_artifacts(c->writer);
	if (r < 0)
		return write_end(c, r, err);
	set_rebuilding(c, true);
	return 0;
}

int catalog_end_rebuild(struct catalog *c, bool commit, struct error *err)
{
	static const char script[] = "UPDATE directory SET mtime_us = -mtime_us WHERE mtime_us < 0";
	struct connection *writer = c->writer;
	int r;

	set_rebuilding(c, false);
	write_touches(c, TOUCHES_AUDIT | TOUCHES_REST);
	if (!commit) {
		write_end(c, -ECANCELED, NULL);
		return 0;
	}
	if (sqlite3_get_autocommit(writer->db))
		r = error_set(&writer->error, ERROR_INTERNAL, EIO,
		              "the rebuild was rolled back by an earlier failure");
	else
		r = db_script(writer, script);
	if (r == 0)
		r = known_forget(writer);
	if (r == 0)
		r = proofs_forget_gone(writer);
	if (r == 0)
		r = inside_forget_gone(writer);
	if (r == 0)
		r = history_forget_gone(writer);
	return write_end(c, r, err);
}
