// SPDX-License-Identifier: Apache-2.0
/* What the keys of the job that exports tenants say about each other. Pure. */
#include "job_kinds.h"
#include "words.h"

#include <keepfs/policy/tenancy.h>

#include <string.h>

/* As in keys_export.inc: another value was given by somebody. */
#define NAME_BY_DEFAULT "{slug}"

bool conf_export_takes_everything(const struct conf_job *job)
{
	return true; /* no key of a trigger leaves anything out */
}

static bool has_any(char *const *words)
{
	return words && words[0];
}

static void check_column_keys(const struct conf_export *e, const struct conf_clashes *c)
{
	static const char only[] = "is of tenancy = column only, but",
	                  allowed[] = "this key with tenancy = column";

	if (e->tenancy == TENANCY_COLUMN) {
		if (!has_any(e->tenant_columns))
			conf_clash(
			        c, "tenancy", "tenant_column",
			        "finds a tenant's rows by a column, but there is none with",
			        "tenant_column with its name, such as tenant_column = org_id, or another tenancy");
		return;
	}
	if (has_any(e->tenant_columns))
		conf_clash(c, "tenant_column", "tenancy", only, allowed);
	if (e->tenant_table && *e->tenant_table)
		conf_clash(c, "tenant_table", "tenancy", only, allowed);
	if (has_any(e->referred))
		conf_clash(c, "referred", "tenancy", only, allowed);
	if (has_any(e->references))
		conf_clash(c, "references", "tenancy", only, allowed);
}

static void check_name_templates(const struct conf_export *e, const struct conf_clashes *c)
{
	if (e->tenancy != TENANCY_SCHEMA && strcmp(e->tenant_schema, NAME_BY_DEFAULT) != 0)
		conf_clash(c, "tenant_schema", "tenancy", "is of tenancy = schema only, but",
		           "this key with tenancy = schema");
	if (e->tenancy != TENANCY_DATABASE && strcmp(e->tenant_database, NAME_BY_DEFAULT) != 0)
		conf_clash(c, "tenant_database", "tenancy", "is of tenancy = database only, but",
		           "this key with tenancy = database");
}

/* A table cannot be exported in two ways. */
static void check_lists(const struct conf_export *e, const struct conf_clashes *c)
{
	const struct {
		const char *key;
		char *const *tables;
	} lists[] = {{"shared", e->shared}, {"referred", e->referred}, {"exclude", e->excluded}};

	for (size_t i = 1; i < ARRAY_SIZE(lists); i++) {
		for (size_t j = 0; j < i; j++) {
			bool both = false;

			for (size_t k = 0; has_any(lists[i].tables) && lists[i].tables[k]; k++)
				both |= conf_words_find(lists[j].tables, lists[i].tables[k]) != NULL;
			if (both)
				conf_clash(c, lists[i].key, lists[j].key, "names a table that is named by",
				           "each table in one of them");
		}
	}
}

static bool has_hash(char *const *rules)
{
	for (size_t i = 0; rules && rules[i]; i++)
		if (str_ends(rules[i], ":hash"))
			return true;
	return false;
}

static void check_hash_key(const struct conf_export *e, const struct conf_clashes *c)
{
	static const char what[] = "hashes, which needs a key, but there is none with",
	                  allowed[] = "redact_key_file with the path of a key, or omit, null or mask";

	if (conf_secret_is_set(&e->redact_key))
		return;
	if (has_hash(e->redact))
		conf_clash(c, "redact", "redact_key_file", what, allowed);
	if (has_hash(e->redact_types))
		conf_clash(c, "redact_types", "redact_key_file", what, allowed);
}

static void check_export_compression(const struct conf_job *job, const struct conf_clashes *c)
{
	if (job->compression.kind == COMPRESS_ZSTD || job->compression.kind == COMPRESS_NONE)
		conf_clash(c, "compression", "format", "is not how exports are compressed:",
		           "fast, small, gzip or gzip:1 to gzip:9 for exports");
}

void conf_export_check(const void *base, const struct conf_clashes *clashes)
{
	const struct conf_job *job = base;

	conf_policy_check(&job->policy, clashes);
	check_column_keys(&job->export, clashes);
	check_name_templates(&job->export, clashes);
	check_lists(&job->export, clashes);
	check_hash_key(&job->export, clashes);
	check_export_compression(job, clashes);
}
