// SPDX-License-Identifier: Apache-2.0
#pragma once
/* SIGHUP: the configuration is read again. */
#include "engine.h"

struct notify;
struct report_troubles;

/**
 * reload_configuration() - put in force what of it a daemon that runs can take over
 * What has changed, and what needs a restart, is told in the log and by health; who wants to hear of it is told when that changes
 * which backups are made or stay (@notify; NULL: nobody); when anything is wrong, nothing
 * changes. Runs keep the job that they began with.
 */
void reload_configuration(struct engine *engine, struct conf_live *live, struct report_troubles *troubles,
                          struct notify *notify);
