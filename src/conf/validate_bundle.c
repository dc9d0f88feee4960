// SPDX-License-Identifier: Apache-2.0
/* The parts of bundles: jobs that there are, and secrets that are not laid open. */
#include "validate.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/name.h>

static const struct conf_origin *parts_origin(const struct conf_loader *l, size_t item)
{
	const struct conf_ref ref = {.section = CONF_SECTION_BUNDLE,
	                             .item = item,
	                             .key = conf_key_find(CONF_SECTION_BUNDLE, "parts")};

	return conf_origin_of(&l->conf, ref);
}

/* heap: why @name cannot be a part; NULL: it can. */
static char *part_wrong(const struct conf *c, const char *name)
{
	const struct conf_job *job = conf_find_job(c, name);

	if (!job)
		return mem_printf("there is no job '%.200s'", name);
	if (job->kind == CONF_JOB_BUNDLE)
		return mem_printf("'%.200s' is a bundle itself", name);
	if (job->kind == CONF_JOB_EXPORT)
		return mem_strdup("exports are for their tenants, and in no bundle");
	if (job->kind == CONF_JOB_INBOX)
		return mem_printf("'%.200s' is an inbox, which has backups when somebody else makes them",
		                  name);
	if (job->kind == CONF_JOB_CLUSTER)
		return mem_printf("'%.200s' makes base backups of a whole server, which stand by themselves",
		                  name);
	/* Its file would be called as one that keepfs makes. */
	if (name_is_reserved(name))
		return mem_printf("'%.200s' is the name of something else in a directory of backups", name);
	return NULL;
}

static void check_parts_of_bundle(struct conf_loader *l, size_t item)
{
	const struct conf_job *job = &l->conf.jobs[item];
	const struct conf_origin *at = parts_origin(l, item);

	if (at->wrong)
		return;
	if (!job->bundle.parts[0])
		conf_problem(
		        l, at->line,
		        "%s: [bundle %s] parts is empty; allowed: names of [backup NAME], [files NAME] and [mirror NAME], with commas",
		        at->text, job->name);
	for (size_t i = 0; job->bundle.parts[i]; i++) {
		_cleanup(free) char *wrong = part_wrong(&l->conf, job->bundle.parts[i]);

		if (wrong)
			conf_problem(
			        l, at->line,
			        "%s: [bundle %s] parts: %s; allowed: names of [backup NAME], [files NAME] and [mirror NAME], with commas",
			        at->text, job->name, wrong);
	}
}

static void check_number_of_mirrors(struct conf_loader *l, size_t item)
{
	const struct conf_job *job = &l->conf.jobs[item];
	const struct conf_origin *at = parts_origin(l, item);
	unsigned mirrors = 0;

	for (size_t i = 0; !at->wrong && job->bundle.parts[i]; i++) {
		const struct conf_job *part = conf_find_job(&l->conf, job->bundle.parts[i]);

		mirrors += part && part->kind == CONF_JOB_MIRROR;
	}
	if (mirrors > CONF_BUNDLE_MIRRORS_MAX)
		conf_problem(
		        l, at->line,
		        "%s: [bundle %s] parts: there are %u mirrors, and at most %d can be shown in one bundle: make several bundles",
		        at->text, job->name, mirrors, CONF_BUNDLE_MIRRORS_MAX);
}

/* A key of one part lies in every bundle, and bundles outlive it. */
static void check_part_secrets(struct conf_loader *l, size_t item)
{
	const struct conf_job *job = &l->conf.jobs[item];
	const struct conf_origin *at = parts_origin(l, item);

	if (at->wrong || job->bundle.allow_plain_secrets || conf_is_encrypted(&l->conf, job))
		return;
	for (size_t i = 0; job->bundle.parts[i]; i++) {
		const struct conf_job *part = conf_find_job(&l->conf, job->bundle.parts[i]);

		if (part && part->kind == CONF_JOB_FILES && part->files.secret)
			conf_problem(
			        l, at->line,
			        "%s: [bundle %s] parts: '%s' is secret ([files %s] secret = yes), and the bundle is not encrypted; allowed: encrypt_to, encrypt_to_file or encrypt_passphrase in [bundle %s] or [keepfs], or allow_plain_secrets = yes",
			        at->text, job->name, part->name, part->name, job->name);
	}
}

void conf_validate_bundles(struct conf_loader *l)
{
	for (size_t i = 0; i < l->conf.job_count; i++) {
		if (l->conf.jobs[i].kind != CONF_JOB_BUNDLE || !l->conf.jobs[i].bundle.parts)
			continue;
		check_parts_of_bundle(l, i);
		check_number_of_mirrors(l, i);
		check_part_secrets(l, i);
	}
}
