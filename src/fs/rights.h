// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Who may have what. Without allow_other, and [export] or rules of [control], the modes say it, and the kernel sees to it; all of this does nothing then. With both, a tenant's admin
 * (keepfs/export/admins.h) may have what is his tenant's, and nothing else: no mode can say that, since a tenant may have several admins, and the names of
 * the others are nobody's business. Nor can a mode say it when files of control/ have rules of their own (control_rules.h). So such a mount is `gated`:
 *
 *   - each request but those on open files is asked about here, by whoever makes it; a foreign tenant is -ENOENT, as one that is not there;
 *   - the kernel keeps no name through which a caller could come past that question: those in the root of the mount, of tenants, and of runs;
 *   - the modes of what a tenant's admin passes or reads are wider than configured (rights_widen()), since the kernel asks them first. exports/, links/ and jobs/
 *     may be passed, not read: whoever may read a directory may have the kernel tell him (inotify) the names of what others open in it.
 *
 * Root, the user of the daemon and the owner of the files may have everything; whoever is no tenant's admin what the modes of the configuration say.
 */
#include "fs_private.h"

#include <keepfs/export/admins.h>

enum right {
	RIGHT_LOOK,  /* to find it, know its attributes, and read it when it is a file */
	RIGHT_LIST,  /* of a directory: to read its entries */
	RIGHT_WRITE, /* to open it for writing */
};

/** rights_init() - is this mount gated? Once, before it serves. May wait for a directory service. */
void rights_init(struct fs *fs);
void rights_finish(struct fs *fs);
/** rights_of() - who makes the request @req; reads /proc, for his groups, unless he may have everything anyway. */
void rights_of(fuse_req_t req, struct rights *ret);
/** rights_let() - may he? May ask the catalog. */
bool rights_let(struct fs *fs, const struct rights *rights, const struct node *node, enum right right);
/** rights_refusal() - what he is told of a node in @directory (NULL: he knows that it is there): -ENOENT, or -EACCES of what everybody knows of. */
int rights_refusal(const struct node *directory);
/** rights_see_all() - he is nobody's admin, so that he reads what keepfs writes for those who run it. */
bool rights_see_all(const struct rights *rights);

/** rights_widen() - of a gated mount: the modes, and what attributes would tell of others. */
void rights_widen(struct fs *fs, const struct node *node, struct stat *st);
/** rights_keep_name() - may the kernel keep the name of @node? */
bool rights_keep_name(const struct fs *fs, const struct node *node);

/** rights_tenant_of() - heap: the directory of the tenant that @node is of ("acme"): its exports, links, and what is beside them, and runs that export it alone. NULL: of
 * none. */
char *rights_tenant_of(struct fs *fs, const struct node *node);
