// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The readers of a parallel dump: a thread, a connection and a compressor each. */
#include "dump.h"
#include "tape.h"

#include <keepfs/stream/ordered.h>

struct readers;

/** readers_open() - connect *@count of them and have them join @snapshot of the server with the mark @server;
 * *@count becomes how many could: at least two, or this is a failure. */
int readers_open(struct dump *d, struct contents *contents, const char *snapshot, const char *server,
                 unsigned *count, struct readers **ret_readers, struct error *err);
/** readers_start() - let them read @tape (borrowed) into @turns, slice by slice. */
int readers_start(struct readers *r, const struct tape *tape, struct turns *turns, struct error *err);
/** readers_stop() - wait until all have ended, @now: without finishing what they are at. Idempotent. */
void readers_stop(struct readers *r, bool now);
struct readers *readers_free(struct readers *r); /* stopped before; NULL allowed */
