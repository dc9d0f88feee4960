/* Lets an archive pass and reads along. The next stage is finished only when the archive was whole: this is
 * what keeps a dump that was cut off from ever being completed in the store. */
#include <keepfs/base/mem.h>
#include <keepfs/stream.h>

struct archive_check {
	struct sink sink;
	struct sink *next;
	struct pg_archive_scan *scan;
	struct pg_archive_facts *facts;
};

static int archive_check_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct archive_check *a = (struct archive_check *)s;
	int r = pg_archive_scan_feed(a->scan, data, len, err);

	return r < 0 ? r : sink_write(a->next, data, len, err);
}

static int archive_check_finish(struct sink *s, struct error *err)
{
	struct archive_check *a = (struct archive_check *)s;
	int r = pg_archive_scan_end(a->scan, err);

	if (r < 0)
		return r;
	*a->facts = *pg_archive_scan_facts(a->scan);
	return sink_finish(a->next, err);
}

static void archive_check_free(struct sink *s)
{
	struct archive_check *a = (struct archive_check *)s;

	sink_free(a->next);
	pg_archive_scan_free(a->scan);
	free(a);
}

static const struct sink_ops archive_check_ops = {
        .write = archive_check_write,
        .finish = archive_check_finish,
        .free = archive_check_free,
};

struct sink *stream_archive_check_new(struct sink *next, struct pg_archive_facts *facts)
{
	struct archive_check *a = mem_alloc(sizeof(*a));

	a->sink.ops = &archive_check_ops;
	a->next = next;
	a->scan = pg_archive_scan_new(NULL);
	a->facts = facts;
	return &a->sink;
}
