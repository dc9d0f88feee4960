// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Acknowledging: somebody knows of an item of health, and says until when it shall not count. The item is shown with its level
 * all the same; the first line of status/health, the exit status of `keepfs status` and the sums of the metrics leave it
 * out. It ends by itself when the time is over, and when health is next looked at and the item is gone, or worse than it
 * was then: a third failure is news to whoever knew of the second.
 */
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/report/status.h>

/**
 * report_acknowledge() - carry out a command of control/ack
 * @command: "CHECK/SUBJECT until=TIME [note=TEXT]", or "CHECK/SUBJECT off"; in place of the first word the name of the
 *           item as status/health has it, when there is only one of it
 * @by:      who says so: "uid 0 (bash)"
 *
 * TIME is a date (its beginning, in the time zone of [keepfs]) or a moment in UTC, and at most a year ahead. Blocks on the local
 * disk; any thread. Return: 0, with what was done in @answer; -EINVAL for a wrong command, -ENOENT when there is no such
 * item, or nothing to take back; negative errno of the catalog.
 */
int report_acknowledge(const struct report_sources *from, const char *command, const char *by,
                       struct str *answer, struct error *err);
