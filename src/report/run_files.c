// SPDX-License-Identifier: Apache-2.0
/* What jobs/<run>/ shows: status for people and scripts, progress as one line, the log. */
#include "line.h"
#include "runs.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/report/run.h>

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define PAGE_TARGETS 16

/* "key value"; "-" for what is not known. */
static void append_fact(struct str *out, const struct run_field *field, const struct catalog_run *run)
{
	_cleanup(str) struct str value = {0};

	run_field_append(field, run, &value);
	str_appendf(out, "%s ", field->name);
	str_append_line(out, value.len ? str_text(&value) : "-");
	str_append_char(out, '\n');
}

/* "target <state> <bytes> <path> <database>: <error>": what may hold spaces comes last. */
static void append_target(struct str *out, const struct catalog_target *target)
{
	str_appendf(out, "target %s %" PRIu64 " %s ", run_state_name(target->state), target->size_bytes,
	            *target->path ? target->path : "-");
	str_append_line(out, target->label);
	if (*target->error) {
		str_append(out, ": ");
		str_append_line(out, target->error);
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

int report_run_status(struct catalog *c, const struct catalog_run *run, const struct report_progress *p,
                      struct spool *out)
{
	_cleanup(str) struct str text = {0};
	int r;

	for (size_t i = 0; i < run_field_count; i++)
		append_fact(&text, &run_fields[i], run);
	if (p && *p->waits_for)
		str_appendf(&text, "waits_for %s\n", p->waits_for);
	spool_append(out, str_text(&text), text.len);
	r = write_targets(c, run->id, out);
	return r < 0 ? r : spool_error(out);
}

/* A value without spaces, as pairs are separated by them: these, '%' and what is not to be shown become "%XX". */
static void append_word(struct str *out, const char *text)
{
	while (*text) {
		size_t len = isspace((unsigned char)*text) || *text == '%' ? 0 : str_visible_char(text);

		if (len)
			str_append_bytes(out, text, len);
		else
			str_appendf(out, "%%%02X", (unsigned char)*text);
		text += len ? len : 1;
	}
}

static const char *phase_of(const struct catalog_run *run, const struct report_progress *p)
{
	static const struct {
		const char *kind, *phase;
	} works[] = {
	        {"restore", "restoring"}, {"drill", "drilling"}, {"verify", "checking"}, {"base", "copying"}};

	for (size_t i = 0; i < ARRAY_SIZE(works); i++)
		if (str_equal(run->kind, works[i].kind))
			return works[i].phase;
	return p->verifying ? "verifying" : "dumping";
}

static void append_live_figures(struct str *line, const struct catalog_run *run,
                                const struct report_progress *p)
{
	str_appendf(line, " read_bytes=%" PRIu64 " sent_bytes=%" PRIu64 " expected_bytes=%" PRIu64,
	            p->read_bytes, p->sent_bytes, p->expected_bytes);
	str_appendf(line, " elapsed_ms=%" PRId64 " rate_bytes_per_s=%" PRIu64, p->elapsed_ms,
	            p->rate_bytes_per_s);
	if (p->eta_s >= 0)
		str_appendf(line, " eta_s=%" PRId64, p->eta_s);
	str_appendf(line, " targets_done=%" PRIu64 " verified_bytes=%" PRIu64, p->targets_done,
	            p->verified_bytes);
	if (run->state == RUN_RUNNING)
		str_appendf(line, " phase=%s", phase_of(run, p));
	if (*p->target) {
		str_append(line, " database=");
		append_word(line, p->target);
	}
	if (*p->waits_for) {
		str_append(line, " waits_for=");
		append_word(line, p->waits_for);
	}
}

static void append_final_figures(struct str *line, const struct catalog_run *run)
{
	str_appendf(line, " size_bytes=%" PRIu64, run->size_bytes);
	if (run_has_duration(run))
		str_appendf(line, " elapsed_ms=%" PRId64, (run->finished_at_us - run->started_at_us) / 1000);
}

void report_run_progress(const struct catalog_run *run, const struct report_progress *p, struct spool *out)
{
	_cleanup(str) struct str line = {0};

	str_appendf(&line, "run=%" PRId64 " job=%s state=%s", run->id, run->job, run_state_name(run->state));
	if (run_is_live(run))
		append_live_figures(&line, run, p);
	else
		append_final_figures(&line, run);
	str_append_char(&line, '\n');
	spool_append(out, str_text(&line), line.len);
}

void run_log_line(struct str *out, int64_t at_us, const char *line)
{
	char at[32];

	str_appendf(out, "%s ", line_time(at_us, "-", at));
	str_append_line(out, line ? line : "");
}

struct log_writer {
	struct spool *out;
	int64_t *position;
};

static void write_log_line(void *arg, int64_t number, int64_t at_us, const char *line)
{
	const struct log_writer *w = arg;
	_cleanup(str) struct str text = {0};

	run_log_line(&text, at_us, line);
	str_append_char(&text, '\n');
	spool_append(w->out, str_text(&text), text.len);
	*w->position = number;
}

int report_run_log(struct catalog *c, int64_t run_id, int64_t *position, struct spool *out)
{
	int64_t after = *position == REPORT_WHOLE ? 0 : *position;
	int r;

	*position = after;
	r = catalog_run_log(c, run_id, after, write_log_line,
	                    &(struct log_writer){.out = out, .position = position});
	return r < 0 ? r : spool_error(out);
}
