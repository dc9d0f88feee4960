// SPDX-License-Identifier: Apache-2.0
#include "describe.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/zone.h>
#include <keepfs/dump.h>
#include <keepfs/files.h>
#include <keepfs/inbox.h>
#include <keepfs/prune.h>

int64_t inbox_time_of(const struct inbox_look *look, const char *zone_name, int64_t otherwise_us,
                      int64_t now_us)
{
	_cleanup(zone) struct zone *zone = NULL;
	int64_t at_s[2] = {look->local_s, 0}, at_us;
	struct error ignored = {0};

	if (look->has_time && !look->is_utc && zone_load(zone_name, &zone, &ignored) == 0)
		zone_from_local(zone, look->local_s, at_s);
	at_us = look->has_time ? at_s[0] * US_PER_S : otherwise_us;
	/* A clock that was wrong, or digits that are no date. */
	return at_us > now_us ? now_us : at_us;
}

const char *inbox_kind_of(const struct inbox_look *look)
{
	bool is_gzip = look->method != COMPRESSION_ZSTD;

	if ((look->shape == INBOX_ARCHIVE && look->method == COMPRESSION_NONE) ||
	    (look->shape == INBOX_SQL && is_gzip))
		return dump_kind.name;
	return look->shape == INBOX_TAR ? files_kind.name : inbox_kind.name;
}

char *inbox_look_text(const struct inbox_look *look)
{
	static const char *const shapes[] = {[INBOX_OTHER] = "a file of a kind that is not known here",
	                                     [INBOX_ARCHIVE] = "an archive of pg_dump",
	                                     [INBOX_SQL] = "a text of pg_dump",
	                                     [INBOX_TAR] = "a tar"};
	static const char *const methods[] = {[COMPRESSION_NONE] = "",
	                                      [COMPRESSION_GZIP] = ", compressed with gzip",
	                                      [COMPRESSION_ZSTD] = ", compressed with zstd"};

	return mem_printf("%s%s", shapes[look->shape], methods[look->method]);
}

static int write_counts_lines(void *object, const void *data, size_t len, struct error *err)
{
	return stream_object_write(object, data, len, err);
}

static int put_counted_tables(struct draft *d, const struct archive_counts *counts, struct error *err)
{
	_cleanup(free) char *name = draft_file_name(d, "tables.csv");
	_cleanup(stream_object) struct stream_object *object = NULL;
	int r = draft_open(d, name, 0, &object, err);

	if (r == 0)
		r = archive_counts_write(counts, write_counts_lines, object, err);
	return r < 0 ? r : draft_finish(d, name, object, NULL, err);
}

int inbox_put_counts(struct draft *d, const struct inbox_content *content, bool sums_alone, struct error *err)
{
	const struct archive_counts *counts = inbox_content_counts(content);
	struct manifest *m = draft_manifest(d);
	struct archive_sums sums = {0};
	int r = counts ? archive_counts_sum(counts, &sums, err) : 0;

	if (r < 0 || !sums.is_counted)
		return r;
	manifest_set_fact_int(m, "rows", (int64_t)sums.rows);
	manifest_set_fact_int(m, "tables", (int64_t)sums.tables);
	manifest_set_fact_int(m, "raw_bytes", (int64_t)sums.bytes);
	if (!sums_alone)
		manifest_set_fact(m, "largest_tables", sums.largest);
	free(sums.largest);
	return sums_alone ? 0 : put_counted_tables(d, counts, err);
}

/* What a file says of itself is somebody else's word: only what is a line of text goes into the manifest. */
static void set_foreign_fact(struct manifest *m, const char *name, const char *text)
{
	_cleanup(str) struct str line = {0};

	str_append_line(&line, text);
	if (line.len > 0)
		manifest_set_fact(m, name, str_text(&line));
}

static const char *compression_of_archive(enum pg_archive_compression compression)
{
	static const char *const names[] = {[PG_ARCHIVE_NONE] = "none",
	                                    [PG_ARCHIVE_GZIP] = "gzip",
	                                    [PG_ARCHIVE_LZ4] = "lz4",
	                                    [PG_ARCHIVE_ZSTD] = "zstd"};

	return names[compression];
}

static void describe_archive_entry(const struct inbox_content *content, struct manifest *m)
{
	const struct archive_counts *counts = inbox_content_counts(content);

	manifest_set_fact(m, "format", "custom");
	manifest_set_fact(m, "content", "full");
	if (counts)
		manifest_set_fact(m, "compression",
		                  compression_of_archive(archive_counts_facts(counts)->compression));
}

static void describe_by_kind(const struct inbox_look *look, const struct inbox_content *content,
                             struct manifest *m)
{
	static const char *const methods[] = {
	        [COMPRESSION_NONE] = "none", [COMPRESSION_GZIP] = "gzip", [COMPRESSION_ZSTD] = "zstd"};

	if (str_equal(m->kind, dump_kind.name) && look->shape == INBOX_ARCHIVE) {
		describe_archive_entry(content, m);
		return;
	}
	manifest_set_fact(m, "compression", methods[look->method]);
	if (str_equal(m->kind, dump_kind.name)) {
		manifest_set_fact(m, "format", "plain");
		manifest_set_fact(m, "content", "full");
	} else if (str_equal(m->kind, files_kind.name)) {
		manifest_set_fact(m, "format", "tar");
		manifest_set_fact_int(m, "files", (int64_t)inbox_content_entries(content));
	}
}

void inbox_describe(struct manifest *m, const struct inbox_look *look, const struct inbox_content *content,
                    const char *name, const char *dated_by)
{
	set_foreign_fact(m, "original_name", name);
	set_foreign_fact(m, "database", look->database);
	set_foreign_fact(m, "server_version", look->server_version);
	set_foreign_fact(m, "tool_version", look->tool_version);
	manifest_set_fact(m, "dated_by",
	                  !look->has_time            ? dated_by
	                  : look->time_is_of_content ? "content"
	                                             : "name");
	describe_by_kind(look, content, m);
}

void inbox_prune(const struct make_context *ctx, const struct conf *conf, const struct make_order *order)
{
	const struct prune_order by = {.by = "retention"};
	struct prune_outcome outcome = {0};
	struct artifact_time time;
	struct error err = {0};
	struct prune p;
	int r;

	make_time(ctx, &time);
	r = prune_begin(&p, ctx->repository, conf, &time, &err);
	if (r == 0)
		r = prune_directory(&p, order->target->directory, &by, &outcome, &err);
	if (r < 0)
		make_say(order, "retention: %s", err.message);
	else if (outcome.removed)
		make_say(order, "retention: %zu of %zu backups removed", outcome.removed,
		         outcome.kept + outcome.removed);
}
