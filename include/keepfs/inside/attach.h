// SPDX-License-Identifier: Apache-2.0
#pragma once
/** SQL on a dump that is looked into: foreign tables over the files with its rows (codec/attach_sql.h). */
#include <keepfs/base/str.h>
#include <keepfs/inside.h>

struct inside_attach {
	const char *backup;    /* "full/20261120T020000Z": what the schemas are named after */
	const char *state_dir; /* for files without names */
	/* Appends the path of the file with the rows of @table, absolute, as a server on this host sees it. */
	void (*path)(void *arg, const struct inside_table *table, struct str *ret);
	void *arg;
};

/**
 * inside_write_attach() - append statements for psql to @out: a foreign table for each table
 * Where there is no pg_restore that reads the archive, the types of columns are not known, and all of them are text.
 * Return: 0; otherwise as inside_write_schema().
 */
int inside_write_attach(struct inside_dump *d, const struct inside_attach *options, struct cancel *cancel,
                        struct spool *out, struct error *err);
