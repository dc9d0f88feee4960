// SPDX-License-Identifier: Apache-2.0
/* Places in which others put files: a section [store NAME] each, of which nothing is used but how to get in. */
#include "stores_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/store/source.h>

#include <errno.h>
#include <string.h>

static void append_places(const struct conf *conf, struct str *out)
{
	for (size_t i = 0; i < conf->store_count; i++)
		str_appendf(out, "%s[store %s] %s", i > 0 ? ", " : "", conf->stores[i].name,
		            conf->stores[i].store.url);
}

static int refuse_unknown_place(const struct conf *conf, const char *name, struct error *err)
{
	_cleanup(str) struct str have = {0};

	append_places(conf, &have);
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "the configuration has no section [store %s], which says where the files are that were adopted there; it has %s",
	        name, have.len > 0 ? str_text(&have) : "none of a further store");
}

/* As settings_of(); @ret_label: heap. */
static int settings_of_place(const struct conf *conf, const char *name, struct settings *ret,
                             char **ret_label, struct error *err)
{
	const struct conf_named_store *named = conf_find_store(conf, name);
	_cleanup(catalog_store) struct catalog_store at = {0};
	_cleanup(free) char *label = NULL;
	int r;

	if (!named)
		return refuse_unknown_place(conf, name, err);
	stores_at_section(named, &at);
	label = stores_label(&at);
	r = settings_of(conf, &at, ret, err);
	if (r < 0) {
		error_prefix(err, "%s", label);
		return r;
	}
	settings_read_only(ret);
	*ret_label = take_ptr(&label);
	return 0;
}

/* A directory that is not there must not look as if what lay in it had been removed one by one. @url: NULL: the section's own. */
static int open_adopted_place(struct stores *s, const struct conf *conf, const char *name, const char *url,
                              struct store **ret_store, struct error *err)
{
	_cleanup(free) char *label = NULL;
	struct settings settings;
	int r = settings_of_place(conf, name, &settings, &label, err);

	if (r == 0 && url)
		settings_move(&settings, url);
	if (r == 0)
		r = stores_open_settings(s, conf, &settings, label, ret_store, err);
	if (r == -ENOENT && err)
		err->class = ERROR_USAGE;
	return r == -ENOENT ? -EINVAL : r;
}

int stores_open_place(struct stores *s, const char *name, struct store **ret_store, struct error *err)
{
	const struct conf *conf = stores_conf(s);
	int r = open_adopted_place(s, conf, name, NULL, ret_store, err);

	stores_conf_done(s, conf);
	return r;
}

int stores_open_above(struct stores *s, const char *name, const char *url, struct store **ret_store,
                      struct error *err)
{
	const struct conf *conf = stores_conf(s);
	int r = open_adopted_place(s, conf, name, url, ret_store, err);

	stores_conf_done(s, conf);
	return r;
}

/* How much of @url is the place's own; 0: it does not lie there. */
static size_t length_within(const char *url, const char *place)
{
	size_t len = strlen(place);

	while (len > 0 && place[len - 1] == '/')
		len--;
	return strncmp(url, place, len) == 0 && (url[len] == '\0' || url[len] == '/') ? len : 0;
}

bool stores_is_place_ours(const struct conf *conf, const char *name, const char *prefix)
{
	const struct conf_named_store *named = conf_find_store(conf, name);
	const char *url = named ? named->store.url : "";
	_cleanup(free) char *there = mem_printf("%s%s%s", url, str_ends(url, "/") ? "" : "/", prefix);

	return named && str_equal(str_or_empty(named->store.endpoint), str_or_empty(conf->store.endpoint)) &&
	       length_within(there, str_or_empty(conf->store.url)) > 0;
}

static bool has_same_endpoint(const struct conf_named_store *a, const struct conf_named_store *b)
{
	return str_equal(str_or_empty(a->store.endpoint), str_or_empty(b->store.endpoint));
}

const char *stores_place_within(const struct conf *conf, const char *name, const char *key)
{
	const struct conf_named_store *of = conf_find_store(conf, name), *within = of;
	_cleanup(free) char *there = NULL;
	size_t most;

	if (!of)
		return NULL;
	there = mem_printf("%s%s%s", of->store.url, str_ends(of->store.url, "/") ? "" : "/", key);
	most = length_within(there, of->store.url);
	for (size_t i = 0; i < conf->store_count; i++) {
		const struct conf_named_store *other = &conf->stores[i];
		size_t len = length_within(there, other->store.url);

		if (other == of || len < most || !has_same_endpoint(other, of))
			continue;
		/* Of two with one url the first has it. */
		if (len == most && other > within)
			continue;
		most = len;
		within = other;
	}
	return within == of ? NULL : within->name;
}

static bool is_removed_in(const struct conf *conf, const char *place)
{
	const struct conf_named_store *named = conf_find_store(conf, place);

	return named && named->remove_adopted;
}

bool stores_removes_adopted(struct stores *s, const char *key)
{
	const struct conf *conf = stores_conf(s);
	_cleanup(free) char *place = NULL;
	const char *there = manifest_adopted_in(key, &place);
	/* What lies in our own store is another backup's. */
	bool removes = there && is_removed_in(conf, place) && !stores_is_place_ours(conf, place, there);

	stores_conf_done(s, conf);
	return removes;
}

int stores_open_adopted(void *arg, const char *place, bool removes, struct store **ret_store,
                        struct error *err)
{
	struct stores *s = arg;
	const struct conf *conf = stores_conf(s);
	int r = removes && !is_removed_in(conf, place)
	                ? error_set(err, ERROR_DENIED, EPERM,
	                            "[store %s] does not say remove_adopted = yes: nothing is removed there",
	                            place)
	                : open_adopted_place(s, conf, place, NULL, ret_store, err);

	stores_conf_done(s, conf);
	return r;
}

static char *prefix_behind(const char *url, size_t len)
{
	const char *rest = url + len + strspn(url + len, "/");
	size_t ends = strlen(rest);

	while (ends > 0 && rest[ends - 1] == '/')
		ends--;
	return ends > 0 ? mem_printf("%.*s/", (int)ends, rest) : mem_strdup("");
}

char *stores_place_of_url(const struct conf *conf, const char *url, char **ret_prefix, struct error *err)
{
	const struct conf_named_store *found = conf_find_store(conf, url);
	_cleanup(str) struct str have = {0};
	size_t most = 0;

	if (found) {
		*ret_prefix = mem_strdup("");
		return mem_strdup(found->name);
	}
	for (size_t i = 0; i < conf->store_count; i++) {
		size_t len = length_within(url, conf->stores[i].store.url);

		if (len <= most)
			continue;
		most = len;
		found = &conf->stores[i];
	}
	if (found) {
		*ret_prefix = prefix_behind(url, most);
		return mem_strdup(found->name);
	}
	append_places(conf, &have);
	error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%.300s lies in no place that the configuration knows: add a section [store NAME] with url = that, or a part of it, and what it takes to get in; there is %s",
	        url, have.len > 0 ? str_text(&have) : "none yet");
	return NULL;
}

struct stores_source {
	struct settings settings; /* the source borrows them */
	struct source *source;
};

static void enter_prefix(struct settings *s, const char *prefix)
{
	const char *url = s->conf.url;
	_cleanup(free) char *below = mem_printf("%s%s%s", url, str_ends(url, "/") ? "" : "/", prefix);

	if (!*prefix)
		return;
	below[strlen(below) - 1] = '\0';
	mem_replace_string(&s->conf.url, below);
}

int stores_open_source(struct stores *s, const char *name, const char *prefix, unsigned connections,
                       struct stores_source **ret, struct error *err)
{
	const struct conf *conf = stores_conf(s);
	struct stores_source *source = mem_alloc(sizeof(*source));
	_cleanup(free) char *label = NULL;
	int r = settings_of_place(conf, name, &source->settings, &label, err);

	stores_conf_done(s, conf);
	if (r < 0) {
		free(source);
		return r;
	}
	enter_prefix(&source->settings, prefix);
	r = source_open(&source->settings.conf, connections, &source->source, err);
	if (r < 0) {
		error_prefix(err, "%s", label);
		stores_source_free(source);
		return r;
	}
	*ret = source;
	return 0;
}

struct source *stores_source(const struct stores_source *s)
{
	return s->source;
}

struct stores_source *stores_source_free(struct stores_source *s)
{
	if (!s)
		return NULL;
	source_free(s->source);
	settings_finish(&s->settings);
	free(s);
	return NULL;
}
