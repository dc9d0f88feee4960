// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The kind of jobs that make base backups of a PostgreSQL server: [cluster NAME]. Each run makes a base, all files of the server as they were sent by it.
 * docs/formats.md, "Base backups".
 */
#include <keepfs/make.h>

/** cluster_kind - the kind of jobs that make base backups. */
extern const struct make_kind cluster_kind;
