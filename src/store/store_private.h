// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of this room share: checks that every driver and wrapper makes in the same way. */
#include <keepfs/store.h>

/** store_call_state() - 0, -ECANCELED, or -ETIMEDOUT when the deadline passed. NULL allowed. */
int store_call_state(const struct store_call *call);
/** store_call_check() - store_call_state() with a message: "<doing>: cancelled". */
int store_call_check(const struct store_call *call, const char *doing, struct error *err);
/** store_prefix_check() - 0 when keys may begin with @prefix, else -EINVAL with a message. "" is a prefix. */
int store_prefix_check(const char *prefix, struct error *err);
/** store_get_begin() - nothing is known yet: *ret_etag "", *ret_filled 0, where they are asked for. */
void store_get_begin(const struct store_get_options *options);
/** store_get_tell() - the answers of a get of which @filled bytes came, of the object with @etag. */
void store_get_tell(const struct store_get_options *options, const char *etag, uint64_t filled);
