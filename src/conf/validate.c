// SPDX-License-Identifier: Apache-2.0
/* What no single value can tell: contradictions between keys. Each is told at the place of a key that the
 * administrator has set, with the other's value and place. Keys whose own value was refused are left out:
 * that was told already. */
#include "load.h"

#include <keepfs/base/mem.h>

#include "units.h"
#include "validate.h"
#include "value.h"

#include <string.h>

static struct conf_ref key_of(enum conf_section section, const char *name)
{
	return (struct conf_ref){.section = section, .key = conf_key_find(section, name)};
}

/* "[store] sse = none (default)" */
static void describe_key(struct conf_loader *l, struct conf_ref ref, bool with_origin, struct str *out)
{
	const struct conf_key *k = &conf_keys[ref.key];
	_cleanup(str) struct str value = {0};

	conf_ref_title(&l->conf, ref, out);
	str_append(out, " = ");
	conf_value_format(k, conf_base(&l->conf, ref), &value);
	conf_value_show(k, str_text(&value), out);
	if (with_origin)
		str_appendf(out, " (%s)", conf_origin_of(&l->conf, ref)->text);
	if (value.data)
		explicit_bzero(value.data, value.cap);
}

/* Where two defaults contradict each other: at the section, or at the variable that would be the second one. */
static void name_place(struct conf_loader *l, struct conf_ref a, struct conf_ref b, int *ret_line,
                       struct str *out)
{
	const struct conf_origin *at = conf_origin_of(&l->conf, a);
	const struct conf_list *list = conf_sections[a.section].list;
	const void *item = list ? conf_item(&l->conf, list, a.item) : NULL;

	*ret_line = at->given || !item ? at->line : conf_item_line(list, item);
	if (at->given || !item)
		str_append(out, at->text);
	else if (*ret_line > 0)
		str_appendf(out, "%s:%d", l->conf.path, *ret_line);
	else
		conf_key_env(b.section, &conf_keys[b.key], conf_item_name(list, item), out);
}

void conf_contradiction(struct conf_loader *l, struct conf_ref a, struct conf_ref b, const char *what,
                        const char *allowed)
{
	const struct conf_origin *at = conf_origin_of(&l->conf, a), *other = conf_origin_of(&l->conf, b);
	_cleanup(str) struct str a_text = {0}, b_text = {0}, place = {0};
	int line;

	if (conf_is_wrong_somewhere(&l->conf, a) || conf_is_wrong_somewhere(&l->conf, b))
		return;
	if (str_equal(at->text, "default") && other->given) {
		struct conf_ref swap = a;

		a = b;
		b = swap;
		at = other;
	}
	describe_key(l, a, false, &a_text);
	describe_key(l, b, true, &b_text);
	name_place(l, a, b, &line, &place);
	conf_problem(l, line, "%s: %s: %s %s; allowed: %s", str_text(&place), str_text(&a_text), what,
	             str_text(&b_text), allowed);
}

static bool is_given(struct conf_loader *l, struct conf_ref ref)
{
	return conf_origin_of(&l->conf, ref)->given;
}

static bool is_inside(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/' || dir[len - 1] == '/');
}

static void check_places(struct conf_loader *l)
{
	const struct conf *c = &l->conf;
	struct conf_ref mountpoint = key_of(CONF_SECTION_KEEPFS, "mountpoint");
	struct conf_ref state_dir = key_of(CONF_SECTION_KEEPFS, "state_dir");
	struct conf_ref url = key_of(CONF_SECTION_STORE, "url");
	bool nested = is_inside(c->state_dir, c->mountpoint) || is_inside(c->mountpoint, c->state_dir);
	const char *dir = str_starts(c->store.url, "dir:") ? c->store.url + strlen("dir:") : NULL;

	if (nested)
		conf_contradiction(l, state_dir, mountpoint, "lies inside, around or at",
		                   "two separate directories");
	/* The default store lies in state_dir: that was told already. */
	if (!dir || (nested && !is_given(l, url)))
		return;
	if (is_inside(dir, c->mountpoint) || is_inside(c->mountpoint, dir))
		conf_contradiction(l, url, mountpoint, "lies inside, around or at",
		                   "two separate directories");
	if (is_inside(c->state_dir, dir))
		conf_contradiction(l, state_dir, url, "lies inside, around or at",
		                   "a state_dir outside the store's directory");
}

/* The cache may be deleted at any time, so nothing else may lie in it; and it is no part of what is served or
 * stored. Below state_dir it does no harm. */
static void check_cache_place(struct conf_loader *l)
{
	const struct conf *c = &l->conf;
	const char *cache = c->read.cache_dir;
	struct conf_ref key = key_of(CONF_SECTION_READ, "cache_dir"), url = key_of(CONF_SECTION_STORE, "url");
	const char *dir = str_starts(c->store.url, "dir:") ? c->store.url + strlen("dir:") : NULL;
	bool around_state = is_inside(c->state_dir, cache);

	if (!*cache)
		return;
	if (is_inside(cache, c->mountpoint) || is_inside(c->mountpoint, cache))
		conf_contradiction(l, key, key_of(CONF_SECTION_KEEPFS, "mountpoint"),
		                   "lies inside, around or at", "a directory for the cache alone");
	if (around_state)
		conf_contradiction(l, key, key_of(CONF_SECTION_KEEPFS, "state_dir"), "lies around or at",
		                   "a directory for the cache alone, such as one in state_dir");
	/* The default store lies in state_dir: that was told already. */
	if (dir && (is_inside(cache, dir) || is_inside(dir, cache)) && !(around_state && !is_given(l, url)))
		conf_contradiction(l, key, url, "lies inside, around or at",
		                   "a directory for the cache alone");
}

/* A key for buckets, with more than its default. */
static bool speaks_of_a_bucket(struct conf_loader *l, struct conf_ref ref)
{
	const struct conf_key *k = &conf_keys[ref.key];
	_cleanup(str) struct str value = {0};
	bool speaks;

	if (!k->s3_only || !is_given(l, ref))
		return false;
	conf_value_format(k, conf_base(&l->conf, ref), &value);
	speaks = !str_equal(str_text(&value), k->fallback);
	if (value.data)
		explicit_bzero(value.data, value.cap);
	return speaks;
}

static void check_dir_store(struct conf_loader *l)
{
	struct conf_ref ref = {.section = CONF_SECTION_STORE, .key = -1};

	while (conf_next_key(&ref))
		if (speaks_of_a_bucket(l, ref))
			conf_contradiction(l, ref, key_of(CONF_SECTION_STORE, "url"),
			                   "is for a bucket only, but", "this key with an s3:// url only");
}

static void check_s3_store(struct conf_loader *l)
{
	const struct conf_store *s = &l->conf.store;
	struct conf_ref access_key = key_of(CONF_SECTION_STORE, "access_key");
	struct conf_ref secret_key =
	        key_of(CONF_SECTION_STORE, conf_secret_key(&s->secret_key, CONF_SECRET_KEYS("secret_key")));
	bool has_secret = conf_secret_is_set(&s->secret_key);

	if (str_starts(s->endpoint, "http://") && !s->allow_http)
		conf_contradiction(l, key_of(CONF_SECTION_STORE, "endpoint"),
		                   key_of(CONF_SECTION_STORE, "allow_http"),
		                   "sends backups as clear text, but", "https://, or allow_http = yes");
	if (*s->access_key && !has_secret)
		conf_contradiction(l, access_key, secret_key, "needs its secret, but",
		                   "both keys, or none of them");
	if (has_secret && !*s->access_key)
		conf_contradiction(l, secret_key, access_key, "needs its id, but",
		                   "both keys, or none of them");
	if (conf_secret_is_set(&s->session_token) && !*s->access_key)
		conf_contradiction(
		        l,
		        key_of(CONF_SECTION_STORE,
		               conf_secret_key(&s->session_token, CONF_SECRET_KEYS("session_token"))),
		        access_key, "belongs to an access key, but",
		        "access_key, secret_key and session_token together");
	if (*s->sse_kms_key && s->sse != CONF_SSE_KMS)
		conf_contradiction(l, key_of(CONF_SECTION_STORE, "sse_kms_key"),
		                   key_of(CONF_SECTION_STORE, "sse"), "is for sse = aws:kms only, but",
		                   "sse = aws:kms, or no sse_kms_key");
}

/* An upload holds five parts: the first, one being filled, three on their way. What it is fed from takes up
 * to a quarter of the half that is for uploads. With this, one run never waits for another for ever, and
 * mostly not at all. */
static void check_memory(struct conf_loader *l)
{
	const struct conf *c = &l->conf;
	struct conf_ref memory = key_of(CONF_SECTION_KEEPFS, "memory");
	struct conf_ref part_size = key_of(CONF_SECTION_STORE, "part_size");
	struct conf_ref runs = key_of(CONF_SECTION_KEEPFS, "parallel_runs");
	uint64_t needed = 2 * (3 + 4 * (uint64_t)c->parallel_runs) * c->store.part_bytes;
	_cleanup(str) struct str allowed = {0}, what = {0};

	if (c->memory_bytes >= needed || conf_origin_of(&l->conf, runs)->wrong)
		return;
	str_append(&allowed, "memory = ");
	conf_bytes_format(needed, &allowed);
	str_append(&allowed, " or more, or smaller values of part_size and parallel_runs");
	str_append(&what, "half of memory must hold 3 parts, and 4 more for each of ");
	describe_key(l, runs, true, &what);
	str_append(&what, ", but with");
	/* parallel_runs may be the only one that was set: then it is the place. */
	if (!is_given(l, memory) && !is_given(l, part_size))
		conf_contradiction(
		        l, runs, memory,
		        "half of memory must hold 3 parts of part_size, and 4 more for each run, but",
		        str_text(&allowed));
	else
		conf_contradiction(l, memory, part_size, str_text(&what), str_text(&allowed));
}

/* An archive of what holds the archives would hold itself. */
static void check_files_places(struct conf_loader *l)
{
	const struct conf *c = &l->conf;
	const char *dir = str_starts(c->store.url, "dir:") ? c->store.url + strlen("dir:") : NULL;
	struct conf_ref path = key_of(CONF_SECTION_FILES, "path");

	for (path.item = 0; path.item < c->job_count; path.item++) {
		const struct conf_job *job = &c->jobs[path.item];

		if (job->kind != CONF_JOB_FILES)
			continue;
		if (is_inside(job->files.path, c->mountpoint))
			conf_contradiction(l, path, key_of(CONF_SECTION_KEEPFS, "mountpoint"),
			                   "lies inside or at",
			                   "a directory that is not shown by keepfs itself");
		if (dir && is_inside(job->files.path, dir))
			conf_contradiction(l, path, key_of(CONF_SECTION_STORE, "url"), "lies inside or at",
			                   "a directory outside the store's");
	}
}

struct checked {
	struct conf_loader *loader;
	struct conf_ref ref; /* its section */
};

static void tell_clash(void *arg, const struct conf_clash *clash)
{
	const struct checked *checked = arg;
	struct conf_ref key = checked->ref, other = checked->ref;

	key.key = conf_key_find(key.section, clash->key);
	other.key = conf_key_find(other.section, clash->other);
	conf_contradiction(checked->loader, key, other, clash->what, clash->allowed);
}

/* By the rules that the sections have for themselves. */
static void check_sections(struct conf_loader *l)
{
	struct checked checked = {.loader = l};
	const struct conf_clashes clashes = {tell_clash, &checked};

	for (size_t n = 0; conf_place(&l->conf, n, &checked.ref); n++)
		if (conf_sections[checked.ref.section].check)
			conf_sections[checked.ref.section].check(conf_base(&l->conf, checked.ref), &clashes);
}

void conf_validate(struct conf_loader *l)
{
	check_places(l);
	check_cache_place(l);
	if (str_starts(l->conf.store.url, "dir:"))
		check_dir_store(l);
	else
		check_s3_store(l);
	check_memory(l);
	check_files_places(l);
	check_sections(l);
	conf_validate_notices(l);
	conf_validate_checks(l);
	conf_validate_export(l);
	conf_validate_bundles(l);
	conf_validate_stores(l);
	conf_validate_providers(l);
	conf_validate_secrets(l);
}
