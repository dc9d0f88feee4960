// SPDX-License-Identifier: Apache-2.0
/* See keepfs/export/admins.h. Both lists are sorted by who, then by directory, so that a question is a search in each for the user and each of his groups. */
#include <keepfs/export/admins.h>

#include <keepfs/base/account.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct export_admins {
	pthread_mutex_t lock;
	struct export_grants configured, answered; /* lock */
	uint64_t asked,
	        answer_to; /* lock: the last question, and the one of which `answered` is the answer */
};

void export_grants_finish(struct export_grants *g)
{
	for (size_t i = 0; i < g->count; i++)
		free(g->items[i].directory);
	free(g->items);
	*g = (struct export_grants){0};
}

static void add_grant(struct export_grants *g, bool is_group, uint32_t id, const char *slug)
{
	/* The room for them is a power of two. */
	if ((g->count & (g->count - 1)) == 0)
		g->items = mem_resize(g->items, g->count ? 2 * g->count : 1, sizeof(*g->items));
	g->items[g->count++] =
	        (struct export_grant){.is_group = is_group, .id = id, .directory = name_from_database(slug)};
}

static int add_account(struct export_grants *g, const char *slug, const char *word, bool is_group,
                       struct str *problem)
{
	uint32_t id = 0;
	int r = is_group ? account_group(word, &id) : account_user(word, &id);

	if (r == 0)
		add_grant(g, is_group, id, slug);
	else
		str_appendf(problem, "%sno %s '%.60s'", problem->len > 0 ? ", " : "",
		            is_group ? "group" : "user", word);
	return r;
}

int export_grants_add(struct export_grants *g, const char *slug, const char *words, bool is_group,
                      struct str *problem)
{
	_cleanup(free) char *copy = mem_strdup(words);
	char *rest = copy, *word;
	int r = 0;

	while (copy && (word = strsep(&rest, ", \t\n"))) {
		if (*word && add_account(g, slug, word, is_group, problem) < 0)
			r = -ENOENT;
	}
	return r;
}

int export_grants_add_rule(struct export_grants *g, const char *rule, struct str *problem)
{
	const char *colon = strrchr(rule, ':'), *who = colon ? colon + 1 : NULL;
	_cleanup(free) char *slug = colon ? mem_printf("%.*s", (int)(colon - rule), rule) : NULL;
	bool is_group = who && *who == '@';

	if (!colon || !*slug || !who[is_group]) {
		str_appendf(problem, "'%.100s' is not TENANT:USER or TENANT:@GROUP", rule);
		return -EINVAL;
	}
	return add_account(g, slug, who + is_group, is_group, problem);
}

/* The lists in force. */

static int compare_grant_holders(const struct export_grant *x, const struct export_grant *y)
{
	if (x->is_group != y->is_group)
		return x->is_group ? 1 : -1;
	return (x->id > y->id) - (x->id < y->id);
}

static int compare_grants(const void *a, const void *b)
{
	const struct export_grant *x = a, *y = b;
	int order = compare_grant_holders(x, y);

	return order ? order : strcmp(x->directory, y->directory);
}

static int compare_to_holder(const void *key, const void *item)
{
	return compare_grant_holders(key, item);
}

struct export_admins *export_admins_new(void)
{
	struct export_admins *a = mem_alloc(sizeof(*a));

	pthread_mutex_init(&a->lock, NULL);
	return a;
}

struct export_admins *export_admins_free(struct export_admins *a)
{
	if (!a)
		return NULL;
	export_grants_finish(&a->configured);
	export_grants_finish(&a->answered);
	pthread_mutex_destroy(&a->lock);
	free(a);
	return NULL;
}

static void sort_grants(struct export_grants *g)
{
	if (g->count > 0)
		qsort(g->items, g->count, sizeof(*g->items), compare_grants);
}

static void swap_grants(struct export_grants *x, struct export_grants *y)
{
	const struct export_grants z = *x;

	*x = *y;
	*y = z;
}

void export_admins_configure(struct export_admins *a, char *const *rules)
{
	struct export_grants g = {0};

	for (size_t i = 0; rules && rules[i]; i++) {
		_cleanup(str) struct str problem = {0};

		if (export_grants_add_rule(&g, rules[i], &problem) < 0)
			log_warning("[export] admins: %s: %s; that gives nobody anything", rules[i],
			            str_text(&problem));
	}
	sort_grants(&g);
	pthread_mutex_lock(&a->lock);
	swap_grants(&a->configured, &g);
	pthread_mutex_unlock(&a->lock);
	export_grants_finish(&g);
}

uint64_t export_admins_ask(struct export_admins *a)
{
	uint64_t question;

	pthread_mutex_lock(&a->lock);
	question = ++a->asked;
	pthread_mutex_unlock(&a->lock);
	return question;
}

void export_admins_answered(struct export_admins *a, uint64_t question, struct export_grants *g)
{
	sort_grants(g);
	pthread_mutex_lock(&a->lock);
	if (question > a->answer_to) {
		a->answer_to = question;
		swap_grants(&a->answered, g);
	}
	pthread_mutex_unlock(&a->lock);
	export_grants_finish(g);
}

/* @directory NULL: any. */
static bool grants_hold(const struct export_grants *g, bool is_group, uint32_t id, const char *directory)
{
	const struct export_grant key = {
	        .is_group = is_group, .id = id, .directory = (char *)(uintptr_t)directory};

	if (g->count == 0)
		return false;
	return bsearch(&key, g->items, g->count, sizeof(key),
	               directory ? compare_grants : compare_to_holder) != NULL;
}

static bool is_granted(const struct export_grants *g, const struct export_person *who, const char *directory)
{
	if (grants_hold(g, false, who->uid, directory) || grants_hold(g, true, who->gid, directory))
		return true;
	for (size_t i = 0; i < who->group_count; i++)
		if (grants_hold(g, true, who->groups[i], directory))
			return true;
	return false;
}

static bool ask_grants(struct export_admins *a, const struct export_person *who, const char *directory)
{
	bool found;

	pthread_mutex_lock(&a->lock);
	found = is_granted(&a->configured, who, directory) || is_granted(&a->answered, who, directory);
	pthread_mutex_unlock(&a->lock);
	return found;
}

bool export_admins_know(struct export_admins *a, const struct export_person *who)
{
	return ask_grants(a, who, NULL);
}

bool export_admins_let(struct export_admins *a, const struct export_person *who, const char *directory)
{
	return ask_grants(a, who, directory);
}
