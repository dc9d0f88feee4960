// SPDX-License-Identifier: Apache-2.0
/*
 * The probe: it does what a backup does, in small, and says of each part whether it works, or what to do. All
 * parts are tried, whatever fails; the catalog gets the result as a whole, at the end, or none.
 */
#include "check_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/kinds.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void add_item(struct probe *p, bool ok, const char *name, const char *detail, const char *fix)
{
	struct catalog_probe *item = &p->ret->items[p->ret->count++];

	*item = (struct catalog_probe){.ok = ok, .at_us = p->at_us};
	str_copy(item->check, sizeof(item->check), name);
	str_copy(item->detail, sizeof(item->detail), detail);
	/* Half a statement is worse than none. */
	if (fix && strlen(fix) < sizeof(item->fix))
		str_copy(item->fix, sizeof(item->fix), fix);
	p->ret->failed += !ok;
}

static void add_found(struct probe *p, bool ok, const char *name, const char *detail, const char *fix)
{
	size_t used = strlen(p->others_text);

	if (p->ret->count < CHECK_MAX - 1) {
		add_item(p, ok, name, detail, fix);
		return;
	}
	p->others++;
	p->others_failed += !ok;
	if (!ok)
		snprintf(p->others_text + used, sizeof(p->others_text) - used, "%s%s: %s",
		         used > 0 ? "; " : "", name, detail);
}

void probe_add(struct probe *p, bool ok, const char *name, const char *fmt, ...)
{
	char detail[sizeof(p->ret->items[0].detail)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	add_found(p, ok, name, detail, NULL);
}

void probe_add_failure(struct probe *p, const char *name, const char *fix, const char *fmt, ...)
{
	char detail[sizeof(p->ret->items[0].detail)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	add_found(p, false, name, detail, fix);
}

static void add_others(struct probe *p)
{
	char detail[sizeof(p->ret->items[0].detail)];

	if (p->others == 0)
		return;
	if (p->others_failed == 0)
		snprintf(detail, sizeof(detail), "%zu more checks passed", p->others);
	else
		snprintf(detail, sizeof(detail), "%zu of %zu more checks failed: %s", p->others_failed,
		         p->others, p->others_text);
	add_item(p, p->others_failed == 0, "others", detail, NULL);
}

static void take_finding(void *arg, bool ok, const char *name, const char *detail, const char *fix)
{
	add_found(arg, ok, name, detail, fix);
}

void check_run(const struct conf *conf, struct store *store, const struct error *store_err,
               struct catalog *catalog, struct check_result *ret)
{
	struct probe p = {.ret = ret, .at_us = clock_now_us()};
	const struct make_findings findings = {.add = take_finding, .arg = &p};
	struct repository repository = {.store = store, .catalog = catalog};
	const struct make_context ctx = {.conf = conf, .repository = &repository};
	struct error err = {0};

	*ret = (struct check_result){0};
	probe_store(&p, &conf->store, store, store_err);
	probe_clock(&p, store);
	probe_locks(&p, conf, store);
	probe_replicas(&p, conf);
	probe_catalog(&p, conf);
	probe_signing(&p, conf);
	probe_fuse(&p, conf);
	probe_secrets(&p, conf);
	probe_notices(&p, conf);
	probe_encryption(&p, conf);
	for (size_t i = 0; i < conf->job_count; i++)
		kind_of(&conf->jobs[i])->check(&ctx, &conf->jobs[i], &findings);
	probe_schedules(&p, conf, catalog);
	probe_drills(&p, conf);
	if (conf->job_count == 0)
		probe_add_failure(
		        &p, "jobs", "keepfs init --quick",
		        "no backup is configured: add a section [backup NAME] to the configuration");
	if (catalog)
		probe_uncovered(&p, conf, catalog);
	add_others(&p);
	if (catalog && catalog_set_probes(catalog, conf->store.url, ret->items, ret->count, &err) < 0)
		log_error("the result of the probe could not be kept: %s", err.message);
}

void check_rights(const struct conf *conf, struct str *script)
{
	struct repository none = {0};
	const struct make_context ctx = {.conf = conf, .repository = &none};

	for (size_t i = 0; i < conf->job_count; i++) {
		const struct make_kind *kind = kind_of(&conf->jobs[i]);

		if (kind->rights)
			kind->rights(&ctx, &conf->jobs[i], script);
	}
}
