// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The key of `hash`: whoever has it can find out short values from their hashes, so it is nobody's but ours. */
#include <keepfs/base/error.h>
#include <keepfs/codec/copy_json.h>

/**
 * export_key_read() - the SHA-256 of all bytes of the file
 * A regular file of ours or root's, of mode 0600 or less, with at least CONF_REDACT_KEY_BYTES. Blocks on the local disk. 0; negative errno; the key is for the
 * caller to wipe.
 */
int export_key_read(const char *path, unsigned char ret[static COPY_JSON_KEY_BYTES], struct error *err);
