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

void make_describe_selection(const struct conf_job *job, struct manifest *m)
{
	_cleanup(str) struct str text = {0};
	uint8_t digest[SHA256_BYTES];
	char word[2 * SELECTION_BYTES + 1];

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		str_appendf(&text, "%s=", keys[i]);
		conf_job_format(job, keys[i], &text);
		str_append_char(&text, '\n');
	}
	sha256_once(str_text(&text), text.len, digest);
	hex_encode(digest, SELECTION_BYTES, word);
	manifest_set_fact(m, "selection", word);
}
