// SPDX-License-Identifier: Apache-2.0
/* THE table of the kinds of jobs. A further kind is a section of the configuration, a maker in a room of its own, and a
 * row here. Bundles alone are made in this room, since they consist of what the others make. */
#include "bundle.h"

#include <keepfs/kinds.h>

#include <keepfs/base/mem.h>
#include <keepfs/cluster.h>
#include <keepfs/codec/name.h>
#include <keepfs/dump.h>
#include <keepfs/export.h>
#include <keepfs/files.h>
#include <keepfs/inbox.h>
#include <keepfs/mirror.h>

#include <string.h>

static const struct make_kind *const kinds[] = {
        [CONF_JOB_DUMP] = &dump_kind,       [CONF_JOB_FILES] = &files_kind,
        [CONF_JOB_EXPORT] = &export_kind,   [CONF_JOB_MIRROR] = &mirror_kind,
        [CONF_JOB_BUNDLE] = &bundle_kind,   [CONF_JOB_INBOX] = &inbox_kind,
        [CONF_JOB_CLUSTER] = &cluster_kind,
};

const struct make_kind *kind_of(const struct conf_job *job)
{
	return kinds[job->kind];
}

char *kind_unknown(const struct manifest *m)
{
	if (tree_is_pack(m->path))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i]->name, m->kind) == 0)
			return NULL;
	return mem_printf("the kind \"%s\"", m->kind);
}
