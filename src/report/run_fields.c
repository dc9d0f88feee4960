// SPDX-License-Identifier: Apache-2.0
/* What is told of a run: one table for the texts that tell all of it. A new fact is a row at the end, because
 * whoever reads history.csv may count its columns. */
#include "line.h"
#include "runs.h"

#include <keepfs/base/clock.h>
#include <keepfs/catalog/runs.h>

#include <inttypes.h>
#include <string.h>

#define AT(field) offsetof(struct catalog_run, field)

const struct run_field run_fields[] = {
        {"run", RUN_FIELD_NUMBER, AT(id)},
        {"job", RUN_FIELD_WORD, AT(job)},
        {"kind", RUN_FIELD_WORD, AT(kind)},
        {"state", RUN_FIELD_STATE, AT(state)},
        {"triggered_by", RUN_FIELD_WORD, AT(triggered_by)},
        {"queued", RUN_FIELD_TIME, AT(queued_at_us)},
        {"started", RUN_FIELD_TIME, AT(started_at_us)},
        {"finished", RUN_FIELD_TIME, AT(finished_at_us)},
        {"seconds", RUN_FIELD_SECONDS, 0},
        {"size_bytes", RUN_FIELD_NUMBER, AT(size_bytes)},
        {"sha256", RUN_FIELD_TEXT, AT(sha256)},
        {"targets", RUN_FIELD_NUMBER, AT(targets)},
        {"targets_failed", RUN_FIELD_NUMBER, AT(targets_failed)},
        {"error", RUN_FIELD_TEXT, AT(error)},
        {"note", RUN_FIELD_TEXT, AT(note)},
        {"options", RUN_FIELD_TEXT, AT(options)},
        {"warning", RUN_FIELD_TEXT, AT(warning)},
        {"damaged", RUN_FIELD_TEXT, AT(damaged)},
        {"tier", RUN_FIELD_TEXT, AT(tier)},
        {"org", RUN_FIELD_TEXT, AT(org)},
};
const size_t run_field_count = ARRAY_SIZE(run_fields);

static const char *text_at(const struct run_field *field, const struct catalog_run *run)
{
	return (const char *)run + field->offset;
}

static int64_t number_at(const struct run_field *field, const struct catalog_run *run)
{
	int64_t number;

	memcpy(&number, (const char *)run + field->offset, sizeof(number));
	return number;
}

bool run_has_duration(const struct catalog_run *run)
{
	return run->started_at_us && run->finished_at_us && run->finished_at_us >= run->started_at_us;
}

static double seconds_of(const struct catalog_run *run)
{
	return (double)(run->finished_at_us - run->started_at_us) / (double)US_PER_S;
}

void run_field_append(const struct run_field *field, const struct catalog_run *run, struct str *out)
{
	char at[32];

	switch (field->type) {
	case RUN_FIELD_NUMBER:
		str_appendf(out, "%" PRId64, number_at(field, run));
		break;
	case RUN_FIELD_TEXT:
	case RUN_FIELD_WORD:
		str_append(out, text_at(field, run));
		break;
	case RUN_FIELD_STATE:
		str_append(out, run_state_name(run->state));
		break;
	case RUN_FIELD_TIME:
		str_append(out, line_time(number_at(field, run), "", at));
		break;
	case RUN_FIELD_SECONDS:
		if (run_has_duration(run))
			str_appendf(out, "%.3f", seconds_of(run));
		break;
	}
}

void run_field_set(const struct run_field *field, const struct catalog_run *run, struct json *object)
{
	const char *text = text_at(field, run);

	switch (field->type) {
	case RUN_FIELD_NUMBER:
		json_set_int(object, field->name, number_at(field, run));
		break;
	case RUN_FIELD_TEXT:
		json_set_string(object, field->name, *text ? text : NULL);
		break;
	case RUN_FIELD_WORD:
		json_set_string(object, field->name, text);
		break;
	case RUN_FIELD_STATE:
		json_set_string(object, field->name, run_state_name(run->state));
		break;
	case RUN_FIELD_TIME:
		json_set_time(object, field->name, number_at(field, run));
		break;
	case RUN_FIELD_SECONDS:
		if (run_has_duration(run))
			json_set_real(object, field->name, seconds_of(run));
		else
			json_set_string(object, field->name, NULL);
		break;
	}
}
