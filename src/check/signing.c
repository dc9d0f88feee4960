// SPDX-License-Identifier: Apache-2.0
/* The keys of signatures: a key that cannot be read keeps the daemon from starting, so it is told before. */
#include "check_private.h"

#include <keepfs/keyring/signing.h>

static bool has_signing_keys(const struct conf *conf)
{
	return conf_secret_is_set(&conf->signing_key) || conf_secret_is_set(&conf->signing_key_old) ||
	       *str_or_empty(conf->verify_key_file);
}

void probe_signing(struct probe *p, const struct conf *conf)
{
	struct signing *signing = NULL;
	const struct signing_keys *keys;
	struct error err = {0};

	if (!has_signing_keys(conf))
		return;
	if (signing_new(conf, &signing, &err) < 0) {
		probe_add(p, false, "signing", "%s", err.message);
		return;
	}
	keys = signing_ref(signing);
	if (keys->key)
		probe_add(p, true, "signing",
		          "manifests are signed with the key %s, and the signatures of %zu keys are believed",
		          sign_key_public(keys->key)->id, keys->count);
	else
		probe_add(p, true, "signing",
		          "manifests are not signed; the signatures of %zu keys are believed", keys->count);
	signing_unref(keys);
	signing_free(signing);
}
