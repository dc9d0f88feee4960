// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Is a document that is read back from the store whole? It is unpacked, which checks the CRC-32 and the length of what was compressed, and held
 * against what was counted while it was written: bytes, lines (each row is one), and its last line. One thread.
 */
#include "document.h"

#include <keepfs/make/draft.h>

struct whole {
	uint64_t bytes, lines;        /* as they have to be */
	char end[DOCUMENT_END_BYTES]; /* its last line */
	uint64_t found_bytes, found_lines;
	char last[DOCUMENT_END_BYTES]; /* the last bytes that came */
	size_t last_len;
	struct decompressor *decompressor;
};

/** whole_init() - what @d, which has ended, has to be; whole_finish() follows. */
void whole_init(struct whole *w, const struct document *d);
/** whole_init_text() - the same of another text, of so many bytes and lines, which ends with @end (shorter than DOCUMENT_END_BYTES). */
void whole_init_text(struct whole *w, uint64_t bytes, uint64_t lines, const char *end);
void whole_finish(struct whole *w);
/** whole_check() - for draft_publish(). -EBADMSG (ERROR_CORRUPT). */
struct draft_check whole_check(struct whole *w);
