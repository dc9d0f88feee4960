// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as a manifest from a bucket that others may write to. What is refused leaves
 * nothing behind and names its source; what is taken is written as a manifest that is taken again, and
 * is the same; and each of its parts can be taken for an artifact of its own.
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/manifest.h>

#include <errno.h>
#include <string.h>

#define SOURCE "manifests/the source.json"

static void must_be_refused(int r, const struct manifest *m, const struct error *err)
{
	const uint8_t *bytes = (const uint8_t *)m;

	fuzz_must_refuse(r, err);
	fuzz_must(r == -EBADMSG || r == -ENOTSUP, "the contract's errors", err->message);
	fuzz_must(strstr(err->message, SOURCE), "the message names the source", err->message);
	for (size_t i = 0; i < sizeof(*m); i++)
		fuzz_must(bytes[i] == 0, "a refused manifest is untouched", err->message);
}

static void must_be_same(const struct manifest *a, const struct manifest *b)
{
	fuzz_must(str_equal(a->path, b->path), "the same path", b->path);
	fuzz_must(str_equal(a->job, b->job), "the same job", b->job);
	fuzz_must(str_equal(a->kind, b->kind), "the same kind", b->kind);
	fuzz_must(a->run_id == b->run_id, "the same run", b->path);
	fuzz_must(a->finished_at_us == b->finished_at_us, "the same time", b->path);
	fuzz_must(a->size_bytes == b->size_bytes, "the same size", b->path);
	fuzz_must(a->chain.sequence == b->chain.sequence, "the same place in the chain", b->path);
	fuzz_must(memcmp(&a->signature, &b->signature, sizeof(a->signature)) == 0, "the same signature",
	          b->path);
}

/* With the signature that it came with, which need not fit any more. */
static void encode_all(const struct manifest *m, struct str *out)
{
	manifest_encode(m, out);
	if (m->chain.sequence)
		signature_append(out, &m->signature, NULL);
}

static void take_a_part(struct manifest *m, size_t number)
{
	manifest_become_part(m, number);
	fuzz_must(m->is_directory || manifest_own_object(m) || m->files[0].object == MANIFEST_NO_OBJECT,
	          "a file has its own", m->path);
	for (size_t i = 0; i < m->file_count; i++) {
		const struct manifest_file *f = &m->files[i];

		fuzz_must(*f->name != '\0', "each file has a name", m->path);
		fuzz_must(f->object == MANIFEST_NO_OBJECT || f->object < m->object_count,
		          "each object is there", f->name);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(manifest) struct manifest m, again = {0};
	_cleanup(str) struct str text = {0}, text_again = {0};
	struct error err = {0};
	int r;

	memset(&m, 0, sizeof(m)); /* the padding, too */
	r = manifest_decode(SOURCE, (const char *)data, size, &m, &err);
	if (r != 0) {
		must_be_refused(r, &m, &err);
		return 0;
	}
	encode_all(&m, &text);
	r = manifest_decode(SOURCE, text.data, text.len, &again, &err);
	fuzz_must(r == 0, "what was taken is taken again", err.message);
	must_be_same(&m, &again);
	encode_all(&again, &text_again);
	fuzz_must(str_equal(text.data, text_again.data), "it is written the same again", text_again.data);
	if (again.part_count > 0)
		take_a_part(&again, size % again.part_count);
	return 0;
}
