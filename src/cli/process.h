// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What a process inherits from whoever started it, brought to what keepfs expects. */
#include <keepfs/base/error.h>
#include <keepfs/conf.h>

/**
 * process_prepare() - first of all in main(), before any descriptor is opened or thread started
 * Standard descriptors that are closed become /dev/null; SIGCHLD has its default action, and no signal is blocked; the
 * umask lets the owner use
 * what is made; there are no core dumps; as many files may be open as the system lets us.
 */
void process_prepare(void);
/** process_check_files() - may this process have enough files open at once for what @conf wants? -EMFILE with what to
 * do. */
int process_check_files(const struct conf *conf, struct error *err);
/** process_close_inherited() - descriptors that whoever started us left open, but for the standard ones. */
void process_close_inherited(void);
/** process_is_init() - of a container: its children are all that lost their parents, and signals that it has no handler
 * for do nothing. */
bool process_is_init(void);
