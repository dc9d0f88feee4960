// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What differs between two schemas that are there as text (codec/sql_objects.h). */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/base/spool.h>

/**
 * schema_diff_write() - append to @out what diff_schema() does, of the texts @a and @b
 * @state_dir: for temporary files
 * Return: 0; -EFBIG: an object is too long; -ENOSPC; -ECANCELED.
 */
int schema_diff_write(const char *state_dir, const struct spool *a, const struct spool *b,
                      struct cancel *cancel, struct spool *out, struct error *err);
