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
	int (*check_key)(const struct source *s, const char *key, struct error *err);
	size_t (*piece_bytes)(const struct source *s, const struct source_new *what);
	bool (*may_tell)(const struct source *s, const struct source_new *what, const char *etag);
	char *(*made_etag)(const struct source *s, const struct source_new *what,
	                   const uint8_t (*md5s)[SOURCE_MD5_BYTES], size_t count);
	int (*put_begin)(struct source *s, const struct store_call *call, const struct source_new *what,
	                 struct source_put **ret, struct error *err);
	int (*put_write)(struct source_put *p, const struct store_call *call, const void *data, size_t len,
	                 struct error *err);
	int (*put_end)(struct source_put *p, const struct store_call *call, struct error *err);
	void (*put_free)(struct source_put *p);
	int (*remove)(struct source *s, const struct store_call *call, const char *key, struct error *err);
	/* NULL, as copied_from: it is no bucket. */
	bool (*is_beside)(const struct source *s, const struct conf_store *store);
	const char *(*copied_from)(const struct source *s, const char *key, char **ret_key);
	int (*empty)(struct source *s, const struct store_call *call, struct error *err);
	void (*free)(struct source *s);
};

struct source {
	const struct source_ops *ops;
	char *name;
	char *section;       /* NULL: nobody has said which */
	struct store *retry; /* whose tries are those of our calls; NULL: they are made once */
	atomic_ullong requests;
};

struct source_put {
	struct source *source;
	struct source_new what;
	uint64_t written;
	bool is_ended;
};

struct source_list {
	struct source *source;
	const struct store_call *call;
	char *prefix; /* "": all */
	struct source_left left;
	void *state; /* the driver's */
};

/* DIR_TEMP_PREFIX - of the names of files that are being written; no listing tells them. */
#define DIR_TEMP_PREFIX ".keepfs-back-"

struct dir_source {
	struct source base; /* first */
	char *root;
	bool has_root; /* it was listed: which directory it was then */
	dev_t root_device;
	ino_t root_ino;
};
/* The slots of a directory that write: dir_put.c. */
int dir_source_check_key(const struct source *s, const char *key, struct error *err);
size_t dir_source_piece_bytes(const struct source *s, const struct source_new *what);
int dir_source_put_begin(struct source *s, const struct store_call *call, const struct source_new *what,
                         struct source_put **ret, struct error *err);
int dir_source_put_write(struct source_put *p, const struct store_call *call, const void *data, size_t len,
                         struct error *err);
int dir_source_put_end(struct source_put *p, const struct store_call *call, struct error *err);
void dir_source_put_free(struct source_put *p);
int dir_source_remove(struct source *s, const struct store_call *call, const char *key, struct error *err);
int dir_source_empty(struct source *s, const struct store_call *call, struct error *err);

int source_s3_open(const struct conf_store *conf, unsigned connections, struct source **ret,
                   struct error *err);
int source_dir_open(const char *root, struct source **ret, struct error *err);
