// SPDX-License-Identifier: Apache-2.0
/* What jobs/<run>/ shows: status for people and scripts, progress as one line, the log. */
#include "runs.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define PAGE_TARGETS 16

static void append_line(struct str *out, const char *key, const char *value)
{
	str_appendf(out, "%s ", key);
	if (*value)
		append_flat(out, value);
	else
		str_append_char(out, '-');
	str_append_char(out, '\n');
}

/* "target <state> <bytes> <path> <database>: <error>": what may hold spaces comes last. */
static void append_target(struct str *out, const struct catalog_target *target)
{
	str_appendf(out, "target %s %" PRIu64 " %s ", run_state_name(target->state), target->size_bytes,
	            *target->path ? target->path : "-");
	append_flat(out, target->label);
	if (*target->error) {
		str_append(out, ": ");
		append_flat(out, target->error);
	}
	str_append_char(out, '\n');
}

static int write_targets(struct catalog *c, int64_t run_id, struct spool *out)
{
	_cleanup(free) struct catalog_target *page = mem_array(PAGE_TARGETS, sizeof(*page));
	size_t offset = 0;
	ssize_t count;

	while ((count = catalog_run_targets(c, run_id, offset, page, PAGE_TARGETS)) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			_cleanup(str) struct str line = {0};

			append_target(&line, &page[i]);
			spool_append(out, str_text(&line), line.len);
		}
		offset += (size_t)count;
	}
	return (int)count;
}

int report_run_status(struct catalog *c, const struct catalog_run *run, struct spool *out)
{
	_cleanup(str) struct str text = {0};
	char at[32];
	int r;

	str_appendf(&text, "run %" PRId64 "\n", run->id);
	append_line(&text, "job", run->job);
	append_line(&text, "kind", run->kind);
	append_line(&text, "state", run_state_name(run->state));
	append_line(&text, "triggered_by", run->triggered_by);
	append_line(&text, "queued", format_time(run->queued_at_us, "-", at));
	append_line(&text, "started", format_time(run->started_at_us, "-", at));
	append_line(&text, "finished", format_time(run->finished_at_us, "-", at));
	if (run_seconds(run) >= 0)
		str_appendf(&text, "seconds %.3f\n", run_seconds(run));
	else
		str_append(&text, "seconds -\n");
	str_appendf(&text, "size_bytes %" PRIu64 "\n", run->size_bytes);
	append_line(&text, "sha256", run->sha256);
	str_appendf(&text, "targets %" PRIu64 "\ntargets_failed %" PRIu64 "\n", run->targets,
	            run->targets_failed);
	append_line(&text, "error", run->error);
	append_line(&text, "note", run->note);
	append_line(&text, "options", run->options);
	append_line(&text, "warning", run->warning);
	append_line(&text, "damaged", run->damaged);
	spool_append(out, str_text(&text), text.len);
	r = write_targets(c, run->id, out);
	return r < 0 ? r : spool_error(out);
}

/* A value without spaces, as pairs are separated by them: these, '%' and control bytes become "%XX". */
static void append_word(struct str *out, const char *text)
{
	for (; *text; text++) {
		if (isspace((unsigned char)*text) || iscntrl((unsigned char)*text) || *text == '%')
			str_appendf(out, "%%%02X", (unsigned char)*text);
		else
			str_append_char(out, *text);
	}
}

void report_run_progress(const struct catalog_run *run, const struct report_progress *p, struct spool *out)
{
	_cleanup(str) struct str line = {0};

	str_appendf(&line, "run=%" PRId64 " job=%s state=%s", run->id, run->job, run_state_name(run->state));
	if (run_is_live(run)) {
		str_appendf(&line, " read_bytes=%" PRIu64 " sent_bytes=%" PRIu64 " expected_bytes=%" PRIu64,
		            p->read_bytes, p->sent_bytes, p->expected_bytes);
		str_appendf(&line, " elapsed_ms=%" PRId64 " rate_bytes_per_s=%" PRIu64, p->elapsed_ms,
		            p->rate_bytes_per_s);
		if (p->eta_s >= 0)
			str_appendf(&line, " eta_s=%" PRId64, p->eta_s);
		str_appendf(&line, " targets_done=%" PRIu64 " verified_bytes=%" PRIu64, p->targets_done,
		            p->verified_bytes);
		if (run->state == RUN_RUNNING)
			str_appendf(&line, " phase=%s", p->verifying ? "verifying" : "dumping");
		if (*p->target) {
			str_append(&line, " database=");
			append_word(&line, p->target);
		}
	} else {
		str_appendf(&line, " size_bytes=%" PRIu64, run->size_bytes);
		if (run_seconds(run) >= 0)
			str_appendf(&line, " elapsed_ms=%" PRId64,
			            (run->finished_at_us - run->started_at_us) / 1000);
	}
	str_append_char(&line, '\n');
	spool_append(out, str_text(&line), line.len);
}

static void write_log_line(void *arg, int64_t at_us, const char *line)
{
	_cleanup(str) struct str text = {0};
	char at[32];

	str_appendf(&text, "%s ", format_time(at_us, "-", at));
	append_flat(&text, line ? line : "");
	str_append_char(&text, '\n');
	spool_append(arg, str_text(&text), text.len);
}

int report_run_log(struct catalog *c, int64_t run_id, struct spool *out)
{
	int r = catalog_run_log(c, run_id, write_log_line, out);

	return r < 0 ? r : spool_error(out);
}
