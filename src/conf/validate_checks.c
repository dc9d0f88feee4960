// SPDX-License-Identifier: Apache-2.0
/* What drills ask of what they have restored: [check NAME]; and where they do it. */
#include "validate.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/policy/expect.h>

#include <unistd.h>

#define ROOTS_DRILLS         "/var/tmp/keepfs-drills"
#define LEVEL_WITHOUT_MOMENT 5 /* enum proof_level, which lies above this room */

static const struct conf_origin *check_origin(const struct conf_loader *l, size_t item, const char *name)
{
	const struct conf_ref ref = {
	        .section = CONF_SECTION_CHECK, .item = item, .key = conf_key_find(CONF_SECTION_CHECK, name)};

	return conf_origin_of(&l->conf, ref);
}

static void check_jobs_of(struct conf_loader *l, size_t item)
{
	const struct conf_check *check = &l->conf.checks[item];

	for (size_t k = 0; check->jobs[k]; k++) {
		const struct conf_origin *at = check_origin(l, item, "jobs");
		const struct conf_job *job = conf_find_job(&l->conf, check->jobs[k]);

		if (!job || (job->kind != CONF_JOB_DUMP && job->kind != CONF_JOB_BUNDLE &&
		             job->kind != CONF_JOB_CLUSTER))
			conf_problem(
			        l, at->line,
			        "%s: [check %s] jobs: there is no [backup %s]; allowed: names of jobs that back up databases, names of bundles and of clusters, or nothing for all databases",
			        at->text, check->name, check->jobs[k]);
		else if (job->kind == CONF_JOB_BUNDLE && (*check->sql || !*check->command))
			conf_problem(
			        l, at->line,
			        "%s: [check %s] jobs: %s is a bundle, of whose services a command asks; allowed: command without sql, and a [check NAME] of its own for statements",
			        at->text, check->name, check->jobs[k]);
	}
}

static void check_question(struct conf_loader *l, size_t item)
{
	const struct conf_check *check = &l->conf.checks[item];
	const struct conf_origin *at = check_origin(l, item, "expect");
	struct expect expect;
	struct error err = {0};

	if (expect_parse(check->expect, &expect, &err) < 0)
		conf_problem(l, at->line, "%s: [check %s] expect: %s", at->text, check->name, err.message);
	else if (*check->expect && !*check->sql)
		conf_problem(
		        l, at->line,
		        "%s: [check %s] expect: of a statement, and there is none; allowed: expect with sql",
		        at->text, check->name);
	if (!*check->sql && !*check->command)
		conf_problem(l, check->line, "%s: [check %s] asks nothing; allowed: sql, command, or both",
		             at->text, check->name);
}

/* No moment can be chosen of anything but a cluster: drills would always prove less than they are to. */
static void check_drill_level(struct conf_loader *l, struct conf_ref ref)
{
	const struct conf_job *job = conf_base(&l->conf, ref);
	const struct conf_origin *at;

	ref.key = conf_key_find(ref.section, "drill_level");
	at = conf_origin_of(&l->conf, ref);
	if (!at->wrong && job->kind != CONF_JOB_CLUSTER && job->drill_level > LEVEL_WITHOUT_MOMENT)
		conf_problem(
		        l, at->line,
		        "%s: [%s %s] drill_level = %d: a moment is proven of clusters alone; allowed: auto, or a whole number from 2 to 5",
		        at->text, conf_sections[ref.section].name, job->name, (int)job->drill_level);
}

static void check_drill_levels(struct conf_loader *l)
{
	struct conf_ref ref;

	for (size_t n = 0; conf_place(&l->conf, n, &ref); n++)
		if (conf_sections[ref.section].keys & CONF_KEYS_DRILL)
			check_drill_level(l, ref);
}

void conf_validate_checks(struct conf_loader *l)
{
	check_drill_levels(l);
	for (size_t i = 0; i < l->conf.check_count; i++) {
		check_jobs_of(l, i);
		check_question(l, i);
	}
}

bool conf_drill_user_is_trusted(const struct conf *c)
{
	return geteuid() == 0 && str_equal(c->drill_user, "postgres");
}

char *conf_drill_dir(const struct conf *c)
{
	if (c->drill_dir && *c->drill_dir)
		return mem_strdup(c->drill_dir);
	/* The server of root's keepfs runs as somebody who must not see the state directory. */
	return geteuid() == 0 ? mem_strdup(ROOTS_DRILLS) : mem_printf("%s/drills", c->state_dir);
}

static bool is_listed_or_all(char *const *words, const char *word)
{
	if (!words || !words[0])
		return true;
	for (; *words; words++)
		if (str_equal(*words, word))
			return true;
	return false;
}

bool conf_check_is_of_bundle(const struct conf_check *check, const char *job)
{
	return check->jobs && check->jobs[0] && is_listed_or_all(check->jobs, job);
}

bool conf_check_is_of(const struct conf_check *check, const char *job, const char *label)
{
	return is_listed_or_all(check->jobs, job) && is_listed_or_all(check->targets, label);
}
