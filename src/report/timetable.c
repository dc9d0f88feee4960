// SPDX-License-Identifier: Apache-2.0
/* From the configuration and the catalog to what can be due. The decision itself is policy/due.h's. */
#include <keepfs/report/timetable.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>
#include <keepfs/policy/databases.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct timetable_zone { /* each is loaded once, however many jobs have it */
	char *name;     /* NULL: that of the process */
	char *shown;
	struct zone *zone;
	struct timetable_zone *next;
};

static const struct timetable_zone *find_zone(struct timetable *t, const char *name)
{
	struct timetable_zone *z = t->zones;

	while (z && !str_equal(z->name, name))
		z = z->next;
	if (z)
		return z;
	z = mem_alloc(sizeof(*z));
	z->name = mem_strdup(name);
	z->shown = name ? mem_strdup(name) : zone_process_name();
	/* The configuration was refused when there is none of that name; if it has gone since, UTC is always there. */
	if (zone_load(name, &z->zone, NULL) < 0)
		(void)zone_load("UTC", &z->zone, NULL);
	z->next = t->zones;
	t->zones = z;
	return z;
}

/* Hosts with the same configuration are not to begin at the same moment either. */
static uint64_t jitter_seed(const char *job, const char *class)
{
	char host[256] = "";
	_cleanup(free) char *text = NULL;

	(void)gethostname(host, sizeof(host) - 1);
	text = mem_printf("%s %s %s", host, job, class);
	return hash64(text);
}

static void fill_unit(struct timetable *t, struct timetable_unit *u)
{
	const struct timetable_zone *zone = find_zone(t, conf_zone_name(t->conf, u->job));

	conf_policy_of(t->conf, u->job, u->class, &u->policy);
	if (str_equal(u->class, TIMETABLE_DRILL))
		u->policy.schedule = u->job->drill;
	u->zone_name = zone->shown;
	/* Both were checked when the configuration was read. */
	(void)schedule_parse(str_or_empty(u->policy.schedule), &u->schedule, NULL);
	(void)blackout_parse(str_or_empty(u->policy.blackout), &u->blackout, NULL);
	u->rule = schedule_is_off(&u->schedule)
	                  ? mem_strdup("")
	                  : mem_printf("%.300s %.200s", u->policy.schedule, zone->shown);
	u->rules = (struct due_rules){
	        .schedule = &u->schedule,
	        .zone = zone->zone,
	        .blackout = u->blackout,
	        .catch_up_s = u->policy.catch_up_ms / 1000,
	        .jitter_s = u->policy.jitter_ms / 1000,
	        .seed = jitter_seed(u->job->name, u->class),
	};
	u->off_until_s = INT64_MIN;
}

/* Classes. */

struct class_row {
	char job[NAME_MAX_BYTES], class[NAME_MAX_BYTES];
	uint64_t databases;
};

struct class_rows {
	struct class_row *items;
	size_t count;
};

static void cleanup_class_rows(struct class_rows *rows)
{
	free(rows->items);
}

static void take_class(void *arg, const char *job, const char *class, uint64_t databases)
{
	struct class_rows *rows = arg;
	struct class_row *row;

	rows->items = mem_resize(rows->items, rows->count + 1, sizeof(*rows->items));
	row = &rows->items[rows->count++];
	*row = (struct class_row){.databases = databases};
	str_copy(row->job, sizeof(row->job), job);
	str_copy(row->class, sizeof(row->class), class);
}

/* Where only classes have schedules, it is the run of a class that asks the registry: while it names none of these, any does, or
 * nobody would ever ask again. */
static bool asks_by_any_class(const struct conf *conf, const struct conf_job *job,
                              const struct class_rows *classes)
{
	if (job->kind != CONF_JOB_EXPORT && databases_kind_of(job->dump.databases) != DATABASES_QUERY)
		return false;
	for (size_t i = 0; i < classes->count; i++)
		if (str_equal(classes->items[i].job, job->name) &&
		    conf_class_has_schedule(conf, classes->items[i].class))
			return false;
	return true;
}

/* Units are pointed at from within, so all of them are counted before there is room for any. */
static size_t count_units(const struct conf *conf, const struct class_rows *classes)
{
	size_t count = conf->job_count;

	for (size_t i = 0; i < conf->job_count; i++)
		count += asks_by_any_class(conf, &conf->jobs[i], classes) ? conf->class_count : 0;
	for (size_t i = 0; i < classes->count; i++)
		count += conf_find_job(conf, classes->items[i].job) &&
		         conf_class_has_schedule(conf, classes->items[i].class);
	return count;
}

static void add_unit(struct timetable *t, const struct conf_job *job, const char *class, uint64_t databases)
{
	struct timetable_unit *u = &t->units[t->count++];

	*u = (struct timetable_unit){.job = job, .class = class, .databases = databases};
	fill_unit(t, u);
}

static void add_units_of(struct timetable *t, const struct conf_job *job, const struct class_rows *classes)
{
	add_unit(t, job, "", 0);
	for (size_t i = 0; i < classes->count; i++) {
		const struct class_row *row = &classes->items[i];
		const struct conf_class *class = conf_find_class(t->conf, row->class);

		if (str_equal(row->job, job->name) && conf_class_has_schedule(t->conf, row->class))
			add_unit(t, job, class->name, row->databases);
	}
	for (size_t i = 0; asks_by_any_class(t->conf, job, classes) && i < t->conf->class_count; i++)
		if (conf_class_has_schedule(t->conf, t->conf->classes[i].name))
			add_unit(t, job, t->conf->classes[i].name, 0);
}

static void add_drills(struct timetable *t)
{
	t->drills = mem_array(t->conf->job_count, sizeof(*t->drills));
	for (size_t i = 0; i < t->conf->job_count; i++) {
		const struct conf_job *job = &t->conf->jobs[i];
		struct timetable_unit *u = &t->drills[t->drill_count];
		struct schedule schedule;

		if (!job->drill || schedule_parse(job->drill, &schedule, NULL) < 0 ||
		    schedule_is_off(&schedule))
			continue;
		*u = (struct timetable_unit){.job = job, .class = TIMETABLE_DRILL};
		fill_unit(t, u);
		t->drill_count++;
	}
}

/* What is remembered. */

struct memories {
	struct catalog_schedule *items; /* by job, then by class, as the catalog orders them */
	size_t count;
};

static void cleanup_memories(struct memories *m)
{
	free(m->items);
}

static void take_memory(void *arg, const struct catalog_schedule *schedule)
{
	struct memories *m = arg;

	if ((m->count & (m->count - 1)) == 0)
		m->items = mem_resize(m->items, m->count ? 2 * m->count : 1, sizeof(*m->items));
	m->items[m->count++] = *schedule;
}

static int compare_memories(const void *a, const void *b)
{
	const struct catalog_schedule *x = a, *y = b;
	int r = strcmp(x->job, y->job);

	return r ? r : strcmp(x->class, y->class);
}

static void add_stranger(struct timetable *t, const struct catalog_schedule *memory)
{
	t->strangers = mem_resize(t->strangers, t->stranger_count + 1, sizeof(*t->strangers));
	t->strangers[t->stranger_count++] = *memory;
}

/* @memory->due_us becomes -1: it is somebody's. */
static void recall(struct timetable_unit *u, const struct memories *m)
{
	struct catalog_schedule *found, *key = mem_alloc(sizeof(*key));

	str_copy(key->job, sizeof(key->job), u->job->name);
	str_copy(key->class, sizeof(key->class), u->class);
	found = m->count ? bsearch(key, m->items, m->count, sizeof(*key), compare_memories) : NULL;
	free(key);
	if (!found || schedule_is_off(&u->schedule))
		return;
	u->was_known = true;
	u->is_known = str_equal(found->rule, u->rule);
	u->remembered_s = found->due_us / US_PER_S;
	found->due_us = -1;
}

static void take_switch(void *arg, const struct catalog_switch *s)
{
	struct timetable *t = arg;

	t->switches = mem_resize(t->switches, t->switch_count + 1, sizeof(*t->switches));
	t->switches[t->switch_count++] = *s;
}

static int recall_all(struct timetable *t, struct catalog *catalog)
{
	_cleanup(memories) struct memories memories = {0};
	int r = catalog_schedules(catalog, take_memory, &memories);

	if (r == 0)
		r = catalog_switches(catalog, take_switch, t);
	for (size_t i = 0; r == 0 && i < t->count; i++)
		recall(&t->units[i], &memories);
	for (size_t i = 0; r == 0 && i < t->drill_count; i++)
		recall(&t->drills[i], &memories);
	for (size_t i = 0; r == 0 && i < memories.count; i++)
		if (memories.items[i].due_us != -1)
			add_stranger(t, &memories.items[i]);
	return r;
}

int timetable_new(const struct conf *conf, struct catalog *catalog, int64_t now_us, struct timetable **ret)
{
	_cleanup(timetable) struct timetable *t = mem_alloc(sizeof(*t));
	_cleanup(class_rows) struct class_rows classes = {0};
	int r = 0;

	t->conf = conf;
	if (catalog && conf->class_count > 0)
		r = catalog_classes(catalog, take_class, &classes);
	t->units = mem_array(count_units(conf, &classes), sizeof(*t->units));
	for (size_t i = 0; r == 0 && i < conf->job_count; i++)
		add_units_of(t, &conf->jobs[i], &classes);
	add_drills(t);
	if (r == 0 && catalog)
		r = recall_all(t, catalog);
	if (r < 0)
		return r;
	timetable_apply_switches(t, now_us);
	*ret = take_ptr(&t);
	return 0;
}

static void finish_units(struct timetable_unit *units, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		blackout_free(units[i].blackout);
		free(units[i].rule);
	}
	free(units);
}

struct timetable *timetable_free(struct timetable *t)
{
	if (!t)
		return NULL;
	finish_units(t->units, t->count);
	finish_units(t->drills, t->drill_count);
	while (t->zones) {
		struct timetable_zone *z = t->zones;

		t->zones = z->next;
		zone_free(z->zone);
		free(z->shown);
		free(z->name);
		free(z);
	}
	free(t->switches);
	free(t->strangers);
	free(t);
	return NULL;
}

/* Switches. */

const struct catalog_switch *timetable_switch(const struct timetable *t, const char *job)
{
	for (size_t i = 0; i < t->switch_count; i++)
		if (strcmp(t->switches[i].job, job) == 0)
			return &t->switches[i];
	return NULL;
}

static struct due_switch due_switch_of(const struct catalog_switch *s)
{
	return s ? (struct due_switch){.is_off = s->is_off,
	                               .at_s = s->at_us / US_PER_S,
	                               .until_s = s->until_us / US_PER_S}
	         : (struct due_switch){0};
}

static const struct catalog_switch *off_now(const struct catalog_switch *s, int64_t now_us)
{
	const struct due_switch due = due_switch_of(s);

	return due_is_off(&due, now_us / US_PER_S) ? s : NULL;
}

/* What was said of the job itself comes first: it is what somebody has to take back for this one. */
static const struct catalog_switch *off_by(const struct catalog_switch *own, const struct catalog_switch *all,
                                           int64_t now_us)
{
	return off_now(own, now_us) ?: off_now(all, now_us);
}

struct words { /* the last ones about a job, and about all; nobody said any: all zero */
	struct catalog_switch own, all;
};

static void take_word_of_job(void *arg, const struct catalog_switch *s)
{
	struct words *words = arg;

	*(*s->job ? &words->own : &words->all) = *s;
}

int timetable_is_off(struct catalog *catalog, const char *job, int64_t now_us, struct catalog_switch *ret)
{
	_cleanup(free) struct words *words = mem_alloc(sizeof(*words));
	const struct catalog_switch *off;
	int r = catalog_switches_of(catalog, job, take_word_of_job, words);

	if (r < 0)
		return r;
	off = off_by(&words->own, &words->all, now_us);
	if (off)
		*ret = *off;
	return off != NULL;
}

const struct catalog_switch *timetable_master(const struct timetable *t, int64_t now_us)
{
	return off_now(timetable_switch(t, ""), now_us);
}

static int64_t later(int64_t a_s, int64_t b_s)
{
	return a_s > b_s ? a_s : b_s;
}

static void apply_switches(const struct timetable *t, struct timetable_unit *u, int64_t now_us)
{
	const struct catalog_switch *all = timetable_switch(t, ""), *own = timetable_switch(t, u->job->name);
	const struct due_switch of_all = due_switch_of(all), of_job = due_switch_of(own);

	u->off_until_s = later(due_off_until_s(&of_all, now_us / US_PER_S),
	                       due_off_until_s(&of_job, now_us / US_PER_S));
	u->off = off_by(own, all, now_us);
}

void timetable_apply_switches(struct timetable *t, int64_t now_us)
{
	for (size_t i = 0; t->switch_count > 0 && i < t->count; i++)
		apply_switches(t, &t->units[i], now_us);
	for (size_t i = 0; t->switch_count > 0 && i < t->drill_count; i++)
		apply_switches(t, &t->drills[i], now_us);
}

struct timetable_unit *timetable_unit_at(struct timetable *t, size_t i)
{
	return i < t->count ? &t->units[i] : i - t->count < t->drill_count ? &t->drills[i - t->count] : NULL;
}

/* Decisions. */

void timetable_decide(const struct timetable_unit *unit, int64_t now_s, int64_t watched_s, struct due *ret)
{
	struct due_facts facts = {.now_s = now_s, .watched_s = watched_s};

	facts.done_s = later(due_done_s(unit->is_known ? unit->remembered_s : now_s, &facts),
	                     due_done_s(unit->off_until_s, &facts));
	due_decide(&unit->rules, &facts, ret);
}

void timetable_remember(const struct timetable_unit *unit, int64_t due_s, struct catalog_schedule *ret)
{
	*ret = (struct catalog_schedule){.due_us = due_s * US_PER_S};
	str_copy(ret->job, sizeof(ret->job), unit->job->name);
	str_copy(ret->class, sizeof(ret->class), unit->class);
	str_copy(ret->rule, sizeof(ret->rule), unit->rule);
}

char *timetable_missed_note(const struct timetable_unit *unit, int64_t due_s)
{
	char at[ZONE_TEXT_BYTES];

	return mem_printf("missed at %s (%.100s)", zone_format(unit->rules.zone, due_s, at), unit->zone_name);
}
