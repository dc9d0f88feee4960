// SPDX-License-Identifier: Apache-2.0
/*
 * See rights.h. The groups of a caller are read from /proc/<pid>/task by libfuse: exactly those that he has, not those that his name has in some directory
 * service, which could keep FUSE's threads waiting. The caller waits for his answer meanwhile, so that his number is his; one that is
 * killed gets no answer. A caller that the daemon cannot see, in another PID namespace, has the one group that the kernel tells.
 */
#include "rights.h"

#include "control_rules.h"
#include "made_file.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define STATUS_NAME "status"

void rights_init(struct fs *fs)
{
	bool has_admins = fs->ctx.make && fs->ctx.make->admins && conf_exports(fs->ctx.conf);

	fs->control = control_rules_new(&fs->ctx.conf->control);
	fs->is_gated = (has_admins || control_rules_any(fs->control)) && fs_lets_others(fs);
}

void rights_finish(struct fs *fs)
{
	fs->control = control_rules_free(fs->control);
}

void rights_of(fuse_req_t req, struct rights *ret)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct fs *fs = fs_of(req);
	struct export_person who = {.uid = ctx->uid, .gid = ctx->gid, .groups = ret->groups};
	int count;

	*ret = (struct rights){.uid = ctx->uid, .gid = ctx->gid};
	if (!fs->is_gated || ctx->uid == 0 || ctx->uid == geteuid() || ctx->uid == fs->ctx.conf->owner) {
		ret->has_all = true;
		return;
	}
	count = fuse_req_getgroups(req, RIGHTS_GROUPS, ret->groups);
	if (count > 0)
		ret->group_count = count < RIGHTS_GROUPS ? (size_t)count : RIGHTS_GROUPS;
	who.group_count = ret->group_count;
	ret->is_admin =
	        fs->ctx.make && fs->ctx.make->admins && export_admins_know(fs->ctx.make->admins, &who);
}

bool rights_see_all(const struct rights *rights)
{
	return !rights->is_admin;
}

/* What is whose. */

static const struct tree_root *exports_root(void)
{
	for (size_t i = 0; i < tree_roots_count; i++)
		if (tree_roots[i].is_job)
			return &tree_roots[i];
	return NULL;
}

static bool is_exports(const struct node *node)
{
	return node->root && node->root == exports_root();
}

/* What everybody may pass who has something behind it, and knows of anyway. */
static bool is_passage(const struct node *node)
{
	const struct node_class *class = node->class;

	return class == &class_top || class == &class_links || class == &class_jobs || is_exports(node);
}

/* Of the files of a run a tenant's admin may have one: the others tell of other tenants, too. */
static bool is_of_run(const struct node *node)
{
	return node->class == &class_run ||
	       (node->class == &class_run_text && strcmp(node->file->name, STATUS_NAME) == 0);
}

/* A run that exports one tenant has its slug when that one has begun, and before that in what was ordered. */
static char *tenant_of_run(const struct catalog_run *run)
{
	_cleanup(command_line) struct command_line line = {0};
	struct error ignored = {0};

	if (!str_equal(run->job, CONF_EXPORTS) || !str_equal(run->kind, "export"))
		return NULL;
	if (*run->org)
		return name_from_database(run->org);
	if (command_line_parse(run->options, &line, &ignored) < 0)
		return NULL;
	for (size_t i = 0; i < line.pair_count; i++)
		if (str_equal(line.pairs[i].key, "tenant"))
			return name_from_database(line.pairs[i].value);
	return NULL;
}

static bool is_of_directory(const struct node *node)
{
	static const struct node_class *const classes[] = {
	        &class_directory,      &class_linked_directory, &class_artifact,    &class_file,
	        &class_link,           &class_latest,           &class_sums,        &class_linked_latest,
	        &class_tenant_explain, &class_tenant_trigger,   &class_stored_sums,
	};

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (node->class == classes[i])
			return true;
	return false;
}

/* "acme" of "exports/acme/…" */
static char *tenant_of_path(const char *path)
{
	const char *name = strchr(path, '/');

	if (!name || tree_root_of(path) != exports_root())
		return NULL;
	return mem_printf("%.*s", (int)strcspn(name + 1, "/"), name + 1);
}

char *rights_tenant_of(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *path = NULL;

	if (is_of_run(node))
		return tenant_of_run(&node->run);
	if (!is_of_directory(node))
		return NULL;
	path = catalog_path(fs->ctx.repository->catalog, node->entry.ino);
	return path ? tenant_of_path(path) : NULL;
}

/* May he? */

static bool let_admin(struct fs *fs, const struct rights *rights, const struct node *node, enum right right)
{
	const struct export_person who = {.uid = rights->uid,
	                                  .gid = rights->gid,
	                                  .groups = rights->groups,
	                                  .group_count = rights->group_count};
	_cleanup(free) char *tenant = NULL;

	if (is_passage(node))
		return right == RIGHT_LOOK;
	if (right == RIGHT_WRITE && node->class != &class_tenant_trigger)
		return false;
	tenant = rights_tenant_of(fs, node);
	return tenant && export_admins_let(fs->ctx.make->admins, &who, tenant);
}

static bool is_in_group(const struct rights *rights, gid_t gid)
{
	if (rights->gid == gid)
		return true;
	for (size_t i = 0; i < rights->group_count; i++)
		if (rights->groups[i] == gid)
			return true;
	return false;
}

/* The modes as they are configured, since those that the kernel sees may be wider. */
static bool let_by_modes(struct fs *fs, const struct rights *rights, const struct node *node,
                         enum right right)
{
	const struct conf *conf = fs->ctx.conf;
	bool is_file = S_ISREG(node->class->type);
	mode_t mode = is_file ? file_permissions(fs, node) : conf->dir_mode, needed = is_file ? 4 : 5;

	/* It is known to whoever knows of the mount, and all in it is asked about. */
	if (node->class == &class_top && right == RIGHT_LOOK)
		return true;
	if (right == RIGHT_WRITE)
		needed |= 2;
	if (is_in_group(rights, conf->group))
		mode >>= 3;
	return (mode & needed) == needed;
}

/* control/ and what is in it. A file that has rules is for those of its rules alone. */

static bool is_control_directory(const struct node *node)
{
	return node->ino == INO_CONTROL;
}

static bool is_control_text(const struct node *node)
{
	return node->file && made_file_at(&control_files, node->ino - INO_FIXED) == node->file;
}

static bool is_ruled(const struct fs *fs, const struct node *node)
{
	return is_control_text(node) && node->file->run && control_rules_name(fs->control, node->file->name);
}

/* On the way to a file of which he may have something; README tells what there is. */
static bool is_way_to_control(const struct fs *fs, const struct rights *rights, const struct node *node,
                              enum right right)
{
	bool is_there = is_control_directory(node) || (is_control_text(node) && !node->file->run);

	if (right == RIGHT_WRITE || !(is_there || (node->class == &class_top && right == RIGHT_LOOK)))
		return false;
	return control_rules_know(fs->control, rights);
}

bool rights_let(struct fs *fs, const struct rights *rights, const struct node *node, enum right right)
{
	if (rights->has_all)
		return true;
	if (is_ruled(fs, node))
		return control_rules_let(fs->control, rights, node->file->name, right == RIGHT_WRITE);
	if (is_way_to_control(fs, rights, node, right))
		return true;
	return rights->is_admin ? let_admin(fs, rights, node, right) : let_by_modes(fs, rights, node, right);
}

int rights_refusal(const struct node *directory)
{
	return !directory || directory->class == &class_top || directory->class == &class_links ||
	                       directory->ino == INO_CONTROL
	               ? -EACCES
	               : -ENOENT;
}

/* What the kernel sees. */

static mode_t wider_mode(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *tenant = NULL;

	if (is_passage(node))
		return 0011;
	if (control_rules_any(fs->control) && is_control_directory(node))
		return 0055;
	if (control_rules_any(fs->control) && is_control_text(node) && !node->file->run)
		return 0044;
	if (is_ruled(fs, node))
		return 0066;
	tenant = rights_tenant_of(fs, node);
	if (!tenant)
		return 0;
	if (node->class == &class_tenant_trigger)
		return 0066;
	return node_is_directory(node) ? 0055 : 0044;
}

void rights_widen(struct fs *fs, const struct node *node, struct stat *st)
{
	if (!fs->is_gated)
		return;
	st->st_mode |= wider_mode(fs, node);
	if (!is_exports(node))
		return;
	/* How many tenants there are, and when one of them was exported. */
	st->st_nlink = 1;
	st->st_mtim = st->st_ctim = st->st_atim = clock_to_timespec(fs->started_at_us);
}

bool rights_keep_name(const struct fs *fs, const struct node *node)
{
	bool is_tenant = (node->class == &class_directory || node->class == &class_linked_directory) &&
	                 node->entry.parent_ino == exports_root()->catalog_ino;

	return !fs->is_gated || !(node->ino < INO_FIXED || node->class == &class_run || is_tenant);
}
