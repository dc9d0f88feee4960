// SPDX-License-Identifier: Apache-2.0
/* A bucket on a server that somebody else started. */
#include "factory.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/conf.h>
#include <keepfs/net.h>

#include <stdio.h>
#include <stdlib.h>

#define SKIPPED 77

struct remote {
	struct conf_store conf;
	struct net *net;
};

static char *variable(const char *name)
{
	_cleanup(free) char *full = mem_printf("KEEPFS_TEST_S3_%s", name);
	const char *value = getenv(full);

	if (!value || !value[0]) {
		printf("1..0 # SKIP %s is not set\n", full);
		exit(SKIPPED);
	}
	return mem_strdup(value);
}

static struct remote *new_remote(void)
{
	struct remote *r = mem_alloc(sizeof(*r));

	r->conf = (struct conf_store){
	        .url = variable("URL"),
	        .endpoint = variable("ENDPOINT"),
	        .region = variable("REGION"),
	        .access_key = variable("ACCESS_KEY"),
	        .secret_key.value = variable("SECRET_KEY"),
	        .session_token.value = mem_strdup(""),
	        .profile = mem_strdup(""),
	        .addressing = CONF_ADDRESSING_PATH,
	        .ca_file = mem_strdup(""),
	        .sse = CONF_SSE_NONE,
	        .sse_kms_key = mem_strdup(""),
	        .connect_timeout_ms = 10000,
	        .stall_timeout_ms = 30000,
	        .retry_deadline_ms = 60000,
	        .part_bytes = (uint64_t)8 << 20,
	        .max_parts = STORE_MAX_PARTS,
	        .faults = mem_strdup(""),
	};
	r->conf.allow_http = str_starts(r->conf.endpoint, "http://");
	return r;
}

void factory_open_s3(struct suite *t)
{
	struct remote *r = new_remote();
	struct error err = {0};

	t->remote = r;
	factory_check(net_new(&(struct net_options){.max_connections = 16}, &r->net, &err), &err);
	factory_check(store_s3_new(&r->conf, r->net, &t->store, &err), &err);
}

void factory_close_s3(struct suite *t)
{
	struct remote *r = t->remote;

	net_free(r->net);
	free(r->conf.url);
	free(r->conf.endpoint);
	free(r->conf.region);
	free(r->conf.access_key);
	mem_free_secret(r->conf.secret_key.value);
	free(r->conf.session_token.value);
	free(r->conf.profile);
	free(r->conf.ca_file);
	free(r->conf.sse_kms_key);
	free(r->conf.faults);
	free(r);
}
