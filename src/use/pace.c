// SPDX-License-Identifier: Apache-2.0
#include "pace.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <inttypes.h>
#include <string.h>
#include <time.h>

static char *directory_with(const struct backup *b)
{
	const char *slash = strrchr(b->path, '/');

	return mem_printf("%.*s", (int)(slash ? slash - b->path : 0), b->path);
}

void pace_note(const struct backup *b, enum pace_work work, int64_t took_us, uint64_t database_bytes)
{
	_cleanup(free) char *directory = directory_with(b);
	const struct catalog_pace pace = {.directory = directory,
	                                  .work = work,
	                                  .at_us = make_now_us(b->ctx),
	                                  .took_us = took_us > 0 ? took_us : 1,
	                                  .stored_bytes = b->m.size_bytes,
	                                  .database_bytes = database_bytes};
	struct error err = {0};

	if (b->m.size_bytes > 0 && catalog_add_pace(b->ctx->repository->catalog, &pace, &err) < 0)
		log_warning("how long %s took could not be kept: %s", b->path, err.message);
}

void pace_find(const struct backup *b, enum pace_work work, struct pace *ret)
{
	*ret = (struct pace){.directory = directory_with(b)};
	if (catalog_paces(b->ctx->repository->catalog, ret->directory, work, &ret->from) < 0 ||
	    ret->from.stored_bytes == 0)
		return;
	ret->expected_us = (int64_t)((double)b->m.size_bytes * (double)ret->from.took_us /
	                             (double)ret->from.stored_bytes) +
	                   1;
}

static void append_time_taken(struct str *out, int64_t us)
{
	int64_t s = (us + US_PER_S / 2) / US_PER_S;

	if (s < 120)
		str_appendf(out, "%" PRId64 " s", s > 0 ? s : 1);
	else if (s < 7200)
		str_appendf(out, "%" PRId64 " min", (s + 30) / 60);
	else
		str_appendf(out, "%" PRId64 " h %02" PRId64 " min", s / 3600, s / 60 % 60);
}

void pace_append_ground(const struct pace *pace, struct str *out)
{
	const struct catalog_paces *from = &pace->from;
	time_t at = (time_t)(from->at_us / US_PER_S);
	char rate[16], when[32];
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	append_time_taken(out, pace->expected_us);
	str_appendf(out, " (%s of the backup per second, as ",
	            str_format_bytes(rate, sizeof(rate),
	                             (uint64_t)((double)from->stored_bytes * (double)US_PER_S /
	                                        (double)from->took_us)));
	if (from->count == 1)
		str_append(out, "the last time");
	else
		str_appendf(out, "the last %" PRIu64 " times", from->count);
	str_appendf(out, "%s%s, %s %s)", from->of_others ? ", which were of other directories than " : " in ",
	            pace->directory, from->count == 1 ? "on" : "the newest on", when);
}

void pace_finish(struct pace *pace)
{
	free(pace->directory);
	pace->directory = NULL;
}

uint64_t pace_database_bytes(const struct backup *b)
{
	_cleanup(pace) struct pace pace;

	pace_find(b, PACE_RESTORED, &pace);
	if (pace.from.sized_stored_bytes == 0)
		return 0;
	return (uint64_t)((double)b->m.size_bytes * (double)pace.from.database_bytes /
	                  (double)pace.from.sized_stored_bytes);
}

enum pace_work pace_of_check(enum proof_level level)
{
	return level == PROOF_BYTES ? PACE_BYTES : PACE_STRUCTURE;
}
