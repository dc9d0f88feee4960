// SPDX-License-Identifier: Apache-2.0
/*
 * What a bundle says of itself: MANIFEST.txt for whoever finds it without keepfs, MANIFEST.json the same for programs. Both say what is there, with checksums, and
 * what is not; neither says what is in a secret archive, of which they have nothing but its name and its size.
 */
#include "bundle.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/chain.h>
#include <keepfs/codec/listing.h>
#include <keepfs/keyring/signing.h>

#include <inttypes.h>
#include <string.h>

#define TEXT_NAME      "MANIFEST.txt"
#define JSON_NAME      "MANIFEST.json"
#define FORMAT_NAME    "keepfs-bundle"
#define FORMAT_VERSION 1

/* For people. */

static const char *time_text(int64_t at_us, char buf[static CLOCK_ISO_BYTES])
{
	return clock_format_iso(at_us - at_us % US_PER_S, buf);
}

static void append_fact_line(struct str *out, const char *name, const char *value)
{
	if (value && *value)
		str_appendf(out, "%-12s%s\n", name, value);
}

static void append_file_text(struct str *out, const struct manifest_file *f)
{
	char size[16];

	str_appendf(out, "  %s\n      %" PRIu64 " bytes (%s)%s\n", f->name, f->size_bytes,
	            str_format_bytes(size, sizeof(size), f->size_bytes), f->secret ? ", secret" : "");
	if (f->sha256[0])
		str_appendf(out, "      sha256 %s\n", f->sha256);
}

/* What a listing has is no file of the manifest. */
static uint64_t listed_files_of_part(const struct manifest_part *p)
{
	int64_t objects = 0;

	if (listing_is_kind(p->kind) && p->facts)
		json_get_int(p->facts, "objects", &objects);
	return p->file_count + (uint64_t)objects;
}

static void append_directory_text(struct str *out, const struct manifest_part *p)
{
	char size[16];

	str_appendf(out, "  %s/\n      %" PRIu64 " files, %" PRIu64 " bytes (%s)\n", p->name,
	            listed_files_of_part(p), p->size_bytes,
	            str_format_bytes(size, sizeof(size), p->size_bytes));
	if (str_equal(p->kind, LISTING_KIND_MIRROR))
		str_append(out, "      their sha256: SHA256SUMS\n");
	if (p->sha256[0])
		str_appendf(out, "      sha256 of %s/SHA256SUMS %s\n", p->name, p->sha256);
}

static void append_part_text(struct str *out, const struct manifest *m, const struct manifest_part *p)
{
	char from[CLOCK_ISO_BYTES], to[CLOCK_ISO_BYTES];

	str_appendf(out, "%s: %s\n  job %s, from %s to %s\n", p->kind, p->target, p->job,
	            time_text(p->started_at_us, from), time_text(p->finished_at_us, to));
	if (p->is_directory)
		append_directory_text(out, p);
	for (size_t i = 0; !p->is_directory && i < p->file_count; i++)
		append_file_text(out, &m->files[p->first_file + i]);
	str_append_char(out, '\n');
}

static void append_missing_text(struct str *out, const struct bundle *b)
{
	if (b->missing_count == 0)
		return;
	str_append(out, "NOT IN THIS BUNDLE\n");
	for (size_t i = 0; i < b->missing_count; i++)
		str_appendf(out, "  %s: %s\n", b->missing[i].job, b->missing[i].why);
	str_append_char(out, '\n');
}

static void write_for_people(const struct bundle *b, const struct manifest *m, struct str *out)
{
	_cleanup(free) char *run =
	        mem_printf("%" PRId64 " of job %s, by %s", m->run_id, m->job, m->triggered_by);
	char at[CLOCK_ISO_BYTES];

	str_appendf(out, "Backup of %s\n\n", m->target);
	append_fact_line(out, "made", time_text(m->started_at_us, at));
	append_fact_line(out, "host", manifest_fact(m, BUNDLE_FACT_HOST));
	append_fact_line(out, "version", manifest_fact(m, BUNDLE_FACT_VERSION));
	append_fact_line(out, "path", m->path);
	append_fact_line(out, "run", run);
	append_fact_line(out, "note", m->note);
	append_fact_line(out, "encrypted", m->encrypted_to);
	append_fact_line(out, "keepfs", m->keepfs_version);
	str_append(out, "\nIn the order in which they were made:\n\n");
	for (size_t i = 0; i < m->part_count; i++)
		append_part_text(out, m, &m->parts[i]);
	append_missing_text(out, b);
	str_append(out, "'sha256sum -c SHA256SUMS' in this directory checks every file of it.\n");
}

/* For programs. */

static struct json *head_of_json(const struct bundle *b, const struct manifest *m)
{
	struct json *j = json_object_new();

	json_set_string(j, "format", FORMAT_NAME);
	json_set_int(j, "version", FORMAT_VERSION);
	json_set_string(j, "name", m->target);
	json_set_string(j, "job", m->job);
	json_set_string(j, "path", m->path);
	json_set_int(j, "run", m->run_id);
	json_set_string(j, "triggered_by", m->triggered_by);
	json_set_string(j, "note", m->note);
	json_set_time(j, "started_at", m->started_at_us);
	json_set_string(j, "host", manifest_fact(m, BUNDLE_FACT_HOST));
	json_set_string(j, "deployment_version", manifest_fact(m, BUNDLE_FACT_VERSION));
	json_set_string(j, "encrypted_to", m->encrypted_to);
	json_set_string(j, "keepfs_version", m->keepfs_version);
	return j;
}

static struct json *file_as_json(const struct manifest_file *f)
{
	struct json *j = json_object_new();

	json_set_string(j, "name", f->name);
	json_set_int(j, "size", (int64_t)f->size_bytes);
	json_set_string(j, "sha256", f->sha256[0] ? f->sha256 : NULL);
	if (f->secret)
		json_set_bool(j, "secret", true);
	return j;
}

/* The files of a directory are in its own list of checksums. */
static struct json *part_as_json(const struct manifest *m, const struct manifest_part *p)
{
	struct json *j = json_object_new(), *files = json_array_new();

	json_set_string(j, "name", p->name);
	json_set_string(j, "type", p->is_directory ? "directory" : "file");
	json_set_string(j, "job", p->job);
	json_set_string(j, "kind", p->kind);
	json_set_string(j, "target", p->target);
	json_set_time(j, "started_at", p->started_at_us);
	json_set_time(j, "finished_at", p->finished_at_us);
	json_set_int(j, "size", (int64_t)p->size_bytes);
	json_set_string(j, "sha256", p->sha256[0] ? p->sha256 : NULL);
	json_set(j, "facts", manifest_part_facts(m, p));
	for (size_t i = 0; !p->is_directory && i < p->file_count; i++)
		json_append(files, file_as_json(&m->files[p->first_file + i]));
	json_set(j, "files", files);
	return j;
}

static struct json *missing_as_json(const struct bundle_missing *missing)
{
	struct json *j = json_object_new();

	json_set_string(j, "job", missing->job);
	json_set_string(j, "why", missing->why);
	return j;
}

/* By the key that signs manifests, when there is one: the file says by itself whose it is, wherever it was copied to. */
static void end_json(const struct bundle *b, struct str *out)
{
	struct signing *signing = chain_signing(b->ctx->repository->chain);
	_cleanup(signing_ref) const struct signing_keys *keys = signing ? signing_ref(signing) : NULL;
	struct signature s;

	if (!keys || !keys->key) {
		json_write_close(out);
		return;
	}
	str_append(out, ",\n");
	sign_make(keys->key, str_text(out), out->len, &s);
	signature_append(out, &s, NULL);
}

static void write_for_programs(const struct bundle *b, const struct manifest *m, struct str *out)
{
	_cleanup(json) struct json *head = head_of_json(b, m);

	json_write_open(head, out);
	json_list_open("parts", out);
	for (size_t i = 0; i < m->part_count; i++)
		json_list_add(part_as_json(m, &m->parts[i]), i == 0, out);
	json_list_close(out);
	json_list_open("missing", out);
	for (size_t i = 0; i < b->missing_count; i++)
		json_list_add(missing_as_json(&b->missing[i]), i == 0, out);
	json_list_close(out);
	end_json(b, out);
}

int bundle_put_texts(const struct bundle *b, struct error *err)
{
	const struct manifest *m = draft_manifest(b->draft);
	_cleanup(str) struct str text = {0}, json = {0};
	int r;

	/* Both before the first is put: that one is a file of the bundle then. */
	write_for_people(b, m, &text);
	write_for_programs(b, m, &json);
	r = draft_put(b->draft, TEXT_NAME, text.data, text.len, err);
	return r < 0 ? r : draft_put(b->draft, JSON_NAME, json.data, json.len, err);
}
