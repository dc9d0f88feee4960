// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A bucket as a source: source.c reads, source_put.c writes. */
#include "../source/source_private.h"
#include "s3.h"

struct s3_source {
	struct source base; /* first */
	struct net *net;
	struct s3 *s3; /* owned by base.retry */
};

static inline struct s3_source *s3_source_of(struct source *s)
{
	return (struct s3_source *)s; /* `base` is the first member */
}

/** s3_is_kept_header() - one that comes back with an object when it is put with it again. */
bool s3_is_kept_header(const char *name, size_t len);

int s3_source_check_key(const struct source *s, const char *key, struct error *err);
size_t s3_source_piece_bytes(const struct source *s, const struct source_new *what);
bool s3_source_may_tell(const struct source *s, const struct source_new *what, const char *etag);
char *s3_source_made_etag(const struct source *s, const struct source_new *what,
                          const uint8_t (*md5s)[SOURCE_MD5_BYTES], size_t count);
int s3_source_put_begin(struct source *s, const struct store_call *call, const struct source_new *what,
                        struct source_put **ret, struct error *err);
int s3_source_put_write(struct source_put *p, const struct store_call *call, const void *data, size_t len,
                        struct error *err);
int s3_source_put_end(struct source_put *p, const struct store_call *call, struct error *err);
void s3_source_put_free(struct source_put *p);
int s3_source_remove(struct source *s, const struct store_call *call, const char *key, struct error *err);
int s3_source_empty(struct source *s, const struct store_call *call, struct error *err);
