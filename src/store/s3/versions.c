// SPDX-License-Identifier: Apache-2.0
/*
 * Deleting where the bucket keeps versions. A plain DELETE only puts a delete marker on top there: the object is
 * gone to all who look, and its bytes are stored, and paid for, as before. The answer to the DELETE says so, so no
 * right is needed to find out. With [store] delete_versions the object's versions go as well.
 *
 * What holds:
 * - First the marker is put, so the object is gone at once and for good, whatever happens to its versions.
 * - Only what lies below that marker is deleted: an object that somebody puts there meanwhile is not ours.
 * - Markers go last, and only when no version is left: without its marker an object would be there again.
 * - A version that may not be deleted, because it is locked or the key lacks the right, stays: the deletion has
 *   succeeded, and what is still stored is told (log, health, 'keepfs check').
 */
#include "s3.h"

#include <errno.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <string.h>

/* An object has one version as a rule; each try to delete it again has left a marker. */
#define PAGES_MAX 16

struct version {
	char *id;
	bool is_marker;
};

struct versions { /* of one key, newest first */
	const char *full_key;
	const char *marker_id; /* what is newer than it is left out */
	bool any;
	bool below_marker;
	struct version *items;
	size_t count, room;
};

static void versions_finish(struct versions *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->items[i].id);
	free(v->items);
}

static void cleanup_versions(struct versions *v)
{
	versions_finish(v);
}

static void on_version(void *arg, const char *full_key, const char *version_id, bool is_marker)
{
	struct versions *v = arg;

	if (!str_equal(full_key, v->full_key))
		return;
	v->any = true;
	/* Where versioning was suspended an object that somebody puts there has the same id, and takes the marker's place. */
	if (is_marker && str_equal(version_id, v->marker_id))
		v->below_marker = true;
	if (!v->below_marker)
		return;
	if (v->count == v->room) {
		v->room = v->room ? v->room * 2 : 4;
		v->items = mem_resize(v->items, v->room, sizeof(*v->items));
	}
	v->items[v->count++] = (struct version){mem_strdup(version_id), is_marker};
}

int s3_each_version(struct s3 *s, const struct store_call *call, const char *full_prefix,
                    void (*version)(void *arg, const char *full_key, const char *version_id, bool is_marker),
                    void *arg, struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = "GET"};
	struct s3xml_versions list = {.version = version, .arg = arg};
	int r;

	s3_add_query(&request, "versions", "");
	s3_add_query(&request, "prefix", full_prefix);
	r = s3_perform(s, call, &request, &answer, err);
	if (r)
		return r;
	r = s3xml_parse_versions(str_text(&answer.text), answer.text.len, &list, err);
	if (r)
		error_prefix(err, "GET %s", s->store.name);
	return r;
}

int s3_delete_version(struct s3 *s, const struct store_call *call, const char *key, const char *id,
                      struct error *err)
{
	_cleanup(net_response) struct net_response answer = {0};
	struct s3_request request = {.method = "DELETE", .key = key};
	int r;

	s3_add_query(&request, "versionId", id);
	r = s3_perform(s, call, &request, &answer, err);
	return r == -ENOENT ? 0 : r;
}

/* Those of one kind; @ret_deleted counts them. */
static int delete_kind(struct s3 *s, const struct store_call *call, const char *key, const struct versions *v,
                       bool markers, size_t *ret_deleted, struct error *err)
{
	*ret_deleted = 0;
	for (size_t i = 0; i < v->count; i++) {
		int r;

		if (v->items[i].is_marker != markers)
			continue;
		r = s3_delete_version(s, call, key, v->items[i].id, err);
		if (r)
			return r;
		++*ret_deleted;
	}
	return 0;
}

static int delete_below_marker(struct s3 *s, const struct store_call *call, const char *key,
                               const char *marker_id, struct error *err)
{
	_cleanup(free) char *full_key = mem_printf("%s%s", s->place.prefix, key);

	for (int page = 0; page < PAGES_MAX; page++) {
		_cleanup(versions) struct versions v = {.full_key = full_key, .marker_id = marker_id};
		size_t deleted;
		int r = s3_each_version(s, call, full_key, on_version, &v, err);

		if (r == 0 && v.any && !v.below_marker)
			return error_set(err, ERROR_CONFLICT, EEXIST,
			                 "%s has versions, but its delete marker is not there any more",
			                 full_key);
		if (r == 0)
			r = delete_kind(s, call, key, &v, false, &deleted, err);
		if (r)
			return r;
		/* Nothing but markers is left when none came: older ones may be on the next page. */
		if (deleted == 0)
			return delete_kind(s, call, key, &v, true, &deleted, err);
	}
	return error_set(err, ERROR_CONFLICT, E2BIG, "%s has more than %d pages of versions", full_key,
	                 PAGES_MAX);
}

static void note_left(struct s3 *s, const char *key, const struct error *err)
{
	bool is_first;

	pthread_mutex_lock(&s->lock);
	is_first = s->versions_left++ == 0;
	str_copy(s->versions_why, sizeof(s->versions_why), err->message);
	pthread_mutex_unlock(&s->lock);
	if (is_first)
		log_warning("%s/%s is deleted, but a version of it is still stored: %s", s->store.name, key,
		            err->message);
}

/* Not what may pass: that is tried again, as every deletion is. */
static bool is_refusal(const struct error *err)
{
	return err->class == ERROR_DENIED || err->class == ERROR_USAGE || err->class == ERROR_CONFLICT;
}

int s3_remove_versions(struct s3 *s, const struct store_call *call, const char *key,
                       const struct net_response *answer, struct error *err)
{
	char is_marker[8], marker_id[STORE_ETAG_BYTES];
	int r;

	net_header_find(answer, "x-amz-delete-marker", is_marker, sizeof(is_marker));
	net_header_find(answer, "x-amz-version-id", marker_id, sizeof(marker_id));
	if (!str_equal(is_marker, "true") || !*marker_id)
		return 0;
	atomic_store(&s->keeps_versions, true);
	if (!s->conf->delete_versions)
		return 0;
	r = delete_below_marker(s, call, key, marker_id, err);
	if (r == 0 || err->retry || !is_refusal(err))
		return r;
	note_left(s, key, err);
	*err = (struct error){0};
	return 0;
}

void s3_describe_versions(struct s3 *s, struct store_features *ret)
{
	if (!atomic_load(&s->keeps_versions))
		return;
	if (!s->conf->delete_versions) {
		str_copy(
		        ret->weaker, sizeof(ret->weaker),
		        "the bucket keeps versions, so what keepfs deletes is still stored, and paid for: have a lifecycle rule expire noncurrent versions, or set [store] delete_versions = yes");
		return;
	}
	pthread_mutex_lock(&s->lock);
	if (s->versions_left)
		snprintf(ret->left, sizeof(ret->left),
		         "versions of %llu deleted objects are still stored, and paid for; the last: %s",
		         s->versions_left, s->versions_why);
	pthread_mutex_unlock(&s->lock);
}
