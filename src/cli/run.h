// SPDX-License-Identifier: Apache-2.0
#pragma once
/* One run in this process, without a mount. */
#include "engine.h"

#include <keepfs/catalog/runs.h>

struct run_request {
	const struct make_kind *work; /* another work than a job's; NULL: a job's */
	int argc;
	char *const *argv;   /* the job and its keys, as 'keepfs run' takes them; or the words of the work */
	const char *command; /* that asks for it: "run"; the history names it */
	bool quiet;          /* no progress on standard error */
	/* The run has ended, and the engine is still open: what else is to be known of it can be asked. */
	void (*ended)(void *arg, const struct engine *engine, const struct catalog_run *run);
	void *arg;
};

/** run_print_result() - struct run_request's ended(): what became of it, on standard output. @arg: the struct cli_options. */
void run_print_result(void *arg, const struct engine *engine, const struct catalog_run *run);

/**
 * run_to_end() - open the engine, make the run, follow it to its end, close the engine
 *
 * SIGINT, SIGTERM and SIGHUP cancel the run; they stay blocked when it returns. Return: 0 when the run has ended, however
 * (@ret->state); negative with @err: it could not begin.
 */
int run_to_end(const struct conf *conf, const struct run_request *request, struct catalog_run *ret,
               struct error *err);
