// SPDX-License-Identifier: Apache-2.0
/*
 * The S3 driver: a bucket as an object store.
 *
 * It speaks the smallest S3 that AWS, Ceph, Swift, MinIO and the like have in common, makes one request per
 * call wherever that is enough, and never tries again: it says whether that could help, and the retry wrapper
 * does it.
 */
#include "s3.h"

#include <errno.h>
#include <keepfs/base/mem.h>
#include <keepfs/conf/provider.h>
#include <string.h>

/* Requests at once that bring one stream to the speed of the line: what peers use too. */
#define PARALLEL 8

static void tell_server_clock(struct s3 *s, struct store_features *ret)
{
	pthread_mutex_lock(&s->lock);
	if (s->clock_us) {
		ret->clock_us = s->clock_us + clock_boot_us() - s->clock_boot_us;
		ret->clock_error_us = s->clock_took_us + US_PER_S;
	}
	pthread_mutex_unlock(&s->lock);
}

static int s3_features(struct store *store, struct store_features *ret, struct error *err)
{
	struct s3 *s = (struct s3 *)store;
	const struct conf_store *conf = s->conf;
	const struct conf_provider_info *provider = conf_provider_of(conf);

	(void)err;
	*ret = (struct store_features){
	        .min_part_bytes = provider->min_part_bytes,
	        .max_part_bytes = provider->max_part_bytes,
	        .equal_parts = conf_wants_equal_parts(conf),
	        .max_parts = conf->max_parts > 0 && conf->max_parts < STORE_MAX_PARTS
	                             ? (unsigned)conf->max_parts
	                             : STORE_MAX_PARTS,
	        .parallel = PARALLEL,
	        .capacity_bytes = conf->capacity_bytes ? conf->capacity_bytes : STORE_UNKNOWN,
	        .available_bytes = STORE_UNKNOWN,
	        .atomic_absent = !atomic_load(&s->no_conditional_put),
	        .atomic_match = atomic_load(&s->conditional_match) != S3_MATCH_FAILS,
	        .lock_mode = (enum store_lock_mode)conf->object_lock,
	        .lock_min_us = conf->lock_min_ms * 1000,
	        .lock_max_us = conf->lock_max_ms * 1000,
	};
	tell_server_clock(s, ret);
	s3_describe_versions(s, ret);
	return 0;
}

static struct store *s3_free(struct store *store)
{
	struct s3 *s = (struct s3 *)store;

	if (!s)
		return NULL;
	aws_free(s->aws);
	explicit_bzero(&s->key, sizeof(s->key));
	s3_place_finish(&s->place);
	pthread_mutex_destroy(&s->lock);
	free(s->store.name);
	free(s);
	return NULL;
}

static const struct store_ops s3_ops = {
        .put = s3_put,
        .get = s3_get,
        .head = s3_head,
        .remove = s3_remove,
        .list = s3_list,
        .upload_begin = s3_upload_begin,
        .upload_announce = s3_upload_announce,
        .upload_part = s3_upload_part,
        .upload_copy = s3_upload_copy,
        .upload_complete = s3_upload_complete,
        .upload_id = s3_upload_id,
        .upload_free = s3_upload_free,
        .upload_abort = s3_upload_abort,
        .upload_list = s3_upload_list,
        .presign = s3_presign,
        .locking = s3_locking,
        .features = s3_features,
        .free = s3_free,
};

int store_s3_new(const struct conf_store *conf, struct net *net, struct store **ret_store, struct error *err)
{
	struct s3 *s = mem_alloc(sizeof(*s));
	int r;

	pthread_mutex_init(&s->lock, NULL);
	s->store.ops = &s3_ops;
	s->conf = conf;
	s->net = net;
	s->aws = aws_new(conf, net);
	atomic_init(&s->no_conditional_put, conf_puts_conditionally(conf) == CONF_CONDITIONAL_NO);
	r = s3_place_init(&s->place, conf, err);
	if (r) {
		s3_free(&s->store);
		return r;
	}
	s->store.name = mem_printf("s3://%s/%s", s->place.bucket, s->place.prefix);
	s->store.name[strlen(s->store.name) - 1] = '\0';
	*ret_store = &s->store;
	return 0;
}
