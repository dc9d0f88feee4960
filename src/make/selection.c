// SPDX-License-Identifier: Apache-2.0
/* What a job chooses of what it backs up, as one short word: two backups can be compared when it is the same. */
#include <keepfs/codec/hash.h>
#include <keepfs/make.h>

#include <string.h>

#define SELECTION_BYTES 8

/* Those that say what is in a backup. How it is made, and where the data comes from, is none of them: that another server
 * is dumped is just what somebody should notice. */
static const char *const keys[] = {"content",      "schemas",        "exclude_schemas",
                                   "tables",       "exclude_tables", "exclude_table_data",
                                   "path",         "exclude",        "each",
                                   "cross_mounts", "skip_unreadable"};

/* Those of exports: the words of other kinds stay what they were. */
static const char *const export_keys[] = {"tenancy",         "tenant_column", "tenant_table", "tenant_schema",
                                          "tenant_database", "shared",        "referred",     "exclude",
                                          "references",      "undecided",     "role",         "settings",
                                          "redact",          "redact_types",  "format"};

static void append_selection(const struct conf_job *job, const char *const *names, size_t count,
                             struct str *text)
{
	for (size_t i = 0; i < count; i++) {
		str_appendf(text, "%s=", names[i]);
		conf_job_format(job, names[i], text);
		str_append_char(text, '\n');
	}
}

void make_describe_selection(const struct conf_job *job, struct manifest *m)
{
	_cleanup(str) struct str text = {0};
	uint8_t digest[SHA256_BYTES];
	char word[2 * SELECTION_BYTES + 1];

	if (job->kind == CONF_JOB_EXPORT)
		append_selection(job, export_keys, ARRAY_SIZE(export_keys), &text);
	else
		append_selection(job, keys, ARRAY_SIZE(keys), &text);
	sha256_once(str_text(&text), text.len, digest);
	hex_encode(digest, SELECTION_BYTES, word);
	manifest_set_fact(m, "selection", word);
}
