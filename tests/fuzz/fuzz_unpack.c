// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as the archive of a files job: compared with a directory that is not there, and unpacked. Checksums of headers are made
 * right, so that what is wrong behind them comes to be read. Nothing may come to lie beside the directory, no stage may stay, and what was
 * unpacked without an error is found to be the same.
 */
#include "../support/tree.h"
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/files/unpack.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK ((size_t)512)
#define STAGE FILES_STAGE_PREFIX "fuzz"

static char directory[64];

static void clear_away(void)
{
	_cleanup(free) char *command = mem_printf("chmod -R u+rwx %s", directory);

	if (geteuid() != 0 && system(command) != 0)
		abort();
	remove_tree(directory);
}

static uint8_t *with_checksums(const uint8_t *data, size_t size)
{
	uint8_t *copy = mem_alloc(size + 1);

	memcpy(copy, data, size);
	for (size_t at = 0; at + BLOCK <= size; at += BLOCK) {
		uint8_t *header = copy + at;
		unsigned sum = 0;

		if (memcmp(header + 257, "ustar", 5) != 0)
			continue;
		memset(header + 148, ' ', 8);
		for (size_t i = 0; i < BLOCK; i++)
			sum += header[i];
		snprintf((char *)header + 148, 8, "%06o", sum);
	}
	return copy;
}

static int give_all(struct files_unpack *u, const uint8_t *data, size_t size, struct error *err)
{
	int r = files_unpack_write(u, data, size, err);

	return r < 0 ? r : files_unpack_finish(u, err);
}

static int compare_bytes(const struct files_unpack_options *o, const uint8_t *data, size_t size,
                         struct files_comparison *ret, struct error *err)
{
	_cleanup(files_unpack) struct files_unpack *u = NULL;
	int r = files_compare_begin(o, ret, &u, err);

	return r < 0 ? r : give_all(u, data, size, err);
}

static int extract_bytes(const struct files_unpack_options *o, const uint8_t *data, size_t size,
                         const struct files_comparison *known, struct files_outcome *ret, struct error *err)
{
	_cleanup(files_unpack) struct files_unpack *u = NULL;
	int r = files_extract_begin(o, known, ret, &u, err);

	return r < 0 ? r : give_all(u, data, size, err);
}

/* Beside out/ there is nothing, and no stage is left in it. */
static void must_be_clean(const char *out)
{
	_cleanup(free) char *stage = mem_printf("%s/%s", out, STAGE);
	DIR *dir = opendir(directory);
	const struct dirent *entry;

	fuzz_must(dir != NULL, "the directory stays", NULL);
	while ((entry = readdir(dir)))
		fuzz_must(entry->d_name[0] == '.' || strcmp(entry->d_name, "out") == 0,
		          "nothing leads out of the directory", entry->d_name);
	closedir(dir);
	fuzz_must(access(stage, F_OK) < 0, "no stage is left", NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(free) uint8_t *bytes = with_checksums(data, size);
	_cleanup(files_comparison) struct files_comparison before = {0}, after = {0};
	_cleanup(free) char *out = NULL;
	struct files_unpack_options options = {.stage = STAGE, .overwrite = true};
	struct files_outcome outcome;
	struct error err = {0};
	int compared, r;

	strcpy(directory,
	       access("/dev/shm", W_OK) == 0 ? "/dev/shm/keepfs-fuzz-XXXXXX" : "/tmp/keepfs-fuzz-XXXXXX");
	fuzz_must(mkdtemp(directory) != NULL, "a directory can be made", NULL);
	options.directory = out = mem_printf("%s/out", directory);
	compared = compare_bytes(&options, bytes, size, &before, &err);
	if (compared < 0)
		fuzz_must_refuse(compared, &err);
	fuzz_must(access(out, F_OK) < 0, "a comparison writes nothing", NULL);
	/* Also what nobody would unpack after that. */
	err = (struct error){0};
	r = extract_bytes(&options, bytes, size, &before, &outcome, &err);
	if (r < 0)
		fuzz_must_refuse(r, &err);
	must_be_clean(out);
	fuzz_must(compared == 0 || r < 0, "what cannot be read when it is compared cannot be unpacked", NULL);
	if (r == 0 && outcome.left_out + outcome.partly + outcome.replaced == 0)
		fuzz_must(compare_bytes(&options, bytes, size, &after, &err) == 0, "it is compared once more",
		          err.message);
	clear_away();
	return 0;
}
