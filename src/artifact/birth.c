// SPDX-License-Identifier: Apache-2.0
/* What an artifact is for ever, from the moment it is published: the first good one of its day, week, month and year. */
#include "artifact_private.h"

#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/retention.h>
#include <keepfs/codec/name.h>

_Static_assert(RETENTION_DAILY == 1 && RETENTION_YEARLY == 1 << (MANIFEST_TIERS - 1),
               "the bits of a manifest");

const char *artifact_content(const char *name)
{
	static const char *const contents[] = {".schema", ".data", ".partial"};
	const char *suffix = name_suffix(name);

	for (size_t i = 0; i < ARRAY_SIZE(contents); i++)
		if (str_starts(suffix, contents[i]))
			return contents[i];
	return "";
}

int artifact_tag(struct repository *repo, const struct retention_rules *rules, const struct zone *zone,
                 struct manifest *m, struct error *err)
{
	_cleanup(free) char *directory = mem_strdup(m->path);
	int64_t other_us[2], other_s[2];
	char *name = strrchr(directory, '/');
	int count;

	*name++ = '\0';
	if (m->partial) {
		m->tiers_known = true;
		return 0;
	}
	count = catalog_neighbours(repo->catalog, directory, artifact_content(name), m->started_at_us,
	                           other_us);
	if (count < 0)
		return error_system(err, -count, "the catalog cannot be read");
	for (int i = 0; i < count; i++)
		other_s[i] = other_us[i] / US_PER_S;
	m->tiers = retention_tiers_at_birth(rules, zone, m->started_at_us / US_PER_S, other_s, (size_t)count);
	m->tiers_known = true;
	return 0;
}
