// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * poll(2) on jobs/<run>/…: readable (POLLIN | POLLPRI) once the run has changed since the file was opened, or
 * has ended. So whoever waits for a run waits, and does not ask again and again.
 */
#include "fs_private.h"

#include <poll.h>

#define WATCH_READY                                                                                          \
	(POLLIN | POLLPRI | POLLRDNORM) /* what poll(2) is told of a file that has something new */

struct watches;
struct watch;

struct watches *watches_new(void);
struct watches *watches_free(struct watches *w);
struct watch *watch_new(struct watches *w, int64_t run_id);
void watch_free(struct watch *watch);
DEFINE_CLEANUP(watch, struct watch *, watch_free)
/** watch_settle() - nothing more will change: ready from now on. */
void watch_settle(struct watch *watch);
/** watch_poll() - answer a poll; @ph (NULL: nobody waits) is consumed, and told when the run changes. */
void watch_poll(fuse_req_t req, struct watch *watch, struct fuse_pollhandle *ph);
/** watches_notify() - a run changed; any thread, no lock held. */
void watches_notify(struct watches *w, int64_t run_id);
