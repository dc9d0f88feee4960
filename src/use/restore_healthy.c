// SPDX-License-Identifier: Apache-2.0
/* Does the deployment work again? Each [check NAME] that names its bundle is a command, which is run until it is content: what was just started takes its time. */
#include "restore_bundle.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/proc.h>

#include <errno.h>

#define AGAIN_MS    1000
#define SHORTEST_MS 1000 /* that one try gets */

static int try_check(const struct restore_whole *w, const struct conf_check *check, int64_t timeout_ms,
                     struct error *err)
{
	_cleanup(free) char *deployment = mem_printf("KEEPFS_DEPLOYMENT=%s", w->name),
	                    *job = mem_printf("KEEPFS_JOB=%s", w->job->name),
	                    *run = mem_printf("KEEPFS_RUN=%lld", (long long)w->t->order->run_id),
	                    *backup = mem_printf("KEEPFS_BACKUP=%s", w->t->backup->path);
	const char *const env[] = {deployment, job, run, backup, NULL};
	const char *const argv[] = {"/bin/sh", "-c", check->command, NULL};
	const struct proc_options options = {.argv = argv,
	                                     .env = PROC_ENV_HOOK,
	                                     .extra_env = env,
	                                     .cancel = w->t->order->cancel,
	                                     .timeout_ms = timeout_ms,
	                                     .output_to_lines = true};
	_cleanup(proc) struct proc *p = NULL;
	int r = proc_start(&options, &p, err);

	return r < 0 ? r : proc_wait(p, err);
}

/* The last answer counts. */
static int ask_until_well(const struct restore_whole *w, const struct conf_check *check, struct error *err)
{
	int64_t end_us = clock_mono_us() + check->timeout_ms * 1000;
	int r;

	do {
		int64_t left_ms = (end_us - clock_mono_us()) / 1000;

		r = try_check(w, check, left_ms > SHORTEST_MS ? left_ms : SHORTEST_MS, err);
	} while (r < 0 && clock_mono_us() < end_us && !cancel_sleep_ms(w->t->order->cancel, AGAIN_MS));
	return r;
}

int restore_healthy(const struct restore_whole *w, struct error *err)
{
	int first = 0;

	for (size_t i = 0; w->job && i < w->conf->check_count; i++) {
		const struct conf_check *check = &w->conf->checks[i];
		int64_t began_us = clock_mono_us();
		struct error why = {0};
		int r;

		if (!conf_check_is_of_bundle(check, w->job->name))
			continue;
		r = ask_until_well(w, check, &why);
		if (r == 0) {
			make_say(w->t->order, "health check %s: well, after %.1f s", check->name,
			         (double)(clock_mono_us() - began_us) / (double)US_PER_S);
			continue;
		}
		make_say(w->t->order, "health check %s: FAILED: %s", check->name, why.message);
		if (first == 0) {
			first = r;
			error_prefix(&why, "the health check %s failed", check->name);
			if (err)
				*err = why;
		}
	}
	return first;
}
