// SPDX-License-Identifier: Apache-2.0
#pragma once
/** A stage that counts and hashes what passes. Private to this room. */
#include <keepfs/codec/hash.h>
#include <keepfs/stream/sink.h>
#include <stdint.h>

/** digest_new() - passes bytes on to @next (consumed), adds their number to *@bytes, and, unless @sha256 is
 * NULL, sets their SHA-256 when they end: the digest of a stream with a head, or with bytes that the store copies, is not computed, since that
 * needs all bytes in order. Both are borrowed. */
struct sink *digest_new(struct sink *next, uint64_t *bytes, char *sha256);
