// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of this room share. */
#include <keepfs/codec/hash.h>
#include <keepfs/stores.h>

/** struct settings - of one store, all its own: it outlives the configuration that it was made of. */
struct settings {
	struct conf_store conf;
	uint8_t mark[SHA256_BYTES]; /* equal of two when nothing of them differs */
};

/** settings_of() - how to get into the store @at, by what is in force. As stores_open(). */
int settings_of(const struct conf *conf, const struct catalog_store *at, struct settings *ret,
                struct error *err);
void settings_finish(struct settings *s);

/** stores_matches() - is @word one of the @patterns? NULL: none. */
bool stores_matches(char *const *patterns, const char *word);
