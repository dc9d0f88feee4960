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
/** settings_move() - of @url instead, on the same server. */
void settings_move(struct settings *s, const char *url);
/** settings_read_only() - of a place in which nothing is to be made. */
void settings_read_only(struct settings *s);
/** stores_conf() - what is in force; stores_conf_done() gives it back. */
const struct conf *stores_conf(struct stores *s);
void stores_conf_done(struct stores *s, const struct conf *conf);
/** stores_open_settings() - a handle of the store with these settings, which are taken; failures begin with @label. */
int stores_open_settings(struct stores *s, const struct conf *conf, struct settings *settings,
                         const char *label, struct store **ret_store, struct error *err);
/** stores_label() - heap: "the store acme (s3://…) of tenant globex". */
char *stores_label(const struct catalog_store *at);
/** stores_open_adopted() - for store_elsewhere_new(), with the stores as @arg. */
int stores_open_adopted(void *arg, const char *place, bool removes, struct store **ret_store,
                        struct error *err);

/** stores_matches() - is @word one of the @patterns? NULL: none. */
bool stores_matches(char *const *patterns, const char *word);
