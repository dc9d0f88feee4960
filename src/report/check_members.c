// SPDX-License-Identifier: Apache-2.0
/* Health of what jobs find out by themselves: is the registry read, who is gone, and who was never thought of? */
#include "checks.h"
#include "line.h"
#include "watched.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/members.h>
#include <keepfs/policy/databases.h>
#include <keepfs/report/uncovered.h>

#include <inttypes.h>

#define GONE_TOLD_US (INT64_C(86400) * US_PER_S) /* for so long it is a warning that a database is gone */
#define GONE_SHOWN   5
#define NAMES_SHOWN  10

struct members_view {
	struct checking *checking;
	const struct conf_job *job;
	size_t gone; /* lately */
	struct str unknown_classes;
	size_t unknown_count;
	char last_unknown[256];
};

/* Heap. Whoever names databases may be somebody else than who pastes this into a shell. */
static char *final_backup_of(const char *job, const char *database)
{
	_cleanup(free) char *pair = mem_printf("database=%s", database);
	struct str text = {0};

	str_appendf(&text, "if it still exists, a last backup of it is made with: keepfs trigger %s ", job);
	str_append_shell_word(&text, pair);
	str_append(&text, " final=yes");
	return str_take(&text);
}

static void tell_gone(struct members_view *v, const struct catalog_member *m)
{
	_cleanup(free) char *subject = mem_printf("%s/%s", v->job->name, m->name);
	struct health_item *item;
	bool is_export = v->job->kind == CONF_JOB_EXPORT;
	const char *kept = is_export ? "exports" : "backups";
	char gone[32], until[32];

	if (v->gone++ >= GONE_SHOWN)
		return;
	item = checking_add(v->checking, REPORT_WARN, mem_printf("registry %s", subject), subject);
	item->since_us = m->gone_since_us;
	line_time(m->gone_since_us, "-", gone);
	if (v->job->keep_deleted_ms > 0)
		item->text =
		        mem_printf("is not named any more since %s; its %s stay until %s", gone, kept,
		                   line_time(m->gone_since_us + v->job->keep_deleted_ms * 1000, "-", until));
	else
		item->text = mem_printf("is not named any more since %s; its %s stay", gone, kept);
	item->what_to_do =
	        is_export ? mem_strdup("nothing, if this tenant has left; else look at the query in tenants")
	                  : final_backup_of(v->job->name, m->name);
}

static void note_class(struct members_view *v, const struct catalog_member *m)
{
	if (!*m->class || conf_find_class(v->checking->from->conf, m->class) ||
	    str_equal(v->last_unknown, m->class))
		return;
	str_copy(v->last_unknown, sizeof(v->last_unknown), m->class);
	/* Neighbours are of one class mostly; one that is told twice does no harm. */
	if (v->unknown_count++ < NAMES_SHOWN)
		str_appendf(&v->unknown_classes, "%s%s (%s)", v->unknown_classes.len > 0 ? ", " : "",
		            m->class, m->name);
}

static void view_member(void *arg, const struct catalog_member *m)
{
	struct members_view *v = arg;

	if (!m->gone_since_us)
		note_class(v, m);
	else if (m->gone_since_us > v->checking->from->now_us - GONE_TOLD_US)
		tell_gone(v, m);
}

static void tell_unknown_classes(struct members_view *v)
{
	_cleanup(free) char *subject = mem_printf("%s classes", v->job->name);
	struct health_item *item;

	if (v->unknown_count == 0)
		return;
	item = checking_add(v->checking, REPORT_WARN, mem_printf("registry %s", v->job->name), subject);
	item->text = mem_printf(
	        "names classes that have no section: %s; what the job says is in force for their %s",
	        str_text(&v->unknown_classes), watched_parts(v->job, 2));
	item->what_to_do = mem_strdup("add a section [class NAME] for each");
}

static void tell_many_gone(struct members_view *v)
{
	_cleanup(free) char *subject = mem_printf("%s gone", v->job->name);

	if (v->gone <= GONE_SHOWN)
		return;
	checking_add_rest(v->checking, REPORT_WARN, mem_printf("registry %s", v->job->name), subject,
	                  mem_printf("%zu %s are not named any more since yesterday", v->gone,
	                             watched_parts(v->job, v->gone)));
}

/* How the last readings went. */
static void tell_registry(struct checking *c, const struct conf_job *job,
                          const struct catalog_registry *registry)
{
	const char *parts = watched_parts(job, 2),
	           *are_made = job->kind == CONF_JOB_EXPORT ? "exported" : "backed up";
	bool lost = registry->missing > 0, failed = registry->failed_at_us > 0;
	enum report_health level = lost || (failed && !registry->read_at_us) ? REPORT_CRIT
	                           : failed                                  ? REPORT_WARN
	                                                                     : REPORT_OK;
	struct health_item *item;
	char at[32], since[32];

	if (!failed && !registry->read_at_us)
		return;
	item = checking_add(c, level, mem_printf("registry %s", job->name), job->name);
	line_time(registry->read_at_us, "-", at);
	if (lost) {
		item->since_us = registry->missing_since_us;
		item->text = mem_printf(
		        "%" PRIu64 " of %" PRIu64
		        " %s are suddenly not named any more, since %s; they do not count as gone yet, and are not %s",
		        registry->missing, registry->live, parts,
		        line_time(registry->missing_since_us, "-", since), are_made);
		item->what_to_do = mem_printf("look at the registry, and at the query in %s", parts);
	} else if (failed) {
		item->since_us = registry->failed_at_us;
		item->text = mem_printf("is not read since %s: %s; the %" PRIu64
		                        " %s that are known are %s, new ones are not",
		                        line_time(registry->failed_at_us, "-", since), registry->failure,
		                        registry->live, parts, are_made);
		item->what_to_do = mem_strdup("see that it can be asked again: keepfs check");
	} else {
		item->text = mem_printf("names %" PRIu64 " %s, read %s; %" PRIu64 " are gone", registry->live,
		                        parts, at, registry->gone);
	}
}

static void check_registry_of(struct checking *c, const struct conf_job *job)
{
	struct members_view view = {.checking = c, .job = job};
	struct catalog_registry registry;
	int r = catalog_registry(c->from->catalog, job->name, &registry);

	if (r == 0) {
		tell_registry(c, job, &registry);
		r = catalog_each_member(c->from->catalog, job->name, true, view_member, &view);
		tell_many_gone(&view);
		tell_unknown_classes(&view);
	}
	if (r < 0)
		checking_catalog_failed(c, r);
	str_finish(&view.unknown_classes);
}

void check_registries(struct checking *c)
{
	for (size_t i = 0; i < c->from->conf->job_count; i++) {
		const struct conf_job *job = &c->from->conf->jobs[i];
		enum databases_kind kind = databases_kind_of(job->dump.databases);

		if (job->kind == CONF_JOB_EXPORT || kind == DATABASES_MATCHED || kind == DATABASES_QUERY)
			check_registry_of(c, job);
	}
}

struct names {
	struct str text;
	size_t count;
};

static void add_uncovered_name(void *arg, const char *server, const char *name)
{
	struct names *names = arg;

	if (names->count++ < NAMES_SHOWN)
		str_appendf(&names->text, "%s%s", names->text.len > 0 ? ", " : "", name);
}

void check_uncovered(struct checking *c)
{
	struct names names = {0};
	int r = report_uncovered(c->from->conf, c->from->catalog, add_uncovered_name, &names);

	if (r < 0)
		checking_catalog_failed(c, r);
	if (names.count > 0) {
		struct health_item *item =
		        checking_add(c, REPORT_WARN, mem_strdup("uncovered databases"), "");

		item->text = mem_printf("%zu backed up by no job: %s%s", names.count, str_text(&names.text),
		                        names.count > NAMES_SHOWN ? ", …" : "");
		item->what_to_do = mem_strdup(
		        "add them to a job, or, when they need no backup, to ignore_databases in [keepfs]");
	}
	str_finish(&names.text);
}
