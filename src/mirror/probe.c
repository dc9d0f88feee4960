// SPDX-License-Identifier: Apache-2.0
/* Is the source of a mirror there, and may keepfs list it? */
#include "mirror_private.h"

#include <keepfs/base/clock.h>

#include <stdio.h>

#define CHECK_MS 10000

void mirror_check(const struct make_context *ctx, const struct conf_job *job,
                  const struct make_findings *findings)
{
	const struct store_call call = {.deadline_ms = clock_mono_ms() + CHECK_MS};
	_cleanup(source) struct source *source = NULL;
	_cleanup(source_list) struct source_list *list = NULL;
	_cleanup(source_object) struct source_object first = {0};
	struct error err = {0};
	char name[224], section[sizeof(name) + 2];
	int r;

	(void)ctx;
	snprintf(name, sizeof(name), "mirror %s", job->name);
	if (str_equal(job->mirror.from.url, CONF_MIRROR_NONE)) {
		make_found(findings, true, name, "url = none: its objects are kept by somebody else");
		return;
	}
	r = source_open(&job->mirror.from, 1, &source, &err);
	if (r == 0) {
		snprintf(section, sizeof(section), "[%s]", name);
		source_set_section(source, section);
		list = source_list_new(source, &call);
		r = source_list_next(list, &first, &err);
	}
	if (r < 0)
		make_found(findings, false, name, "%s; correct [mirror %s]", err.message, job->name);
	else
		make_found(findings, true, name, "%s can be listed%s", job->mirror.from.url,
		           r == 0 ? "; it is empty" : "");
}
