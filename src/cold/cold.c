// SPDX-License-Identifier: Apache-2.0
/*
 * When artifacts are moved. Of each step of a job those are due that are as old as it says, and not as old as the next one says; so each artifact has one class in which it is to be, whatever was missed. The catalog
 * finds them; what it does not know, as after a rebuild, is asked of the store before anything is moved, object by object.
 *
 * By a clock that is doubtful nothing is moved. What fails is tried again after an hour, two, … up to a day; a store that does not answer, or may not be written to at the moment, holds up all for ten minutes.
 */
#include <keepfs/artifact.h>
#include <keepfs/artifact/class.h>
#include <keepfs/base/alarm.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/classes.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/cold.h>
#include <keepfs/conf.h>
#include <keepfs/policy/classes.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define PAUSE_US (INT64_C(600) * US_PER_S)
#define AGAIN_US (INT64_C(3600) * US_PER_S)
#define MOST_US  (INT64_C(86400) * US_PER_S)

struct cold {
	struct repository *repo;
	struct conf_live *live;
	struct artifact_events events;
	struct alarm alarm;
	struct cancel cancel;
	atomic_bool ends;
	atomic_bool any;  /* some job has class_after: so what is listed is worth a look */
	bool is_doubtful; /* the thread's: that the clock is, was told */
	pthread_t thread;
	bool has_thread;
};

static void note_class_move(struct cold *c, const char *path, const struct artifact_move *how)
{
	char size[16];
	_cleanup(free) char *detail = mem_printf(
	        "%s: %u objects, %s%s%s", how->class, how->objects,
	        str_format_bytes(size, sizeof(size), how->bytes),
	        how->left == 0         ? ""
	        : how->locked_until[0] ? "; what they were before is stored as well, until "
	                               : "; what they were before is stored as well, as an earlier version",
	        how->left > 0 ? how->locked_until : "");
	struct catalog_audit entry = {.at_us = clock_now_us(),
	                              .uid = -1,
	                              .pid = -1,
	                              .command = "keepfs",
	                              .action = "class",
	                              .result = "ok"};
	struct error err = {0};

	log_info("%s is in another storage class now: %s", path, detail);
	str_cut(entry.object, sizeof(entry.object), path);
	str_cut(entry.detail, sizeof(entry.detail), detail);
	if (catalog_add_audit(c->repo->catalog, &entry, &err) < 0)
		log_warning("that %s was moved could not be noted in the audit: %s", path, err.message);
}

static int64_t pause_after(int64_t failures)
{
	int64_t pause_us = AGAIN_US;

	for (int64_t i = 1; i < failures && pause_us < MOST_US; i++)
		pause_us *= 2;
	return pause_us < MOST_US ? pause_us : MOST_US;
}

static void put_off_move(struct cold *c, uint64_t ino, const char *path, int r, const struct error *why)
{
	struct catalog_class row = {.ino = ino};
	struct error err = {0};

	(void)catalog_class_of(c->repo->catalog, ino, &row);
	/* It is in use: no failure. */
	if (r == -EBUSY) {
		row.next_try_us = clock_now_us() + PAUSE_US;
	} else {
		row.failures++;
		row.next_try_us = clock_now_us() + pause_after(row.failures);
		str_cut(row.why, sizeof(row.why), why->message);
		log_warning("%s could not be moved into another storage class, which is tried again: %s",
		            path, why->message);
	}
	if (catalog_set_class(c->repo->catalog, &row, &err) < 0)
		log_warning("%s", err.message);
}

/* What says nothing of this one artifact. */
static bool is_trouble_of_store(int r, const struct error *why)
{
	return r != -EBUSY && (why->retry || why->class == ERROR_UNAVAILABLE || why->class == ERROR_TIMEOUT ||
	                       why->class == ERROR_CANCELLED);
}

/* Return: 0: go on; negative: not now. */
static int move_due_class(struct cold *c, const struct conf *conf, uint64_t ino, const char *class)
{
	_cleanup(free) char *path = catalog_path(c->repo->catalog, ino);
	struct artifact_move how = {.class = class,
	                            .part_bytes = conf->store.part_bytes,
	                            .max_parts =
	                                    conf->store.max_parts > 0 ? (unsigned)conf->store.max_parts : 0,
	                            .delete_versions = conf->store.delete_versions,
	                            .now_us = clock_now_us(),
	                            .cancel = &c->cancel};
	struct error why = {0};
	int r = path ? artifact_move(c->repo, ino, &how, &why) : -ENOENT;

	if (r == 0 && how.objects > 0)
		note_class_move(c, path, &how);
	if (r == 0 || r == -ENOENT)
		return 0;
	if (r == -ECANCELED)
		return r;
	if (is_trouble_of_store(r, &why)) {
		log_warning("no backup is moved into another storage class for now: %s", why.message);
		return r;
	}
	put_off_move(c, ino, path, r, &why);
	/* What is not allowed for one is allowed for none. */
	return why.class == ERROR_DENIED ? r : 0;
}

static struct catalog_class_step window_of(const struct conf_job *job, const struct class_step *steps,
                                           size_t count, size_t i, int64_t now_us)
{
	return (struct catalog_class_step){.job = job->name,
	                                   .class = steps[i].class,
	                                   .is_archive = class_is_archive(steps[i].class),
	                                   .from_us = i + 1 < count ? now_us - steps[i + 1].after_s * US_PER_S
	                                                            : INT64_MIN,
	                                   .to_us = now_us - steps[i].after_s * US_PER_S,
	                                   .now_us = now_us};
}

static int64_t earlier_us(int64_t a_us, int64_t b_us)
{
	return a_us < b_us ? a_us : b_us;
}

/* Return: 0, and when the next is due; negative: not now. */
static int move_of_step(struct cold *c, const struct conf *conf, const struct conf_job *job,
                        const struct class_step *steps, size_t count, size_t i, int64_t *io_next_us)
{
	int64_t now_us = clock_now_us(), next_us;
	struct catalog_class_step step = window_of(job, steps, count, i, now_us);
	uint64_t ino, last = 0;
	int r = 0;

	while (r == 0 && !atomic_load(&c->ends) && catalog_next_to_move(c->repo->catalog, &step, &ino) == 0) {
		/* That it was put off could not be kept. */
		if (ino == last)
			return -EIO;
		last = ino;
		r = move_due_class(c, conf, ino, steps[i].class);
		step.now_us = now_us;
	}
	if (r == 0 && catalog_next_class_time(c->repo->catalog, job->name, steps[i].after_s * US_PER_S,
	                                      now_us, &next_us) == 0)
		*io_next_us = earlier_us(*io_next_us, next_us + 1);
	return r;
}

static int move_of_job(struct cold *c, const struct conf *conf, const struct conf_job *job,
                       int64_t *io_next_us)
{
	struct class_step steps[CLASS_STEPS_MAX];
	size_t count = 0;
	int r = class_steps_parse(job->class_after, steps, &count, NULL);

	/* What is oldest first: it saves most. */
	for (size_t i = count; r == 0 && i-- > 0;)
		r = move_of_step(c, conf, job, steps, count, i, io_next_us);
	return r;
}

static bool has_class_after(const struct conf_job *job)
{
	return job->class_after && job->class_after[0];
}

/* By a clock by which nothing may be deleted nothing is made unreadable, and paid for, either. */
static bool is_clock_trusted(struct cold *c)
{
	struct artifact_time time;
	struct error why = {0};
	bool was_doubtful = c->is_doubtful;

	artifact_read_clock(&time);
	c->is_doubtful = artifact_check_clock(c->repo, &time, &why) < 0;
	if (c->is_doubtful && !was_doubtful)
		log_warning("nothing is moved into another storage class while the clock is doubtful: %s",
		            why.message);
	return !c->is_doubtful;
}

static bool has_any_class_after(const struct conf *conf)
{
	for (size_t i = 0; i < conf->job_count; i++)
		if (has_class_after(&conf->jobs[i]))
			return true;
	return false;
}

/* A copy that waits for its turn keeps it out of the archive, and nothing tells when it is made. */
static int64_t move_all_due(struct cold *c, const struct conf *conf)
{
	int64_t next_us = ALARM_NEVER;
	bool any = has_any_class_after(conf);

	atomic_store(&c->any, any);
	if (any && !is_clock_trusted(c))
		return clock_now_us() + PAUSE_US;
	for (size_t i = 0; i < conf->job_count && !atomic_load(&c->ends); i++) {
		if (!has_class_after(&conf->jobs[i]))
			continue;
		if (move_of_job(c, conf, &conf->jobs[i], &next_us) < 0)
			next_us = earlier_us(next_us, clock_now_us() + PAUSE_US);
		if (conf->jobs[i].copies && conf->jobs[i].copies[0])
			next_us = earlier_us(next_us, clock_now_us() + AGAIN_US);
	}
	return next_us;
}

/* What was under way when the last process ended has left an upload. */
static int64_t end_old_moves(struct cold *c)
{
	struct catalog_class row = {0};
	int64_t next_us = ALARM_NEVER;

	while (!atomic_load(&c->ends) && catalog_next_moving(c->repo->catalog, row.ino, &row) == 0) {
		struct error why = {0};

		if (artifact_end_move(c->repo, &row, &c->cancel, &why) == 0)
			continue;
		next_us = clock_now_us() + PAUSE_US;
		if (why.class != ERROR_CANCELLED)
			log_warning("an upload that is left of moving %s is aborted later: %s", row.path,
			            why.message);
	}
	return next_us;
}

static void *cold_main(void *arg)
{
	struct cold *c = arg;
	int64_t left_us = 0;

	while (!atomic_load(&c->ends)) {
		const struct conf *conf = conf_live_ref(c->live);
		int64_t next_us;

		if (left_us <= clock_now_us())
			left_us = end_old_moves(c);
		next_us = earlier_us(move_all_due(c, conf), left_us);
		conf_unref(conf);
		if (!atomic_load(&c->ends) && next_us > clock_now_us())
			alarm_sleep(&c->alarm, next_us);
	}
	return NULL;
}

void cold_look(struct cold *c)
{
	if (c)
		alarm_wake(&c->alarm);
}

static void note_listed_or_copied(void *arg, const struct manifest *m)
{
	struct cold *c = arg;

	if (atomic_load(&c->any))
		alarm_wake(&c->alarm);
}

int cold_new(struct repository *repo, struct conf_live *live, struct cold **ret, struct error *err)
{
	struct cold *c = mem_alloc(sizeof(*c));
	int r;

	c->repo = repo;
	c->live = live;
	cancel_init(&c->cancel);
	c->events = (struct artifact_events){
	        .listed = note_listed_or_copied, .rewrapped = note_listed_or_copied, .arg = c};
	r = alarm_open(&c->alarm);
	if (r < 0) {
		cold_free(c);
		return error_system(err, -r,
		                    "there is no timer for moving backups into other storage classes");
	}
	repository_listen(repo, &c->events);
	*ret = c;
	return 0;
}

int cold_start(struct cold *c, struct error *err)
{
	int r = thread_start(&c->thread, "cold", cold_main, c);

	c->has_thread = r == 0;
	return r < 0 ? error_system(
	                       err, -r,
	                       "the thread that moves backups into other storage classes cannot be started")
	             : 0;
}

struct cold *cold_free(struct cold *c)
{
	if (!c)
		return NULL;
	atomic_store(&c->ends, true);
	cancel_set(&c->cancel);
	if (c->has_thread) {
		alarm_wake(&c->alarm);
		pthread_join(c->thread, NULL);
	}
	alarm_close(&c->alarm);
	cancel_finish(&c->cancel);
	free(c);
	return NULL;
}
