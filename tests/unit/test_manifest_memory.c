// SPDX-License-Identifier: Apache-2.0
/* What very large manifests, and the first link of a chain, take: docs/operations.md, Memory, promises it to whoever limits a service. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/link.h>
#include <keepfs/codec/manifest.h>

/* A sanitizer's memory is no measure, so there it need not be much. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_MEASURED 0
#define FILES       5000
#else
#define IS_MEASURED 1
#define FILES       100000
#endif

#define SOURCE     "manifests/some.json"
#define FIRST_BLOB 16384
#define EXTENTS    1000000

/* The kernel's @name of this process, in KiB. */
static long status_kib(const char *name)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	assert_non_null(f);
	while (kib < 0 && fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0)
			assert_int_equal(sscanf(line + strlen(name), ": %ld", &kib), 1);
	fclose(f);
	assert_true(kib >= 0);
	return kib;
}

/* The peak begins anew. */
static long begin(void)
{
	FILE *f = fopen("/proc/self/clear_refs", "w");

	assert_non_null(f);
	fputs("5", f);
	assert_int_equal(fclose(f), 0);
	return status_kib("VmRSS");
}

static void assert_peak_bytes(long begun_kib, long most_bytes)
{
	long taken_kib = status_kib("VmHWM") - begun_kib;

	if (IS_MEASURED && taken_kib > most_bytes / 1024)
		fail_msg("%ld KiB were taken, %ld are promised", taken_kib, most_bytes / 1024);
}

static void describe(struct manifest *m, const char *path, bool is_directory)
{
	m->path = mem_strdup(path);
	m->job = mem_strdup("full");
	m->kind = mem_strdup("dump");
	m->target = mem_strdup("shop");
	m->triggered_by = mem_strdup("uid 0 (bash)");
	m->keepfs_version = mem_strdup("1");
	m->is_directory = is_directory;
	m->run_id = 1;
	m->started_at_us = m->finished_at_us = INT64_C(1795140060000000);
	memset(m->sha256, 'a', SHA256_HEX_BYTES - 1);
}

static void add_file(struct manifest *m, const char *name, const char *key)
{
	struct manifest_file *f = manifest_add_file(m, name);
	struct manifest_object *o;

	f->object = manifest_add_object(m, key);
	o = &m->objects[f->object];
	memset(f->sha256, 'a', SHA256_HEX_BYTES - 1);
	str_copy(o->stored_sha256, sizeof(o->stored_sha256), f->sha256);
}

/* *@m, written, and read again into *@back. */
static void write_and_read(struct manifest *m, struct manifest *back)
{
	_cleanup(str) struct str text = {0};
	size_t len;
	_cleanup(free) uint8_t *sealed = manifest_seal_extents(m, &len);

	m->extents_key = manifest_extents_key(m->path);
	manifest_encode(m, &text);
	manifest_finish(m);
	assert_int_equal(manifest_decode(SOURCE, text.data, text.len, back, NULL), 0);
	assert_int_equal(manifest_load_extents(SOURCE, sealed, len, back, NULL), 0);
}

static void a_directory_of_many_files(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(free) char *last = mem_printf("blob_%d.dat.gz", FIRST_BLOB + FILES - 1);
	long begun_kib = begin();

	describe(&m, "backups/full/20261120T020000Z", true);
	for (int i = 0; i < FILES; i++) {
		_cleanup(free) char *name = mem_printf("blob_%d.dat.gz", FIRST_BLOB + i),
		                    *key = mem_printf("%s/%s", m.path, name);

		add_file(&m, name, key);
		extents_append(&m.objects[i].extents, 70, (uint32_t)i);
		m.files[i].size_bytes = m.objects[i].stored_bytes = 70;
		m.size_bytes += 70;
	}
	write_and_read(&m, &back);
	assert_int_equal(back.file_count, FILES);
	assert_string_equal(back.files[FILES - 1].name, last);
	assert_peak_bytes(begun_kib, FILES * 1200L);
}

/* A file of a terabyte. */
static void a_file_of_many_extents(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	long begun_kib = begin();

	describe(&m, "backups/full/20261120T020000Z.dump", false);
	add_file(&m, "20261120T020000Z.dump", m.path);
	for (int i = 0; i < EXTENTS; i++)
		extents_append(&m.objects[0].extents, EXTENT_MAX_BYTES, (uint32_t)i);
	m.size_bytes = m.files[0].size_bytes = m.objects[0].stored_bytes =
	        (uint64_t)EXTENTS * EXTENT_MAX_BYTES;
	write_and_read(&m, &back);
	assert_int_equal(back.objects[0].extents.count, EXTENTS);
	assert_peak_bytes(begun_kib, EXTENTS * 48L);
}

/* What was taken for a manifest is the system's again. */
static void nothing_of_it_is_kept(void **state)
{
	long begun_kib = begin(), kept_kib;

	a_directory_of_many_files(state);
	kept_kib = status_kib("VmRSS") - begun_kib;
	if (IS_MEASURED && kept_kib > 4096)
		fail_msg("%ld KiB are kept", kept_kib);
}

/* It names all backups that were there before. */
static void the_first_link_of_a_chain(void **state)
{
	_cleanup(link) struct link l = {.type = LINK_BEGUN, .at_us = 1}, back = {0};
	_cleanup(str) struct str text = {0};
	_cleanup(sign_key) struct sign_key *k = NULL;
	struct signature s, none = {0};
	struct error err = {0};
	char pem[] =
	        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
	        "-----END PRIVATE KEY-----\n";
	long begun_kib;

	assert_int_equal(sign_key_parse("k", pem, strlen(pem), &k, NULL), 0);
	l.key = *sign_key_public(k);
	str_copy(l.place.id, sizeof(l.place.id), "0123456789abcdef");
	l.place.sequence = 1;
	for (int i = 0; i < FILES; i++) {
		_cleanup(free) char *path = mem_printf("backups/full/%08dT020000Z.dump", i);
		struct link_entry *e = link_add(&l, path);

		e->run_id = i + 1;
		memset(e->hash, 'a', SHA256_HEX_BYTES - 1);
	}
	link_encode(&l, &text);
	link_finish(&l);
	sign_make(k, text.data, text.len, &s);
	signature_append(&text, &s, &none);
	begun_kib = begin();
	if (link_decode("chain/000000000001.json", text.data, text.len, &back, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(back.count, FILES);
	assert_int_equal(back.entries[FILES - 1].run_id, FILES);
	assert_peak_bytes(begun_kib, FILES * 300L);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing_of_it_is_kept),
	        cmocka_unit_test(a_directory_of_many_files),
	        cmocka_unit_test(a_file_of_many_extents),
	        cmocka_unit_test(the_first_link_of_a_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
