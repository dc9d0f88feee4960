// SPDX-License-Identifier: Apache-2.0
#include "restore_tenant.h"
#include "words.h"

#include <keepfs/base/mem.h>

#include <errno.h>

static int refuse_tenant_words(struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "write: TENANT from=BACKUP and one of mode=diff (what would change), mode=replace confirm=TENANT, into=NEW-TENANT; BACKUP is full/20261120T020000Z.dump, full, or exports/TENANT/20261120T020000Z.json.gz");
}

static int take_mode(const struct command_line *line, struct restore_tenant_words *w, struct error *err)
{
	const char *mode = words_pair(line, "mode");

	w->into = words_pair(line, "into");
	if ((mode != NULL) == (w->into != NULL) || (w->into && !*w->into))
		return refuse_tenant_words(err);
	if (w->into)
		w->mode = RESTORE_TENANT_BESIDE;
	else if (str_equal(mode, "replace"))
		w->mode = RESTORE_TENANT_REPLACE;
	else if (!str_equal(mode, "diff"))
		return refuse_tenant_words(err);
	return 0;
}

/* What the tenant has done since is lost with it: nobody does that with a slip of a key. */
static int check_typed(const struct command_line *line, const struct restore_tenant_words *w,
                       struct error *err)
{
	const char *confirm = words_pair(line, "confirm");

	if (w->mode != RESTORE_TENANT_REPLACE || str_equal(confirm, w->tenant))
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "mode=replace deletes what %.100s has now, and puts what the backup has in its place: look at mode=diff first, then write confirm=%.100s; nothing was done",
	        w->tenant, w->tenant);
}

int restore_tenant_words(const struct command_line *line, struct restore_tenant_words *ret, struct error *err)
{
	static const char *const allowed[] = {"from", "mode", "into", "confirm", "id", "note", NULL};
	struct restore_tenant_words w = {0};
	_cleanup(free) char *path = NULL;
	int r = words_check_pairs(line, allowed, err);

	if (r < 0)
		return r;
	if (line->word_count != 1 || !*line->words[0])
		return refuse_tenant_words(err);
	w.tenant = line->words[0];
	w.from = words_pair(line, "from");
	w.id = words_pair(line, "id");
	if (!w.from || !*w.from)
		return refuse_tenant_words(err);
	path = words_path(w.from);
	w.is_export = words_is_of_exports(path);
	r = take_mode(line, &w, err);
	if (r == 0)
		r = check_typed(line, &w, err);
	if (r == 0)
		*ret = w;
	return r;
}
