// SPDX-License-Identifier: Apache-2.0
/* Health of what was saved: a backup that is unlike those before it. */
#include "checks.h"
#include "line.h"
#include "watched.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/name.h>

#include <inttypes.h>
#include <string.h>

#define ANOMALIES_SHOWN 5

struct anomalies {
	struct checking *checking;
	size_t count;
	enum report_health worst;
	int result; /* of the catalog */
};

static void append_figure(struct str *out, enum anomaly_figure figure, double value)
{
	char size[16];

	if (figure == ANOMALY_RATIO)
		str_appendf(out, "%.2f", value);
	else if (figure == ANOMALY_DURATION)
		str_appendf(out, "%.0f s", value);
	else if (figure == ANOMALY_SIZE || figure == ANOMALY_RAW)
		str_append(out, str_format_bytes(size, sizeof(size), (unsigned long long)value));
	else
		str_appendf(out, "%.0f", value);
}

/* What is counted of a directory are files. */
static const char *name_of_figure(const struct watched *w, enum anomaly_figure figure)
{
	return w->job->kind == CONF_JOB_FILES && figure == ANOMALY_ROWS ? "files"
	                                                                : anomaly_figure_name(figure);
}

static void tell_finding(struct str *out, const struct watched *w, const struct anomaly_finding *f)
{
	const char *name = name_of_figure(w, f->figure);

	switch (f->shape) {
	case ANOMALY_ZERO:
		str_appendf(out, "%s: nothing at all", name);
		return;
	case ANOMALY_CONSTANT:
		str_appendf(
		        out,
		        "%s and bytes have not changed for days, and did so each time before: is it still the live database?",
		        name);
		return;
	case ANOMALY_VANISHED:
		str_appendf(out, "%.0f %s, and the backup before had ", f->value, name);
		break;
	default:
		str_appendf(out, "%s ", name);
		append_figure(out, f->figure, f->value);
		str_append(out, ", usually ");
	}
	append_figure(out, f->figure, f->usual);
}

static bool looks_encrypted(const struct watched_anomaly *a)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->findings[i].figure == ANOMALY_RATIO && a->findings[i].critical)
			return true;
	return false;
}

static enum report_health level_of_anomaly(const struct watched_anomaly *a)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->findings[i].critical)
			return REPORT_CRIT;
	return REPORT_WARN;
}

static void add_anomaly(struct checking *c, const struct watched *w, const struct watched_anomaly *a)
{
	const char *subject = tree_short(w->directory);
	struct health_item *item =
	        checking_add(c, level_of_anomaly(a), mem_printf("anomaly %s", w->job->name), subject);
	_cleanup(str) struct str text = {0};
	char at[32];

	str_appendf(&text, "the newest backup of %s (%s) is unlike those before it: ", subject,
	            line_time(a->at_us, "-", at));
	for (size_t i = 0; i < a->count; i++) {
		str_append(&text, i > 0 ? "; " : "");
		tell_finding(&text, w, &a->findings[i]);
	}
	item->since_us = a->at_us;
	item->text = str_take(&text);
	item->what_to_do = mem_strdup(
	        looks_encrypted(a)
	                ? "its data does not compress any more, as if it were encrypted: look at the database, and let no older backup be removed"
	                : "look at the database; if it is meant, acknowledge it (control/README), and it ends by itself");
}

static void take_anomaly(void *arg, const struct watched *w)
{
	struct anomalies *found = arg;
	struct watched_anomaly a;
	int r = watched_anomaly_of(found->checking->from, w, &a);

	if (r < 0)
		found->result = r;
	if (r < 0 || a.count == 0)
		return;
	if (level_of_anomaly(&a) > found->worst)
		found->worst = level_of_anomaly(&a);
	if (found->count++ < ANOMALIES_SHOWN)
		add_anomaly(found->checking, w, &a);
}

void check_anomaly(struct checking *c)
{
	struct anomalies found = {.checking = c};

	for (size_t i = 0; i < c->from->conf->job_count && found.result == 0; i++) {
		int r = watched_each(c->from, &c->from->conf->jobs[i], take_anomaly, &found);

		if (r < 0)
			found.result = r;
	}
	if (found.result < 0)
		checking_catalog_failed(c, found.result);
	if (found.count > ANOMALIES_SHOWN)
		checking_add_rest(c, found.worst, mem_strdup("anomalies"), "",
		                  mem_printf("%zu in all", found.count));
}
