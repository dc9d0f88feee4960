// SPDX-License-Identifier: Apache-2.0
/* The file with the key of hashes, as far as it can be seen from here. One that is not there, or that this user may not look at, is the run's
 * to tell of. */
#include "validate.h"

#include <keepfs/base/mem.h>

#include <sys/stat.h>

static const char *key_file_wrong(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return NULL;
	if (!S_ISREG(st.st_mode))
		return "is no file";
	return st.st_size < CONF_REDACT_KEY_BYTES ? "holds less than 32 bytes" : NULL;
}

void conf_validate_export(struct conf_loader *l)
{
	struct conf_ref ref = {.section = CONF_SECTION_EXPORT,
	                       .key = conf_key_find(CONF_SECTION_EXPORT, "redact_key_file")};

	for (ref.item = 0; ref.item < l->conf.job_count; ref.item++) {
		const struct conf_job *job = &l->conf.jobs[ref.item];
		const char *path = job->export.redact_key.file, *wrong;
		const struct conf_origin *at;

		if (job->kind != CONF_JOB_EXPORT || *path != '/')
			continue;
		at = conf_origin_of(&l->conf, ref);
		wrong = key_file_wrong(path);
		if (wrong && !at->wrong)
			conf_problem(
			        l, at->line,
			        "%s: [export] redact_key_file = %s: %s; allowed: the path of a file of 32 bytes or more that nobody can guess (head -c 32 /dev/urandom)",
			        at->text, path, wrong);
	}
}
