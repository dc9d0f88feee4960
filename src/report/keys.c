// SPDX-License-Identifier: Apache-2.0
/* See keys.h. A backup for two recipients counts for both. */
#include <keepfs/report/keys.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/keys.h>
#include <keepfs/catalog/rewraps.h>
#include <keepfs/conf.h>
#include <keepfs/keyring.h>
#include <keepfs/report/status.h>

#include <inttypes.h>
#include <string.h>

struct recipient_line {
	char *name;
	uint64_t artifacts, bytes;
	int64_t first_us, newest_us;
};

struct recipient_lines {
	struct recipient_line *items;
	size_t count;
	uint64_t untold; /* recipients beyond REPORT_KEYS_MAX, each as often as it comes */
};

static void free_recipient_lines(struct recipient_lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		free(lines->items[i].name);
	free(lines->items);
}

static struct recipient_line *line_of(struct recipient_lines *lines, const char *name)
{
	for (size_t i = 0; i < lines->count; i++)
		if (str_equal(lines->items[i].name, name))
			return &lines->items[i];
	if (lines->count == REPORT_KEYS_MAX)
		return NULL;
	lines->items = mem_resize(lines->items, lines->count + 1, sizeof(*lines->items));
	lines->items[lines->count] = (struct recipient_line){.name = mem_strdup(name), .first_us = INT64_MAX};
	return &lines->items[lines->count++];
}

static void add_to_line(struct recipient_lines *lines, const char *name, const struct catalog_keys *keys)
{
	struct recipient_line *line = line_of(lines, name);

	if (!line) {
		lines->untold++;
		return;
	}
	line->artifacts += keys->artifacts;
	line->bytes += keys->stored_bytes;
	line->first_us = keys->first_us < line->first_us ? keys->first_us : line->first_us;
	line->newest_us = keys->newest_us > line->newest_us ? keys->newest_us : line->newest_us;
}

static int count_recipients(void *arg, const struct catalog_keys *keys)
{
	const char *at = keys->encrypted_to;

	if (!*at)
		add_to_line(arg, "not encrypted", keys);
	while (*at) {
		size_t len = strcspn(at, ",");
		_cleanup(free) char *name = mem_printf("%.*s", (int)len, at);

		add_to_line(arg, name, keys);
		at += len;
		at += strspn(at, ", ");
	}
	return 0;
}

static void write_recipient_line(const struct recipient_line *line, struct spool *out)
{
	char size[16], first[CLOCK_ISO_BYTES], newest[CLOCK_ISO_BYTES];

	spool_appendf(out, "%s: %" PRIu64 " backup%s, %s, from %s to %s\n", line->name, line->artifacts,
	              line->artifacts == 1 ? "" : "s", str_format_bytes(size, sizeof(size), line->bytes),
	              clock_format_iso(line->first_us, first), clock_format_iso(line->newest_us, newest));
}

/* What the configuration says; what is in files, or printed by commands, nobody is asked for here. */
static void write_next(const struct conf *conf, const struct conf_job *job, struct spool *out)
{
	const struct conf_encryption *own = job ? &job->encrypt : &conf->encrypt;
	bool says_it = own->to && own->to[0];

	spool_appendf(out, "next of %s: %s", job ? job->name : "records and copies of the catalog",
	              keyring_is_encrypting(conf, job) ? "encrypted" : "not encrypted");
	if (keyring_is_encrypting(conf, job) && says_it)
		for (size_t i = 0; own->to[i]; i++)
			spool_appendf(out, "%s%s", i > 0 ? ", " : " to ", own->to[i]);
	spool_append(out, "\n", 1);
}

/* Objects for other recipients that are still in the store. */
static void write_rewraps(const struct report_sources *from, struct spool *out)
{
	struct catalog_rewrap row = {0};

	for (unsigned n = 0; n < REPORT_KEYS_MAX && catalog_next_rewrap(from->catalog, row.ino, &row) == 0;
	     n++)
		spool_appendf(out, "rewrapping of %s: %s\n", row.path, row.why[0] ? row.why : "it has begun");
}

int report_keys(const struct report_sources *from, struct spool *out)
{
	struct recipient_lines lines = {0};
	int r = catalog_each_keys(from->catalog, count_recipients, &lines);

	for (size_t i = 0; r == 0 && i < lines.count; i++)
		write_recipient_line(&lines.items[i], out);
	if (r == 0 && lines.untold > 0)
		spool_appendf(out, "and more recipients than %d\n", REPORT_KEYS_MAX);
	free_recipient_lines(&lines);
	if (r < 0)
		return r;
	write_next(from->conf, NULL, out);
	for (size_t i = 0; i < from->conf->job_count; i++)
		write_next(from->conf, &from->conf->jobs[i], out);
	write_rewraps(from, out);
	spool_appendf(out, "this host %s\n",
	              keyring_is_given(from->conf) ? "has an identity" : "has no identity");
	return spool_error(out);
}
