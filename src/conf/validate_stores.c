// SPDX-License-Identifier: Apache-2.0
/* Further stores beside everything else: are they other places, whose credentials do they have, and who names one that is not there? */
#include "validate.h"

#include <keepfs/base/mem.h>

#include <string.h>

static struct conf_ref store_key(size_t item, const char *name)
{
	return (struct conf_ref){.section = CONF_SECTION_NAMED_STORE,
	                         .item = item,
	                         .key = conf_key_find(CONF_SECTION_NAMED_STORE, name)};
}

static struct conf_ref main_key(const char *name)
{
	return (struct conf_ref){.section = CONF_SECTION_STORE,
	                         .key = conf_key_find(CONF_SECTION_STORE, name)};
}

static bool is_same_store_place(const struct conf_store *a, const struct conf_store *b)
{
	return str_equal(a->url, b->url) && str_equal(str_or_empty(a->endpoint), str_or_empty(b->endpoint));
}

static bool is_store_within(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	return strncmp(path, directory, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static void check_store_directory(struct conf_loader *l, size_t item)
{
	const struct conf *c = &l->conf;
	const char *path = c->stores[item].store.url + strlen("dir:");

	if (is_store_within(path, c->mountpoint) || is_store_within(c->mountpoint, path))
		conf_contradiction(l, store_key(item, "url"),
		                   (struct conf_ref){.section = CONF_SECTION_KEEPFS,
		                                     .key = conf_key_find(CONF_SECTION_KEEPFS, "mountpoint")},
		                   "lies inside, around or at", "two separate directories");
	if (str_starts(c->store.url, "dir:") && (is_store_within(path, c->store.url + strlen("dir:")) ||
	                                         is_store_within(c->store.url + strlen("dir:"), path)))
		conf_contradiction(l, store_key(item, "url"), main_key("url"), "lies inside, around or at",
		                   "two separate directories");
}

/* What [store] has is for the server of [store]: another one must not see what is made with it. */
static void check_borrowed_keys(struct conf_loader *l, size_t item)
{
	const struct conf_named_store *s = &l->conf.stores[item];
	bool has_own = *s->store.access_key || *s->store.profile || *s->credentials_file;

	if (has_own || (str_starts(l->conf.store.url, "s3://") &&
	                str_equal(s->store.endpoint, str_or_empty(l->conf.store.endpoint))))
		return;
	conf_contradiction(
	        l, store_key(item, "endpoint"), main_key("endpoint"),
	        "has no credentials of its own, and those of [store] are sent nowhere but to",
	        "access_key and secret_key, credentials_file or profile for another endpoint than that of [store]");
}

static void check_named_store(struct conf_loader *l, size_t item)
{
	const struct conf_store *s = &l->conf.stores[item].store;

	if (str_equal(l->conf.stores[item].name, CONF_PRIMARY))
		conf_problem(l, l->conf.stores[item].line,
		             "%s: [store " CONF_PRIMARY "]: 'copies' calls [store] so; allowed: another NAME",
		             conf_origin_of(&l->conf, store_key(item, "url"))->text);
	if (is_same_store_place(s, &l->conf.store))
		conf_contradiction(l, store_key(item, "url"), main_key("url"), "is the same place as",
		                   "another bucket, prefix or directory");
	else if (str_starts(s->url, "dir:"))
		check_store_directory(l, item);
	else
		check_borrowed_keys(l, item);
}

static void check_store_is_there(struct conf_loader *l, struct conf_ref ref, const char *name)
{
	const struct conf_origin *at = conf_origin_of(&l->conf, ref);
	_cleanup(str) struct str title = {0}, have = {0};

	if (!*str_or_empty(name) || conf_find_store(&l->conf, name) || at->wrong)
		return;
	conf_ref_title(&l->conf, ref, &title);
	for (size_t i = 0; i < l->conf.store_count; i++)
		str_appendf(&have, "%s%s", i > 0 ? ", " : "", l->conf.stores[i].name);
	conf_problem(l, at->line, "%s: %s = %s: there is no section [store %s]; allowed: %s", at->text,
	             str_text(&title), name, name,
	             have.len > 0 ? str_text(&have) : "the name of one, of which there is none yet");
}

/* NULL: the word can stand there. */
static char *copy_wrong(const struct conf *c, const char *word)
{
	const struct conf_named_store *s = conf_find_store(c, word);
	const char *whose = s ? conf_whose_store(c, s) : NULL;

	if (str_equal(word, CONF_PRIMARY))
		return NULL;
	if (!s)
		return mem_printf("there is no section [store %s]", word);
	return whose ? mem_printf("[store %s] cannot have copies of backups: %s", s->name, whose) : NULL;
}

static void check_copies(struct conf_loader *l, struct conf_ref ref)
{
	const struct conf *c = &l->conf;
	const struct conf_job *job = &c->jobs[ref.item];
	const struct conf_origin *at = conf_origin_of(c, ref);
	_cleanup(str) struct str title = {0};
	_cleanup(free) char *wrong = NULL;

	if (!job->copies || !job->copies[0] || at->wrong)
		return;
	for (size_t i = 0; !wrong && job->copies[i]; i++)
		wrong = copy_wrong(c, job->copies[i]);
	if (!wrong && !conf_has_copies(job, CONF_PRIMARY))
		wrong = mem_strdup("'primary' is missing: [store] has every backup first");
	if (!wrong)
		return;
	conf_ref_title(c, ref, &title);
	conf_problem(
	        l, at->line,
	        "%s: %s: %s; allowed: primary, and names of [store NAME] that are for no tenant, with commas",
	        at->text, str_text(&title), wrong);
}

/* A directory has no storage classes. */
static void check_class_after(struct conf_loader *l, struct conf_ref ref)
{
	char *const *steps = l->conf.jobs[ref.item].class_after;

	if (steps && steps[0] && str_starts(l->conf.store.url, "dir:"))
		conf_contradiction(l, ref, main_key("url"), "is for a bucket only, but",
		                   "this key with an s3:// url only");
}

static void check_all_copies(struct conf_loader *l)
{
	static const enum conf_section sections[] = {
	        [CONF_JOB_DUMP] = CONF_SECTION_BACKUP,    [CONF_JOB_FILES] = CONF_SECTION_FILES,
	        [CONF_JOB_EXPORT] = CONF_SECTION_EXPORT,  [CONF_JOB_MIRROR] = CONF_SECTION_MIRROR,
	        [CONF_JOB_BUNDLE] = CONF_SECTION_BUNDLE,  [CONF_JOB_INBOX] = CONF_SECTION_INBOX,
	        [CONF_JOB_CLUSTER] = CONF_SECTION_CLUSTER};

	for (size_t i = 0; i < l->conf.job_count; i++) {
		enum conf_section section = sections[l->conf.jobs[i].kind];

		check_copies(l, (struct conf_ref){
		                        .section = section,
		                        .item = i,
		                        .key = conf_key_find(section, "copies"),
		                });
		check_class_after(l, (struct conf_ref){
		                             .section = section,
		                             .item = i,
		                             .key = conf_key_find(section, "class_after"),
		                     });
	}
}

void conf_validate_stores(struct conf_loader *l)
{
	struct conf_ref of_export = {.section = CONF_SECTION_EXPORT,
	                             .key = conf_key_find(CONF_SECTION_EXPORT, "store")};
	struct conf_ref of_class = {.section = CONF_SECTION_CLASS,
	                            .key = conf_key_find(CONF_SECTION_CLASS, "store")};

	for (size_t i = 0; i < l->conf.store_count; i++)
		check_named_store(l, i);
	for (of_export.item = 0; of_export.item < l->conf.job_count; of_export.item++)
		if (l->conf.jobs[of_export.item].kind == CONF_JOB_EXPORT)
			check_store_is_there(l, of_export, l->conf.jobs[of_export.item].export.store);
	for (; of_class.item < l->conf.class_count; of_class.item++)
		check_store_is_there(l, of_class, l->conf.classes[of_class.item].store);
	check_all_copies(l);
}
