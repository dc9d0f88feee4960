// SPDX-License-Identifier: Apache-2.0
/* What the keys of one job that is about a whole server say about each other. Pure. */
#include "job_kinds.h"

#include <keepfs/base/str.h>

#include <string.h>

#define SLOT_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789_"
#define SLOT_PREFIX  "keepfs_"

_Static_assert(sizeof(SLOT_PREFIX) < CONF_SLOT_BYTES, "a slot's name begins with it");

static char slot_letter(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c && strchr(SLOT_LETTERS, c) ? c : '_';
}

const char *conf_cluster_slot(const struct conf_job *job, char ret[static CONF_SLOT_BYTES])
{
	size_t len = strlen(SLOT_PREFIX);

	if (job->cluster.slot[0]) {
		str_copy(ret, CONF_SLOT_BYTES, job->cluster.slot);
		return ret;
	}
	str_copy(ret, CONF_SLOT_BYTES, SLOT_PREFIX);
	for (const char *c = job->name; *c && len + 1 < CONF_SLOT_BYTES; c++)
		ret[len++] = slot_letter(*c);
	ret[len] = '\0';
	return ret;
}

static bool is_slot_name(const char *text)
{
	size_t len = strspn(text, SLOT_LETTERS);

	return !text[len] && len < CONF_SLOT_BYTES;
}

bool conf_cluster_takes_everything(const struct conf_job *job)
{
	(void)job;
	return true;
}

void conf_cluster_check(const void *base, const struct conf_clashes *clashes)
{
	const struct conf_job *job = base;

	conf_policy_check(&job->policy, clashes);
	conf_encryption_check(&job->encrypt, clashes);
	if (job->compression.kind == COMPRESS_NONE || job->compression.kind == COMPRESS_GZIP)
		conf_clash(clashes, "compression", "wal",
		           "cannot be read in its middle, as a base backup is, which goes with",
		           "fast, small, zstd, zstd:1 to zstd:19");
	if (!is_slot_name(job->cluster.slot))
		conf_clash(clashes, "slot", "slot", "is the name of a replication slot, but",
		           "at most 63 of the letters a to z, digits and '_'");
}
