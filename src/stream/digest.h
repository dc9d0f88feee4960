// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The filter in front of an upload. Private to this room. */
#include "sink.h"

/** digest_new() - passes bytes on to @next (consumed), counts and @hash: hashes them, and lists their
 * extents, in @facts (borrowed), which is complete after sink_finish(). What @facts holds already is kept:
 * bytes that come before those that pass. @max_extents: how many, with those, are listed before extents
 * become longer. */
struct sink *digest_new(struct sink *next, struct stream_facts *facts, bool hash, size_t max_extents);
