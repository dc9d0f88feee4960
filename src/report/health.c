// SPDX-License-Identifier: Apache-2.0
/* The table of checks, and the list of what they find. */
#include "checks.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <string.h>

/* In the order of status/health. */
static const struct {
	const char *name; /* a stable word: metrics and notices of other programs may know it */
	void (*run)(struct checking *c);
	bool of_writer; /* it looks at what only a keepfs does that makes backups */
} checks[] = {
        {"job", check_jobs, .of_writer = true},
        {"failing", check_failing, .of_writer = true},
        {"overdue", check_overdue},
        {"anomaly", check_anomaly},
        {"clock", check_clock},
        {"unlisted", check_listing, .of_writer = true},
        {"encryption", check_encryption},
        {"damaged", check_damaged},
        {"scrub", check_scrub, .of_writer = true},
        {"reads", check_reads},
        {"cache", check_cache},
        {"configuration", check_conf},
        {"lease", check_lease},
        {"following", check_following},
        {"store", check_store, .of_writer = true},
        {"stores", check_other_stores},
        {"replicas", check_replicas, .of_writer = true},
        {"probe", check_probes, .of_writer = true},
        {"pg_dump", check_pg_dump, .of_writer = true},
        {"space", check_space},
        {"versions", check_versions, .of_writer = true},
        {"object_lock", check_object_lock, .of_writer = true},
        {"classes", check_classes, .of_writer = true},
        {"wal", check_wal, .of_writer = true},
        {"registry", check_registries, .of_writer = true},
        {"uncovered", check_uncovered, .of_writer = true},
        {"schedule", check_schedule, .of_writer = true},
        {"prune", check_prune, .of_writer = true},
        {"catalog_copy", check_catalog_copy, .of_writer = true},
        {"notices", check_notices},
        {"restore", check_restore},
        {"drill", check_drill},
        {"rto", check_rto},
};

/* What any check says when the catalog cannot answer. */
#define CATALOG_CHECK "catalog"

static const char *const level_names[] = {[REPORT_OK] = "OK", [REPORT_WARN] = "WARN", [REPORT_CRIT] = "CRIT"};

const char *health_level_name(enum report_health level)
{
	return level_names[level];
}

enum report_health health_level_of(const char *text)
{
	size_t len = strcspn(text, " \n");

	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
		if (strlen(level_names[i]) == len && strncmp(text, level_names[i], len) == 0)
			return (enum report_health)i;
	return REPORT_CRIT;
}

struct health_item *checking_add(struct checking *c, enum report_health level, char *name,
                                 const char *subject)
{
	struct health *h = c->found;

	h->items = mem_resize(h->items, h->count + 1, sizeof(*h->items));
	h->items[h->count] = (struct health_item){
	        .level = level, .check = c->check, .name = name, .subject = mem_strdup(subject)};
	return &h->items[h->count++];
}

void checking_add_rest(struct checking *c, enum report_health level, char *name, const char *subject,
                       char *text)
{
	struct health_item *item = checking_add(c, level, name, subject);

	item->text = text;
	item->is_rest = true;
}

void checking_changes_at(struct checking *c, int64_t at_us)
{
	struct health *h = c->found;

	if (at_us > c->from->now_us && (!h->next_change_us || at_us < h->next_change_us))
		h->next_change_us = at_us;
}

void checking_catalog_failed(struct checking *c, int r)
{
	struct health_item *item;

	if (c->catalog_failed)
		return;
	c->catalog_failed = true;
	item = checking_add(c, REPORT_CRIT, mem_strdup(CATALOG_CHECK), "");
	item->check = CATALOG_CHECK;
	item->text = mem_printf("cannot be read: %s", strerror(-r));
	item->what_to_do = mem_strdup("look at the daemon's log, and see 'keepfs rebuild'");
}

const char *health_check_name(size_t number)
{
	if (number < ARRAY_SIZE(checks))
		return checks[number].name;
	return number == ARRAY_SIZE(checks) ? CATALOG_CHECK : NULL;
}

void health_gather(const struct report_sources *from, struct health *ret)
{
	struct checking c = {.from = from, .found = ret};

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		if (checks[i].of_writer && from->conf->role == CONF_READER)
			continue;
		c.check = checks[i].name;
		checks[i].run(&c);
	}
	acks_apply(&c);
}

void health_finish(struct health *h)
{
	for (size_t i = 0; i < h->count; i++) {
		free(h->items[i].subject);
		free(h->items[i].name);
		free(h->items[i].text);
		free(h->items[i].what_to_do);
		free(h->items[i].acknowledged_by);
		free(h->items[i].acknowledged_why);
	}
	free(h->items);
	*h = (struct health){0};
}

enum report_health health_worst(const struct health *h)
{
	enum report_health worst = REPORT_OK;

	for (size_t i = 0; i < h->count; i++)
		if (!health_is_acknowledged(&h->items[i]) && h->items[i].level > worst)
			worst = h->items[i].level;
	return worst;
}
