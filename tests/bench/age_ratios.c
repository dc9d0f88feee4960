// SPDX-License-Identifier: Apache-2.0
/*
 * age_ratios [MIB [ROUNDS [DIRECTORY]]]: what encryption costs, beside the same without it in the same run: a stream written as a dump is (rows,
 * compressed by two threads, the first bytes last), the file read from beginning to end through the reader in pieces of 128 KiB, and
 * random pieces of 64 KiB. The store is in DIRECTORY, /dev/shm unless told otherwise, so that nothing hides what it costs.
 */
#include "../support/tree.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>
#include <keepfs/reader/age.h>
#include <keepfs/stream/age.h>
#include <keepfs/stream/ordered.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define MIB          ((uint64_t)1 << 20)
#define PART_BYTES   (8 * MIB)
#define HEAD_BYTES   4096U
#define PIECE_BYTES  ((size_t)128 << 10)
#define RANDOM_BYTES ((size_t)64 << 10)
#define RANDOM_COUNT 400U
#define ROUNDS_MOST  50U
#define READER_MIB   64U
#define POOL_MIB     192U
#define NS_PER_MS    1e6
#define NS_PER_S     1e9

enum { PLAIN, ENCRYPTED, WAYS };

static const char *const names[WAYS] = {"plain", "age"};

struct figure {
	double wall_s, cpu_s;
};

struct way {
	const char *key;
	struct stream_age *age; /* NULL: plain */
	struct stream_facts facts;
	char sha256[SHA256_HEX_BYTES]; /* of the file, as its manifest has it */
	struct figure writes[ROUNDS_MOST], reads[ROUNDS_MOST];
	double p50_ms[ROUNDS_MOST];
	struct figure randoms[ROUNDS_MOST]; /* all of them */
};

struct bench {
	struct store *store;
	struct pool *pool;
	struct age_recipients *recipients;
	uint64_t raw_mib;
	unsigned rounds;
	struct way ways[WAYS];
	char *rows; /* 1 MiB of them */
	char directory[256];
};

static void must(int r, const struct error *err)
{
	if (r >= 0)
		return;
	fprintf(stderr, "age_ratios: %s\n", err->message);
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static struct figure begin_figure(void)
{
	return (struct figure){(double)now_ns() / NS_PER_S, cpu_s()};
}

static struct figure end_figure(struct figure begun)
{
	struct figure now = begin_figure();

	return (struct figure){now.wall_s - begun.wall_s, now.cpu_s - begun.cpu_s};
}

/* Writing. */

/* As rows are: some of them compresses well, and some not at all. About a third is left of them. */
static void make_rows(struct bench *b)
{
	_cleanup(str) struct str rows = {0};
	unsigned seed = 1;

	for (unsigned i = 0; rows.len < MIB; i++)
		str_appendf(&rows,
		            "%u\t%08x-1c3e-4f60-9a7b-%08x\tcustomer %u called about order %u\t%u.%02u\tt\t"
		            "2026-11-20 02:%02u:%02u.%06u+00\n",
		            i, (unsigned)rand_r(&seed), (unsigned)rand_r(&seed),
		            (unsigned)rand_r(&seed) % 7919, i, (unsigned)rand_r(&seed) % 5000,
		            (unsigned)rand_r(&seed) % 100, i % 60, i / 60 % 60,
		            (unsigned)rand_r(&seed) % 1000000);
	b->rows = str_take(&rows);
}

static int put_segment(void *object, const struct segment *s, const void *data, struct error *err)
{
	return stream_object_write(object, data, s->bytes, err);
}

static int put_mark(void *object, int what, uint64_t value, struct error *err)
{
	return 0;
}

static void write_rows(struct bench *b, struct stream_object *o)
{
	const struct press_options options = {.compression = {COMPRESSION_ZSTD, 1},
	                                      .threads = 2,
	                                      .pool = b->pool,
	                                      .out = {put_segment, put_mark, o}};
	struct press *p;
	struct error err = {0};

	must(press_new(&options, &p, &err), &err);
	for (uint64_t i = 0; i < b->raw_mib; i++)
		must(press_write(p, b->rows, MIB, &err), &err);
	must(press_finish(p, &err), &err);
	press_free(p);
}

static void write_way(struct bench *b, struct way *w, unsigned round)
{
	static char head[HEAD_BYTES];
	struct stream_stage stage = {0};
	struct stream_object *o;
	struct error err = {0};
	struct figure begun = begin_figure();

	extents_finish(&w->facts.extents);
	if (w->age) {
		stream_age_finish(w->age);
		must(stream_age_init(w->age, b->recipients, &err), &err);
		stage = stream_age_stage(w->age);
	}
	must(stream_object_new(&(struct stream_object_options){.store = b->store,
	                                                       .pool = b->pool,
	                                                       .key = w->key,
	                                                       .part_bytes = PART_BYTES,
	                                                       .head_bytes = HEAD_BYTES,
	                                                       .stage = w->age ? &stage : NULL},
	                       &o, &err),
	     &err);
	write_rows(b, o);
	must(stream_object_finish(o, head, &w->facts, &err), &err);
	stream_object_free(o);
	w->writes[round] = end_figure(begun);
}

/* Reading. */

struct read {
	struct reader_request base;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool answered; /* lock */
	int result;
	struct error err;
	struct sha256 *hash; /* of what is read; NULL */
};

static void read_done(struct reader_request *base, int result, const struct iovec *iov, int count,
                      const struct error *err)
{
	struct read *r = (struct read *)base;

	pthread_mutex_lock(&r->lock);
	for (int i = 0; r->hash && i < count; i++)
		sha256_update(r->hash, iov[i].iov_base, iov[i].iov_len);
	r->result = result;
	if (err)
		r->err = *err;
	r->answered = true;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static void read_piece(struct reader_file *f, uint64_t offset, size_t len, struct sha256 *hash)
{
	struct read r = {.base = {.offset = offset, .len = len, .tag = 1, .done = read_done},
	                 .lock = PTHREAD_MUTEX_INITIALIZER,
	                 .changed = PTHREAD_COND_INITIALIZER,
	                 .hash = hash};

	reader_read(f, &r.base);
	pthread_mutex_lock(&r.lock);
	while (!r.answered)
		pthread_cond_wait(&r.changed, &r.lock);
	pthread_mutex_unlock(&r.lock);
	must(r.result, &r.err);
}

static struct reader_file *open_way(struct bench *b, struct way *w, struct reader *reader)
{
	struct extents x = {0};
	struct reader_what what = {
	        .ino = 1, .key = w->key, .extents = &x, .sha256 = w->sha256, .whole = w->sha256[0] != '\0'};
	struct reader_file *f;
	struct error err = {0};

	for (size_t i = 0; i < w->facts.extents.count; i++)
		extents_append(&x, w->facts.extents.items[i].length, w->facts.extents.items[i].crc32c);
	if (w->age)
		what.layout = reader_age_layout(&w->age->key);
	must(reader_open(reader, &what, &f, &err), &err);
	return f;
}

static int compare_ms(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double random_p50_ms(struct way *w, struct reader_file *f, unsigned seed)
{
	double ms[RANDOM_COUNT];

	for (unsigned i = 0; i < RANDOM_COUNT; i++) {
		uint64_t offset = ((uint64_t)rand_r(&seed) << 16 ^ (uint64_t)rand_r(&seed)) % w->facts.bytes;
		int64_t begun = now_ns();

		read_piece(f, offset, RANDOM_BYTES, NULL);
		ms[i] = (double)(now_ns() - begun) / NS_PER_MS;
	}
	qsort(ms, RANDOM_COUNT, sizeof(*ms), compare_ms);
	return ms[RANDOM_COUNT / 2];
}

static struct reader *new_reader(struct bench *b, size_t buffers)
{
	static struct reader_metrics metrics;
	const struct reader_options options = {.store = b->store,
	                                       .pool = b->pool,
	                                       .buffers = buffers,
	                                       .threads = 8,
	                                       .ahead_bytes = buffers / 4 * MIB,
	                                       .metrics = &metrics};
	struct reader *reader;
	struct error err = {0};

	must(reader_new(&options, &reader, &err), &err);
	return reader;
}

/* As reading back does after a dump. */
static void hash_file(struct bench *b, struct way *w)
{
	struct reader *reader = new_reader(b, READER_MIB);
	struct sha256 *hash = sha256_new();
	uint8_t digest[SHA256_BYTES];
	struct reader_file *f;

	w->sha256[0] = '\0';
	f = open_way(b, w, reader);
	for (uint64_t at = 0; at < w->facts.bytes; at += PIECE_BYTES)
		read_piece(f, at, PIECE_BYTES, hash);
	sha256_final(hash, digest);
	hex_encode(digest, sizeof(digest), w->sha256);
	sha256_free(hash);
	reader_close(f, NULL);
	reader_free(reader);
}

/* As the daemon reads: the file's SHA-256 is compared on the way. */
static void read_in_order(struct bench *b, struct way *w, unsigned round)
{
	struct reader *reader = new_reader(b, READER_MIB);
	struct reader_file *f = open_way(b, w, reader);
	struct figure begun = begin_figure();
	struct reader_file_stats stats;

	for (uint64_t at = 0; at < w->facts.bytes; at += PIECE_BYTES)
		read_piece(f, at, PIECE_BYTES, NULL);
	w->reads[round] = end_figure(begun);
	reader_close(f, &stats);
	if (!stats.whole) {
		fprintf(stderr, "age_ratios: the file was not compared as a whole\n");
		exit(1);
	}
	reader_free(reader);
}

/* With few buffers, so that nearly each piece has to be fetched. */
static void read_at_random(struct bench *b, struct way *w, unsigned round)
{
	struct reader *reader = new_reader(b, READER_BUFFERS_MIN);
	struct reader_file *f = open_way(b, w, reader);
	struct figure begun = begin_figure();

	w->p50_ms[round] = random_p50_ms(w, f, round);
	w->randoms[round] = end_figure(begun);
	reader_close(f, NULL);
	reader_free(reader);
}

/* What it says. */

static double median(const double *values, unsigned count)
{
	double sorted[ROUNDS_MOST];

	memcpy(sorted, values, count * sizeof(*values));
	qsort(sorted, count, sizeof(*sorted), compare_ms);
	return sorted[count / 2];
}

static void medians(const struct figure *figures, unsigned count, struct figure *ret)
{
	double wall[ROUNDS_MOST], cpu[ROUNDS_MOST];

	for (unsigned i = 0; i < count; i++) {
		wall[i] = figures[i].wall_s;
		cpu[i] = figures[i].cpu_s;
	}
	*ret = (struct figure){median(wall, count), median(cpu, count)};
}

static void say_way(const struct bench *b, const struct way *w, const char *name)
{
	struct figure write, read, random;

	medians(w->randoms, b->rounds, &random);
	medians(w->writes, b->rounds, &write);
	medians(w->reads, b->rounds, &read);
	printf("  %-6s written %7.0f MB/s of rows, %6.2f s of processor; read %7.0f MB/s, %6.2f s; random p50 %.3f ms, %.3f ms of processor\n",
	       name, (double)(b->raw_mib * MIB) / 1e6 / write.wall_s, write.cpu_s,
	       (double)w->facts.bytes / 1e6 / read.wall_s, read.cpu_s, median(w->p50_ms, b->rounds),
	       random.cpu_s * 1e3 / RANDOM_COUNT);
}

static double ratio_of(const struct figure *over, const struct figure *under, unsigned rounds, bool cpu)
{
	double ratios[ROUNDS_MOST];

	for (unsigned i = 0; i < rounds; i++)
		ratios[i] = cpu ? over[i].cpu_s / under[i].cpu_s : over[i].wall_s / under[i].wall_s;
	return median(ratios, rounds);
}

static void say_ratios(const struct bench *b)
{
	const struct way *plain = &b->ways[PLAIN], *age = &b->ways[ENCRYPTED];
	unsigned n = b->rounds;

	printf("  dump: %.2f times as long (goal: 1.10), %.2f times the processor's time\n",
	       ratio_of(age->writes, plain->writes, n, false), ratio_of(age->writes, plain->writes, n, true));
	printf("  read in order: %.2f of plain (goal: 0.85), %.2f times the processor's time\n",
	       ratio_of(plain->reads, age->reads, n, false), ratio_of(age->reads, plain->reads, n, true));
	printf("  random 64 KiB: p50 %+.3f ms (goal: +0.2)\n",
	       median(age->p50_ms, n) - median(plain->p50_ms, n));
}

static void open_bench(struct bench *b, const char *parent)
{
	char secret[AGE_SECRET_TEXT_BYTES], recipient[AGE_RECIPIENT_BYTES];
	static struct stream_age age;
	struct error err = {0};

	snprintf(b->directory, sizeof(b->directory), "%s/keepfs-bench-XXXXXX", parent);
	if (!mkdtemp(b->directory))
		must(error_system(&err, errno, "%s", b->directory), &err);
	b->pool = pool_new(POOL_MIB * MIB);
	must(store_dir_new(b->directory, &b->store, &err), &err);
	b->recipients = age_recipients_new();
	age_identity_generate(secret, recipient);
	must(age_recipients_add(b->recipients, recipient, &err), &err);
	b->ways[PLAIN].key = "plain";
	b->ways[ENCRYPTED] = (struct way){.key = "plain.age", .age = &age};
	make_rows(b);
}

static void close_bench(struct bench *b)
{
	for (int way = 0; way < WAYS; way++)
		extents_finish(&b->ways[way].facts.extents);
	stream_age_finish(b->ways[ENCRYPTED].age);
	age_recipients_free(b->recipients);
	store_free(b->store);
	remove_tree(b->directory);
	pool_free(b->pool);
	free(b->rows);
}

int main(int argc, char **argv)
{
	struct bench b = {.raw_mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 1024,
	                  .rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 5};

	if (b.raw_mib == 0 || b.rounds == 0 || b.rounds > ROUNDS_MOST) {
		fprintf(stderr, "usage: age_ratios [MIB [ROUNDS [DIRECTORY]]]\n");
		return 2;
	}
	open_bench(&b, argc > 3 ? argv[3] : "/dev/shm");
	for (unsigned round = 0; round < b.rounds; round++) {
		for (int way = 0; way < WAYS; way++)
			write_way(&b, &b.ways[way], round);
		for (int way = 0; way < WAYS; way++)
			hash_file(&b, &b.ways[way]);
		for (int way = 0; way < WAYS; way++)
			read_in_order(&b, &b.ways[way], round);
		for (int way = 0; way < WAYS; way++)
			read_at_random(&b, &b.ways[way], round);
	}
	for (int way = 0; way < WAYS; way++)
		say_way(&b, &b.ways[way], names[way]);
	say_ratios(&b);
	close_bench(&b);
	return 0;
}
