// SPDX-License-Identifier: Apache-2.0
/*
 * keepfs policy s3: the policy of a bucket that lets each identity do its part, and no more. One table says which part needs what; tests try it on a
 * real server, as users who have nothing else.
 *
 * Nobody is given a condition on the prefix of a list: a server tells whoever may not list the whole bucket 403 in place of 404 about an object that is not
 * there, and then a missing backup could not be told from a forbidden one.
 */
#include "cli.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/json.h>

#include <stdio.h>
#include <string.h>

#define ACTIONS 10
#define PLACES  10
#define GRANTS  7

struct grant { /* a statement */
	const char *id;
	bool is_denied;
	bool for_locks;   /* needed with [store] object_lock alone */
	bool for_classes; /* needed with class_after of a job alone */
	bool of_bucket;   /* the bucket itself; else what lies below the prefix, at @places ("": all) */
	const char *actions[ACTIONS];
	const char *places[PLACES];
};

struct role {
	const char *name;
	struct grant grants[GRANTS];
};

#define LISTED                                                                                               \
	{                                                                                                    \
		.id = "List", .of_bucket = true, .actions = { "s3:ListBucket" }                              \
	}
#define LOOKS_AT_LOCKS                                                                                       \
	{                                                                                                    \
		.id = "Locks", .for_locks = true, .of_bucket = true, .actions = {                            \
			"s3:GetBucketVersioning",                                                            \
			"s3:GetBucketObjectLockConfiguration",                                               \
			"s3:ListBucketVersions"                                                              \
		}                                                                                            \
	}

/* The writer makes backups and reads its own, and deletes nothing but its own small state and old copies of the catalog. The pruner removes what the
 * rules let go, with its versions, makes no backup, and cannot go around a lock. Who drills reads backups, and nothing of the catalog or the
 * records. */
static const struct role roles[] = {
        {"writer",
         {
                 {.id = "List",
                  .of_bucket = true,
                  .actions = {"s3:ListBucket", "s3:ListBucketMultipartUploads"}},
                 {.id = "Write",
                  .actions = {"s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload",
                              "s3:ListMultipartUploadParts"},
                  .places = {""}},
                 {.id = "Tidy", .actions = {"s3:DeleteObject"}, .places = {"state/", "catalog/"}},
                 {.id = "Never",
                  .is_denied = true,
                  .actions = {"s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"},
                  .places = {""}},
                 LOOKS_AT_LOCKS,
                 {.id = "Lock",
                  .for_locks = true,
                  .actions = {"s3:PutObjectRetention", "s3:GetObjectRetention", "s3:PutObjectLegalHold",
                              "s3:GetObjectLegalHold"},
                  .places = {""}},
                 {.id = "Thaw", .for_classes = true, .actions = {"s3:RestoreObject"}, .places = {""}},
         }},
        {"reader", {LISTED, {.id = "Read", .actions = {"s3:GetObject"}, .places = {""}}}},
        {"pruner",
         {
                 {.id = "List",
                  .of_bucket = true,
                  .actions = {"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"}},
                 {.id = "Delete",
                  .actions = {"s3:GetObject", "s3:DeleteObject", "s3:DeleteObjectVersion",
                              "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"},
                  .places = {""}},
                 {.id = "Tombs", .actions = {"s3:PutObject"}, .places = {"trash/", "state/"}},
                 {.id = "Never",
                  .is_denied = true,
                  .actions = {"s3:BypassGovernanceRetention"},
                  .places = {""}},
                 LOOKS_AT_LOCKS,
                 /* A legal hold of a hold that has ended is taken off before the backup goes. */
                 {.id = "Lock",
                  .for_locks = true,
                  .actions = {"s3:GetObjectRetention", "s3:PutObjectLegalHold", "s3:GetObjectLegalHold"},
                  .places = {""}},
         }},
        {"drill",
         {LISTED,
          {.id = "Read",
           .actions = {"s3:GetObject"},
           .places = {"backups/", "manifests/", "exports/", "holds/", "erasures/"}}}},
};

struct bucket {
	const char *partition; /* "aws" */
	char *name, *prefix;   /* "" or "some/where/" */
	bool has_locks;        /* [store] object_lock */
	bool has_classes;      /* class_after of a job */
};

static void cleanup_bucket(struct bucket *b)
{
	free(b->name);
	free(b->prefix);
}

static void read_bucket(const struct conf_store *store, struct bucket *ret)
{
	const char *at = store->url + strlen("s3://");
	size_t len = strcspn(at, "/");

	ret->partition = str_starts(str_or_empty(store->region), "cn-")       ? "aws-cn"
	                 : str_starts(str_or_empty(store->region), "us-gov-") ? "aws-us-gov"
	                                                                      : "aws";
	ret->has_locks = store->object_lock != 0;
	ret->name = mem_printf("%.*s", (int)len, at);
	ret->prefix = at[len] ? mem_printf("%s/", at + len + 1) : mem_strdup("");
}

static bool uses_classes(const struct conf *conf)
{
	for (size_t i = 0; i < conf->job_count; i++)
		if (conf->jobs[i].class_after && conf->jobs[i].class_after[0])
			return true;
	return false;
}

static struct json *resources_of(const struct grant *g, const struct bucket *b)
{
	struct json *list = json_array_new();

	if (g->of_bucket) {
		_cleanup(free) char *arn = mem_printf("arn:%s:s3:::%s", b->partition, b->name);

		json_append_string(list, arn);
		return list;
	}
	for (size_t i = 0; i < PLACES && g->places[i]; i++) {
		_cleanup(free) char *arn =
		        mem_printf("arn:%s:s3:::%s/%s%s*", b->partition, b->name, b->prefix, g->places[i]);

		json_append_string(list, arn);
	}
	return list;
}

static struct json *policy_statement(const struct role *role, const struct grant *g, const struct bucket *b,
                                     const char *principal)
{
	_cleanup(free) char *id =
	        mem_printf("keepfs%c%s%s", role->name[0] - 'a' + 'A', role->name + 1, g->id);
	struct json *statement = json_object_new(), *who = json_object_new(), *whose = json_array_new(),
	            *actions = json_array_new();

	json_append_string(whose, principal);
	json_set(who, "AWS", whose);
	for (size_t i = 0; i < ACTIONS && g->actions[i]; i++)
		json_append_string(actions, g->actions[i]);
	json_set_string(statement, "Sid", id);
	json_set_string(statement, "Effect", g->is_denied ? "Deny" : "Allow");
	json_set(statement, "Principal", who);
	json_set(statement, "Action", actions);
	json_set(statement, "Resource", resources_of(g, b));
	return statement;
}

static void add_policy_role(struct json *statements, const struct role *role, const struct bucket *b,
                            const char *principal)
{
	_cleanup(free) char *placeholder =
	        mem_printf("arn:%s:iam::ACCOUNT:user/keepfs-%s", b->partition, role->name);

	for (size_t i = 0; i < ARRAY_SIZE(role->grants) && role->grants[i].id; i++)
		if ((b->has_locks || !role->grants[i].for_locks) &&
		    (b->has_classes || !role->grants[i].for_classes))
			json_append(statements, policy_statement(role, &role->grants[i], b,
			                                         principal ? principal : placeholder));
}

static const struct role *find_role(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		if (str_equal(roles[i].name, name))
			return &roles[i];
	return NULL;
}

static void print_policy(const struct role *only, const struct bucket *b, const char *principal)
{
	_cleanup(json) struct json *policy = json_object_new();
	struct json *statements = json_array_new();
	_cleanup(str) struct str text = {0};

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		if (!only || only == &roles[i])
			add_policy_role(statements, &roles[i], b, principal);
	json_set_string(policy, "Version", "2012-10-17");
	json_set(policy, "Statement", statements);
	json_write(policy, 2, &text);
	puts(str_text(&text));
}

static int find_policy_store(const struct cli_options *options, const struct conf *conf,
                             const struct conf_store **ret)
{
	const char *name = options->argc > 2 ? options->argv[2] : NULL;
	const struct conf_named_store *named = conf_find_store(conf, name);

	if (name && !named)
		return cli_usage("there is no section [store %s]", name);
	*ret = named ? &named->store : &conf->store;
	if (!str_starts((*ret)->url, "s3://"))
		return cli_usage("%s is no bucket: a policy is for s3:// only", (*ret)->url);
	return CLI_DONE;
}

int cmd_policy(const struct cli_options *options)
{
	const char *word = options->argc > 1 ? options->argv[1] : NULL;
	const struct role *role = word ? find_role(word) : NULL;
	const struct conf_store *store = NULL;
	_cleanup(conf) struct conf conf = {0};
	_cleanup(bucket) struct bucket b = {0};
	int r;

	if (options->argc < 1 || options->argc > 3 || !str_equal(options->argv[0], "s3"))
		return cli_usage(
		        "policy takes s3, a role, and the NAME of a [store NAME] if it is that one's: keepfs policy s3 writer");
	if (word && !role)
		return cli_usage("'%s' is no role: writer, reader, pruner or drill", word);
	if (options->principal && !role)
		return cli_usage("--principal is that of one role: name it, as in keepfs policy s3 writer");
	r = cli_load_conf(options, &conf);
	if (r == CLI_DONE)
		r = find_policy_store(options, &conf, &store);
	if (r != CLI_DONE)
		return r;
	read_bucket(store, &b);
	b.has_classes = uses_classes(&conf);
	print_policy(role, &b, options->principal);
	return CLI_DONE;
}
