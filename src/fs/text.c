// SPDX-License-Identifier: Apache-2.0
/*
 * The cache holds the newest text of a few files, keyed by inode and by a generation: a number that changes
 * when the text could. Making a text happens outside the lock; of two threads that make the same one, the
 * later is kept.
 */
#include "text.h"

#include "fs_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>

#include <string.h>

#define CACHED_TEXTS     32
#define HEALTH_AGE_US    (10 * US_PER_S) /* ages and free space change without a write to the catalog */
#define GENERATION_NEVER 0               /* never taken from the cache */

struct text {
	atomic_uint refs;
	uint64_t ino;
	uint64_t generation;
	int64_t made_at_us;
	struct spool *spool;
};

struct texts {
	pthread_mutex_t lock;
	struct text *cached[CACHED_TEXTS]; /* lock: most recently used first */
};

static const char readme[] =
        "One command per write; the answer can be read from the same descriptor, or afterwards with cat.\n"
        "\n"
        "trigger  echo now > trigger      make a backup with the first job of the configuration\n"
        "         echo JOB > trigger      make a backup with the job of that name\n"
        "         echo JOB KEY=VALUE ... > trigger\n"
        "                                 the same, but this once with other values of: format,\n"
        "                                 compression, content, jobs, schemas, exclude_schemas, tables,\n"
        "                                 exclude_tables, exclude_table_data, globals, verify, max_rate;\n"
        "                                 and note='why', which stays with the backup. Values are quoted as\n"
        "                                 for a shell. A backup of less than the job's is named so\n"
        "                                 (.schema.dump, .data.dump, .partial.dump)\n"
        "                                 answer: <run> pending <job>; watch it in jobs/<run>/\n"
        "         errors: EINVAL wrong command, EBUSY the job already runs; the reason: cat trigger\n"
        "probe    echo now > probe        check store, PostgreSQL, pg_dump and disk; the result: cat probe\n"
        "\n"
        "To hand out a backup: cat links/backups/<job>/<name> gives a URL that ends by itself\n"
        "To stop a run: echo 1 > jobs/<run>/cancel\n"
        "To remove a backup: rm backups/<job>/<name>, or rmdir when it is a directory. What lies beside it\n"
        "(.tables.csv, .globals.sql.gz) goes with it. The last whole one is refused.\n";

struct texts *texts_new(void)
{
	struct texts *t = mem_alloc(sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	return t;
}

struct texts *texts_free(struct texts *t)
{
	if (!t)
		return NULL;
	for (unsigned i = 0; i < CACHED_TEXTS; i++)
		text_unref(t->cached[i]);
	pthread_mutex_destroy(&t->lock);
	free(t);
	return NULL;
}

void text_unref(struct text *text)
{
	if (!text || atomic_fetch_sub(&text->refs, 1) != 1)
		return;
	spool_free(text->spool);
	free(text);
}

/* A reference to the cached text of @ino when it is of @generation (any, when GENERATION_NEVER); moves it to
 * the front. */
static struct text *find(struct texts *t, uint64_t ino, uint64_t generation)
{
	struct text *found = NULL;

	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < CACHED_TEXTS && t->cached[i]; i++) {
		struct text *text = t->cached[i];

		if (text->ino != ino)
			continue;
		if (generation != GENERATION_NEVER && text->generation != generation)
			break;
		memmove(&t->cached[1], &t->cached[0], i * sizeof(struct text *));
		t->cached[0] = text;
		atomic_fetch_add(&text->refs, 1);
		found = text;
		break;
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}

/* Put @text at the front, in place of an older text of the same file or of the least recently used one. */
static void keep(struct texts *t, struct text *text)
{
	unsigned at = 0;
	struct text *out;

	pthread_mutex_lock(&t->lock);
	while (at < CACHED_TEXTS - 1 && t->cached[at] && t->cached[at]->ino != text->ino)
		at++;
	out = t->cached[at];
	memmove(&t->cached[1], &t->cached[0], at * sizeof(struct text *));
	t->cached[0] = text;
	atomic_fetch_add(&text->refs, 1);
	pthread_mutex_unlock(&t->lock);
	text_unref(out);
}

static uint64_t generation_of(struct fs *fs, const struct node *node)
{
	uint64_t catalog = catalog_generation(fs->ctx.catalog) + 1;
	struct report_progress progress;

	if (node->kind == NODE_RUN_FILE && node->run_file == RUN_PROGRESS)
		return jobs_progress(fs->jobs, node->run.id, &progress) ? GENERATION_NEVER : catalog;
	if (node->kind != NODE_FIXED_FILE)
		return catalog;
	switch (node->fixed) {
	case FIXED_HEALTH:
		return catalog << 32 ^ (uint64_t)(clock_mono_us() / HEALTH_AGE_US);
	case FIXED_LAST_ERROR:
		return report_troubles_generation(fs->ctx.troubles) + 1;
	case FIXED_CONFIG:
	case FIXED_README:
		return 1;
	case FIXED_METRICS:
		return GENERATION_NEVER;
	default:
		return catalog;
	}
}

static void write_config(struct fs *fs, struct spool *out)
{
	_cleanup(str) struct str text = {0};

	conf_write_effective(fs->ctx.conf, &text);
	spool_append(out, str_text(&text), text.len);
}

static bool live_progress(void *arg, int64_t run_id, struct report_progress *ret)
{
	const struct fs *fs = arg;

	return jobs_progress(fs->jobs, run_id, ret);
}

static int write_metrics(struct fs *fs, struct spool *out)
{
	const struct report_sources sources = {
	        .catalog = fs->ctx.catalog,
	        .conf = fs->ctx.conf,
	        .troubles = fs->ctx.troubles,
	        .store = fs->ctx.store,
	        .store_metrics = fs->ctx.store_metrics,
	        .reader_metrics = fs->ctx.reader_metrics,
	        .cache = fs->ctx.cache,
	        .progress = live_progress,
	        .progress_arg = fs,
	};

	return report_metrics(&sources, out);
}

static int write_fixed(struct fs *fs, enum fixed_file file, struct spool *out)
{
	struct catalog *catalog = fs->ctx.catalog;

	switch (file) {
	case FIXED_HISTORY_CSV:
		return report_history_csv(catalog, out);
	case FIXED_HISTORY_JSONL:
		return report_history_jsonl(catalog, out);
	case FIXED_STATS:
		return report_stats_json(catalog, fs->ctx.conf, out);
	case FIXED_AUDIT:
		return report_audit_jsonl(catalog, out);
	case FIXED_METRICS:
		return write_metrics(fs, out);
	case FIXED_HEALTH:
		report_health(catalog, fs->ctx.conf, fs->ctx.troubles, clock_now_us(), out);
		break;
	case FIXED_LAST_ERROR:
		report_last_error(fs->ctx.troubles, out);
		break;
	case FIXED_CONFIG:
		write_config(fs, out);
		break;
	default:
		spool_append(out, readme, sizeof(readme) - 1);
		break;
	}
	return spool_error(out);
}

static int write_run_file(struct fs *fs, const struct node *node, struct spool *out)
{
	struct report_progress progress;
	struct node now;
	/* @node is from before the generation was read: the run may have ended in between. */
	int r = node_load(fs, node->ino, &now);

	if (r < 0)
		return r;
	switch (now.run_file) {
	case RUN_STATUS:
		return report_run_status(fs->ctx.catalog, &now.run, out);
	case RUN_PROGRESS:
		jobs_progress(fs->jobs, now.run.id, &progress);
		report_run_progress(&now.run, &progress, out);
		return spool_error(out);
	default:
		return report_run_log(fs->ctx.catalog, now.run.id, out);
	}
}

static struct text *text_new(struct fs *fs, uint64_t ino, uint64_t generation)
{
	struct text *text = mem_alloc(sizeof(*text));

	atomic_init(&text->refs, 1);
	text->ino = ino;
	text->generation = generation;
	text->made_at_us = clock_now_us();
	text->spool = spool_new(fs->ctx.conf->state_dir);
	return text;
}

int text_open(struct fs *fs, const struct node *node, struct text **ret_text)
{
	/* Read before the text is made: a change in between makes it look old, never new. */
	uint64_t generation = generation_of(fs, node);
	struct text *text = generation == GENERATION_NEVER ? NULL : find(fs->texts, node->ino, generation);
	int r;

	/* A text that is not whole is an error, never a shorter file. */
	if (!text) {
		text = text_new(fs, node->ino, generation);
		if (node->kind == NODE_SUMS)
			r = report_sums(fs->ctx.catalog, node->entry.ino, text->spool);
		else if (node->kind == NODE_RUN_FILE)
			r = write_run_file(fs, node, text->spool);
		else
			r = write_fixed(fs, node->fixed, text->spool);
		if (r < 0) {
			text_unref(text);
			return r;
		}
		keep(fs->texts, text);
	}
	*ret_text = text;
	return 0;
}

int text_size(struct fs *fs, const struct node *node, uint64_t *ret_bytes, int64_t *ret_made_at_us)
{
	struct text *text = NULL;
	int r = 0;

	/* A text that is made anew at each open (live progress, metrics): its size is that of the last open,
	 * which is what fstat is asked for. */
	if (generation_of(fs, node) == GENERATION_NEVER)
		text = find(fs->texts, node->ino, GENERATION_NEVER);
	if (!text)
		r = text_open(fs, node, &text);
	if (r < 0)
		return r;
	*ret_bytes = spool_size(text->spool);
	*ret_made_at_us = text->made_at_us;
	text_unref(text);
	return 0;
}

ssize_t text_read(const struct text *text, void *buf, size_t len, uint64_t offset)
{
	return spool_read(text->spool, buf, len, offset);
}

uint64_t text_bytes(const struct text *text)
{
	return spool_size(text->spool);
}

struct text *text_with(struct fs *fs, uint64_t ino, const char *content)
{
	struct text *text = text_new(fs, ino, GENERATION_NEVER);

	spool_append(text->spool, content, strlen(content));
	return text;
}

void text_set_answer(struct fs *fs, uint64_t ino, const char *answer)
{
	struct text *text = text_with(fs, ino, answer);

	keep(fs->texts, text);
	text_unref(text);
}

struct text *text_answer(struct fs *fs, uint64_t ino)
{
	return find(fs->texts, ino, GENERATION_NEVER);
}
