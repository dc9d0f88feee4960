// SPDX-License-Identifier: Apache-2.0
/*
 * Two schemas as text, compared object by object: the order in which pg_dump writes them depends on much that is no difference. Of each object its
 * digests and its place in the text are in memory.
 */
#include "schema_diff.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/line_diff.h>
#include <keepfs/codec/row_digests.h>
#include <keepfs/codec/sql_objects.h>

#include <errno.h>
#include <string.h>

struct object {
	struct row_digest key, text; /* of type, schema and name; and of its statements */
	uint64_t title_at, text_at;  /* in the spool; the title is what people are shown */
	uint32_t title_bytes, text_bytes;
	uint32_t place; /* in the order of the schema */
	bool found;     /* the other schema has one of that key */
};

struct schema {
	struct spool *texts;
	struct object *items; /* in their order */
	size_t count, cap;
};

static void cleanup_schema(struct schema *s)
{
	spool_free(s->texts);
	free(s->items);
}

/* Reading. */

static void append_title(const struct sql_object *object, struct str *out)
{
	str_append(out, object->type);
	str_append_char(out, ' ');
	if (strcmp(object->schema, "-") != 0)
		str_appendf(out, "%s.", object->schema);
	str_append(out, object->name);
}

static int add_schema_object(void *arg, const struct sql_object *object, struct error *err)
{
	struct schema *s = arg;
	_cleanup(str) struct str title = {0};
	struct object *o;
	int r;

	append_title(object, &title);
	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 256;
		s->items = mem_resize(s->items, s->cap, sizeof(*s->items));
	}
	o = &s->items[s->count];
	*o = (struct object){
	        .key = row_digest_of(str_text(&title), title.len),
	        .text = row_digest_of(object->text, object->len),
	        .title_at = spool_size(s->texts),
	        .text_at = spool_size(s->texts) + title.len,
	        .title_bytes = (uint32_t)title.len,
	        .text_bytes = (uint32_t)object->len,
	        .place = (uint32_t)s->count,
	};
	s->count++;
	r = spool_put(s->texts, str_text(&title), title.len, err);
	return r < 0 ? r : spool_put(s->texts, object->text, object->len, err);
}

static int read_schema_text(struct schema *s, const char *state_dir, const struct spool *text,
                            struct cancel *cancel, struct error *err)
{
	_cleanup(sql_objects) struct sql_objects *objects = sql_objects_new(add_schema_object, s);
	char buf[16384];
	uint64_t at = 0;
	ssize_t n;
	int r = 0;

	s->texts = spool_new(state_dir);
	while (r == 0 && (n = spool_read(text, buf, sizeof(buf), at)) > 0) {
		if (cancel_is_set(cancel))
			return error_set(err, ERROR_CANCELLED, ECANCELED, "the comparison was cancelled");
		r = sql_objects_feed(objects, buf, (size_t)n, err);
		at += (uint64_t)n;
	}
	if (r == 0 && n < 0)
		return error_system(err, (int)-n, "the text of a schema cannot be read again");
	return r < 0 ? r : sql_objects_end(objects, err);
}

/* Finding. Several of one key are held against one another in their order. */

static int compare_keys(const struct object *x, const struct object *y)
{
	if (x->key.high != y->key.high)
		return x->key.high < y->key.high ? -1 : 1;
	if (x->key.low != y->key.low)
		return x->key.low < y->key.low ? -1 : 1;
	return 0;
}

static int compare_schema_objects(const void *x, const void *y)
{
	const struct object *a = *(struct object *const *)x, *b = *(struct object *const *)y;
	int r = compare_keys(a, b);

	return r != 0 ? r : (a->place > b->place) - (a->place < b->place);
}

/* Heap: pointers to the items, sorted by key. */
static struct object **sort_objects(const struct schema *s)
{
	struct object **sorted = mem_array(s->count + 1, sizeof(struct object *));

	for (size_t i = 0; i < s->count; i++)
		sorted[i] = &s->items[i];
	qsort(sorted, s->count, sizeof(struct object *), compare_schema_objects);
	return sorted;
}

static struct object *find_schema_object(struct object *const *sorted, size_t count,
                                         const struct object *wanted)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_keys(sorted[middle], wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	while (low < count && compare_keys(sorted[low], wanted) == 0 && sorted[low]->found)
		low++;
	return low < count && compare_keys(sorted[low], wanted) == 0 ? sorted[low] : NULL;
}

/* Telling. */

static int get_text(const struct schema *s, uint64_t at, uint32_t bytes, struct str *out, struct error *err)
{
	_cleanup(free) char *text = mem_alloc((size_t)bytes + 1);
	int r = spool_get(s->texts, text, bytes, at, err);

	if (r == 0)
		str_append_bytes(out, text, bytes);
	return r;
}

struct schema_pair { /* one of them NULL: it is new, or gone */
	const struct schema *of_a, *of_b;
	const struct object *a, *b;
};

static int tell_schema_object(const struct schema_pair *pair, struct spool *out, struct error *err)
{
	_cleanup(str) struct str title = {0}, a = {0}, b = {0}, lines = {0};
	const struct object *named = pair->b ? pair->b : pair->a;
	int r = get_text(pair->b ? pair->of_b : pair->of_a, named->title_at, named->title_bytes, &title, err);

	if (r == 0 && pair->a)
		r = get_text(pair->of_a, pair->a->text_at, pair->a->text_bytes, &a, err);
	if (r == 0 && pair->b)
		r = get_text(pair->of_b, pair->b->text_at, pair->b->text_bytes, &b, err);
	if (r < 0)
		return r;
	str_appendf(&lines, "@@ %s %s @@\n",
	            !pair->a   ? "new"
	            : !pair->b ? "gone"
	                       : "changed",
	            str_text(&title));
	line_diff_append(str_text(&a), a.len, str_text(&b), b.len, &lines);
	return spool_put(out, str_text(&lines), lines.len, err);
}

static bool same_text(const struct object *x, const struct object *y)
{
	return x->text.high == y->text.high && x->text.low == y->text.low;
}

static int tell_new_and_changed(struct schema *a, struct schema *b, struct spool *out, struct error *err)
{
	_cleanup(free) struct object **sorted = sort_objects(a);
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->count; i++) {
		struct object *found = find_schema_object(sorted, a->count, &b->items[i]);

		if (found)
			found->found = true;
		if (!found || !same_text(found, &b->items[i]))
			r = tell_schema_object(
			        &(struct schema_pair){.of_a = a, .of_b = b, .a = found, .b = &b->items[i]},
			        out, err);
	}
	return r;
}

static int tell_gone_objects(const struct schema *a, const struct schema *b, struct spool *out,
                             struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->count; i++)
		if (!a->items[i].found)
			r = tell_schema_object(&(struct schema_pair){.of_a = a, .of_b = b, .a = &a->items[i]},
			                       out, err);
	return r;
}

int schema_diff_write(const char *state_dir, const struct spool *a, const struct spool *b,
                      struct cancel *cancel, struct spool *out, struct error *err)
{
	_cleanup(schema) struct schema of_a = {0}, of_b = {0};
	int r = read_schema_text(&of_a, state_dir, a, cancel, err);

	if (r == 0)
		r = read_schema_text(&of_b, state_dir, b, cancel, err);
	if (r == 0)
		r = tell_new_and_changed(&of_a, &of_b, out, err);
	return r < 0 ? r : tell_gone_objects(&of_a, &of_b, out, err);
}
