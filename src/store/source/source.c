// SPDX-License-Identifier: Apache-2.0
/* Sources: which driver a URL names; what is made again when it failed. */
#include "source_private.h"

#include "../wrap/tries.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/conf.h>

#include <errno.h>
#include <string.h>

int source_open(const struct conf_store *conf, unsigned connections, struct source **ret, struct error *err)
{
	if (str_starts(conf->url, "dir:"))
		return source_dir_open(conf->url + strlen("dir:"), ret, err);
	if (str_starts(conf->url, "s3://"))
		return source_s3_open(conf, connections, ret, err);
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "url = %s: no source; use dir:/absolute/path or s3://bucket/prefix",
	                 str_or_empty(conf->url));
}

struct source *source_free(struct source *s)
{
	if (!s)
		return NULL;
	free(s->name);
	free(s->section);
	s->ops->free(s);
	return NULL;
}

void source_set_section(struct source *s, const char *section)
{
	mem_replace_string(&s->section, section);
}

/* The driver of S3 speaks of the store, and of the rights that a store needs. */
static int tell_as_source(const struct source *s, int r, struct error *err)
{
	const struct {
		const char *text, *instead;
	} words[] = {{"[store]", s->section}, {" and s3:ListBucketMultipartUploads", ""}};

	for (size_t i = 0; r < 0 && err && s->section && i < ARRAY_SIZE(words); i++) {
		_cleanup(str) struct str text = {0};
		const char *at = err->message, *found;

		for (; (found = strstr(at, words[i].text)); at = found + strlen(words[i].text))
			str_appendf(&text, "%.*s%s", (int)(found - at), at, words[i].instead);
		str_append(&text, at);
		str_copy(err->message, sizeof(err->message), str_text(&text));
	}
	return r;
}

const char *source_name(const struct source *s)
{
	return s->name;
}

bool source_is_local(const struct source *s)
{
	return !s->retry;
}

bool source_is_beside(const struct source *s, const struct conf_store *store)
{
	return s->ops->is_beside && s->ops->is_beside(s, store);
}

const char *source_copied_from(const struct source *s, const char *key, char **ret_key)
{
	return s->ops->copied_from(s, key, ret_key);
}

uint64_t source_requests(const struct source *s)
{
	return atomic_load(&s->requests);
}

void source_object_finish(struct source_object *o)
{
	free(o->key);
	free(o->etag);
	free(o->storage_class);
	*o = (struct source_object){0};
}

bool source_is_archived(const struct source_object *o)
{
	return str_equal(o->storage_class, "GLACIER") || str_equal(o->storage_class, "DEEP_ARCHIVE");
}

void source_facts_finish(struct source_facts *f)
{
	free(f->version_id);
	free(f->type);
	json_free(f->meta);
	*f = (struct source_facts){0};
}

struct source_list *source_list_below(struct source *s, const struct store_call *call, const char *prefix)
{
	struct source_list *l = mem_alloc(sizeof(*l));

	l->source = s;
	l->call = call;
	l->prefix = mem_strdup(prefix);
	return l;
}

struct source_list *source_list_new(struct source *s, const struct store_call *call)
{
	return source_list_below(s, call, "");
}

struct source_list *source_list_free(struct source_list *l)
{
	if (!l)
		return NULL;
	l->source->ops->end(l);
	free(l->prefix);
	free(l);
	return NULL;
}

int source_list_next(struct source_list *l, struct source_object *ret, struct error *err)
{
	return tell_as_source(l->source, l->source->ops->next(l, ret, err), err);
}

const struct source_left *source_list_left(const struct source_list *l)
{
	return &l->left;
}

int source_get(struct source *s, const struct store_call *call, const char *key, const char *etag,
               uint64_t offset, const struct iovec *iov, int count, struct source_facts *ret,
               struct error *err)
{
	struct tries t;

	if (!s->retry)
		return s->ops->get(s, call, key, etag, offset, iov, count, ret, err);
	tries_begin(&t, s->retry, call);
	return tell_as_source(
	        s,
	        tries_end(&t, TRY(&t, s->ops->get(s, &t.call, key, etag, offset, iov, count, ret, &t.error)),
	                  err),
	        err);
}

int source_head(struct source *s, const struct store_call *call, const char *key, struct source_object *ret,
                struct error *err)
{
	struct tries t;

	if (!s->retry)
		return s->ops->head(s, call, key, ret, err);
	tries_begin(&t, s->retry, call);
	return tell_as_source(s, tries_end(&t, TRY(&t, s->ops->head(s, &t.call, key, ret, &t.error)), err),
	                      err);
}

int source_check_key(const struct source *s, const char *key, struct error *err)
{
	return s->ops->check_key(s, key, err);
}

size_t source_piece_bytes(const struct source *s, const struct source_new *what)
{
	return s->ops->piece_bytes(s, what);
}

bool source_may_tell(const struct source *s, const struct source_new *what, const char *etag)
{
	return s->ops->may_tell && s->ops->may_tell(s, what, etag);
}

char *source_made_etag(const struct source *s, const struct source_new *what,
                       const uint8_t (*md5s)[SOURCE_MD5_BYTES], size_t count)
{
	return s->ops->made_etag ? s->ops->made_etag(s, what, md5s, count) : NULL;
}

int source_put_begin(struct source *s, const struct store_call *call, const struct source_new *what,
                     struct source_put **ret, struct error *err)
{
	int r = source_check_key(s, what->key, err);

	return r < 0 ? r : s->ops->put_begin(s, call, what, ret, err);
}

int source_put_write(struct source_put *p, const struct store_call *call, const void *data, size_t len,
                     struct error *err)
{
	int r;

	if (p->written + len > p->what.bytes)
		return error_set(err, ERROR_INTERNAL, EINVAL, "%s: more bytes than were announced",
		                 p->what.key);
	r = p->source->ops->put_write(p, call, data, len, err);
	if (r == 0)
		p->written += len;
	return r;
}

int source_put_end(struct source_put *p, const struct store_call *call, struct error *err)
{
	int r;

	if (p->written != p->what.bytes)
		return error_set(err, ERROR_INTERNAL, EINVAL, "%s: fewer bytes than were announced",
		                 p->what.key);
	r = p->source->ops->put_end(p, call, err);
	p->is_ended = r == 0;
	return r;
}

struct source_put *source_put_free(struct source_put *p)
{
	if (p)
		p->source->ops->put_free(p);
	return NULL;
}

int source_remove(struct source *s, const struct store_call *call, const char *key, struct error *err)
{
	int r = source_check_key(s, key, err);

	return r < 0 ? r : s->ops->remove(s, call, key, err);
}

int source_empty(struct source *s, const struct store_call *call, struct error *err)
{
	return tell_as_source(s, s->ops->empty(s, call, err), err);
}
