// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Users and groups of this host, as people write them: a name or a number. */
#include <stdint.h>
#include <sys/types.h>

/** account_id_parse() - a number as chown(1) takes it: digits alone, and not the one that means "nobody is named". 0 or -EINVAL. Pure. */
int account_id_parse(const char *text, uint32_t *ret);
/**
 * account_user() - the user @text: "anna" or "1000"
 * A name is looked up, which may wait for a directory service. Any thread. Return: 0; -ENOENT: it is no number, and nobody has that name.
 */
int account_user(const char *text, uid_t *ret);
/** account_group() - likewise of a group. */
int account_group(const char *text, gid_t *ret);
