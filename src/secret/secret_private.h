// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the files of this room share.
 *
 *   text.c      memory for secrets
 *   secret.c    where a secret is, and what may be in it
 *   file.c      a file: whose it is, and who can read it
 *   command.c   what a command prints, and for how long it is kept
 *   seal.c      what is encrypted for this host
 */
#include <keepfs/secret.h>

/** secret_text_room() - pages for SECRET_MAX_BYTES, one more and a NUL, all zero, in place of what @t holds; its len is 0. */
void secret_text_room(struct secret_text *t);

/** secret_file_path() - heap: where CONF_CREDENTIAL and a name leads, or a copy of the path. NULL with @err: this process was given no credentials. */
char *secret_file_path(const char *file, struct error *err);
/** secret_file_read() - the bytes of the file, as they are. @what names the key. */
int secret_file_read(const char *file, const char *what, bool open_file, struct secret_text *ret,
                     struct error *err);

/** secret_command_get() - what @command printed, now or a while ago. */
int secret_command_get(const char *command, const char *what, struct cancel *cancel, struct secret_text *ret,
                       struct error *err);
/** secret_use_clock() - what says how long ago a command was asked: for tests. */
void secret_use_clock(int64_t (*clock_ms)(void));
bool secret_command_is_kept(const char *command);
/** secret_command_forget() - false: it was asked only just now. */
bool secret_command_forget(const char *command);
