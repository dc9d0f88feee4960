// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Commands that wait for a second person ([control] confirm_by). What destroys something is not carried out when it is written, but kept, with a
 * number, which is drawn by chance; another user, whom confirm_by names, writes that number to control/confirm, and it is carried out as the one who ordered it, with his rights. What is not
 * confirmed within confirm_within is forgotten, and so is all that waits when the daemon ends: nothing happens by itself.
 *
 * Another user means another uid, and, where the kernel remembers who has logged in (the loginuid, which sudo and su leave as it is), another one of these.
 */
#include "command.h"

struct confirmations;

struct confirmations *confirmations_new(void);
/** confirmations_free() - NULL allowed; returns NULL. No command may be running. */
struct confirmations *confirmations_free(struct confirmations *c);

/** confirm_is_needed() - by the name of the file of control/ and what was written to it: does it destroy something? Pure. */
bool confirm_is_needed(const char *file, const char *text);
/** confirm_login_of() - the loginuid of a process; UINT32_MAX: not known. Reads /proc: to be asked while the process waits for its answer, since it may be killed behind that. */
uint32_t confirm_login_of(int64_t pid);
/** confirm_wait() - if @c is such a command, and somebody is named who confirms: keep it. Return: 1, with @answer: it waits; 0: it is to be carried out now; negative errno
 * with @err: it can neither be carried out nor wait. On a worker of this room. */
int confirm_wait(const struct command *c, struct str *answer, struct error *err);
/** command_confirm() - the row of control/confirm. */
int command_confirm(struct command *c, struct str *answer, struct error *err);
/** write_confirmations() - the text of status/confirmations. */
int write_confirmations(struct fs *fs, const struct node *node, struct spool *out);

extern const char confirm_help[];
