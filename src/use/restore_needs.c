// SPDX-License-Identifier: Apache-2.0
#include "restore_needs.h"

#include "restore_choose.h"
#include "restore_words.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/lacking.h>

#include <errno.h>
#include <string.h>

struct names { /* each once */
	char **items;
	size_t count, last; /* last: that was added or found, which most often is the next one, too */
};

struct needs {
	const struct restore_toc *toc;
	const struct restore_database_options *options;
	struct names roles, extensions, tablespaces;
};

static bool has_needed_name(struct names *n, const char *name)
{
	if (n->count > 0 && str_equal(n->items[n->last], name))
		return true;
	for (size_t i = 0; i < n->count; i++) {
		if (!str_equal(n->items[i], name))
			continue;
		n->last = i;
		return true;
	}
	return false;
}

static void add_needed_name(struct names *n, const char *name)
{
	if (!*name || has_needed_name(n, name))
		return;
	n->items = mem_resize(n->items, n->count + 2, sizeof(*n->items));
	n->last = n->count;
	n->items[n->count++] = mem_strdup(name);
	n->items[n->count] = NULL;
}

static void finish_names(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->items[i]);
	free(n->items);
}

static void add_grantees(struct needs *n, const char *script)
{
	_cleanup(restore_statements) struct restore_statements roles = {0};

	restore_grantees(script, &roles);
	for (size_t i = 0; i < roles.count; i++)
		add_needed_name(&n->roles, roles.items[i]);
}

static int take_need(void *arg, const struct pg_archive_entry *e, struct error *err)
{
	struct needs *n = arg;
	const struct restore_database_options *o = n->options;

	if (!restore_is_chosen(n->toc, e->dump_id))
		return 0;
	if (str_equal(e->desc, "EXTENSION"))
		add_needed_name(&n->extensions, e->tag);
	if (!o->no_owner)
		add_needed_name(&n->roles, e->owner);
	if (!o->no_privileges && (str_equal(e->desc, "ACL") || str_equal(e->desc, "DEFAULT ACL")))
		add_grantees(n, e->defn);
	add_needed_name(&n->tablespaces, e->tablespace);
	return 0;
}

static int ask_for_needed(const struct needs *n, enum pg_needed what, const struct names *names,
                          struct str *ret, struct error *err)
{
	const struct restore_database_options *o = n->options;
	const struct pg_server_place place = {.server = o->server, .cancel = o->cancel};

	/* What is there stays there, unless it is dropped first. */
	return pg_names_lacking(&place, o->create || o->clean ? NULL : o->database, what,
	                        (const char *const *)names->items, ret, err);
}

static void append_need(struct str *text, const struct str *names, const char *what, const char *remedy)
{
	if (names->len > 0)
		str_appendf(text, "%s%s %s (%s)", text->len > 0 ? "; " : "", what, str_text(names), remedy);
}

static int tell_lacking(const struct needs *n, struct error *err)
{
	_cleanup(str) struct str roles = {0}, extensions = {0}, tablespaces = {0}, text = {0};
	int r = ask_for_needed(n, PG_NEEDED_ROLES, &n->roles, &roles, err);

	if (r == 0)
		r = ask_for_needed(n, PG_NEEDED_EXTENSIONS, &n->extensions, &extensions, err);
	if (r == 0)
		r = ask_for_needed(n, PG_NEEDED_TABLESPACES, &n->tablespaces, &tablespaces, err);
	if (r < 0)
		return r;
	append_need(&text, &roles, "the roles",
	            "make them (CREATE ROLE), or leave them out with no_owner=yes no_privileges=yes");
	append_need(&text, &extensions, "the extensions",
	            "install their packages on the server's host, or leave them out with extensions=no");
	append_need(
	        &text, &tablespaces, "the tablespaces",
	        "make them (CREATE TABLESPACE), or restore this one with pg_restore --no-tablespaces from the mount");
	if (text.len == 0)
		return 0;
	return error_set(err, ERROR_CONFLICT, ENOENT,
	                 "the server does not have what the backup needs, and nothing was changed: %s",
	                 str_text(&text));
}

int restore_needs_check(const struct restore_toc *t, const struct restore_database_options *o,
                        struct error *err)
{
	struct needs n = {.toc = t, .options = o};
	const struct pg_archive_events events = {.entry = take_need, .arg = &n};
	int r = o->content == RESTORE_DATA ? 0 : inside_toc_each(&t->base, &events, err);

	if (r == 0)
		r = tell_lacking(&n, err);
	finish_names(&n.roles);
	finish_names(&n.extensions);
	finish_names(&n.tablespaces);
	return r;
}
