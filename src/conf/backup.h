// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Rules between the keys of one job. Pure. */
#include <keepfs/conf.h>

struct conf_clash {
	const char *key, *other; /* names of the two that contradict each other */
	const char *what;        /* "@key = …: <what> @other = …" */
	const char *allowed;
};

typedef void (*conf_clash_fn)(void *arg, const struct conf_clash *clash);

/** conf_backup_check() - call @told for each contradiction. */
void conf_backup_check(const struct conf_backup *job, conf_clash_fn told, void *arg);
/** conf_backup_takes_everything() - is a dump by @job a whole one? */
bool conf_backup_takes_everything(const struct conf_backup *job);
