// SPDX-License-Identifier: Apache-2.0
/* Where rows of a table are in its CSV, as it is kept on the disk. */
#include "inside_private.h"

#include <errno.h>

static bool name_places(struct inside_dump *d, uint32_t number, struct kept_name *ret)
{
	_cleanup(inside_member) struct inside_member m = {0};

	return inside_member_of_table(d, number, NULL, &m, NULL) == 0 &&
	       inside_kept_name(d, KEPT_CSV, number, m.file_ino, ret);
}

static uint64_t bytes_of_rows(struct inside_dump *d, uint32_t number)
{
	_cleanup(inside_table) struct inside_table t = {0};

	return inside_table(d, number, &t, NULL) == 0 ? t.bytes : INSIDE_NOT_KNOWN;
}

static void put_kept_place(struct kept_writer *w, const struct inside_place *p)
{
	kept_put_u64(w, p->rows);
	kept_put_u64(w, p->csv);
}

void inside_keep_places(struct inside_dump *d, uint32_t number, const struct inside_places *x)
{
	struct kept_name name;
	struct kept_writer w;

	if (!name_places(d, number, &name) || !inside_kept_begin(d, &name, &w))
		return;
	kept_put_u32(&w, x->form);
	kept_put_u32(&w, (uint32_t)x->count);
	put_kept_place(&w, &x->end);
	for (size_t i = 0; i < x->count; i++)
		put_kept_place(&w, &x->items[i]);
	inside_kept_end(d, &w);
}

static struct inside_place get_kept_place(struct kept_reader *r)
{
	struct inside_place p = {.rows = kept_get_u64(r)};

	p.csv = kept_get_u64(r);
	return p;
}

static bool get_kept_places(struct kept_reader *r, uint64_t bytes, uint32_t form, size_t max,
                            struct inside_place *places, size_t *ret_count)
{
	bool same = kept_get_u32(r) == form;
	uint32_t count = kept_get_u32(r);
	struct inside_place end = get_kept_place(r), last = {0};

	if (!same || count > max || (bytes != INSIDE_NOT_KNOWN && end.rows != bytes))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct inside_place p = get_kept_place(r);

		if (p.rows <= last.rows || p.rows > end.rows || p.csv <= last.csv || p.csv > end.csv)
			return false;
		places[i] = last = p;
	}
	*ret_count = count;
	return true;
}

size_t inside_kept_places(struct inside_dump *d, uint32_t number, uint32_t form, struct inside_place *places,
                          size_t max)
{
	struct kept_name name;
	struct kept_reader r;
	size_t count = 0;

	if (!name_places(d, number, &name) || !kept_open(d->in->kept, &name, &r))
		return 0;
	return kept_close(&r, get_kept_places(&r, bytes_of_rows(d, number), form, max, places, &count))
	               ? count
	               : 0;
}

void inside_forget_places(struct inside_dump *d, uint32_t number)
{
	struct kept_name name;

	if (name_places(d, number, &name))
		kept_forget(d->in->kept, &name);
}
