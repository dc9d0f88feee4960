// SPDX-License-Identifier: Apache-2.0
/*
 * The structure of pg_dump's directory format: toc.dat names the file of each entry, which is decompressed to its end, and its rows are
 * counted and hashed again, in the order of the table of contents, which is that of the counts.
 */
#include "counting.h"
#include "prove.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/pg_archive.h>

#include <errno.h>
#include <string.h>

struct directory_proof {
	struct backup *backup;
	struct expected expected;
	struct counting counting;
	struct spool *
	        names; /* of the files of the entries, each with its NUL, in the order of the table of contents */
	struct pg_archive_scan *scan;
};

static void cleanup_directory_proof(struct directory_proof *p)
{
	expected_finish(&p->expected);
	rows_scan_free(p->counting.rows);
	spool_free(p->names);
	pg_archive_scan_free(p->scan);
}

static int keep_file_name(void *arg, const struct pg_archive_entry *entry, struct error *err)
{
	struct directory_proof *p = arg;

	return entry->has_data ? spool_put(p->names, entry->file_name, strlen(entry->file_name) + 1, err) : 0;
}

static int feed_toc(void *arg, const void *data, size_t len, struct error *err)
{
	return pg_archive_scan_feed(arg, data, len, err);
}

static int read_toc_file(struct directory_proof *p, struct error *err)
{
	const struct pg_archive_events events = {.entry = keep_file_name, .arg = p};
	struct backup_out out;
	struct catalog_entry file;
	int r = backup_find(p->backup, "toc.dat", &file);

	if (r < 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "it has no toc.dat");
	p->scan = pg_archive_scan_new(&events);
	p->names = spool_new(p->backup->ctx->conf->state_dir);
	out = (struct backup_out){.write = feed_toc, .arg = p->scan};
	r = backup_read(p->backup, &file, &out, err);
	return r < 0 ? r : pg_archive_scan_end(p->scan, err);
}

/* The files of data are compressed where the backup is; lists of large objects never are. */
static int count_file(struct directory_proof *p, const char *name, struct error *err)
{
	_cleanup(free) char *compressed = mem_printf("%s.gz", name);
	const struct backup_out out = {.write = counting_write, .arg = &p->counting};
	struct catalog_entry file;
	int r = backup_find(p->backup, compressed, &file);

	if (r == -ENOENT)
		r = backup_find(p->backup, name, &file);
	if (r == -ENOENT)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the table of contents names the file %s, which the backup does not have",
		                 name);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	return backup_read_plain(p->backup, &file, &out, err);
}

/* A text of any length in pieces of what ends each; the last one has none. */
static int next_name(const struct spool *names, char end, uint64_t *at, char name[static NAME_MAX_BYTES])
{
	size_t len = 0;
	char buf[NAME_MAX_BYTES];
	ssize_t n = spool_read(names, buf, sizeof(buf), *at);

	if (n <= 0)
		return (int)n;
	while (len < (size_t)n && buf[len] != end)
		len++;
	if (len == (size_t)n)
		return -EBADMSG;
	memcpy(name, buf, len);
	name[len] = '\0';
	*at += len + 1;
	return 1;
}

/* @r: next_name()'s. */
static int refuse_names(int r, const char *what, struct error *err)
{
	return r == -EBADMSG ? error_set(err, ERROR_CORRUPT, EBADMSG, "%s", what)
	                     : error_system(err, -r, "what was kept in state_dir meanwhile cannot be read");
}

static int keep_list(void *arg, const void *data, size_t len, struct error *err)
{
	return spool_put(arg, data, len, err);
}

/* "16403 blob_16403.dat" on each line. */
static int count_listed(struct directory_proof *p, const struct spool *list, struct error *err)
{
	char line[NAME_MAX_BYTES];
	uint64_t at = 0;
	int r;

	while ((r = next_name(list, '\n', &at, line)) > 0) {
		const char *name = strchr(line, ' ');

		r = name ? count_file(p, name + 1, err)
		         : error_set(err, ERROR_CORRUPT, EBADMSG, "'%.40s' names no large object", line);
		if (r < 0)
			return r;
		p->counting.found.count++;
	}
	return r < 0 ? refuse_names(r, "a list of large objects is cut off", err) : 0;
}

static int count_blobs(struct directory_proof *p, const char *name, struct error *err)
{
	_cleanup(spool) struct spool *list = spool_new(p->backup->ctx->conf->state_dir);
	const struct backup_out out = {.write = keep_list, .arg = list};
	struct catalog_entry file;
	int r = backup_find(p->backup, name, &file);

	if (r < 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the table of contents names the file %s, which the backup does not have",
		                 name);
	r = backup_read(p->backup, &file, &out, err);
	return r < 0 ? r : count_listed(p, list, err);
}

static int count_entries(struct directory_proof *p, struct error *err)
{
	char name[NAME_MAX_BYTES];
	uint64_t at = 0;
	int r;

	while ((r = next_name(p->names, '\0', &at, name)) > 0) {
		p->counting.blobs = str_ends(name, ".toc");
		r = p->counting.blobs ? count_blobs(p, name, err) : count_file(p, name, err);
		if (r == 0)
			r = counting_end(&p->counting, &p->expected, err);
		if (r < 0)
			return r;
	}
	return r < 0 ? refuse_names(r, "a name in the table of contents is too long", err)
	             : expected_check_end(&p->expected, err);
}

int prove_directory(struct backup *b, struct error *err)
{
	_cleanup(directory_proof) struct directory_proof p = {.backup = b, .counting.rows = rows_scan_new()};
	int r = expected_load(&p.expected, b, err);

	if (r == 0)
		r = read_toc_file(&p, err);
	return r < 0 ? r : count_entries(&p, err);
}
