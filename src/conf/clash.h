// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Rules between the keys of one section: the same for a configuration and for what a trigger makes of a
 * job. Pure. */
#include <stdbool.h>

struct conf_clash {
	const char *key, *other; /* names of the two that contradict each other */
	const char *what;        /* "@key = …: <what> @other = …" */
	const char *allowed;
};

typedef void (*conf_clash_fn)(void *arg, const struct conf_clash *clash);

/** What a section's rules say to. */
struct conf_clashes {
	conf_clash_fn told;
	void *arg;
};

static inline void conf_clash(const struct conf_clashes *c, const char *key, const char *other,
                              const char *what, const char *allowed)
{
	const struct conf_clash clash = {key, other, what, allowed};

	c->told(c->arg, &clash);
}
