// SPDX-License-Identifier: Apache-2.0
/*
 * Pages of objects.
 *
 * A page is filled with as many requests as it takes: a server may send fewer keys than it was asked for, and
 * keys that are not ours (folders that a console made, names that no store of ours would take) are left out.
 * The order is checked, because the index of the bucket is built by walking it: a server that lists in
 * another order would make us miss objects.
 */
#include "s3.h"

#include <errno.h>
#include <keepfs/base/mem.h>
#include <stdio.h>
#include <string.h>

struct page {
	const struct s3 *s;
	const char *start_after; /* NULL: none */
	struct store_object *objects;
	size_t count;
	size_t max;
	char last[S3_KEY_BYTES]; /* of all keys seen, ours or not */
	bool disordered;
};

static void on_object(void *arg, const char *full_key, uint64_t bytes, const char *etag)
{
	struct page *p = arg;
	const char *key = full_key + strlen(p->s->place.prefix);
	struct store_object *o;

	if (!str_starts(full_key, p->s->place.prefix))
		return;
	if (*p->last && strcmp(p->last, full_key) >= 0)
		p->disordered = true;
	str_copy(p->last, sizeof(p->last), full_key);
	if (store_key_check(key, NULL) || (p->start_after && strcmp(key, p->start_after) <= 0) ||
	    p->count == p->max)
		return;
	o = &p->objects[p->count++];
	str_copy(o->key, sizeof(o->key), key);
	o->bytes = bytes;
	s3_etag(etag, o->etag);
}

static void list_finish(struct s3xml_list *list)
{
	free(list->next_token);
	free(list->next_key_marker);
	free(list->next_upload_marker);
}

static void cleanup_list(struct s3xml_list *list)
{
	list_finish(list);
}

/* One request; *@token is what continues the list, NULL at its end. */
static int list_more(struct s3 *s, const struct store_call *call, const char *prefix, struct page *page,
                     char **token, struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	_cleanup(list) struct s3xml_list list = {.object = on_object, .arg = page};
	_cleanup(free) char *full_prefix = mem_printf("%s%s", s->place.prefix, prefix);
	_cleanup(free) char *after = NULL;
	struct s3_request request = {.method = "GET"};
	char max[24];
	int r;

	snprintf(max, sizeof(max), "%zu", page->max - page->count);
	s3_add_query(&request, "list-type", "2");
	s3_add_query(&request, "encoding-type", "url");
	s3_add_query(&request, "max-keys", max);
	s3_add_query(&request, "prefix", full_prefix);
	if (*token) {
		s3_add_query(&request, "continuation-token", *token);
	} else if (page->start_after) {
		after = mem_printf("%s%s", s->place.prefix, page->start_after);
		s3_add_query(&request, "start-after", after);
	}
	r = s3_perform(s, call, &request, &answer, err);
	if (r)
		return r;
	r = s3xml_parse_list(str_text(&answer.text), answer.text.len, &list, err);
	if (r) {
		error_prefix(err, "GET %s", s->store.name);
		return r;
	}
	if (page->disordered)
		return error_set(err, ERROR_USAGE, EPROTO,
		                 "GET %s: the server does not list keys in byte order, which keepfs needs",
		                 s->store.name);
	free(*token);
	*token = list.truncated ? take_ptr(&list.next_token) : NULL;
	if (!list.truncated || *token)
		return 0;
	return error_set(err, ERROR_UNAVAILABLE, EPROTO,
	                 "GET %s: the list goes on, but the server does not say where", s->store.name);
}

int s3_list(struct store *store, const struct store_call *call, const char *prefix, const char *start_after,
            size_t max, struct store_object **ret_objects, size_t *ret_count, bool *ret_more,
            struct error *err)
{
	struct s3 *s = (struct s3 *)store;
	_cleanup(free) struct store_object *objects = mem_array(max, sizeof(*objects));
	_cleanup(free) char *token = NULL;
	struct page page = {.s = s, .start_after = start_after, .objects = objects, .max = max};
	struct error spare = {0};
	int r;

	do {
		r = list_more(s, call, prefix, &page, &token, err ? err : &spare);
		if (r)
			return r;
	} while (token && page.count < max);
	*ret_objects = take_ptr(&objects);
	*ret_count = page.count;
	*ret_more = token != NULL;
	return 0;
}

struct uploads {
	const struct s3 *s;
	struct store_upload_info *list;
	size_t count;
	size_t room;
	char *last_key; /* heap; of the last entry seen, with the prefix */
	char *last_id;
};

static void cleanup_uploads(struct uploads *u)
{
	store_upload_list_free(u->list, u->count);
	free(u->last_key);
	free(u->last_id);
}

static void on_upload(void *arg, const char *full_key, const char *upload_id)
{
	struct uploads *u = arg;
	const char *key = full_key + strlen(u->s->place.prefix);

	mem_replace_string(&u->last_key, full_key);
	mem_replace_string(&u->last_id, upload_id);
	if (!str_starts(full_key, u->s->place.prefix) || store_key_check(key, NULL))
		return;
	if (u->count == u->room) {
		u->room = u->room ? u->room * 2 : 16;
		u->list = mem_resize(u->list, u->room, sizeof(*u->list));
	}
	str_copy(u->list[u->count].key, sizeof(u->list[u->count].key), key);
	u->list[u->count++].upload_id = mem_strdup(upload_id);
}

/* One request; *@ret_more says whether another one must follow, which continues behind the last entry. */
static int uploads_more(struct s3 *s, const struct store_call *call, const char *full_prefix,
                        struct uploads *u, bool *ret_more, struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	_cleanup(list) struct s3xml_list list = {.upload = on_upload, .arg = u};
	_cleanup(free) char *key_marker = mem_strdup(u->last_key), *id_marker = mem_strdup(u->last_id);
	struct s3_request request = {.method = "GET"};
	int r;

	/* No encoding-type: Ceph would encode the keys and not say so. */
	s3_add_query(&request, "uploads", "");
	s3_add_query(&request, "prefix", full_prefix);
	if (key_marker) {
		s3_add_query(&request, "key-marker", key_marker);
		s3_add_query(&request, "upload-id-marker", id_marker);
	}
	r = s3_perform(s, call, &request, &answer, err);
	if (r)
		return r;
	r = s3xml_parse_list(str_text(&answer.text), answer.text.len, &list, err);
	if (r) {
		error_prefix(err, "GET %s", s->store.name);
		return r;
	}
	*ret_more = list.truncated;
	if (list.truncated && str_equal(key_marker, u->last_key) && str_equal(id_marker, u->last_id))
		return error_set(err, ERROR_UNAVAILABLE, EPROTO, "GET %s: the list of uploads does not go on",
		                 s->store.name);
	return 0;
}

int s3_upload_list(struct store *store, const struct store_call *call, const char *prefix,
                   struct store_upload_info **ret, size_t *ret_count, struct error *err)
{
	struct s3 *s = (struct s3 *)store;
	_cleanup(free) char *full_prefix = mem_printf("%s%s", s->place.prefix, prefix);
	_cleanup(uploads) struct uploads u = {.s = s};
	struct error spare = {0};
	bool more;

	do {
		int r = uploads_more(s, call, full_prefix, &u, &more, err ? err : &spare);

		if (r)
			return r;
	} while (more);
	*ret_count = u.count;
	u.count = 0;
	*ret = take_ptr(&u.list);
	return 0;
}
