// SPDX-License-Identifier: Apache-2.0
/* The stores that have copies, each tried as the first one is. One that fails keeps no backup from being made. */
#include "check_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/stores.h>

#define COPY_PROBE_MS 15000

static void probe_copy_store(struct probe *p, struct stores *stores, const struct conf_named_store *named)
{
	_cleanup(catalog_store) struct catalog_store at = {0};
	_cleanup(store) struct store *store = NULL;
	_cleanup(free) char *name = mem_printf("store %s", named->name);
	struct store_tried tried = {0};
	struct error err = {0};
	int r;

	stores_at_section(named, &at);
	r = stores_open_at(stores, &at, &store, &err);
	if (r == 0)
		r = store_try(store, COPY_PROBE_MS, NULL, &tried, &err);
	if (r < 0)
		probe_add(p, false, name, "no copies can be made: %s", err.message);
	else
		probe_add(p, true, name,
		          "%s: written (%lld ms), read back (%lld ms), deleted (%lld ms); it has copies",
		          store->name, (long long)tried.put_ms, (long long)tried.get_ms,
		          (long long)tried.remove_ms);
}

void probe_replicas(struct probe *p, const struct conf *conf)
{
	_cleanup(stores) struct stores *stores =
	        stores_new(&(struct stores_options){.conf = conf, .retry_deadline_ms = COPY_PROBE_MS});

	for (size_t i = 0; i < conf->store_count; i++)
		if (conf_is_for_copies(conf, conf->stores[i].name))
			probe_copy_store(p, stores, &conf->stores[i]);
}
