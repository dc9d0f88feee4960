// SPDX-License-Identifier: Apache-2.0
/* The tar of a quarter: each file is gathered into a spool, packed, and its digest noted; the list of digests comes last, and is signed. */
#include <keepfs/evidence.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/drills.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/checkpoint.h>
#include <keepfs/codec/audit_chain.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/json.h>
#include <keepfs/files/packed_tar.h>
#include <keepfs/keyring/signing.h>
#include <keepfs/records.h>
#include <keepfs/report/drills.h>
#include <keepfs/report/keys.h>
#include <keepfs/report/run.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define DIGEST_PIECE_BYTES 65536
#define PAGE_RUNS          64
#define PAGE_DRILLS_READ   32

struct gathering {
	const struct evidence_context *ctx;
	const struct quarter *quarter;
	struct store_call call;
	struct packed_tar *tar;
	struct spool *content; /* of the file that is gathered now */
	struct str sums;       /* "DIGEST  NAME" lines */
	struct str findings;   /* lines */
	struct audit_chain *audit;
	int64_t audit_from_us; /* of its first line; 0: there is none yet */
	uint64_t lines, runs;
	int failed;
	struct error *err;
};

static struct spool *new_content(const struct gathering *g)
{
	return spool_new(g->ctx->from->conf->state_dir);
}

static int digest_of(const struct spool *content, char ret[static SHA256_HEX_BYTES])
{
	_cleanup(free) char *buf = mem_alloc(DIGEST_PIECE_BYTES);
	struct sha256 *h = sha256_new();
	uint8_t digest[SHA256_BYTES];
	uint64_t at = 0;
	ssize_t n;

	while ((n = spool_read(content, buf, DIGEST_PIECE_BYTES, at)) > 0) {
		sha256_update(h, buf, (size_t)n);
		at += (uint64_t)n;
	}
	sha256_final(h, digest);
	sha256_free(h);
	hex_encode(digest, sizeof(digest), ret);
	return (int)n;
}

/* "2026-Q4/NAME", and its line of the list. */
static int pack_evidence(struct gathering *g, const char *name, const struct spool *content,
                         struct error *err)
{
	char quarter[QUARTER_NAME_BYTES], digest[SHA256_HEX_BYTES];
	_cleanup(free) char *path = mem_printf("%s/%s", quarter_name(g->quarter, quarter), name);
	int r = spool_error(content);

	if (r == 0)
		r = digest_of(content, digest);
	if (r < 0)
		return error_system(err, -r, "%s cannot be kept in state_dir", name);
	str_appendf(&g->sums, "%s  %s\n", digest, name);
	return packed_tar_add(g->tar, path, content, err);
}

static int pack_evidence_text(struct gathering *g, const char *name, const char *text, size_t len,
                              struct error *err)
{
	_cleanup(spool) struct spool *content = new_content(g);

	spool_append(content, text, len);
	return pack_evidence(g, name, content, err);
}

static bool is_in_quarter(const struct gathering *g, int64_t at_us)
{
	return at_us >= g->quarter->from_us && at_us < g->quarter->until_us;
}

/* 0: it says none. */
static int64_t time_of_line(const char *field, const char *line, size_t len)
{
	_cleanup(json) struct json *object = json_parse(line, len, NULL);
	int64_t at_us = 0;

	return object && json_get_time(object, field, &at_us) ? at_us : 0;
}

static bool line_is_in_quarter(const struct gathering *g, const char *field, const char *line, size_t len)
{
	return is_in_quarter(g, time_of_line(field, line, len));
}

static void take_evidence_line(struct gathering *g, const char *line, size_t len)
{
	spool_append(g->content, line, len);
	spool_append(g->content, "\n", 1);
}

static void note_unreadable(void *arg, const char *key, const char *why)
{
	struct gathering *g = arg;

	str_appendf(&g->findings, "%s cannot be read, its lines are missing here: %s\n", key, why);
}

static void note_evidence_finding(void *arg, const char *text)
{
	struct gathering *g = arg;

	str_appendf(&g->findings, "%s\n", text);
}

/* The audit. All of it is read, whatever the quarter is: is each line the one that the next one names, and is each there that a checkpoint names? */

static void take_audit_line(void *arg, const char *source, const char *line, size_t len)
{
	struct gathering *g = arg;

	audit_chain_feed(g->audit, line, len);
	if (!g->audit_from_us)
		g->audit_from_us = time_of_line("at", line, len);
	if (!line_is_in_quarter(g, "at", line, len))
		return;
	take_evidence_line(g, line, len);
	g->lines++;
}

/* Before the lines are read: more may come meanwhile. */
static int expect_end_of_audit(struct gathering *g, struct error *err)
{
	struct catalog_audit_head own = {0};
	struct audit_head head = {0};
	int r = catalog_audit_head(g->ctx->from->catalog, &own);

	if (r < 0)
		return error_system(err, -r, "the end of the audit cannot be read from the catalog");
	head.number = own.number;
	str_copy(head.hash, sizeof(head.hash), own.hash);
	if (!audit_head_is_unknown(&head))
		audit_chain_expect(g->audit, &head, "the catalog");
	return 0;
}

static int pack_audit_of_quarter(struct gathering *g, const struct records_context *records,
                                 struct error *err)
{
	const struct records_reading reading = {.ctx = records,
	                                        .call = &g->call,
	                                        .line = take_audit_line,
	                                        .unreadable = note_unreadable,
	                                        .arg = g};
	_cleanup(spool) struct spool *content = new_content(g);
	struct audit_chain_result result;
	int r;

	g->content = content;
	r = expect_end_of_audit(g, err);
	if (r == 0)
		r = records_read_audit(&reading, err);
	if (r < 0)
		return r;
	audit_chain_end(g->audit, &result);
	/* Whoever takes away the first records takes away what could name them. */
	if (!result.whole && result.first && g->audit_from_us >= g->quarter->from_us)
		str_appendf(&g->findings,
		            "the audit begins with line %" PRId64 ": what was before it is not there\n",
		            result.first);
	return pack_evidence(g, "audit.jsonl", content, err);
}

/* Runs. */

static void take_run_line(void *arg, const char *source, const char *line, size_t len)
{
	struct gathering *g = arg;

	if (!line_is_in_quarter(g, "queued", line, len))
		return;
	take_evidence_line(g, line, len);
	g->runs++;
}

static int take_run(struct gathering *g, const struct catalog_run *run)
{
	_cleanup(json) struct json *object = NULL;
	_cleanup(str) struct str line = {0};
	int r = report_run_record(g->ctx->from->catalog, run, &object);

	if (r < 0)
		return r;
	json_write(object, 0, &line);
	take_evidence_line(g, str_text(&line), line.len);
	g->runs++;
	return 0;
}

/* Those that the catalog has, newest first. */
static int take_kept_runs(struct gathering *g)
{
	_cleanup(free) struct catalog_run *page = mem_array(PAGE_RUNS, sizeof(*page));
	int64_t before = 0;
	ssize_t count;
	int r = 0;

	while ((count = catalog_runs(g->ctx->from->catalog, NULL, before, page, PAGE_RUNS)) > 0) {
		for (ssize_t i = 0; r == 0 && i < count; i++)
			if (is_in_quarter(g, page[i].queued_at_us))
				r = take_run(g, &page[i]);
		if (r < 0)
			return r;
		before = page[count - 1].id;
	}
	return (int)count;
}

static int pack_runs_of_quarter(struct gathering *g, const struct records_context *records, struct error *err)
{
	const struct records_reading reading = {.ctx = records,
	                                        .call = &g->call,
	                                        .line = take_run_line,
	                                        .unreadable = note_unreadable,
	                                        .arg = g};
	_cleanup(spool) struct spool *content = new_content(g);
	int r;

	g->content = content;
	r = records_read_history(&reading, err);
	if (r < 0)
		return r;
	r = take_kept_runs(g);
	if (r < 0)
		return error_system(err, -r, "the history cannot be read from the catalog");
	return pack_evidence(g, "runs.jsonl", content, err);
}

/* Drills. */

static int pack_drill(struct gathering *g, const struct catalog_drill *drill, struct error *err)
{
	_cleanup(free) char *name = mem_printf("drills/%s.json", drill->name), *report = NULL;
	struct catalog_drill again;
	int r = catalog_find_drill(g->ctx->from->catalog, drill->name, &again, &report);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_system(err, -r, "the drills cannot be read from the catalog");
	return pack_evidence_text(g, name, report, strlen(report), err);
}

static int pack_drills_of_quarter(struct gathering *g, struct error *err)
{
	_cleanup(free) struct catalog_drill *page = mem_array(PAGE_DRILLS_READ, sizeof(*page));
	int64_t before = 0;
	ssize_t count;

	while ((count = catalog_drills(g->ctx->from->catalog, NULL, before, page, PAGE_DRILLS_READ)) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			int r = is_in_quarter(g, page[i].started_at_us) ? pack_drill(g, &page[i], err) : 0;

			if (r < 0)
				return r;
		}
		before = page[count - 1].id;
	}
	return count < 0 ? error_system(err, (int)-count, "the drills cannot be read from the catalog") : 0;
}

/* Checkpoints, as the store has them: also those that nobody believes. */

static void pack_checkpoint(void *arg, const char *key, const struct checkpoint *c)
{
	struct gathering *g = arg;
	_cleanup(free) char *text = NULL;
	size_t len = 0;

	if (!audit_head_is_unknown(&c->audit))
		audit_chain_expect(g->audit, &c->audit, key);
	if (g->failed < 0 || !is_in_quarter(g, c->at_us))
		return;
	g->failed = store_get_all(g->ctx->store, &g->call, key, CHECKPOINT_OBJECT_MAX, &text, &len, g->err);
	if (g->failed == 0)
		g->failed = pack_evidence_text(g, key, text, len, g->err);
}

static int pack_checkpoints(struct gathering *g, struct error *err)
{
	const struct checkpoint_reading reading = {.store = g->ctx->store,
	                                           .signing = g->ctx->signing,
	                                           .call = &g->call,
	                                           .each = pack_checkpoint,
	                                           .problem = note_evidence_finding,
	                                           .arg = g};
	int r;

	g->err = err;
	r = checkpoint_read(&reading, err);
	return r < 0 ? r : g->failed;
}

/* What is so now. */

static int write_configuration(const struct report_sources *from, struct spool *out)
{
	_cleanup(str) struct str text = {0};

	conf_write_effective(from->conf, &text);
	spool_append(out, str_text(&text), text.len);
	return spool_error(out);
}

static const struct {
	const char *name;
	int (*write)(const struct report_sources *from, struct spool *out);
} states[] = {
        {"configuration.txt", write_configuration},
        {"schedule.txt", report_schedule},
        {"retention.txt", report_retention},
        {"recovery.txt", report_recovery},
        {"health.txt", report_health},
        {"keys.txt", report_keys},
        {"backups.jsonl", report_all_backups_jsonl},
};

static int pack_states(struct gathering *g, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		_cleanup(spool) struct spool *content = new_content(g);
		int r = states[i].write(g->ctx->from, content);

		if (r < 0)
			return error_system(err, -r, "%s cannot be written", states[i].name);
		r = pack_evidence(g, states[i].name, content, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int pack_readme(struct gathering *g, struct error *err)
{
	char quarter[QUARTER_NAME_BYTES], at[CLOCK_ISO_BYTES];
	_cleanup(str) struct str text = {0};

	str_appendf(
	        &text,
	        "Evidence of keepfs for %s (UTC), made at %s.\n\n"
	        "Of the quarter:\n"
	        "  audit.jsonl        who did what: %" PRIu64
	        " lines, each names the SHA-256 of the one before it\n"
	        "  checkpoints/       the ends of the audit and of the chain of manifests, as they were put into the store each day\n"
	        "  runs.jsonl         %" PRIu64 " runs, with their results and logs\n"
	        "  drills/            reports of rehearsed restores\n"
	        "  findings.txt       what is wrong with the above, if anything\n\n"
	        "As it is now, which need not be as it was then:\n"
	        "  configuration.txt  in force, secrets masked; changes of it are lines of the audit\n"
	        "  schedule.txt, retention.txt, recovery.txt, health.txt, keys.txt, backups.jsonl\n\n"
	        "  SHA256SUMS         of all files here; SHA256SUMS.sig is its Ed25519 signature, where keepfs has a key\n\n"
	        "    sha256sum -c SHA256SUMS\n"
	        "    openssl pkeyutl -verify -pubin -inkey signer.pem -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig\n"
	        "    keepfs audit verify audit.jsonl\n\n"
	        "Use the public key that you were given before, and not the signer.pem of this archive.\n",
	        quarter_name(g->quarter, quarter), clock_format_iso(g->ctx->from->now_us, at), g->lines,
	        g->runs);
	return pack_evidence_text(g, "README.txt", str_text(&text), text.len, err);
}

static int pack_signature(struct gathering *g, const char *sums, size_t len, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys =
	        g->ctx->signing ? signing_ref(g->ctx->signing) : NULL;
	_cleanup(str) struct str pem = {0};
	struct signature s;
	int r;

	if (!keys || !keys->key)
		return 0;
	sign_make(keys->key, sums, len, &s);
	sign_public_write(sign_key_public(keys->key), &pem);
	r = pack_evidence_text(g, "SHA256SUMS.sig", (const char *)s.bytes, sizeof(s.bytes), err);
	return r < 0 ? r : pack_evidence_text(g, "signer.pem", str_text(&pem), pem.len, err);
}

static int pack_sums(struct gathering *g, struct error *err)
{
	_cleanup(free) char *sums = str_take(&g->sums);
	size_t len = strlen(sums);
	int r = pack_evidence_text(g, "SHA256SUMS", sums, len, err);

	return r < 0 ? r : pack_signature(g, sums, len, err);
}

static int pack_all(struct gathering *g, struct error *err)
{
	const struct records_context records = {.conf = g->ctx->from->conf,
	                                        .catalog = g->ctx->from->catalog,
	                                        .store = g->ctx->store,
	                                        .keyring = g->ctx->keyring};
	int r = pack_checkpoints(g, err);

	if (r == 0)
		r = pack_audit_of_quarter(g, &records, err);
	if (r == 0)
		r = pack_runs_of_quarter(g, &records, err);
	if (r == 0)
		r = pack_drills_of_quarter(g, err);
	if (r == 0)
		r = pack_evidence_text(g, "findings.txt", str_text(&g->findings), g->findings.len, err);
	if (r == 0)
		r = pack_states(g, err);
	if (r == 0)
		r = pack_readme(g, err);
	if (r == 0)
		r = pack_sums(g, err);
	return r == 0 ? packed_tar_end(g->tar, err) : r;
}

int evidence_write(const struct evidence_context *ctx, const struct quarter *q, struct spool *out,
                   struct error *err)
{
	struct gathering g = {.ctx = ctx, .quarter = q, .call = {.cancel = ctx->cancel}};
	int r = packed_tar_new(out, ctx->from->now_us, &g.tar, err);

	g.audit = audit_chain_new(note_evidence_finding, &g);

	if (r == 0)
		r = pack_all(&g, err);
	packed_tar_free(g.tar);
	audit_chain_free(g.audit);
	str_finish(&g.sums);
	str_finish(&g.findings);
	if (r == 0 && spool_error(out) < 0)
		r = error_system(err, -spool_error(out), "the evidence cannot be kept in state_dir");
	return r;
}
