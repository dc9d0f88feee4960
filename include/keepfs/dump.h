// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Dumps: the kind of jobs that back up a database with pg_dump, [backup NAME]. */
#include <keepfs/make.h>

extern const struct make_kind dump_kind;
