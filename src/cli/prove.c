// SPDX-License-Identifier: Apache-2.0
/* keepfs verify --key: what an auditor runs on a host of his own, with a public key and the right to read the bucket. */
#include "prove.h"

#include "engine.h"
#include "prove_rest.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/chain/prove.h>
#include <keepfs/codec/json.h>
#include <keepfs/keyring.h>
#include <keepfs/keyring/signing.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROVE_THREADS        8
#define CHECKPOINT_MAX_BYTES ((size_t)16 << 20)

struct proving {
	const struct cli_options *options;
	struct signing_publics keys;
	struct prove_checkpoint expected;
	struct json *problems;  /* with --json */
	struct prove_rest rest; /* with --objects */
	const char *store;
	bool copy;
	const struct conf_named_store *section; /* NULL: [store] */
};

static int read_keys(struct proving *p)
{
	struct error err = {0};

	for (size_t i = 0; i < p->options->key_file_count; i++)
		if (signing_read_publics("--key", p->options->key_files[i], &p->keys, &err) < 0) {
			cli_fail(&err);
			return CLI_USAGE;
		}
	return CLI_DONE;
}

static bool take_sequence(const char *text, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' && *ret >= 1 && *ret <= CHAIN_SEQUENCE_MAX;
}

/* An earlier output of --json, or the object "end" of one. */
static int take_checkpoint(const char *path, const struct json *j, struct prove_checkpoint *ret)
{
	const struct json *end = json_get(j, "end") ? json_get(j, "end") : j;
	const char *id = json_get_string(end, "chain"), *hash = json_get_string(end, "hash");

	if (!json_get_int(end, "sequence", &ret->sequence) || ret->sequence < 1 || !id ||
	    strlen(id) != CHAIN_ID_BYTES - 1 || !hash || strlen(hash) != SHA256_HEX_BYTES - 1)
		return cli_usage(
		        "--checkpoint %s: it has no \"chain\", \"sequence\" and \"hash\", as the output of 'keepfs verify --key … --json' has in \"end\"",
		        path);
	str_copy(ret->id, sizeof(ret->id), id);
	str_copy(ret->hash, sizeof(ret->hash), hash);
	return CLI_DONE;
}

static int read_checkpoint(const char *path, struct prove_checkpoint *ret)
{
	_cleanup(json) struct json *j = NULL;
	_cleanup(str) struct str text = {0};
	struct error err = {0};
	int r = fd_read_file(path, CHECKPOINT_MAX_BYTES, &text);

	if (r < 0) {
		error_system(&err, -r, "--checkpoint %s", path);
		cli_fail(&err);
		return CLI_USAGE;
	}
	j = json_parse(str_text(&text), text.len, &err);
	return j ? take_checkpoint(path, j, ret) : cli_usage("--checkpoint %s: %s", path, err.message);
}

static int read_expected(struct proving *p)
{
	int64_t sequence = 0;
	int status =
	        p->options->checkpoint ? read_checkpoint(p->options->checkpoint, &p->expected) : CLI_DONE;

	if (status != CLI_DONE || !p->options->expect_sequence)
		return status;
	if (!take_sequence(p->options->expect_sequence, &sequence))
		return cli_usage("--expect-sequence takes a number from 1 on, not '%s'",
		                 p->options->expect_sequence);
	/* The greater of both; the hash is that of the checkpoint. */
	if (sequence > p->expected.sequence)
		p->expected = (struct prove_checkpoint){.sequence = sequence};
	return CLI_DONE;
}

static void show_finding(void *arg, enum prove_kind kind, const char *text)
{
	struct proving *p = arg;
	struct json *j;

	if (!p->problems) {
		printf("%s: ", prove_kind_name(kind));
		cli_put_line(stdout, text);
		putchar('\n');
		return;
	}
	j = json_object_new();
	json_set_string(j, "kind", prove_kind_name(kind));
	json_set_string(j, "text", text);
	json_append(p->problems, j);
}

static void show_proving(void *arg, uint64_t manifests)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%" PRIu64 " manifests", manifests);
}

static void print_copied(const struct proving *p, const struct prove_result *result)
{
	char at[CLOCK_ISO_BYTES];

	if (result->is_copy && !p->copy)
		puts("this is a further store, which has copies: prove it with --copy, since it need not have all that the chain names, and may keep what was removed in the first store");
	if (result->copied_sequence)
		printf("a store of copies, %s: as of %s it had all up to number %" PRId64 " but for %" PRIu64
		       " that it never had; %" PRIu64 " are kept here that were removed in the first store\n",
		       result->copied_store, clock_format_iso(result->copied_at_us, at),
		       result->copied_sequence, result->elsewhere, result->kept);
}

static void print_proof(const struct proving *p, const struct prove_result *result)
{
	char since[CLOCK_ISO_BYTES], size[16];

	printf("%s: %" PRIu64 " signed manifests, %" PRIu64 " links, %" PRIu64
	       " numbers that are gone as links say, %" PRIu64
	       " manifests that are not signed, and of which links say that they are there\n",
	       p->store, result->manifests, result->links, result->gone, result->before);
	for (size_t i = 0; i < result->key_count; i++) {
		const struct prove_key *k = &result->keys[i];

		if (k->count == 0)
			printf("key %s: has signed nothing here\n", k->key.id);
		else
			printf("key %s: has signed %" PRIu64 ", from number %" PRId64 " to %" PRId64 "%s\n",
			       k->key.id, k->count, k->first, k->last,
			       k->is_given ? "" : "; another key has vouched for it");
	}
	print_copied(p, result);
	if (p->options->objects) {
		printf("%" PRIu64 " objects (%s) were read and compared\n", result->objects,
		       str_format_bytes(size, sizeof(size), result->object_bytes));
		printf("%" PRIu64 " records, %" PRIu64 " checkpoints and %" PRIu64
		       " copies of the catalog were read and compared\n",
		       p->rest.records, p->rest.checkpoints, p->rest.copies);
	}
	if (p->rest.locked)
		printf("%" PRIu64
		       " copies of the catalog are encrypted, and nothing is known of them here: %s\n",
		       p->rest.locked, keyring_advice());
	if (result->sequence)
		printf("the chain %s%s%s ends at number %" PRId64 ", %s\n", result->id,
		       result->begun_at_us ? ", begun " : "",
		       result->begun_at_us ? clock_format_iso(result->begun_at_us, since) : "",
		       result->sequence, result->hash);
	if (!p->expected.sequence && result->sequence)
		puts("whether more was there and its end was cut off, the chain alone cannot tell: keep this number, or the output of --json, elsewhere, and give it the next time (--expect-sequence, --checkpoint)");
	if (result->loose)
		printf("of %" PRIu64
		       " that are not signed no link has the SHA-256 of the manifest yet: run, size and SHA-256 of the backup were compared\n",
		       result->loose);
	if (result->superseded)
		printf("%" PRIu64 " links are still there that another one has made superfluous\n",
		       result->superseded);
	if (result->problem_count > PROVE_TEXTS_MAX)
		printf("only the first %d problems are told\n", PROVE_TEXTS_MAX);
	printf("%" PRIu64 " problem%s\n", result->problem_count, result->problem_count == 1 ? "" : "s");
}

static struct json *keys_as_json(const struct prove_result *result)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < result->key_count; i++) {
		const struct prove_key *k = &result->keys[i];
		struct json *j = json_object_new();

		json_set_string(j, "key", k->key.id);
		json_set_bool(j, "given", k->is_given);
		json_set_int(j, "signed", (int64_t)k->count);
		json_set_int(j, "first", k->first);
		json_set_int(j, "last", k->last);
		json_append(list, j);
	}
	return list;
}

static struct json *copied_as_json(const struct prove_result *result)
{
	struct json *j = json_object_new();

	json_set_string(j, "store", result->copied_store);
	json_set_time(j, "at", result->copied_at_us);
	json_set_int(j, "sequence", result->copied_sequence);
	json_set_int(j, "elsewhere", (int64_t)result->elsewhere);
	json_set_int(j, "kept", (int64_t)result->kept);
	return j;
}

static void print_proof_json(struct proving *p, const struct prove_result *result)
{
	_cleanup(json) struct json *object = json_object_new();
	struct json *end = json_object_new();
	_cleanup(str) struct str text = {0};

	json_set_string(object, "store", p->store);
	json_set_time(object, "begun_at", result->begun_at_us);
	json_set_int(object, "manifests", (int64_t)result->manifests);
	json_set_int(object, "links", (int64_t)result->links);
	json_set_int(object, "gone", (int64_t)result->gone);
	json_set_int(object, "before", (int64_t)result->before);
	json_set_int(object, "before_loose", (int64_t)result->loose);
	json_set_int(object, "superseded", (int64_t)result->superseded);
	if (p->options->objects) {
		json_set_int(object, "objects", (int64_t)result->objects);
		json_set_int(object, "object_bytes", (int64_t)result->object_bytes);
		json_set_int(object, "records", (int64_t)p->rest.records);
		json_set_int(object, "checkpoints", (int64_t)p->rest.checkpoints);
		json_set_int(object, "catalog_copies", (int64_t)p->rest.copies);
		json_set_int(object, "catalog_copies_unread", (int64_t)p->rest.locked);
	}
	if (result->copied_sequence)
		json_set(object, "copy", copied_as_json(result));
	json_set(object, "keys", keys_as_json(result));
	json_set_string(end, "chain", result->id[0] ? result->id : NULL);
	json_set_int(end, "sequence", result->sequence);
	json_set_string(end, "hash", result->hash[0] ? result->hash : NULL);
	json_set(object, "end", end);
	json_set_bool(object, "end_is_checked", p->expected.sequence != 0);
	json_set(object, "problems", take_ptr(&p->problems));
	json_write(object, 2, &text);
	puts(str_text(&text));
}

static int prove_with(struct proving *p, const struct conf *conf)
{
	const char *directory = getenv("TMPDIR");
	const struct prove_options options = {
	        .keys = p->keys.items,
	        .key_count = p->keys.count,
	        .expected = p->expected,
	        .objects = p->options->objects,
	        .copy = p->copy,
	        .directory = directory && *directory ? directory : "/var/tmp",
	        .threads = PROVE_THREADS,
	        .problem = show_finding,
	        .progress = show_proving,
	        .arg = p,
	};
	struct conf reading = *conf;
	struct prove_result result = {0};
	struct store *store = NULL;
	struct net *net = NULL;
	struct error err = {0};
	int r;

	if (p->section)
		reading.store = p->section->store;
	reading.store.read_only = true;
	p->store = reading.store.url;
	r = engine_open_store(&reading, NULL, &net, &store, &err);
	if (r == 0)
		r = chain_prove(store, &options, &result, &err);
	if (r == 0 && p->options->objects)
		r = prove_rest(store, &reading, &result, &p->rest, &err);
	store_free(store);
	net_free(net);
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	if (r == 0 && p->options->json)
		print_proof_json(p, &result);
	else if (r == 0)
		print_proof(p, &result);
	r = r < 0 ? cli_fail(&err) : result.problem_count ? CLI_FAILED : CLI_DONE;
	prove_result_finish(&result);
	return r;
}

/* The name of a section, which has its own endpoint and keys. */
static bool names_section(const struct cli_options *options)
{
	return options->store_url && !strchr(options->store_url, ':');
}

static int take_proven_section(struct proving *p, struct conf *conf)
{
	const struct conf_named_store *named = conf_find_store(conf, p->options->store_url);

	if (!named)
		return cli_usage(
		        "--store %s: there is no section [store %s]; give its url, or the name of one",
		        p->options->store_url, p->options->store_url);
	p->section = named;
	p->copy = p->copy || conf_is_for_copies(conf, named->name);
	return CLI_DONE;
}

int prove_store(const struct cli_options *options)
{
	_cleanup(conf) struct conf conf = {0};
	struct proving p = {
	        .options = options, .copy = options->copy, .rest = {.problem = show_finding, .arg = &p}};
	int status = CLI_DONE;

	if (options->argc > 0)
		return cli_usage("verify --key proves a whole store, and takes no backups");
	if (options->mountpoint)
		return cli_usage("verify --key reads the store itself, and no mount");
	/* As any key from the environment it wins over the file, and the other keys of [store] are checked with it. */
	if (options->store_url && !names_section(options))
		setenv("KEEPFS_STORE_URL", options->store_url, 1);
	status = read_keys(&p);
	if (status == CLI_DONE)
		status = read_expected(&p);
	if (status == CLI_DONE)
		status = cli_load_conf(options, &conf);
	if (status == CLI_DONE && names_section(options))
		status = take_proven_section(&p, &conf);
	if (options->json)
		p.problems = json_array_new();
	if (status == CLI_DONE)
		status = prove_with(&p, &conf);
	json_free(p.problems);
	signing_publics_finish(&p.keys);
	return status;
}
