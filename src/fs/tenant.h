// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What exports/<tenant>/ holds beside the exports, and what the admin of a tenant reads of its runs. */
#include "made_file.h"
#include "node.h"

struct text;

/** tenant_child() - .explain.txt or .trigger of @directory when it is a tenant's, and @name is theirs; -ENOENT. They are not listed: whoever copies or searches a tree would
 * have the server asked for each tenant. */
int tenant_child(const struct node *directory, const char *name, struct node *ret);
/** tenant_help - the paragraph of control/README */
extern const char tenant_help[];
/** tenant_run_text() - the status of the run that @node is a file of, for the admin of the tenant that it exports: nothing of it comes from a server or a
 * configuration, or tells of others. Release with text_unref(). */
int tenant_run_text(struct fs *fs, const struct node *node, struct text **ret);
