// SPDX-License-Identifier: Apache-2.0
/* What is said where a backup is looked into, or rows are taken out of it: it may have what was erased since. */
#include "erasures_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <stdlib.h>
#include <sys/stat.h>

static char *directory_of_erasures(const struct conf *conf)
{
	return mem_printf("%s/" ERASURES_SUBDIR, conf->state_dir);
}

bool erasures_any_here(const struct conf *conf)
{
	_cleanup(free) char *path = directory_of_erasures(conf);
	struct stat st;

	return stat(path, &st) == 0;
}

uint64_t erasures_stamp(const struct conf *conf)
{
	_cleanup(free) char *path = directory_of_erasures(conf);
	struct stat st;

	return stat(path, &st) < 0
	               ? 0
	               : (uint64_t)st.st_mtim.tv_sec * US_PER_S + (uint64_t)st.st_mtim.tv_nsec / 1000;
}

static void append_count(const struct erasures *e, const struct manifest *m, const char *database,
                         struct str *out)
{
	char last[CLOCK_ISO_BYTES];
	int64_t last_us = 0;
	size_t count = 0;

	for (size_t i = 0; i < e->count; i++) {
		const struct erasure *one = &e->items[i];

		if (!str_equal(one->database, database) || one->at_us < m->started_at_us)
			continue;
		count++;
		last_us = one->at_us > last_us ? one->at_us : last_us;
	}
	if (count == 0)
		return;
	str_appendf(out,
	            "%zu erasure%s of the database %s registered since %s was begun, the last at %s: ", count,
	            count == 1 ? "" : "s", database, m->path, clock_format_iso(last_us, last));
	str_append(
	        out,
	        "this backup still has what was erased, and it is shown as it is. A restore leaves it out; rows that "
	        "are taken from here may not be used again if they are among it (keepfs erasures)");
}

bool erasures_append_notice(const struct erasures_asked *asked, struct str *out)
{
	const char *database = manifest_fact(asked->m, "database");
	_cleanup(erasures) struct erasures *e = NULL;
	struct error err = {0};
	size_t before = out->len;

	if (!database)
		return false;
	if (erasures_read(asked->conf, asked->repository, asked->cancel, &e, &err) < 0)
		str_appendf(out, "whether %s has what was erased since is not known: %s", asked->m->path,
		            err.message);
	else
		append_count(e, asked->m, database, out);
	return out->len > before;
}
