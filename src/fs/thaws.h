// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Backups that are frozen in a storage class: what is told of them. */
#include <keepfs/base/spool.h>
#include <keepfs/base/str.h>
#include <stdbool.h>

struct catalog_class;
struct fs;
struct node;

/** write_thaws() - the text of status/thaws. Waits for the store. */
int write_thaws(struct fs *fs, const struct node *node, struct spool *out);
/** append_thaw_state() - "frozen", "asked for at …", "ready until …", as the catalog knows it; false: it is not frozen. */
bool append_thaw_state(const struct catalog_class *row, struct str *out);
