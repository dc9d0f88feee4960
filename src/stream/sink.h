// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Stages: a filter holds the next stage and owns it; the last one is an upload. Private to this room. */
#include <keepfs/stream.h>

int sink_write(struct sink *s, const void *data, size_t len, struct error *err);
int sink_finish(struct sink *s, struct error *err);
/** sink_free() - frees the stages behind it too. NULL allowed; returns NULL. */
struct sink *sink_free(struct sink *s);
