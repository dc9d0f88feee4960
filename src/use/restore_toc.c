// SPDX-License-Identifier: Apache-2.0
#include "restore_toc.h"

#include "restore_choose.h"

#include <keepfs/base/mem.h>

#include <unistd.h>

static int make_place(struct restore_toc *t, const struct backup *b, struct error *err)
{
	int r = inside_toc_place_make(&t->base, b->ctx->conf->state_dir, "restore-", &t->place, err);

	if (r < 0)
		return r;
	t->list = mem_printf("%s/list", t->place.directory);
	t->data_list = mem_printf("%s/data_list", t->place.directory);
	t->database_list = mem_printf("%s/database_list", t->place.directory);
	return 0;
}

int restore_toc_open(struct restore_toc *t, const struct restore_database_options *o, struct error *err)
{
	struct backup *b = o->backup;
	int r = inside_toc_open(&t->base, b, err);

	if (r == 0)
		r = make_place(t, b, err);
	if (r == 0 && !o->counts_later)
		r = inside_toc_take_counts(&t->base, b, err);
	return r < 0 ? r : restore_choose(t, o, err);
}

static void remove_list(char *path)
{
	if (path)
		unlink(path);
	free(path);
}

void restore_toc_finish(struct restore_toc *t)
{
	remove_list(t->list);
	remove_list(t->data_list);
	remove_list(t->database_list);
	inside_toc_place_remove(&t->place);
	inside_toc_finish(&t->base);
	free(t->wanted);
}
