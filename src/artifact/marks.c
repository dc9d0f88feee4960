// SPDX-License-Identifier: Apache-2.0
/*
 * What the store knows of an artifact beside its manifest: who holds it, and that it is in the trash. It is read before the
 * artifact is listed, and goes into the catalog in the same transaction: what is held is never listed without its hold, and
 * what somebody has removed is never seen, not for a moment.
 *
 * A mark of the trash hides something that somebody may want back, and ends in its deletion. So it counts only when it is
 * surely about this artifact, and when nobody holds it.
 */
#include "artifact_private.h"

#include <errno.h>

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>

/* Is it there? A page of a listing answers for many. */
static int find_mark(struct lookup *names, const char *key, struct error *err)
{
	const struct store_object *object;

	return names ? lookup_find(names, key, &object, err) : 0;
}

static int read_holds(struct store *store, const struct store_call *call, const char *path,
                      struct lookup *names, struct artifact_marks *marks, struct error *err)
{
	_cleanup(free) char *key = artifact_holds_key(path);
	int r = find_mark(names, key, err);

	if (r == 0)
		r = artifact_holds_read(store, call, path, &marks->holds, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	marks->known.has_holds = true;
	marks->known.says_all = marks->holds.understood;
	marks->known.holds = marks->holds.items;
	marks->known.hold_count = marks->holds.count;
	return 0;
}

static int read_trash(struct store *store, const struct store_call *call, const struct manifest *m,
                      int64_t now_us, struct lookup *names, struct artifact_marks *marks, struct error *err)
{
	_cleanup(free) char *key = artifact_trash_key(m->path);
	int r = find_mark(names, key, err);

	if (r == 0)
		r = artifact_trash_read(store, call, m, now_us, &marks->trash, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	marks->is_trashed = true;
	marks->removal = (struct catalog_removal){.is_decided = true,
	                                          .now_us = marks->trash.at_us,
	                                          .trash_until_us = marks->trash.until_us,
	                                          .by = marks->trash.by,
	                                          .reason = marks->trash.reason,
	                                          .is_marked = true};
	return 0;
}

/* Of the manifest's own hold it is not known whether it was ended, unless the object of holds says so. */
static bool is_held(const struct artifact_marks *marks, const struct manifest *m, int64_t now_us)
{
	if (m->hold && !marks->known.says_all)
		return true;
	for (size_t i = 0; i < marks->holds.count; i++)
		if (marks->holds.items[i].until_us == 0 || marks->holds.items[i].until_us > now_us)
			return true;
	return false;
}

int artifact_marks_read(struct store *store, const struct store_call *call, const struct manifest *m,
                        int64_t now_us, struct marks_lookup *names, struct artifact_marks *ret,
                        struct error *err)
{
	int r;

	*ret = (struct artifact_marks){0};
	r = read_holds(store, call, m->path, names ? &names->holds : NULL, ret, err);
	if (r == 0)
		r = read_trash(store, call, m, now_us, names ? &names->trash : NULL, ret, err);
	if (r < 0) {
		artifact_marks_finish(ret);
		return r;
	}
	ret->is_held = is_held(ret, m, now_us);
	ret->is_overruled = ret->is_trashed && ret->is_held;
	if (ret->is_trashed && !ret->is_overruled)
		ret->known.trash = &ret->removal;
	return 0;
}

void artifact_marks_finish(struct artifact_marks *marks)
{
	free(marks->holds.items);
	*marks = (struct artifact_marks){0};
}

/* Were the mark left, the artifact would be gone when its hold has ended, and a catalog is made anew. */
void artifact_marks_clear(struct store *store, const struct store_call *call, const char *path,
                          const struct artifact_marks *marks)
{
	_cleanup(free) char *key = artifact_trash_key(path);
	struct error err = {0};

	if (!marks->is_overruled)
		return;
	log_warning("%s says that %s was removed, but somebody holds it: it is listed", key, path);
	if (store_remove(store, call, key, &err) < 0)
		log_warning("%s could not be removed, do so by hand: %s", key, err.message);
}
