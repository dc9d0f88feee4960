// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of this room share. */
#include <keepfs/catalog/chain.h>
#include <keepfs/chain.h>
#include <keepfs/keyring/signing.h>

struct chain {
	struct catalog *catalog;
	struct signing *signing;
	void (*put)(void *arg); /* chain_listen(); NULL */
	void *put_arg;
};

/** chain_find_key() - a believed key: of the configuration, or one of which a later one says that it signed before it. False: there is none of that name. */
bool chain_find_key(struct chain *c, const struct signing_keys *keys, const char *id,
                    struct sign_public *ret);
