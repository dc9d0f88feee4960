// SPDX-License-Identifier: Apache-2.0
/* See keepfs/codec/base_facts.h. */
#include <keepfs/codec/base_facts.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/wal_name.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES 21 /* 2^64 - 1 in decimal, with NUL */

void base_facts_set(struct manifest *m, const struct base_facts *f)
{
	char number[NUMBER_BYTES], lsn[WAL_LSN_BYTES];

	snprintf(number, sizeof(number), "%" PRIu64, f->system_id);
	manifest_set_fact(m, "system_identifier", number);
	manifest_set_fact_int(m, "timeline", f->timeline);
	manifest_set_fact(m, "start_lsn", wal_lsn_format(f->start_lsn, lsn));
	manifest_set_fact(m, "stop_lsn", wal_lsn_format(f->stop_lsn, lsn));
	manifest_set_fact_int(m, "segment_bytes", f->segment_bytes);
	json_set_time(m->facts, "stopped_at", f->stopped_us);
}

static bool take_system_id(const struct manifest *m, uint64_t *ret)
{
	const char *text = manifest_fact(m, "system_identifier");
	char *end;

	if (!text || strspn(text, "0123456789") != strlen(text) || !*text)
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && *ret > 0;
}

static bool take_lsn_fact(const struct manifest *m, const char *name, uint64_t *ret)
{
	const char *text = manifest_fact(m, name);

	return text && wal_lsn_parse(text, ret) == 0 && *ret > 0;
}

static bool take_number_fact(const struct manifest *m, const char *name, uint32_t *ret)
{
	int64_t value;

	if (!m->facts || !json_get_int(m->facts, name, &value) || value <= 0 || value > UINT32_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}

int base_facts_get(const struct manifest *m, struct base_facts *ret, struct error *err)
{
	struct base_facts f = {0};
	const char *wrong = NULL;

	if (!take_system_id(m, &f.system_id))
		wrong = "system_identifier";
	else if (!take_number_fact(m, "timeline", &f.timeline))
		wrong = "timeline";
	else if (!take_lsn_fact(m, "start_lsn", &f.start_lsn))
		wrong = "start_lsn";
	else if (!take_lsn_fact(m, "stop_lsn", &f.stop_lsn) || f.stop_lsn <= f.start_lsn)
		wrong = "stop_lsn";
	else if (!take_number_fact(m, "segment_bytes", &f.segment_bytes) ||
	         !wal_segment_bytes_valid(f.segment_bytes))
		wrong = "segment_bytes";
	else if (!json_get_time(m->facts, "stopped_at", &f.stopped_us) || f.stopped_us <= 0)
		wrong = "stopped_at";
	if (wrong)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s: the fact %s of the base is missing, or makes no sense",
		                 m->path ? m->path : "a manifest", wrong);
	*ret = f;
	return 0;
}
