// SPDX-License-Identifier: Apache-2.0
/* A directory's backups, gathered, put in the order in which they were made, and held against the rules. */
#include "prune_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/holds.h>
#include <keepfs/codec/hash.h>

/* What is not named by the time is of something of its own: nothing is compared with it. */
#define CONTENT_NAMED   UINT8_MAX
#define CONTENT_PARTIAL 128 /* or'ed */

struct gathered { /* one backup, for as long as it takes to sort them */
	struct prune_artifact artifact;
	struct retention_backup backup;
};

struct gathering {
	struct gathered *items;
	size_t count, cap;
	bool in_order;
};

static uint8_t content_of(const struct catalog_made *made)
{
	const char *content = artifact_content(made->name);
	uint8_t number;

	if (made->named)
		return CONTENT_NAMED;
	number = content[0] ? (uint8_t)(content[1] == 's' ? 1 : content[1] == 'd' ? 2 : 3) : 0;
	return made->partial ? number | CONTENT_PARTIAL : number;
}

static int compare_gathered(const void *a, const void *b)
{
	const struct prune_artifact *x = &((const struct gathered *)a)->artifact,
	                            *y = &((const struct gathered *)b)->artifact;

	if (x->content != y->content)
		return x->content < y->content ? -1 : 1;
	if (x->run_id != y->run_id)
		return x->run_id < y->run_id ? -1 : 1;
	return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

static void gather(void *arg, const struct catalog_made *made)
{
	struct gathering *g = arg;
	struct gathered *item;

	if (g->count == g->cap) {
		g->cap = g->cap ? g->cap + g->cap / 2 : 256;
		g->items = mem_resize(g->items, g->cap, sizeof(*g->items));
	}
	item = &g->items[g->count++];
	*item = (struct gathered){
	        .artifact = {.ino = made->ino,
	                     .run_id = made->run_id,
	                     .sequence = made->sequence,
	                     .content = content_of(made),
	                     .partial = made->partial,
	                     .missing = made->missing,
	                     .named = made->named,
	                     .verified = made->verified,
	                     .tiers = (int8_t)made->tiers,
	                     .store = made->store,
	                     .lock_wanted_us = made->lock_wanted_us},
	        .backup = {.at_s = made->at_us / US_PER_S,
	                   .keep_until_s = made->keep_until_us / US_PER_S,
	                   .locked_until_s = (made->locked_until_us + US_PER_S - 1) / US_PER_S,
	                   .damaged = made->damaged},
	};
	g->in_order = g->in_order && (g->count == 1 || compare_gathered(item - 1, item) <= 0);
}

static void take_gathered(struct gathering *g, struct prune_plan *plan)
{
	if (!g->in_order)
		qsort(g->items, g->count, sizeof(*g->items), compare_gathered);
	plan->count = g->count;
	plan->artifacts = mem_array(g->count + 1, sizeof(*plan->artifacts));
	plan->backups = mem_array(g->count + 1, sizeof(*plan->backups));
	for (size_t i = 0; i < g->count; i++) {
		plan->artifacts[i] = g->items[i].artifact;
		plan->backups[i] = g->items[i].backup;
	}
}

struct held {
	uint64_t *inos;
	size_t count;
};

static void remember_held(void *arg, uint64_t ino)
{
	struct held *held = arg;

	held->inos = mem_resize(held->inos, held->count + 1, sizeof(*held->inos));
	held->inos[held->count++] = ino;
}

static int compare_inos(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int mark_held(const struct prune *p, struct prune_plan *plan)
{
	struct held held = {0};
	int r = catalog_held(p->repository->catalog, plan->place.ino, p->time.now_us, remember_held, &held);

	if (held.count > 0)
		qsort(held.inos, held.count, sizeof(*held.inos), compare_inos);
	for (size_t i = 0; held.count > 0 && i < plan->count; i++) {
		plan->backups[i].held = bsearch(&plan->artifacts[i].ino, held.inos, held.count,
		                                sizeof(*held.inos), compare_inos) != NULL;
		plan->held += plan->backups[i].held;
	}
	free(held.inos);
	return r;
}

static int gather_all(const struct prune *p, struct prune_plan *plan, struct error *err)
{
	struct gathering g = {.in_order = true};
	int r = catalog_each_made(p->repository->catalog, plan->place.ino, gather, &g);

	if (r == 0) {
		take_gathered(&g, plan);
		r = mark_held(p, plan);
	}
	free(g.items);
	return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 0;
}

size_t prune_next_content(const struct prune_plan *plan, size_t from)
{
	size_t i = from + 1;

	while (i < plan->count && plan->artifacts[from].content != CONTENT_NAMED &&
	       plan->artifacts[i].content == plan->artifacts[from].content)
		i++;
	return i;
}

void prune_rules_of(const struct prune_plan *plan, size_t from, struct retention_rules *ret)
{
	*ret = plan->rules;
	if (!plan->artifacts[from].partial)
		return;
	/* They have rules all the same, if there are any: what is of no tier is not kept for ever by that. */
	if (!ret->forever && retention_has_rules(ret) && !ret->last && ret->within_s <= 0)
		ret->last = 1;
	ret->daily = ret->weekly = ret->monthly = ret->yearly = 0;
	ret->min_keep = 1;
}

/* Of a database that is gone for good, only what somebody wants to keep. */
static void let_go(struct prune_plan *plan, size_t i)
{
	if (plan->is_gone)
		plan->backups[i].reasons &=
		        RETENTION_HELD | RETENTION_UNTIL | RETENTION_FOREVER | RETENTION_LOCKED;
	/* Nothing takes its place: so nothing lets it go. */
	else if (plan->job && plan->place.gone_since_us > 0)
		plan->backups[i].reasons |= RETENTION_GONE;
	/* Its bytes may be there, and its manifest come back. */
	else if (plan->artifacts[i].missing && !plan->backups[i].reasons)
		plan->backups[i].reasons = RETENTION_DAMAGED;
}

/* The rules have let it go. */
static void count_put_off(struct prune_plan *plan, const struct retention_backup *b)
{
	int64_t until_us = b->locked_until_s * US_PER_S;

	if (b->reasons != RETENTION_LOCKED)
		return;
	if (plan->put_off++ == 0 || until_us < plan->put_off_until_us)
		plan->put_off_until_us = until_us;
}

static void apply_rules(const struct prune *p, struct prune_plan *plan)
{
	for (size_t from = 0, to; from < plan->count; from = to) {
		struct retention_rules rules;

		to = prune_next_content(plan, from);
		prune_rules_of(plan, from, &rules);
		retention_plan(&rules, plan->zone, p->time.now_us / US_PER_S, &plan->backups[from],
		               to - from);
		for (size_t i = from; i < to; i++) {
			let_go(plan, i);
			plan->due += plan->backups[i].reasons == 0;
			count_put_off(plan, &plan->backups[i]);
		}
	}
}

static void number_plan(struct prune_plan *plan)
{
	struct sha256 *running;
	_cleanup(str) struct str text = {0};
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	if (plan->due == 0)
		return;
	running = sha256_new();
	str_appendf(&text, "%s\n%s\n", plan->place.path, plan->rules_text);
	sha256_update(running, text.data, text.len);
	for (size_t i = 0; i < plan->count; i++)
		if (!plan->backups[i].reasons)
			sha256_update(running, &plan->artifacts[i].ino, sizeof(plan->artifacts[i].ino));
	sha256_final(running, digest);
	sha256_free(running);
	hex_encode(digest, sizeof(digest), hex);
	str_cut(plan->id, 9, hex);
}

int prune_plan(const struct prune *p, const struct catalog_place *place, struct prune_plan *ret,
               struct error *err)
{
	_cleanup(prune_plan) struct prune_plan plan = {.place = *place};
	int r = prune_find_rules(p, &plan, err);

	if (r == 0)
		r = gather_all(p, &plan, err);
	if (r == 0) {
		r = catalog_retention(p->repository->catalog, place->ino, &plan.last);
		if (r < 0)
			error_system(err, -r, "the catalog cannot be read");
	}
	if (r < 0)
		return r;
	apply_rules(p, &plan);
	number_plan(&plan);
	prune_judge(p, &plan);
	*ret = plan;
	plan = (struct prune_plan){0};
	return 0;
}

void prune_plan_finish(struct prune_plan *plan)
{
	zone_free(plan->zone);
	free(plan->backups);
	free(plan->artifacts);
	*plan = (struct prune_plan){0};
}

int prune_begin(struct prune *ret, struct repository *repository, const struct conf *conf,
                const struct artifact_time *time, struct error *err)
{
	*ret = (struct prune){.repository = repository, .conf = conf, .time = *time};
	return artifact_look_at_clock(repository, time, &ret->seen_us, err);
}
