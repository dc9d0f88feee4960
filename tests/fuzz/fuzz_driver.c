// SPDX-License-Identifier: Apache-2.0
/*
 * Fuzzing without libFuzzer, the same on every run: archives built here and the files of directories, each as
 * it is and mutated many times.
 *
 * fuzz_driver [-m MUTATIONS] [-w DIRECTORY] [DIRECTORY…]
 * *	-m	how many of each input (default 100)
 * *	-w	only write the built archives there: libFuzzer's corpus to begin with
 */
#include "fuzz.h"

#include "../support/archive_build.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX_BYTES   (1 << 20)
#define DEFAULT_MUTATIONS 100

struct inputs {
	struct str *bytes;
	size_t count;
};

static struct str *add_input(struct inputs *in)
{
	in->bytes = mem_resize(in->bytes, in->count + 1, sizeof(*in->bytes));
	in->bytes[in->count] = (struct str){0};
	return &in->bytes[in->count++];
}

static void build_inputs(struct inputs *in)
{
	for (int minor = 12; minor <= 16; minor++) {
		struct archive_shape shape = archive_sound;

		shape.minor = minor;
		shape.compression = minor % 2;
		shape.offset_size = minor == 13 ? 4 : 8;
		archive_put_whole(add_input(in), &shape);
		archive_put_rich(add_input(in), &shape, 200);
	}
	archive_put_toc(add_input(in), &archive_sound);
}

static int read_inputs(struct inputs *in, const char *path)
{
	DIR *dir = opendir(path);
	int r = dir ? 0 : -errno;

	for (const struct dirent *e = dir ? readdir(dir) : NULL; e && r == 0; e = readdir(dir)) {
		_cleanup(free) char *file = mem_printf("%s/%s", path, e->d_name);

		if (e->d_name[0] != '.')
			r = fd_read_file(file, INPUT_MAX_BYTES, add_input(in));
	}
	if (dir)
		closedir(dir);
	if (r < 0)
		fprintf(stderr, "cannot read %s: %s\n", path, strerror(-r));
	return r;
}

static int write_inputs(const struct inputs *in, const char *path)
{
	for (size_t i = 0; i < in->count; i++) {
		_cleanup(free) char *name = mem_printf("%s/built-%zu.dump", path, i);
		FILE *f = fopen(name, "wb");
		bool ok = f && fwrite(in->bytes[i].data, 1, in->bytes[i].len, f) == in->bytes[i].len;

		if ((f && fclose(f) != 0) || !ok) {
			fprintf(stderr, "cannot write %s: %s\n", name, strerror(errno));
			return -EIO;
		}
	}
	return 0;
}

static uint64_t random_below(uint64_t *seed, uint64_t end)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 33) % end;
}

/* One change: of a bit, a byte, a length, or of how much there is. */
static void mutate(struct str *s, uint64_t *seed)
{
	static const uint8_t telling[] = {0, 1, 2, 3, 4, 5, 0x7f, 0x80, 0xff};
	size_t at = (size_t)random_below(seed, s->len), left = s->len - at;
	size_t n = 1 + (size_t)random_below(seed, left < 40 ? left : 40);
	_cleanup(str) struct str rest = {0};

	switch (random_below(seed, 6)) {
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
		str_append_bytes(&rest, s->data + at, left);
		s->len = at + n;
		str_append_bytes(s, rest.data, rest.len);
		return;
	case 4: /* without a range */
		str_append_bytes(&rest, s->data + at + n, left - n);
		s->len = at;
		str_append_bytes(s, str_text(&rest), rest.len);
		return;
	default:
		s->len = random_below(seed, 8) ? s->len : at;
	}
}

/* Each input is a heap block of its own length: reading beyond it is noticed. */
static void run(const struct str *input)
{
	_cleanup(free) uint8_t *exact = mem_alloc(input->len ? input->len : 1);

	memcpy(exact, str_text(input), input->len);
	LLVMFuzzerTestOneInput(exact, input->len);
}

static void run_mutations(const struct str *input, size_t index, unsigned long mutations)
{
	uint64_t seed = index + 1;

	for (unsigned long i = 0; i < mutations && input->len > 0; i++) {
		_cleanup(str) struct str mutant = {0};

		str_append_bytes(&mutant, input->data, input->len);
		for (uint64_t n = 1 + random_below(&seed, 4); n > 0 && mutant.len > 0; n--)
			mutate(&mutant, &seed);
		run(&mutant);
	}
}

static void run_all(const struct inputs *in, unsigned long mutations)
{
	for (size_t i = 0; i < in->count; i++) {
		run(&in->bytes[i]);
		run_mutations(&in->bytes[i], i, mutations);
	}
	printf("%zu inputs, %lu mutations of each\n", in->count, mutations);
}

static void finish(struct inputs *in)
{
	for (size_t i = 0; i < in->count; i++)
		str_finish(&in->bytes[i]);
	free(in->bytes);
}

int main(int argc, char **argv)
{
	unsigned long mutations = DEFAULT_MUTATIONS;
	const char *write_to = NULL;
	struct inputs in = {0};
	int r = 0;

	for (int option; (option = getopt(argc, argv, "m:w:")) != -1;) {
		if (option == '?')
			return 2;
		if (option == 'm')
			mutations = strtoul(optarg, NULL, 10);
		else
			write_to = optarg;
	}
	build_inputs(&in);
	for (int i = optind; i < argc && r == 0; i++)
		r = read_inputs(&in, argv[i]);
	if (r == 0 && write_to)
		r = write_inputs(&in, write_to);
	else if (r == 0)
		run_all(&in, mutations);
	finish(&in);
	return r < 0 ? 1 : 0;
}
