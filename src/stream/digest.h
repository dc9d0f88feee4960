#pragma once
/** The filter behind stream_digest_new() and struct stream_object. Private to this room. */
#include <keepfs/stream.h>

/** digest_new() - stream_digest_new(); without @hash no SHA-256 is computed, and facts.sha256 stays "". What
 * @facts holds already is kept: bytes that come before those that pass. */
struct sink *digest_new(struct sink *next, struct stream_facts *facts, bool hash);
