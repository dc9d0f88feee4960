// SPDX-License-Identifier: Apache-2.0
/* Which driver a URL names, and how the wrappers lie around it: faults are made below the retries, so that
 * what is rehearsed is what would happen; and they are counted, each try by itself, as a real store's are. The fence lies
 * below the retries, too: a call that waits to be tried again must not be made when its time is over. */
#include <keepfs/base/str.h>
#include <keepfs/conf.h>
#include <keepfs/store.h>

#include <errno.h>
#include <string.h>

static int open_driver(const struct conf_store *conf, struct net *net, struct store **ret, struct error *err)
{
	if (str_starts(conf->url, "dir:"))
		return (conf->read_only ? store_dir_new_read_only : store_dir_new)(conf->url + strlen("dir:"),
		                                                                   ret, err);
	if (str_starts(conf->url, "s3://") && net)
		return store_s3_new(conf, net, ret, err);
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "store.url = %s: not a store; use dir:/absolute/path or s3://bucket/prefix",
	                 conf->url ? conf->url : "");
}

int store_open_fenced(const struct conf_store *conf, struct net *net, struct store_metrics *metrics,
                      const struct store_fence *fence, struct store **ret_store, struct error *err)
{
	struct store *s = NULL;
	int r = open_driver(conf, net, &s, err);

	if (r < 0)
		return r;
	if (conf->faults && conf->faults[0]) {
		r = store_fault_new(s, conf->faults, &s, err); /* consumes the driver, also when it fails */
		if (r < 0)
			return r;
	}
	if (metrics)
		s = store_meter_new(s, metrics);
	if (fence)
		s = store_fence_new(s, fence);
	*ret_store = store_retry_new(s, conf->retry_deadline_ms);
	return 0;
}

int store_open(const struct conf_store *conf, struct net *net, struct store_metrics *metrics,
               struct store **ret_store, struct error *err)
{
	return store_open_fenced(conf, net, metrics, NULL, ret_store, err);
}
