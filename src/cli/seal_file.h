// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Files of secrets: sealed in place. */
#include <keepfs/secret.h>

/** seal_read_file() - all of a file that is to be sealed, whoever can read it. A regular one, no link, without other names. 0; negative errno with @err. */
int seal_read_file(const char *path, struct secret_text *ret, struct error *err);
/**
 * seal_file() - encrypt @path for the key of this host, in place
 *
 * The new file has owner and mode of the old one, is on the disk, and was opened again, before it takes its name in one step.
 * Return: 0; 1: it is sealed already, for this host; negative errno with @err, and the file is as it was.
 */
int seal_file(const char *path, struct error *err);
