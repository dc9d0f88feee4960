// SPDX-License-Identifier: Apache-2.0
/*
 * Fuzzing without libFuzzer, the same on every run: the files of directories, each as it is and
 * mutated many times.
 *
 * fuzz_NAME [-m MUTATIONS] DIRECTORY|FILE…
 * *	-m	how many of each input (default 100)
 *
 * The inputs are run in a child process. When it dies, what it died of is written to crash-NAME in the
 * present directory: mend the parser, and keep that file in the corpus.
 */
#include "fuzz.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define INPUT_MAX_BYTES   (1 << 18)
#define DEFAULT_MUTATIONS 100

struct inputs {
	struct str *bytes;
	char **names;
	size_t count;
};

struct present { /* what the child is at, in memory that it shares with its parent */
	size_t len;
	char name[256];
	unsigned long mutation;
	uint8_t bytes[INPUT_MAX_BYTES];
};

static int read_input(struct inputs *in, const char *path)
{
	in->bytes = mem_resize(in->bytes, in->count + 1, sizeof(*in->bytes));
	in->names = mem_resize(in->names, in->count + 1, sizeof(*in->names));
	in->bytes[in->count] = (struct str){0};
	in->names[in->count] = mem_strdup(path);
	return fd_read_file(path, INPUT_MAX_BYTES / 2, &in->bytes[in->count++]);
}

/* The data of the unit tests has directories, too. */
static int take_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && entry->d_type != DT_DIR;
}

/* In the order of their names: a mutation takes from the inputs before it, too. */
static int read_directory(struct inputs *in, const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, take_file, alphasort);
	int r = count < 0 ? -errno : 0;

	for (int i = 0; i < count; i++) {
		_cleanup(free) char *file = mem_printf("%s/%s", path, entries[i]->d_name);

		if (r == 0)
			r = read_input(in, file);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return r;
}

static int read_inputs(struct inputs *in, const char *path)
{
	int r = read_directory(in, path);

	if (r == -ENOTDIR)
		r = read_input(in, path);
	if (r < 0)
		fprintf(stderr, "cannot read %s: %s\n", path, strerror(-r));
	return r;
}

static size_t random_below(uint64_t *seed, size_t end)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t)(*seed >> 33) % end;
}

/* @with in the place of the @cut bytes at @at. */
static void replace(struct str *s, size_t at, size_t cut, const char *with, size_t len)
{
	_cleanup(str) struct str rest = {0}, copy = {0};

	str_append_bytes(&rest, s->data + at + cut, s->len - at - cut);
	str_append_bytes(&copy, with, len);
	s->len = at;
	str_append_bytes(s, str_text(&copy), copy.len);
	str_append_bytes(s, str_text(&rest), rest.len);
}

/* A range of any input in the place of a range: that is how words of one come into another. */
static void splice(const struct inputs *in, struct str *s, size_t at, size_t n, uint64_t *seed)
{
	const struct str *other = &in->bytes[random_below(seed, in->count)];
	size_t from, len;

	if (other->len == 0)
		return;
	from = random_below(seed, other->len);
	len = 1 + random_below(seed, other->len - from < 40 ? other->len - from : 40);
	replace(s, at, random_below(seed, 2) ? n : 0, other->data + from, len);
}

/* One change: of a bit, a byte, a length, or of how much there is. */
static void mutate(const struct inputs *in, struct str *s, uint64_t *seed)
{
	static const uint8_t telling[] = {0,   1,    2,    3,    4,   5,   0x7f, 0x80, 0xff,
	                                  '"', '\'', '\\', '\n', ' ', '=', '0',  '-',  '/'};
	size_t at = random_below(seed, s->len), left = s->len - at;
	size_t n = 1 + random_below(seed, left < 40 ? left : 40);

	switch (random_below(seed, 7)) {
	case 0:
		s->data[at] ^= (char)(1 << random_below(seed, 8));
		return;
	case 1:
		s->data[at] = (char)random_below(seed, 256);
		return;
	case 2:
		s->data[at] = (char)telling[random_below(seed, sizeof(telling))];
		return;
	case 3: /* a range again */
		replace(s, at + n, 0, s->data + at, n);
		return;
	case 4: /* without a range */
		replace(s, at, n, "", 0);
		return;
	case 5:
		splice(in, s, at, n, seed);
		return;
	default:
		s->len = random_below(seed, 8) ? s->len : at;
	}
}

/* Each input is a heap block of its own length: reading beyond it is noticed. */
static void run(const struct str *input, struct present *present)
{
	_cleanup(free) uint8_t *exact = mem_alloc(input->len ? input->len : 1);

	memcpy(exact, str_text(input), input->len);
	memcpy(present->bytes, exact, input->len);
	present->len = input->len;
	LLVMFuzzerTestOneInput(exact, input->len);
}

static void run_mutations(const struct inputs *in, size_t index, unsigned long mutations,
                          struct present *present)
{
	const struct str *input = &in->bytes[index];
	uint64_t seed = index + 1;

	for (unsigned long i = 0; i < mutations && input->len > 0; i++) {
		_cleanup(str) struct str mutant = {0};

		str_append_bytes(&mutant, input->data, input->len);
		for (size_t n = 1 + random_below(&seed, 4); n > 0 && mutant.len > 0; n--)
			mutate(in, &mutant, &seed);
		present->mutation = i + 1;
		run(&mutant, present);
	}
}

static void run_all(const struct inputs *in, unsigned long mutations, struct present *present)
{
	for (size_t i = 0; i < in->count; i++) {
		str_copy(present->name, sizeof(present->name), in->names[i]);
		present->mutation = 0;
		run(&in->bytes[i], present);
		run_mutations(in, i, mutations, present);
	}
	printf("%zu inputs, %lu mutations of each\n", in->count, mutations);
}

static void keep(const char *program, const struct present *present)
{
	const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;
	_cleanup(free) char *path = mem_printf("crash-%s", str_starts(name, "fuzz_") ? name + 5 : name);
	FILE *f = fopen(path, "wb");
	bool ok = f && fwrite(present->bytes, 1, present->len, f) == present->len;

	if ((f && fclose(f) != 0) || !ok)
		fprintf(stderr, "cannot write %s: %s\n", path, strerror(errno));
	fprintf(stderr, "%s, mutation %lu, ends the process; it is kept in %s\n", present->name,
	        present->mutation, path);
}

/* 0 when the child ran all inputs to its end. */
static int run_in_child(const char *program, const struct inputs *in, unsigned long mutations)
{
	struct present *present =
	        mmap(NULL, sizeof(*present), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0;
	pid_t pid;

	if (present == MAP_FAILED || (pid = fork()) < 0) {
		fprintf(stderr, "cannot start: %s\n", strerror(errno));
		return -1;
	}
	if (pid == 0) {
		run_all(in, mutations, present);
		exit(0); /* looks for leaks, too */
	}
	waitpid(pid, &status, 0);
	if (status != 0)
		keep(program, present);
	return status == 0 ? 0 : -1;
}

static void finish(struct inputs *in)
{
	for (size_t i = 0; i < in->count; i++) {
		str_finish(&in->bytes[i]);
		free(in->names[i]);
	}
	free(in->bytes);
	free(in->names);
}

int main(int argc, char **argv)
{
	unsigned long mutations = DEFAULT_MUTATIONS;
	struct inputs in = {0};
	int r = 0;

	for (int option; (option = getopt(argc, argv, "m:")) != -1;) {
		if (option == '?')
			return 2;
		mutations = strtoul(optarg, NULL, 10);
	}
	for (int i = optind; i < argc && r == 0; i++)
		r = read_inputs(&in, argv[i]);
	if (r == 0 && in.count == 0) {
		fprintf(stderr, "no inputs\n");
		r = -ENOENT;
	}
	if (r == 0)
		r = run_in_child(argv[0], &in, mutations);
	finish(&in);
	return r < 0 ? 1 : 0;
}
