// SPDX-License-Identifier: Apache-2.0
/* The scan tells that the table of contents is complete in the middle of a piece that it is fed: what follows
 * in that piece is data already, and is cut off from what was kept. */
#include "toc.h"

#include <errno.h>

static int on_entry(void *arg, const struct pg_archive_entry *entry, struct error *err)
{
	struct toc_reader *t = arg;

	return contents_add(t->contents, entry, err);
}

static int on_toc_end(void *arg, const struct pg_archive_facts *facts, struct error *err)
{
	struct toc_reader *t = arg;

	t->facts = *facts;
	t->bytes.len = (size_t)facts->toc_end;
	t->complete = true;
	contents_complete(t->contents);
	return t->on_complete ? t->on_complete(t, err) : 0;
}

void toc_reader_init(struct toc_reader *t, struct contents *contents, size_t max_bytes,
                     const struct pg_archive_events *data)
{
	struct pg_archive_events events = data ? *data : (struct pg_archive_events){0};

	*t = (struct toc_reader){.contents = contents, .max_bytes = max_bytes};
	events.entry = on_entry;
	events.toc_end = on_toc_end;
	events.arg = t;
	t->scan = pg_archive_scan_new(&events);
}

void toc_reader_finish(struct toc_reader *t)
{
	pg_archive_scan_free(t->scan);
	str_finish(&t->bytes);
}

int toc_reader_feed(struct toc_reader *t, const void *data, size_t len, struct error *err)
{
	if (!t->complete) {
		if (t->bytes.len + len > t->max_bytes)
			return error_set(
			        err, ERROR_USAGE, EFBIG,
			        "the table of contents of this database takes more than %zu MiB, which must be kept in memory until the end: raise memory in [keepfs]",
			        t->max_bytes >> 20);
		str_append_bytes(&t->bytes, data, len);
	}
	return pg_archive_scan_feed(t->scan, data, len, err);
}

struct pg_archive_head *toc_reader_head(struct toc_reader *t)
{
	return pg_archive_head_new((uint8_t *)str_take(&t->bytes), &t->facts);
}
