// SPDX-License-Identifier: Apache-2.0
/*
 * keepfs audit: is the audit what was written? All lines are read, those of records in the store and those of the catalog, or those of files that somebody
 * has kept; without files a mount may be at work beside.
 */
#include "cli.h"
#include "looking.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/checkpoint.h>
#include <keepfs/codec/audit_chain.h>
#include <keepfs/codec/decompression.h>
#include <keepfs/codec/json.h>
#include <keepfs/keyring/signing.h>
#include <keepfs/records.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define AUDIT_FILE_MAX ((size_t)1 << 30)

struct auditing {
	const struct cli_options *options;
	struct audit_chain *chain;
	struct json *findings;
};

static void print_finding(struct auditing *a, const char *text)
{
	if (a->options->json)
		json_append_string(a->findings, text);
	else
		cli_put_line(stdout, text);
}

static void see_finding(void *arg, const char *text)
{
	print_finding(arg, text);
}

static void feed_line(void *arg, const char *source, const char *line, size_t len)
{
	struct auditing *a = arg;

	audit_chain_feed(a->chain, line, len);
}

static void see_unreadable(void *arg, const char *key, const char *why)
{
	_cleanup(free) char *text = mem_printf("%s cannot be read: %s", key, why);

	print_finding(arg, text);
}

/* Files. */

struct audit_text {
	struct str text;
	int64_t first; /* the number of its first line in order; 0: none has one */
};

struct audit_texts {
	struct audit_text *items;
	size_t count;
};

static int append_plain(void *arg, const void *data, size_t len, struct error *err)
{
	struct str *text = arg;

	if (text->len + len > AUDIT_FILE_MAX)
		return error_set(err, ERROR_USAGE, EFBIG, "it is larger than an audit file is taken to be");
	str_append_bytes(text, data, len);
	return 0;
}

static int unpack_audit(struct str *text, struct error *err)
{
	struct str plain = {0};
	const struct decompressor_out out = {.write = append_plain, .arg = &plain};
	_cleanup(decompressor) struct decompressor *d = NULL;
	int r;

	if (text->len < 2 || memcmp(text->data, "\x1f\x8b", 2) != 0)
		return 0;
	d = decompressor_new(COMPRESSION_GZIP, &out);
	r = decompressor_write(d, text->data, text->len, err);
	if (r == 0)
		r = decompressor_finish(d, err);
	str_finish(text);
	*text = plain;
	return r;
}

static int read_audit_file(const char *path, struct str *ret, struct error *err)
{
	char buf[65536];
	_cleanup(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 0;

	while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0)
		if (append_plain(ret, buf, (size_t)n, err) < 0)
			return -EFBIG;
	return n < 0 ? error_system(err, errno, "it cannot be read") : unpack_audit(ret, err);
}

static int64_t number_of_line(const char *line, size_t len)
{
	_cleanup(json) struct json *object = json_parse(line, len, NULL);
	int64_t number = 0;

	return object && json_get_int(object, "number", &number) ? number : 0;
}

/* status/audit.jsonl has the newest line first: the lines are turned round. */
static void order_lines(struct audit_text *t)
{
	const char *text = str_text(&t->text), *end = text + t->text.len, *last;
	struct str turned = {0};
	size_t len = strcspn(text, "\n");
	int64_t first_number = number_of_line(text, len), last_number;

	while (end > text && end[-1] == '\n')
		end--;
	for (last = end; last > text && last[-1] != '\n'; last--)
		;
	last_number = number_of_line(last, (size_t)(end - last));
	t->first = first_number;
	if (first_number <= last_number)
		return;
	t->first = last_number;
	for (; end > text; end = last - 1) {
		for (last = end; last > text && last[-1] != '\n'; last--)
			;
		str_append_bytes(&turned, last, (size_t)(end - last));
		str_append_char(&turned, '\n');
		if (last == text)
			break;
	}
	str_finish(&t->text);
	t->text = turned;
}

static int compare_texts(const void *a, const void *b)
{
	const struct audit_text *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

static void feed_text(struct auditing *a, const struct audit_text *t)
{
	const char *line = str_text(&t->text), *end = line + t->text.len;

	while (line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t len = (size_t)((stop ? stop : end) - line);

		if (len > 0)
			feed_line(a, NULL, line, len);
		line += len + 1;
	}
}

static int feed_files(struct auditing *a, char *const *paths, int count)
{
	_cleanup(free) struct audit_text *texts = mem_array((size_t)count, sizeof(*texts));
	int status = CLI_DONE;

	for (int i = 0; status == CLI_DONE && i < count; i++) {
		struct error err = {0}, why = {0};

		if (read_audit_file(paths[i], &texts[i].text, &why) < 0) {
			error_set(&err, ERROR_USAGE, EINVAL, "%s: %s", paths[i], why.message);
			status = cli_fail(&err);
		} else {
			order_lines(&texts[i]);
		}
	}
	qsort(texts, (size_t)count, sizeof(*texts), compare_texts);
	for (int i = 0; i < count; i++) {
		if (status == CLI_DONE)
			feed_text(a, &texts[i]);
		str_finish(&texts[i].text);
	}
	return status;
}

/* The audit of this host. */

static void expect_checkpoint(void *arg, const char *key, const struct checkpoint *c)
{
	struct auditing *a = arg;

	if (!audit_head_is_unknown(&c->audit))
		audit_chain_expect(a->chain, &c->audit, key);
}

static int expect_own_head(struct auditing *a, struct catalog *catalog, struct error *err)
{
	struct catalog_audit_head own = {0};
	struct audit_head head = {0};
	int r = catalog_audit_head(catalog, &own);

	if (r < 0)
		return error_system(err, -r, "the end of the audit cannot be read from the catalog");
	head.number = own.number;
	str_copy(head.hash, sizeof(head.hash), own.hash);
	if (!audit_head_is_unknown(&head))
		audit_chain_expect(a->chain, &head, "the catalog");
	return 0;
}

static int read_own(struct auditing *a, const struct looking *l, struct error *err)
{
	_cleanup(signing) struct signing *signing = NULL;
	const struct records_context ctx = {
	        .conf = &l->conf, .catalog = l->catalog, .store = l->store, .keyring = l->keyring};
	const struct records_reading lines = {
	        .ctx = &ctx, .line = feed_line, .unreadable = see_unreadable, .arg = a};
	struct checkpoint_reading checkpoints = {
	        .store = l->store, .each = expect_checkpoint, .problem = see_finding, .arg = a};
	int r = signing_new(&l->conf, &signing, err);

	checkpoints.signing = signing;
	if (r == 0)
		r = checkpoint_read(&checkpoints, err);
	if (r == 0)
		r = expect_own_head(a, l->catalog, err);
	return r < 0 ? r : records_read_audit(&lines, err);
}

static int feed_own(struct auditing *a)
{
	struct looking looking = {0};
	struct error err = {0};
	int status = looking_open(a->options, 2, &looking);

	if (status == CLI_DONE && read_own(a, &looking, &err) < 0)
		status = cli_fail(&err);
	looking_close(&looking);
	return status;
}

static void print_audit_json(struct auditing *a, const struct audit_chain_result *result)
{
	_cleanup(json) struct json *object = json_object_new();
	_cleanup(str) struct str out = {0};

	json_set_bool(object, "ok", json_count(a->findings) == 0);
	json_set(object, "findings", a->findings);
	a->findings = NULL;
	json_set_int(object, "lines", (int64_t)result->lines);
	json_set_int(object, "first", result->first);
	json_set_bool(object, "whole", result->whole);
	json_set_int(object, "old_lines", (int64_t)result->old);
	json_set_int(object, "last", result->head.number);
	json_set_string(object, "last_sha256", result->head.number ? result->head.hash : NULL);
	json_set_int(object, "heads_found", (int64_t)result->expected);
	json_set_int(object, "heads_before", (int64_t)result->before);
	json_write(object, 0, &out);
	puts(str_text(&out));
}

static void print_audit(const struct audit_chain_result *result)
{
	if (result->old > 0)
		printf("%" PRIu64 " lines are older than the chain: nothing proves them\n", result->old);
	if (result->lines == 0) {
		puts("there is no line that names the one before it");
		return;
	}
	printf("%" PRIu64 " lines, from %" PRId64 "%s to %" PRId64 ", whose SHA-256 is %s\n", result->lines,
	       result->first, result->whole ? ", the first one," : "", result->head.number,
	       result->head.hash);
	if (!result->whole)
		puts("the lines before these were not read: nothing is known of them");
	if (result->expected + result->before > 0)
		printf("%" PRIu64 " heads that were noted elsewhere fit; %" PRIu64
		       " are of lines before these\n",
		       result->expected, result->before);
	if (result->wrong == 0)
		puts("every line is the one that the next one names");
}

static int audit_verify(const struct cli_options *options, char **words, int count)
{
	struct auditing a = {.options = options, .findings = json_array_new()};
	struct audit_chain_result result;
	int files = 0, status = CLI_DONE;

	a.chain = audit_chain_new(see_finding, &a);
	for (int i = 0; status == CLI_DONE && i < count; i++) {
		struct audit_head head;

		if (!str_starts(words[i], "expect="))
			words[files++] = words[i];
		else if (audit_head_parse(words[i] + strlen("expect="), &head))
			audit_chain_expect(a.chain, &head, words[i]);
		else
			status = cli_usage(
			        "%s is no line of the audit: expect=NUMBER:SHA256, as 'keepfs audit head' prints it",
			        words[i]);
	}
	if (status == CLI_DONE)
		status = files > 0 ? feed_files(&a, words, files) : feed_own(&a);
	if (status == CLI_DONE) {
		audit_chain_end(a.chain, &result);
		if (json_count(a.findings) > 0 || result.wrong > 0)
			status = CLI_FAILED;
		if (options->json)
			print_audit_json(&a, &result);
		else
			print_audit(&result);
	}
	audit_chain_free(a.chain);
	json_free(a.findings);
	return status;
}

static int audit_head(const struct cli_options *options)
{
	struct looking looking = {0};
	struct catalog_audit_head head;
	int status = looking_open(options, 2, &looking);

	if (status == CLI_DONE && catalog_audit_head(looking.catalog, &head) < 0)
		status = cli_fail(&(struct error){.message = "the audit cannot be read from the catalog"});
	else if (status == CLI_DONE && options->json)
		printf("{\"number\":%" PRId64 ",\"sha256\":\"%s\"}\n", head.number, head.hash);
	else if (status == CLI_DONE)
		printf("%" PRId64 ":%s\n", head.number, head.hash);
	looking_close(&looking);
	return status;
}

int cmd_audit(const struct cli_options *options)
{
	if (options->argc > 0 && str_equal(options->argv[0], "verify"))
		return audit_verify(options, options->argv + 1, options->argc - 1);
	if (options->argc == 1 && str_equal(options->argv[0], "head"))
		return audit_head(options);
	return cli_usage("audit takes 'verify [expect=NUMBER:SHA256] [FILE...]' or 'head'");
}
