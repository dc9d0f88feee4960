// SPDX-License-Identifier: Apache-2.0
/* Can the secrets be read that are not in the configuration itself, and can those be opened that are sealed? */
#include "check_private.h"

#include <keepfs/base/str.h>
#include <keepfs/secret.h>

struct looking {
	struct probe *p;
	size_t good;
};

static void look_for_secret(void *arg, const char *title, const struct conf_secret *secret)
{
	struct looking *l = arg;
	/* A password of mail may be in a file that others can read: conf warns of it. */
	const struct secret_use use = {
	        .what = title, .whole = true, .open_file = str_starts(title, "[mail] ")};
	_cleanup(secret_text) struct secret_text text = {0};
	struct error err = {0};

	if (!conf_secret_is_set(secret) || (!secret_may_change(secret) && !conf_is_sealed(secret->value)))
		return;
	if (secret_get(secret, &use, NULL, &text, &err) < 0)
		probe_add(l->p, false, "secret", "%s", err.message);
	else
		l->good++;
}

void probe_secrets(struct probe *p, const struct conf *conf)
{
	struct looking l = {.p = p};

	conf_each_secret(conf, look_for_secret, &l);
	if (l.good > 0)
		probe_add(p, true, "secrets",
		          "%zu can be read that are sealed, in files or printed by commands", l.good);
}
