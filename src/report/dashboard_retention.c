// SPDX-License-Identifier: Apache-2.0
/*
 * What stays and why, and what goes when: of each directory those backups that go first. Directories in which something waits
 * for somebody come first. One directory is in memory at a time.
 */
#include "dashboard.h"
#include "retention_words.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>
#include <keepfs/prune.h>

#include <inttypes.h>
#include <string.h>

#define BACKUPS_LISTED 10 /* of each directory */
#define DUE_LISTED     4  /* of these, of those that may go now */

struct group { /* backups of one directory that are compared with each other */
	size_t first;
	struct retention_rules rules;
	struct retention_dates *dates;
};

struct leaving {
	size_t at; /* in the plan */
	const struct group *group;
	int64_t goes_s; /* 0: it may go now; RETENTION_NO_DATE */
};

struct kept { /* a directory */
	struct page *page;
	const struct prune_plan *plan;
	struct group *groups;
	struct leaving *leaving; /* all of them, those that go first in front */
};

struct keeping { /* all of them */
	struct page *page;
	struct prune prune;
	char (*told)[sizeof(((struct catalog_place *)NULL)->path)]; /* those that came first */
	size_t told_count, directories, backups;
};

static int compare_leaving(const void *a, const void *b)
{
	const struct leaving *one = a, *other = b;

	if (one->goes_s != other->goes_s)
		return one->goes_s < other->goes_s ? -1 : 1;
	return one->at < other->at ? -1 : one->at > other->at;
}

static void date_group(struct kept *k, struct group *group, size_t end)
{
	const struct prune_plan *plan = k->plan;

	prune_rules_of(plan, group->first, &group->rules);
	group->dates = retention_dates_new(&group->rules, plan->zone, &plan->schedule,
	                                   k->page->from->now_us / US_PER_S, &plan->backups[group->first],
	                                   end - group->first);
	for (size_t i = group->first; i < end; i++)
		k->leaving[i] = (struct leaving){
		        .at = i,
		        .group = group,
		        .goes_s = plan->backups[i].reasons ? retention_goes_at(group->dates, i - group->first)
		                                           : 0,
		};
}

static size_t count_groups(const struct prune_plan *plan)
{
	size_t count = 0;

	for (size_t first = 0; first < plan->count; first = prune_next_content(plan, first))
		count++;
	return count;
}

static void date_all(struct kept *k)
{
	size_t count = 0, end;

	k->groups = mem_array(count_groups(k->plan) + 1, sizeof(*k->groups));
	k->leaving = mem_array(k->plan->count + 1, sizeof(*k->leaving));
	for (size_t first = 0; first < k->plan->count; first = end) {
		end = prune_next_content(k->plan, first);
		k->groups[count].first = first;
		date_group(k, &k->groups[count++], end);
	}
	if (k->plan->count)
		qsort(k->leaving, k->plan->count, sizeof(*k->leaving), compare_leaving);
}

static void cleanup_kept(struct kept *k)
{
	for (size_t i = 0; i < count_groups(k->plan); i++)
		retention_dates_free(k->groups[i].dates);
	free(k->groups);
	free(k->leaving);
}

/* A backup. */

static void put_end(struct page *p, const struct leaving *l, const struct retention_backup *b)
{
	_cleanup(str) struct str end = {0};

	if (b->reasons)
		retention_append_end(l->group->dates, l->at - l->group->first, b, "", &end);
	if (b->reasons && end.len == 0)
		page_put(p, "<span class=\"muted\">no date</span>");
	else
		page_text(p, b->reasons ? str_text(&end) : "may go now", TEXT_SHORT);
}

static void put_why(struct page *p, const struct prune_plan *plan, const struct leaving *l)
{
	_cleanup(str) struct str why = {0};

	if (plan->backups[l->at].reasons)
		retention_append_reasons(plan->backups[l->at].reasons, &why);
	else
		prune_append_why(plan, l->at, &why);
	page_text(p, str_text(&why), TEXT_LONG);
}

static void put_leaving(struct page *p, const struct prune_plan *plan, const struct leaving *l)
{
	char name[NAME_MAX_BYTES];

	if (catalog_name_of(p->from->catalog, plan->artifacts[l->at].ino, name, sizeof(name)) < 0)
		return; /* it is gone meanwhile */
	page_put(p, "<tr><th scope=\"row\" class=\"file\">");
	page_text(p, name, TEXT_SHORT);
	page_putf(p, "</th><td data-label=\"%s\">",
	          plan->backups[l->at].reasons ? "Stays as" : "No rule keeps it");
	put_why(p, plan, l);
	page_put(p, "</td><td data-label=\"When it goes\">");
	put_end(p, l, &plan->backups[l->at]);
	page_put(p, "</td></tr>");
}

static void put_more_due(struct page *p, size_t count)
{
	if (!count)
		return;
	page_put(p, "<tr class=\"muted\"><td colspan=\"3\">and ");
	page_number(p, count);
	page_put(p, " more may go now</td></tr>");
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void put_all_leaving(const struct kept *k)
{
	struct page *p = k->page;
	size_t count = k->plan->count, due = smaller(k->plan->due, DUE_LISTED);
	size_t stay = smaller(count - k->plan->due, BACKUPS_LISTED - due);

	page_put(
	        p,
	        "<table class=\"cards leaving\"><caption class=\"sr\">What goes first</caption><thead><tr>"
	        "<th scope=\"col\">Backup</th><th scope=\"col\">Why it stays, or may go</th><th scope=\"col\">When it goes</th>"
	        "</tr></thead><tbody>");
	for (size_t i = 0; i < due; i++)
		put_leaving(p, k->plan, &k->leaving[i]);
	put_more_due(p, k->plan->due - due);
	for (size_t i = 0; i < stay; i++)
		put_leaving(p, k->plan, &k->leaving[k->plan->due + i]);
	page_put(p, "</tbody></table>");
	if (stay < count - k->plan->due) {
		page_put(p, "<p class=\"more\">and ");
		page_number(p, count - k->plan->due - stay);
		page_put(p, " more, which stay at least as long</p>");
	}
}

/* A directory. */

static const char *name_of_place(const struct prune_plan *plan)
{
	return tree_short(plan->place.path);
}

static void put_confirm(struct page *p, const struct prune_plan *plan)
{
	_cleanup(str) struct str line = {0};

	str_append(&line, "keepfs prune ");
	shell_quote(&line, name_of_place(plan));
	str_appendf(&line, " --confirm %s", plan->id);
	page_command(p, "Confirm", str_text(&line));
}

static void put_plan_state(struct page *p, const struct prune_plan *plan)
{
	if (plan->state == PRUNE_WAITS) {
		page_put(p, "<p class=\"warn\">It waits: ");
		page_text(p, plan->why, TEXT_LONG);
		page_put(p, ". It is done ");
		page_when(p, plan->waits_until_us);
		page_put(p, " UTC, or when somebody says so:</p>");
		put_confirm(p, plan);
	} else if (plan->state == PRUNE_SUSPENDED) {
		page_put(p, "<p class=\"warn\">Nothing is removed now: ");
		page_text(p, plan->why, TEXT_LONG);
		page_put(p, "</p>");
	}
	if (plan->last.refused) {
		page_put(p, "<p class=\"warn\">");
		page_number(p, plan->last.refused);
		page_put(p, " could not be removed: ");
		page_text(p, plan->last.refused_why, TEXT_LONG);
		page_put(p, "</p>");
	}
}

/* When the next one goes, in the summary. */
static void put_next_end(const struct kept *k)
{
	struct page *p = k->page;
	const struct leaving *next = k->plan->due < k->plan->count ? &k->leaving[k->plan->due] : NULL;

	if (!next || next->goes_s == RETENTION_NO_DATE)
		return;
	page_put(p, k->plan->due ? ", the next " : ", the first goes ");
	page_day(p, next->goes_s * US_PER_S);
}

static void put_counts(const struct kept *k)
{
	const struct prune_plan *plan = k->plan;
	struct page *p = k->page;

	page_put(p, " <span class=\"muted\">");
	page_count(p, plan->count - plan->due, "stays", "stay");
	if (plan->due) {
		page_put(p, ", ");
		page_count(p, plan->due, "may go", "may go");
	}
	put_next_end(k);
	page_put(p, "</span>");
	if (plan->state == PRUNE_WAITS)
		page_put(p, " <span class=\"badge warn\">waits</span>");
	if (plan->state == PRUNE_SUSPENDED)
		page_put(p, " <span class=\"badge warn\">suspended</span>");
	if (plan->last.refused)
		page_put(p, " <span class=\"badge warn\">refused</span>");
}

static void put_kept(struct page *p, const struct prune_plan *plan)
{
	_cleanup(kept) struct kept k = {.page = p, .plan = plan};

	date_all(&k);
	page_put(p, "<li><details><summary>");
	page_name(p, name_of_place(plan));
	put_counts(&k);
	page_put(p, "</summary>");
	put_plan_state(p, plan);
	page_put(p, "<p class=\"muted\">Rules: ");
	page_text(p, plan->rules_text, TEXT_LONG);
	page_put(p, "</p>");
	put_all_leaving(&k);
	page_put(p, "</details></li>");
}

static void put_place(struct keeping *all, const struct catalog_place *place)
{
	_cleanup(prune_plan) struct prune_plan plan = {0};
	struct page *p = all->page;
	struct error err = {0};

	all->directories++;
	if (prune_plan(&all->prune, place, &plan, &err) < 0) {
		page_put(p, "<li>");
		page_name(p, place->path);
		page_put(p, " <span class=\"warn\">what is kept is not known: ");
		page_text(p, err.message, TEXT_LONG);
		page_put(p, "</span></li>");
		return;
	}
	all->backups += plan.count;
	put_kept(p, &plan);
}

/* All of them. */

static bool has_place(const struct keeping *all)
{
	return all->directories < DIRECTORIES_SHOWN && all->backups < BACKUPS_PLANNED;
}

static bool was_told(const struct keeping *all, const char *path)
{
	for (size_t i = 0; i < all->told_count; i++)
		if (strcmp(all->told[i], path) == 0)
			return true;
	return false;
}

/* The catalog must not be called while it calls back: they are gathered first. */
static void take_troubled(void *arg, const char *path, const struct catalog_retention *state)
{
	struct keeping *all = arg;

	if (all->told_count < DIRECTORIES_SHOWN && (state->due || state->refused || *state->waits_why))
		str_copy(all->told[all->told_count++], sizeof(*all->told), path);
}

static void put_troubled(struct keeping *all, struct catalog_place *place)
{
	for (size_t i = 0; i < all->told_count && has_place(all); i++) {
		ssize_t n = catalog_places(all->page->from->catalog, all->told[i], "", place, 1);

		dash_failed(all->page, n < 0 ? (int)n : 0);
		if (n > 0 && strcmp(place->path, all->told[i]) == 0)
			put_place(all, place);
	}
}

/* Whether there are more. */
static bool put_others(struct keeping *all, struct catalog_place *place)
{
	ssize_t n;

	place->path[0] = '\0';
	while ((n = catalog_places(all->page->from->catalog, NULL, place->path, place, 1)) > 0) {
		if (was_told(all, place->path))
			continue;
		if (!has_place(all))
			return true;
		put_place(all, place);
	}
	dash_failed(all->page, n < 0 ? (int)n : 0);
	return false;
}

static int keeping_begin(struct keeping *all, struct repository *repository)
{
	const struct report_sources *from = all->page->from;
	struct artifact_time time;

	*repository = (struct repository){.store = from->store, .catalog = from->catalog};
	artifact_read_clock(&time);
	time.now_us = from->now_us;
	return prune_begin(&all->prune, repository, from->conf, &time, NULL);
}

void dashboard_retention(struct page *p)
{
	_cleanup(free) struct catalog_place *place = mem_alloc(sizeof(*place));
	struct keeping all = {.page = p};
	struct repository repository;
	bool more;

	all.told = mem_array(DIRECTORIES_SHOWN, sizeof(*all.told));
	dash_failed(p, keeping_begin(&all, &repository));
	dash_failed(p, catalog_each_retention(p->from->catalog, NULL, take_troubled, &all));
	if (p->result == 0) {
		page_put(p, "<ul class=\"recent kept\">");
		put_troubled(&all, place);
		more = put_others(&all, place);
		page_put(p, "</ul>");
		if (!all.directories)
			page_put(p, "<p class=\"muted\">There is no backup yet.</p>");
		else
			page_putf(p, "<p class=\"more\">%s <code>status/retention</code>.</p>",
			          more ? "There are more directories; all of them, with each backup, are in"
			               : "Each backup is in");
	}
	free(all.told);
}
