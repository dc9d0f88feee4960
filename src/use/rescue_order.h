// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What was asked for: the words of a rescue. Pure. */
#include <keepfs/base/error.h>
#include <keepfs/codec/command_line.h>
#include <stdbool.h>

struct rescue_order { /* borrowed from the line; NULL: not given */
	const char *backup, *table;
	const char *where, *by, *into, *database, *server;
	bool common, replace;
	bool execute; /* confirm= names the table, and plan=yes is not there */
};

/** rescue_order_read() - take the words; -EINVAL with what is allowed, also for a confirm= that names another table. */
int rescue_order_read(const struct command_line *line, struct rescue_order *ret, struct error *err);
