// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Of a webhook or a heartbeat: the url and the headers that are secrets, read when something is sent. */
#include <keepfs/secret.h>

struct target_conf {         /* borrowed */
	const char *section; /* for messages: "[webhook chat]" */
	const struct conf_secret *url, *more_headers;
	char *const *headers;
};

struct target { /* begin with {0} */
	struct secret_text url;
	char **headers; /* NULL: those of the configuration */
};

/** target_open() - as secret_get(), and whether they are what they should be. *@ret is to be finished in every case. */
int target_open(const struct target_conf *conf, struct cancel *cancel, struct target *ret, struct error *err);
void target_finish(struct target *t);
static inline void cleanup_target(struct target *t)
{
	target_finish(t);
}
/** target_headers() - those that apply; borrowed from either. */
char *const *target_headers(const struct target *t, const struct target_conf *conf);
/** target_asks_anew() - the receiver did not know us, and what a command printed a while ago is asked for anew: the next time may be better. */
bool target_asks_anew(const struct target_conf *conf, const struct error *err);
