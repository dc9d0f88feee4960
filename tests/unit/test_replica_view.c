// SPDX-License-Identifier: Apache-2.0
/* A copy that is read by itself: what is known of it, what it keeps others from, and how people name it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "replica_fixture.h"

#include <keepfs/catalog/copy_tree.h>

#include "../../src/use/copied.h"

static struct replica_view_options options_of(struct two *t)
{
	return (struct replica_view_options){.repository = &t->f->repo,
	                                     .state_dir = t->f->state_dir,
	                                     .path = PATH,
	                                     .store = t->order.store};
}

static unsigned count_places(struct two *t)
{
	_cleanup(free) char *pattern =
	        mem_printf("ls -d %s/" REPLICA_VIEW_PREFIX "* 2>/dev/null | wc -l", t->f->state_dir);
	FILE *f = popen(pattern, "r");
	unsigned count = 99;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u", &count), 1);
	pclose(f);
	return count;
}

static void assert_reads(struct replica_view *v)
{
	struct repository *repo = replica_view_repository(v);
	_cleanup(store) struct store *store = NULL;
	_cleanup(manifest) struct manifest m = {0}, listed = {0};
	_cleanup(free) char *bytes = NULL;
	size_t len;

	assert_int_equal(artifact_read_manifest(repo, PATH, NULL, &m, NULL), 0);
	assert_int_equal(catalog_manifest(repo->catalog, ino_of_artifact(PATH), &listed), 0);
	assert_int_equal(listed.run_id, m.run_id);
	assert_int_equal(repository_reading_store_of_ino(repo, ino_of_artifact(PATH), &store, NULL), 0);
	assert_false(store_has_spares(store));
	assert_int_equal(store_get_all(store, NULL, PATH, 100, &bytes, &len, NULL), 0);
	assert_string_equal(bytes, BYTES);
}

/* Also of what was removed here; nothing of it gets into this catalog, and nothing is left of it. */
static void what_was_removed_is_read(void **state)
{
	struct two t;
	struct replica_view_options o;
	struct replica_view *v = NULL;

	two_init(&t, *state);
	o = options_of(&t);
	assert_int_equal(replica_view_new(&o, &v, NULL), -ENOENT);
	publish(t.f, PATH, 7, BYTES);
	publish(t.f, LATER, 8, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(replica_view_new(&o, &v, NULL), 0);
	assert_reads(v);
	assert_int_equal(count_places(&t), 1);
	assert_null(replica_view_free(v));
	remove_here(&t, PATH);
	assert_int_equal(replica_view_new(&o, &v, NULL), 0);
	assert_reads(v);
	assert_false(is_listed(t.f, PATH));
	replica_view_found_right(v, NULL);
	replica_view_free(v);
	assert_false(is_listed(t.f, PATH));
	assert_int_equal(count_places(&t), 0);
	two_finish(&t);
}

/* Who reads keeps it: it is neither removed nor made anew; several may read. */
static void what_is_read_stays(void **state)
{
	struct two t;
	struct replica_view_options o;
	struct replica_view *v = NULL, *other = NULL;
	struct error err = {0};
	uint64_t removed = 9;

	two_init(&t, *state);
	o = options_of(&t);
	publish(t.f, PATH, 7, BYTES);
	publish(t.f, LATER, 8, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(replica_make(&t.order, LATER, NULL, NULL), 0);
	assert_int_equal(replica_view_new(&o, &v, NULL), 0);
	assert_int_equal(replica_view_new(&o, &other, NULL), 0);
	assert_int_equal(replica_make(&t.order, PATH, NULL, &err), -EBUSY);
	assert_non_null(strstr(err.message, "is being read by itself"));
	assert_int_equal(replica_make(&t.order, LATER, NULL, NULL), 0);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_WHOLE);
	assert_int_equal(row_of(&t, PATH).attempts, 0);
	remove_here(&t, PATH);
	t.offsite.keeping.keep_last = 1;
	t.offsite.keeping.keep_within_ms = -1;
	replica_view_free(v);
	assert_int_equal(replica_clean(&t.order, &removed, NULL), 0);
	assert_int_equal(removed, 0);
	assert_reads(other);
	replica_view_free(other);
	assert_int_equal(replica_clean(&t.order, &removed, NULL), 0);
	assert_int_equal(removed, 1);
	assert_int_equal(replica_view_new(&o, &v, NULL), -ENOENT);
	two_finish(&t);
}

struct losing {
	struct artifact_events events;
	unsigned count;
};

static void count_lost(void *arg, const char *path)
{
	assert_string_equal(path, PATH);
	((struct losing *)arg)->count++;
}

/* A manifest that is another one, or none, is never believed, and whoever makes copies hears of it; so he does of bytes. */
static void what_is_wrong_is_told(void **state)
{
	static const char *const texts[] = {"{}", "no JSON at all", NULL};
	struct losing losing = {.events = {.copy_lost = count_lost}};
	struct two t;
	struct replica_view_options o;
	struct replica_view *v = NULL;

	two_init(&t, *state);
	o = options_of(&t);
	losing.events.arg = &losing;
	repository_listen(&t.f->repo, &losing.events);
	publish(t.f, PATH, 7, BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct error err = {0};

		assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
		if (texts[i])
			put_there(&t, "manifests/" PATH ".json", texts[i]);
		else
			assert_int_equal(store_remove(t.there, NULL, "manifests/" PATH ".json", NULL), 0);
		assert_int_equal(replica_view_new(&o, &v, &err), -EBADMSG);
		assert_non_null(strstr(err.message, "is not the manifest any more"));
		assert_int_equal(row_of(&t, PATH).state, REPLICA_LOST);
		assert_int_equal(losing.count, i + 1);
		/* Until it is made again it cannot be read. */
		assert_int_equal(replica_view_new(&o, &v, &err), -ENOENT);
		assert_non_null(strstr(err.message, "lost"));
	}
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(replica_view_new(&o, &v, NULL), 0);
	replica_view_found_wrong(v, NULL, "its bytes are others");
	replica_view_found_right(v, NULL);
	replica_view_free(v);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_LOST);
	assert_string_equal(row_of(&t, PATH).error, "its bytes are others");
	assert_int_equal(losing.count, 4);
	/* Looking at all of its bytes tells, too. */
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	put_there(&t, PATH, "12045");
	assert_int_equal(replica_verify(&t.order, PATH, NULL), -EBADMSG);
	assert_int_equal(losing.count, 5);
	assert_int_equal(count_places(&t), 0);
	t.f->repo.events = NULL;
	two_finish(&t);
}

/* Names. */

static int count_named(void *arg, const char *name, struct error *err)
{
	assert_true(str_starts(name, "copies/offsite/backups/full/2026112"));
	return ++*(unsigned *)arg == 7 ? 1 : 0;
}

static void how_people_name_it(void **state)
{
	static const struct {
		const char *word, *name; /* NULL: it is refused with @says */
		const char *says;
	} words[] = {
	        {"copies/offsite/full/20261120T020000Z.dump", "copies/offsite/" PATH, NULL},
	        {"copies/offsite/" PATH, "copies/offsite/" PATH, NULL},
	        {"copies/offsite//full/20261120T020000Z.dump/", "copies/offsite/" PATH, NULL},
	        {"copies/offsite/full/20261120T020000Z.dump.age", "copies/offsite/" PATH, NULL},
	        {"copies/offsite/full", "copies/offsite/" LATER, NULL},
	        {"copies/offsite/ful", NULL, "is no copy of a backup"},
	        {"copies/offsite", NULL, "is no copy of a backup"},
	        {"copies/offsite/full/20261120T020000Z", NULL, "is no copy of a backup"},
	        {"copies/nowhere/full", NULL, "a store that is called nowhere"},
	        {"copies/", NULL, "a store that is called"},
	};
	struct two t;
	unsigned count = 0;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	publish(t.f, LATER, 8, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(replica_make(&t.order, LATER, NULL, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		_cleanup(free) char *name = NULL;
		struct catalog_replica row;
		struct error err = {0};
		int r = copied_find(t.f->catalog, words[i].word, &name, &row, &err);

		if (words[i].name) {
			assert_int_equal(r, 0);
			assert_string_equal(name, words[i].name);
			continue;
		}
		assert_int_equal(r, -EINVAL);
		if (!strstr(err.message, words[i].says))
			fail_msg("%s: %s", words[i].word, err.message);
	}
	assert_false(copied_is_word("full/20261120T020000Z.dump"));
	assert_false(copied_is_word("copies"));
	assert_int_equal(copied_each(t.f->catalog, "copies/offsite", count_named, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_int_equal(copied_each(t.f->catalog, "copies/offsite/full", count_named, &count, NULL), 0);
	assert_int_equal(count, 4);
	assert_int_equal(copied_each(t.f->catalog, "copies/offsite/" PATH, count_named, &count, NULL), 0);
	assert_int_equal(copied_each(t.f->catalog, "copies/offsite/" PATH ".age", count_named, &count, NULL),
	                 0);
	assert_int_equal(count, 6);
	assert_int_equal(copied_each(t.f->catalog, "copies/offsite", count_named, &count, NULL), 1);
	assert_int_equal(copied_each(t.f->catalog, "copies/offsite/fu", count_named, &count, NULL), -EINVAL);
	/* What is not whole is not read. */
	replica_found_wrong(&t.f->repo, PATH, t.order.store, "why");
	{
		_cleanup(free) char *name = NULL;
		struct error err = {0};

		assert_int_equal(copied_find(t.f->catalog, "copies/offsite/" PATH, &name, NULL, &err),
		                 -EINVAL);
		assert_non_null(strstr(err.message, "that copy is lost: why"));
	}
	two_finish(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(what_was_removed_is_read, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_read_stays, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_wrong_is_told, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(how_people_name_it, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
