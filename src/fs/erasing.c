// SPDX-License-Identifier: Apache-2.0
/* control/erase: who was erased must not come back with a backup. The audit says that something was entered, and of what table, never which row. */
#include "keeping.h"

#include "fs_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/make.h>
#include <keepfs/use/erasures.h>

#include <errno.h>
#include <unistd.h>

static int may_erase(const struct command *c, struct error *err)
{
	if (c->audit.uid == 0 || c->audit.uid == geteuid())
		return 0;
	return error_set(err, ERROR_DENIED, EPERM,
	                 "only the user of keepfs, and root, may register what is erased");
}

static int list_erasures(struct command *c, struct str *answer, struct error *err)
{
	const struct conf *conf = fs_conf_ref(c->fs);
	_cleanup(erasures) struct erasures *e = NULL;
	int r = erasures_load(conf, c->fs->ctx.repository, NULL, &e, err);

	if (r == 0)
		erasures_append(e, answer);
	fs_conf_unref(c->fs, conf);
	return r;
}

int command_erase(struct command *c, struct str *answer, struct error *err)
{
	_cleanup(free) char *object = NULL;
	int r = may_erase(c, err);

	if (r == 0 && str_equal(c->text, "list"))
		return list_erasures(c, answer, err);
	if (r == 0 && !c->fs->ctx.make)
		r = error_set(err, ERROR_INTERNAL, ENOSYS, "nothing can be registered here");
	if (r == 0)
		r = erasures_command(c->fs->ctx.make, c->text, c->by, NULL, answer, &object, err);
	audit(c->fs, &c->audit, "erase", object ? object : "what is no command", r,
	      r < 0 ? err->message : str_text(answer));
	return r;
}

const char erase_help[] =
        "erase    echo tenant acme > erase the tenant was erased, and must not come back: what a restore brings of it is deleted\n"
        "                                 before anybody may use the database; note='why'; id=17 when it is gone already\n"
        "         echo public.users id=4711 > erase      the same of rows of a table; database=NAME when there are several\n"
        "                                 Nothing is deleted in the living database. What is kept is a keyed hash, with\n"
        "                                 [keepfs] erasure_key_file; the audit does not have the key.\n"
        "         echo list > erase       what is registered: when, where, by whom\n"
        "         errors: EINVAL wrong command; EPERM for others than root and the user of keepfs; the reason: cat erase\n";
