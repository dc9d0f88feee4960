// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What was written to a command file, for the function of its row (made_file.h). It belongs to the worker
 * that carries it out; the caller may have gone meanwhile, and the work goes on unheard.
 */
#include "fs_private.h"

#include <keepfs/catalog/audit.h>

struct command_handle;

struct command {
	struct pending pending;
	struct command_handle *handle; /* only to be touched between the claim of @pending and its answer */
	struct fs *fs;
	struct node node;           /* of the file */
	struct catalog_audit audit; /* who wrote it; the function completes and writes it */
	char by[128];               /* "uid 0 (bash)" */
	bool may_confirm;           /* [control] confirm_by names him */
	uint32_t login;             /* who has logged in, by confirm_login_of() */
	size_t bytes;               /* of the write: what a success returns */
	char text[];                /* one line without the white space around it, never empty */
};

/* Slots of the classes of command files. */
int command_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                 struct handle **ret_handle, struct error *err);
int command_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us);
/** command_keep_attributes() - `echo > control/trigger` truncates, `cp -p` sets times: harmless. */
int command_keep_attributes(struct fs *fs, const struct node *node, const struct stat *attr, int to_set);
