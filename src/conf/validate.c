// SPDX-License-Identifier: Apache-2.0
/* What no single value can tell: contradictions between keys. Each is told at the place of a key that the
 * administrator has set, with the other's value and place. Keys whose own value was refused are left out:
 * that was told already. */
#include "load.h"

#include <keepfs/base/mem.h>

#include "backup.h"
#include "units.h"
#include "value.h"

#include <string.h>

static int key_of(enum conf_section section, const char *name)
{
	return conf_key_find(section, name);
}

/* "[store] sse = none (default)" */
static void describe(struct conf_loader *l, int key, size_t job, bool with_origin, struct str *out)
{
	const struct conf_key *k = &conf_keys[key];
	_cleanup(str) struct str value = {0};

	conf_key_title(&l->conf, key, job, out);
	str_append(out, " = ");
	conf_value_format(k, conf_section_base(&l->conf, k->section, job), &value);
	conf_value_show(k, str_text(&value), out);
	if (with_origin)
		str_appendf(out, " (%s)", conf_origin_of(&l->conf, key, job)->text);
	if (value.data)
		explicit_bzero(value.data, value.cap);
}

/* "@a: <what> @b; allowed: …"; the other way round when @a is a default, which nobody can go to. */
static void contradiction_in(struct conf_loader *l, size_t job, int a, int b, const char *what,
                             const char *allowed)
{
	const struct conf_origin *at = conf_origin_of(&l->conf, a, job),
	                         *other = conf_origin_of(&l->conf, b, job);
	_cleanup(str) struct str a_text = {0}, b_text = {0};

	if (at->wrong || other->wrong)
		return;
	if (str_equal(at->text, "default") && other->given) {
		int swap = a;

		a = b;
		b = swap;
		at = other;
	}
	describe(l, a, job, false, &a_text);
	describe(l, b, job, true, &b_text);
	conf_problem(l, at->line, "%s: %s: %s %s; allowed: %s", at->text, str_text(&a_text), what,
	             str_text(&b_text), allowed);
}

static void contradiction(struct conf_loader *l, int a, int b, const char *what, const char *allowed)
{
	contradiction_in(l, 0, a, b, what, allowed);
}

static bool is_inside(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/' || dir[len - 1] == '/');
}

static void check_places(struct conf_loader *l)
{
	const struct conf *c = &l->conf;
	int mountpoint = key_of(CONF_SECTION_KEEPFS, "mountpoint"),
	    state_dir = key_of(CONF_SECTION_KEEPFS, "state_dir");
	int url = key_of(CONF_SECTION_STORE, "url");
	bool nested = is_inside(c->state_dir, c->mountpoint) || is_inside(c->mountpoint, c->state_dir);
	const char *dir = str_starts(c->store.url, "dir:") ? c->store.url + strlen("dir:") : NULL;

	if (nested)
		contradiction(l, state_dir, mountpoint, "lies inside, around or at",
		              "two separate directories");
	/* The default store lies in state_dir: that was told already. */
	if (!dir || (nested && !conf_origin_of(&l->conf, url, 0)->given))
		return;
	if (is_inside(dir, c->mountpoint) || is_inside(c->mountpoint, dir))
		contradiction(l, url, mountpoint, "lies inside, around or at", "two separate directories");
	if (is_inside(c->state_dir, dir))
		contradiction(l, state_dir, url, "lies inside, around or at",
		              "a state_dir outside the store's directory");
}

/* The cache may be deleted at any time, so nothing else may lie in it; and it is no part of what is served or
 * stored. Below state_dir it does no harm. */
static void check_cache_place(struct conf_loader *l)
{
	const struct conf *c = &l->conf;
	const char *cache = c->read.cache_dir;
	int key = key_of(CONF_SECTION_READ, "cache_dir"), url = key_of(CONF_SECTION_STORE, "url");
	const char *dir = str_starts(c->store.url, "dir:") ? c->store.url + strlen("dir:") : NULL;
	bool around_state = is_inside(c->state_dir, cache);

	if (!*cache)
		return;
	if (is_inside(cache, c->mountpoint) || is_inside(c->mountpoint, cache))
		contradiction(l, key, key_of(CONF_SECTION_KEEPFS, "mountpoint"), "lies inside, around or at",
		              "a directory for the cache alone");
	if (around_state)
		contradiction(l, key, key_of(CONF_SECTION_KEEPFS, "state_dir"), "lies around or at",
		              "a directory for the cache alone, such as one in state_dir");
	/* The default store lies in state_dir: that was told already. */
	if (dir && (is_inside(cache, dir) || is_inside(dir, cache)) &&
	    !(around_state && !conf_origin_of(&l->conf, url, 0)->given))
		contradiction(l, key, url, "lies inside, around or at", "a directory for the cache alone");
}

static void check_dir_store(struct conf_loader *l)
{
	int url = key_of(CONF_SECTION_STORE, "url");

	for (int i = 0; i < (int)conf_key_count; i++) {
		_cleanup(str) struct str value = {0};

		if (!conf_keys[i].s3_only || !conf_origin_of(&l->conf, i, 0)->given)
			continue;
		conf_value_format(&conf_keys[i], &l->conf.store, &value);
		if (!str_equal(str_text(&value), conf_keys[i].fallback))
			contradiction(l, i, url, "is for a bucket only, but",
			              "this key with an s3:// url only");
		if (value.data)
			explicit_bzero(value.data, value.cap);
	}
}

static void check_s3_store(struct conf_loader *l)
{
	const struct conf_store *s = &l->conf.store;
	int access_key = key_of(CONF_SECTION_STORE, "access_key"),
	    secret_key = key_of(CONF_SECTION_STORE, "secret_key");

	if (str_starts(s->endpoint, "http://") && !s->allow_http)
		contradiction(l, key_of(CONF_SECTION_STORE, "endpoint"),
		              key_of(CONF_SECTION_STORE, "allow_http"), "sends backups as clear text, but",
		              "https://, or allow_http = yes");
	if (*s->access_key && !*s->secret_key)
		contradiction(l, access_key, secret_key, "needs its secret, but",
		              "both keys, or none of them");
	if (*s->secret_key && !*s->access_key)
		contradiction(l, secret_key, access_key, "needs its id, but", "both keys, or none of them");
	if (*s->session_token && !*s->access_key)
		contradiction(l, key_of(CONF_SECTION_STORE, "session_token"), access_key,
		              "belongs to an access key, but",
		              "access_key, secret_key and session_token together");
	if (*s->sse_kms_key && s->sse != CONF_SSE_KMS)
		contradiction(l, key_of(CONF_SECTION_STORE, "sse_kms_key"), key_of(CONF_SECTION_STORE, "sse"),
		              "is for sse = aws:kms only, but", "sse = aws:kms, or no sse_kms_key");
}

/* An upload holds five parts: the first, one being filled, three on their way. What it is fed from takes up
 * to a quarter of the half that is for uploads. With this, one run never waits for another for ever, and
 * mostly not at all. */
static void check_memory(struct conf_loader *l)
{
	const struct conf *c = &l->conf;
	int memory = key_of(CONF_SECTION_KEEPFS, "memory"),
	    part_size = key_of(CONF_SECTION_STORE, "part_size");
	int runs = key_of(CONF_SECTION_KEEPFS, "parallel_runs");
	uint64_t needed = 2 * (3 + 4 * (uint64_t)c->parallel_runs) * c->store.part_bytes;
	_cleanup(str) struct str allowed = {0}, what = {0};

	if (c->memory_bytes >= needed || conf_origin_of(&l->conf, runs, 0)->wrong)
		return;
	str_append(&allowed, "memory = ");
	conf_bytes_format(needed, &allowed);
	str_append(&allowed, " or more, or smaller values of part_size and parallel_runs");
	str_append(&what, "half of memory must hold 3 parts, and 4 more for each of ");
	describe(l, runs, 0, true, &what);
	str_append(&what, ", but with");
	/* parallel_runs may be the only one that was set: then it is the place. */
	if (!conf_origin_of(&l->conf, memory, 0)->given && !conf_origin_of(&l->conf, part_size, 0)->given)
		contradiction(l, runs, memory,
		              "half of memory must hold 3 parts of part_size, and 4 more for each run, but",
		              str_text(&allowed));
	else
		contradiction(l, memory, part_size, str_text(&what), str_text(&allowed));
}

struct checked_job {
	struct conf_loader *loader;
	size_t job;
};

static void on_clash(void *arg, const struct conf_clash *clash)
{
	const struct checked_job *checked = arg;

	contradiction_in(checked->loader, checked->job, key_of(CONF_SECTION_BACKUP, clash->key),
	                 key_of(CONF_SECTION_BACKUP, clash->other), clash->what, clash->allowed);
}

static void check_jobs(struct conf_loader *l)
{
	for (size_t job = 0; job < l->conf.backup_count; job++) {
		struct checked_job checked = {l, job};

		conf_backup_check(&l->conf.backups[job], on_clash, &checked);
	}
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
	check_jobs(l);
}
