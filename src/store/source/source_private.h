// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What a driver of sources is. */
#include <keepfs/store/source.h>

#include <stdatomic.h>

struct source_ops {
	/* A step of a listing: as source_list_next(). */
	int (*next)(struct source_list *l, struct source_object *ret, struct error *err);
	void (*end)(struct source_list *l);
	int (*get)(struct source *s, const struct store_call *call, const char *key, const char *etag,
	           uint64_t offset, const struct iovec *iov, int count, struct source_facts *ret,
	           struct error *err);
	int (*head)(struct source *s, const struct store_call *call, const char *key,
	            struct source_object *ret, struct error *err);
	void (*free)(struct source *s);
};

struct source {
	const struct source_ops *ops;
	char *name;
	char *section;       /* NULL: nobody has said which */
	struct store *retry; /* whose tries are those of our calls; NULL: they are made once */
	atomic_ullong requests;
};

struct source_list {
	struct source *source;
	const struct store_call *call;
	struct source_left left;
	void *state; /* the driver's */
};

int source_s3_open(const struct conf_store *conf, unsigned connections, struct source **ret,
                   struct error *err);
int source_dir_open(const char *root, struct source **ret, struct error *err);
