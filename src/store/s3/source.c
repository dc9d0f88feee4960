// SPDX-License-Identifier: Apache-2.0
/* A bucket as a source: any keys, and what the headers of an answer say of an object. */
#include "s3.h"
#include "source.h"
#include "../wrap/tries.h"

#include <keepfs/base/iov.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAGE_KEYS         "1000"
#define SPARE_CONNECTIONS 2

struct source_page {
	const struct s3 *s3;
	const char *below; /* of the list */
	struct source_object *objects;
	size_t count, room, at;
	char *token; /* what continues the list; NULL: it is at its end, or was not begun */
	char *last;  /* the whole key of the one before */
	bool begun, disordered;
};

static void page_clear(struct source_page *p)
{
	for (size_t i = p->at; i < p->count; i++)
		source_object_finish(&p->objects[i]);
	p->count = p->at = 0;
}

static void on_source_object(void *arg, const struct s3xml_object *o)
{
	struct source_page *p = arg;
	const char *prefix = p->s3->place.prefix;
	char etag[STORE_ETAG_BYTES];

	if (!str_starts(o->key, prefix))
		return;
	if (p->last && strcmp(p->last, o->key) >= 0)
		p->disordered = true;
	mem_replace_string(&p->last, o->key);
	if (p->count == p->room) {
		p->room = p->room ? p->room * 2 : 64;
		p->objects = mem_resize(p->objects, p->room, sizeof(*p->objects));
	}
	s3_etag(o->etag, etag);
	p->objects[p->count++] = (struct source_object){
	        .key = mem_strdup(o->key + strlen(prefix)),
	        .bytes = o->bytes,
	        .etag = mem_strdup(etag),
	        .modified_us = o->modified_us,
	        .storage_class = mem_strdup(*o->storage_class ? o->storage_class : NULL),
	};
}

static void source_list_texts_free(struct s3xml_list *list)
{
	free(list->next_token);
	free(list->next_key_marker);
	free(list->next_upload_marker);
}

static int ask_for_page(struct s3_source *s, const struct store_call *call, struct source_page *p,
                        struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	struct s3xml_list list = {.described = on_source_object, .arg = p};
	_cleanup(free) char *last = mem_strdup(p->last),
	                    *prefix = mem_printf("%s%s", s->s3->place.prefix, p->below);
	struct s3_request request = {.method = "GET"};
	int r;

	atomic_fetch_add(&s->base.requests, 1);
	page_clear(p);
	s3_add_query(&request, "list-type", "2");
	s3_add_query(&request, "encoding-type", "url");
	s3_add_query(&request, "max-keys", PAGE_KEYS);
	s3_add_query(&request, "prefix", prefix);
	if (p->token)
		s3_add_query(&request, "continuation-token", p->token);
	r = s3_perform(s->s3, call, &request, &answer, err);
	if (r == 0)
		r = s3xml_parse_list(str_text(&answer.text), answer.text.len, &list, err);
	if (r == 0 && p->disordered)
		r = error_set(
		        err, ERROR_USAGE, EPROTO,
		        "GET %s: the server's list has keys twice, or is not in byte order, so nobody can tell whether it is whole; what lists so (a directory bucket of S3, say) cannot be mirrored",
		        s->base.name);
	if (r == 0 && list.truncated && !list.next_token)
		r = error_set(err, ERROR_UNAVAILABLE, EPROTO,
		              "GET %s: the list goes on, but the server does not say where", s->base.name);
	if (r == 0) {
		free(p->token);
		p->token = list.truncated ? take_ptr(&list.next_token) : NULL;
		p->begun = true;
	} else {
		/* It is asked for once more. */
		page_clear(p);
		free(p->last);
		p->last = take_ptr(&last);
		p->disordered = false;
	}
	source_list_texts_free(&list);
	return r;
}

static int next_page(struct source_list *l, struct source_page *p, struct error *err)
{
	struct tries t;

	tries_begin(&t, l->source->retry, l->call);
	return tries_end(&t, TRY(&t, ask_for_page(s3_source_of(l->source), &t.call, p, &t.error)), err);
}

static int next_source_object(struct source_list *l, struct source_object *ret, struct error *err)
{
	struct source_page *p = l->state;
	int r = 0;

	if (!p) {
		p = l->state = mem_alloc(sizeof(*p));
		p->s3 = s3_source_of(l->source)->s3;
		p->below = l->prefix;
	}
	while (r == 0 && p->at == p->count && (p->token || !p->begun))
		r = next_page(l, p, err);
	if (r < 0 || p->at == p->count)
		return r;
	*ret = p->objects[p->at];
	p->objects[p->at++] = (struct source_object){0};
	return 1;
}

static void end_pages(struct source_list *l)
{
	struct source_page *p = l->state;

	if (!p)
		return;
	page_clear(p);
	free(p->objects);
	free(p->token);
	free(p->last);
	free(p);
}

/* Headers that come back with an object when it is put with them again. */
bool s3_is_kept_header(const char *name, size_t len)
{
	static const char *const kept[] = {"cache-control",    "content-disposition",
	                                   "content-encoding", "content-language",
	                                   "expires",          "x-amz-website-redirect-location"};
	static const char meta[] = "x-amz-meta-";

	if (len > sizeof(meta) - 1 && memcmp(name, meta, sizeof(meta) - 1) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (strlen(kept[i]) == len && memcmp(name, kept[i], len) == 0)
			return true;
	return false;
}

static void take_source_header(struct source_facts *f, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	size_t name_len = colon ? (size_t)(colon - line) : 0;
	_cleanup(free) char *name = mem_printf("%.*s", (int)name_len, line), *value = NULL;

	if (!colon || !s3_is_kept_header(line, name_len))
		return;
	colon++;
	while (colon < line + len && (*colon == ' ' || *colon == '\t'))
		colon++;
	value = mem_printf("%.*s", (int)(line + len - colon), colon);
	if (!f->meta)
		f->meta = json_object_new();
	json_set_string(f->meta, name, value);
}

static char *header_of(const struct net_response *answer, const char *name)
{
	char text[1100];

	net_header_find(answer, name, text, sizeof(text));
	return *text ? mem_strdup(text) : NULL;
}

static void take_source_headers(const struct net_response *answer, struct source_facts *ret)
{
	const char *line = str_text(&answer->headers);
	char text[STORE_ETAG_BYTES + 8], etag[STORE_ETAG_BYTES];

	net_header_find(answer, "etag", text, sizeof(text));
	s3_etag(text, etag);
	*ret = (struct source_facts){.etag_is_md5 = s3_etag_is_md5(answer, etag) && !strchr(etag, '-'),
	                             .version_id = header_of(answer, "x-amz-version-id"),
	                             .type = header_of(answer, "content-type")};
	while (*line) {
		size_t len = strcspn(line, "\n");

		take_source_header(ret, line, len);
		line += len + (line[len] == '\n');
	}
	if (str_equal(ret->version_id, "null")) {
		free(ret->version_id);
		ret->version_id = NULL;
	}
}

static int wrong_bytes(struct source *s, const char *key, struct error *err)
{
	error_set(err, ERROR_UNAVAILABLE, EPROTO,
	          "GET %s/%s: the server sent another number of bytes than it was asked for", s->name, key);
	err->retry = true;
	return -EPROTO;
}

static int check_answer(struct source *s, const char *key, const char *etag,
                        const struct net_response *answer, uint64_t want, struct error *err)
{
	char text[STORE_ETAG_BYTES + 8], got[STORE_ETAG_BYTES];

	net_header_find(answer, "etag", text, sizeof(text));
	s3_etag(text, got);
	/* The server may not know If-Match. */
	if (!str_equal(got, etag))
		return error_set(err, ERROR_CONFLICT, ESTALE, "GET %s/%s: the object is another one now",
		                 s->name, key);
	return answer->into_bytes == want ? 0 : wrong_bytes(s, key, err);
}

/* They say nothing about the object. */
static bool are_credentials_refused(const struct error *err)
{
	return err->class == ERROR_DENIED && *err->code && !str_equal(err->code, "AccessDenied");
}

static int get_failed(struct source *s, const char *key, int r, uint64_t offset, struct error *err)
{
	if (err->http_status == 412)
		return error_set(err, ERROR_CONFLICT, ESTALE, "GET %s/%s: the object is another one now",
		                 s->name, key);
	if (str_equal(err->code, "InvalidObjectState"))
		return error_set(
		        err, ERROR_DENIED, EACCES,
		        "GET %s/%s: it is in an archive of its storage class, and has to be restored from there first",
		        s->name, key);
	if (are_credentials_refused(err)) {
		err->errnum = EKEYREJECTED;
		return -EKEYREJECTED;
	}
	if (err->http_status == 416 && offset > 0)
		return error_set(err, ERROR_CONFLICT, ESTALE, "GET %s/%s: the object has become shorter",
		                 s->name, key);
	return r == -EMSGSIZE ? wrong_bytes(s, key, err) : r;
}

static int get_object(struct source *base, const struct store_call *call, const char *key, const char *etag,
                      uint64_t offset, const struct iovec *iov, int count, struct source_facts *ret,
                      struct error *err)
{
	struct s3_source *s = s3_source_of(base);
	_cleanup(net_response) struct net_response answer = {0};
	_cleanup(free) char *quoted = s3_etag_quoted(etag);
	char nothing;
	const struct iovec none = {.iov_base = &nothing, .iov_len = 1};
	uint64_t want = iov_bytes(iov, count);
	struct s3_request request = {.method = "GET",
	                             .key = key,
	                             .into = want > 0 ? iov : &none,
	                             .into_count = want > 0 ? count : 1};
	char range[64];
	int r;

	if (ret)
		*ret = (struct source_facts){0};
	atomic_fetch_add(&base->requests, 1);
	snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)offset,
	         (unsigned long long)(offset + want - 1));
	if (want > 0)
		s3_add_header(&request, "range", range);
	s3_add_header(&request, "if-match", quoted);
	r = s3_perform(s->s3, call, &request, &answer, err);
	if (r == 0)
		r = check_answer(base, key, etag, &answer, want, err);
	else
		r = get_failed(base, key, r, offset, err);
	if (r == 0 && ret)
		take_source_headers(&answer, ret);
	return r;
}

/* HEAD has no body that would say what is missing, the object or the bucket. What has come in between is asked for once more. */
static int ask_what_is_missing(struct s3_source *s, const struct store_call *call, const char *key, int r,
                               struct error *err)
{
	struct store_object there;
	struct error why = {0};
	int asked = s3_head(&s->s3->store, call, key, &there, &why);

	if (asked == 0) {
		err->retry = true;
		return r;
	}
	*err = why;
	return asked;
}

static int head_object(struct source *base, const struct store_call *call, const char *key,
                       struct source_object *ret, struct error *err)
{
	struct s3_source *s = s3_source_of(base);
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = "HEAD", .key = key};
	char text[STORE_ETAG_BYTES + 8], etag[STORE_ETAG_BYTES], *end;
	int64_t modified_us = 0;
	uint64_t bytes;
	int r;

	atomic_fetch_add(&base->requests, 1);
	r = s3_perform(s->s3, call, &request, &answer, err);
	if (r < 0 && answer.status == 404)
		return ask_what_is_missing(s, call, key, r, err);
	if (r < 0)
		return r;
	net_header_find(&answer, "content-length", text, sizeof(text));
	errno = 0;
	bytes = strtoull(text, &end, 10);
	if (errno || end == text || *end)
		return wrong_bytes(base, key, err);
	net_header_find(&answer, "last-modified", text, sizeof(text));
	s3_date_parse(text, &modified_us);
	net_header_find(&answer, "etag", text, sizeof(text));
	s3_etag(text, etag);
	*ret = (struct source_object){.key = mem_strdup(key),
	                              .bytes = bytes,
	                              .etag = mem_strdup(etag),
	                              .modified_us = modified_us,
	                              .storage_class = header_of(&answer, "x-amz-storage-class")};
	return 0;
}

static bool s3_source_is_beside(const struct source *base, const struct conf_store *store)
{
	const struct s3_place *own = &((const struct s3_source *)base)->s3->place;
	struct s3_place other = {0};
	bool is_beside = str_starts(str_or_empty(store->url), "s3://") &&
	                 s3_place_init(&other, store, NULL) == 0 && str_equal(own->server, other.server) &&
	                 str_equal(own->region, other.region);

	s3_place_finish(&other);
	return is_beside;
}

static const char *s3_source_copied_from(const struct source *base, const char *key, char **ret_key)
{
	const struct s3_place *place = &((const struct s3_source *)base)->s3->place;

	*ret_key = mem_printf("%s%s", place->prefix, key);
	return place->bucket;
}

static void free_s3_source(struct source *base)
{
	struct s3_source *s = s3_source_of(base);

	store_free(base->retry); /* with the bucket */
	net_free(s->net);
	free(s);
}

static const struct source_ops s3_source_ops = {
        .next = next_source_object,
        .end = end_pages,
        .get = get_object,
        .head = head_object,
        .check_key = s3_source_check_key,
        .piece_bytes = s3_source_piece_bytes,
        .may_tell = s3_source_may_tell,
        .made_etag = s3_source_made_etag,
        .put_begin = s3_source_put_begin,
        .put_write = s3_source_put_write,
        .put_end = s3_source_put_end,
        .put_free = s3_source_put_free,
        .remove = s3_source_remove,
        .is_beside = s3_source_is_beside,
        .copied_from = s3_source_copied_from,
        .empty = s3_source_empty,
        .free = free_s3_source,
};

int source_s3_open(const struct conf_store *conf, unsigned connections, struct source **ret,
                   struct error *err)
{
	const struct net_options options = {
	        .ca_file = conf->ca_file && *conf->ca_file ? conf->ca_file : NULL,
	        .max_connections = connections + SPARE_CONNECTIONS,
	};
	struct s3_source *s = mem_alloc(sizeof(*s));
	struct store *bucket = NULL;
	int r = net_new(&options, &s->net, err);

	s->base.ops = &s3_source_ops;
	if (r == 0)
		r = store_s3_new(conf, s->net, &bucket, err);
	if (r < 0) {
		free_s3_source(&s->base);
		return r;
	}
	s->s3 = (struct s3 *)bucket;
	s->base.name = mem_strdup(bucket->name);
	s->base.retry = store_retry_new(bucket, conf->retry_deadline_ms);
	*ret = &s->base;
	return 0;
}
