// SPDX-License-Identifier: Apache-2.0
/*
 * Which runs wait for which. Each lane has threads of its own: so what somebody needs at once, a restore, never waits for what takes hours and
 * can wait, and what reads backups never holds up those that make them. How many there are in a lane is also how much memory the works may
 * take, as each has a pool of its own (docs/operations.md, "Memory").
 */
#include "job_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>

static const struct {
	const char *thread;
	unsigned threads; /* 0: as many as the configuration says */
} lanes[MAKE_LANES] = {
        [MAKE_LANE_BACKUP] = {"job-run", 0},
        /* One that reads everything takes days: a second one can be asked for meanwhile. */
        [MAKE_LANE_VERIFY] = {"job-verify", 2},
        /* One may be of a database that nobody waits for. */
        [MAKE_LANE_RESTORE] = {"job-restore", 2},
        [MAKE_LANE_DRILL] = {"job-drill", 1},
        [MAKE_LANE_LOOK] = {"job-look", 1},
        /* One may be written by a program that takes its time. */
        [MAKE_LANE_INBOX] = {"job-inbox", 4},
};

struct runner {
	struct jobs *jobs;
	enum make_lane lane;
	pthread_t thread;
};

static unsigned threads_of(const struct jobs *j, enum make_lane lane)
{
	return lanes[lane].threads ? lanes[lane].threads : (unsigned)j->options.ctx->conf->parallel_runs;
}

static struct run *find_pending_in(struct jobs *j, enum make_lane lane)
{
	struct run *run = j->runs;

	while (run && (run->state != LIVE_PENDING || request_lane(&run->request) != lane))
		run = run->next;
	return run;
}

static bool is_in_lane(const struct run *run, enum make_lane lane)
{
	return run->state != LIVE_ENDED && request_lane(&run->request) == lane;
}

static unsigned count_running(const struct jobs *j, enum make_lane lane)
{
	unsigned count = 0;

	for (const struct run *run = j->runs; run; run = run->next)
		count += run->state == LIVE_RUNNING && is_in_lane(run, lane);
	return count;
}

void lanes_tell_waiting(const struct jobs *j, const struct run *run, char *ret, size_t size)
{
	enum make_lane lane = request_lane(&run->request);
	_cleanup(str) struct str text = {0};

	ret[0] = '\0';
	if (run->state != LIVE_PENDING || count_running(j, lane) < threads_of(j, lane))
		return;
	for (const struct run *other = j->runs; other; other = other->next) {
		bool is_before = other->state == LIVE_RUNNING || other->id < run->id;

		if (other != run && is_before && is_in_lane(other, lane))
			str_appendf(&text, "%srun %lld (%s)", text.len > 0 ? ", " : "", (long long)other->id,
			            other->request.name);
	}
	str_cut(ret, size, str_text(&text));
}

static void *runner_main(void *arg)
{
	const struct runner *self = arg;
	struct jobs *j = self->jobs;

	pthread_mutex_lock(&j->lock);
	while (!j->stopping) {
		struct run *run = find_pending_in(j, self->lane);

		if (!run) {
			pthread_cond_wait(&j->changed, &j->lock);
			continue;
		}
		run->state = LIVE_RUNNING;
		pthread_mutex_unlock(&j->lock);
		run_execute(j, run);
		pthread_mutex_lock(&j->lock);
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

int lanes_start(struct jobs *j)
{
	unsigned wanted = 0;
	int r = 0;

	for (unsigned lane = 0; lane < MAKE_LANES; lane++)
		wanted += threads_of(j, lane);
	j->runners = mem_array(wanted, sizeof(*j->runners));
	for (unsigned lane = 0; r == 0 && lane < MAKE_LANES; lane++)
		for (unsigned i = 0; r == 0 && i < threads_of(j, lane); i++) {
			struct runner *runner = &j->runners[j->runner_count];

			*runner = (struct runner){.jobs = j, .lane = lane};
			r = thread_start(&runner->thread, lanes[lane].thread, runner_main, runner);
			j->runner_count += r == 0;
		}
	return r;
}

void lanes_join(struct jobs *j)
{
	for (unsigned i = 0; i < j->runner_count; i++)
		pthread_join(j->runners[i].thread, NULL);
	free(j->runners);
}
