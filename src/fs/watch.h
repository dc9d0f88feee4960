// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * poll(2) on jobs/<run>/…: readable (POLLIN | POLLPRI) once the run has changed since the file was opened, or
 * has ended. So whoever waits for a run waits, and does not ask again and again.
 */
#include "fs_private.h"

struct watches;
struct watch;

struct watches *watches_new(void);
struct watches *watches_free(struct watches *w);
struct watch *watch_new(struct watches *w, int64_t run_id);
void watch_free(struct watch *watch);
/** watch_settle() - nothing more will change: ready from now on. */
void watch_settle(struct watch *watch);
/** watches_notify() - a run changed; any thread, no lock held. */
void watches_notify(struct watches *w, int64_t run_id);
