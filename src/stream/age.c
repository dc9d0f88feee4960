// SPDX-License-Identifier: Apache-2.0
/*
 * Cells are gathered and encrypted one by one; what comes in pieces longer than a cell is encrypted from where it lies. A full cell
 * waits until a byte follows it, because the last one is encrypted as such.
 *
 * With a head the file's first bytes come last. The cell in which they end begins with bytes of the head and ends with what was
 * written first: so this much of it is kept (`shared`), in a cell of its own, until the head has come. By then everything that was
 * written is passed on, the last cell too: whatever the head does, that one is the last, unless there is none behind the head.
 */
#include <keepfs/base/mem.h>
#include <keepfs/stream/age.h>

#include <string.h>

struct gathered {
	uint8_t *bytes; /* room for a stored cell */
	size_t len;
};

struct age_sink {
	struct sink sink;
	struct sink *next;
	const struct str *head; /* the object's; NULL once it was passed on */
	struct age_cipher *cipher;
	struct gathered cell; /* the one that is being filled */
	uint64_t number;      /* its */
	bool written;         /* a cell of what was written was passed on */
	/* Of the file's head: */
	size_t head_bytes, head_at; /* of these, so many came */
	struct gathered shared;     /* what follows the head in its last cell */
	size_t shared_room;         /* for so much more of it */
	uint8_t *sealed;            /* a stored cell */
};

/* What the object begins with goes the way of its first cell. */
static int pass_on_head(struct age_sink *a, int (*pass)(struct sink *, const void *, size_t, struct error *),
                        struct error *err)
{
	const struct str *head = take_ptr(&a->head);

	return head ? pass(a->next, head->data, head->len, err) : 0;
}

static int seal_written(struct age_sink *a, const void *plain, size_t len, bool last, struct error *err)
{
	int r = a->head_bytes == 0 ? pass_on_head(a, sink_write, err) : 0;

	if (r < 0)
		return r;
	age_seal_cell(a->cipher, a->number++, last, plain, len, a->sealed);
	a->written = true;
	return sink_write(a->next, a->sealed, len + AGE_TAG_BYTES, err);
}

static int seal_gathered(struct age_sink *a, bool last, struct error *err)
{
	int r = seal_written(a, a->cell.bytes, a->cell.len, last, err);

	a->cell.len = 0;
	return r;
}

/* As much of the bytes as there is room for. */
static size_t gather_bytes(struct gathered *g, size_t room, const uint8_t *p, size_t len)
{
	size_t n = len < room ? len : room;

	if (n > 0)
		memcpy(g->bytes + g->len, p, n);
	g->len += n;
	return n;
}

static size_t keep_shared(struct age_sink *a, const uint8_t *p, size_t len)
{
	size_t n = gather_bytes(&a->shared, a->shared_room, p, len);

	a->shared_room -= n;
	return n;
}

static int age_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct age_sink *a = (struct age_sink *)s;
	const uint8_t *p = data;
	size_t n = keep_shared(a, p, len);
	int r = 0;

	for (p += n, len -= n; r == 0 && len > 0; p += n, len -= n) {
		if (a->cell.len == AGE_CELL_PLAIN_BYTES)
			r = seal_gathered(a, false, err);
		if (r == 0 && a->cell.len == 0 && len > AGE_CELL_PLAIN_BYTES) {
			n = AGE_CELL_PLAIN_BYTES;
			r = seal_written(a, p, n, false, err);
		} else {
			n = gather_bytes(&a->cell, AGE_CELL_PLAIN_BYTES - a->cell.len, p, len);
		}
	}
	return r;
}

/* The next cell of the head is gathered. */
static int seal_head_cell(struct age_sink *a, bool last, struct error *err)
{
	struct gathered *g = &a->cell;
	int r = pass_on_head(a, sink_head, err);

	if (r < 0)
		return r;
	age_seal_cell(a->cipher, a->number++, last, g->bytes, g->len, a->sealed);
	r = sink_head(a->next, a->sealed, g->len + AGE_TAG_BYTES, err);
	g->len = 0;
	return r;
}

/* All of the head came, and what follows it in its last cell is there. */
static int end_head(struct age_sink *a, struct error *err)
{
	gather_bytes(&a->cell, AGE_CELL_PLAIN_BYTES, a->shared.bytes, a->shared.len);
	return seal_head_cell(a, !a->written, err);
}

/* Whatever was written is behind the head's cells: from now on cells are counted from the first one again. */
static int begin_age_head(struct age_sink *a, struct error *err)
{
	int r = a->cell.len > 0 ? seal_gathered(a, true, err) : 0;

	a->number = 0;
	return r;
}

static int age_head(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct age_sink *a = (struct age_sink *)s;
	const uint8_t *p = data;
	int r = a->head_at == 0 && len > 0 ? begin_age_head(a, err) : 0;
	size_t n;

	for (; r == 0 && len > 0; p += n, len -= n) {
		n = gather_bytes(&a->cell, AGE_CELL_PLAIN_BYTES - a->cell.len, p, len);
		a->head_at += n;
		if (a->head_at == a->head_bytes)
			r = end_head(a, err);
		else if (a->cell.len == AGE_CELL_PLAIN_BYTES)
			r = seal_head_cell(a, false, err);
	}
	return r;
}

/* An empty file has one empty cell. */
static int age_finish(struct sink *s, struct error *err)
{
	struct age_sink *a = (struct age_sink *)s;
	bool empty = a->head_bytes == 0 && !a->written;
	int r = a->cell.len > 0 || empty ? seal_gathered(a, true, err) : 0;

	return r < 0 ? r : sink_finish(a->next, err);
}

static void free_gathered(struct gathered *g)
{
	if (g->bytes)
		explicit_bzero(g->bytes, AGE_CELL_PLAIN_BYTES);
	free(g->bytes);
}

static void age_sink_free(struct sink *s)
{
	struct age_sink *a = (struct age_sink *)s;

	sink_free(a->next);
	age_cipher_free(a->cipher);
	free_gathered(&a->cell);
	free_gathered(&a->shared);
	free(a->sealed);
	free(a);
}

static const struct sink_ops age_sink_ops = {
        .write = age_write,
        .finish = age_finish,
        .free = age_sink_free,
        .head = age_head,
};

/* Where the head ends within a cell, the rest of that cell is shared. */
static void prepare_for_head(struct age_sink *a, size_t head_bytes)
{
	size_t within = head_bytes % AGE_CELL_PLAIN_BYTES;

	a->head_bytes = head_bytes;
	a->shared_room = within ? AGE_CELL_PLAIN_BYTES - within : 0;
	a->shared.bytes = within ? mem_alloc(AGE_CELL_PLAIN_BYTES) : NULL;
	a->number = (head_bytes + a->shared_room) / AGE_CELL_PLAIN_BYTES;
}

static struct sink *age_sink_new(struct sink *next, size_t head_bytes, void *arg)
{
	struct age_sink *a = mem_alloc(sizeof(*a));
	const struct stream_age *of = arg;

	*a = (struct age_sink){.sink.ops = &age_sink_ops, .next = next, .head = &of->head};
	a->cipher = age_cipher_new(&of->key);
	a->cell.bytes = mem_alloc(AGE_CELL_PLAIN_BYTES);
	a->sealed = mem_alloc(AGE_CELL_STORED_BYTES);
	prepare_for_head(a, head_bytes);
	return &a->sink;
}

int stream_age_init(struct stream_age *ret, const struct age_recipients *r, struct error *err)
{
	struct stream_age a = {0};
	int res = age_header_make(r, &a.head, &a.key, err);

	if (res == 0)
		*ret = a;
	age_key_wipe(&a.key);
	return res;
}

void stream_age_finish(struct stream_age *a)
{
	str_finish(&a->head);
	age_key_wipe(&a->key);
}

struct stream_stage stream_age_stage(struct stream_age *a)
{
	return (struct stream_stage){.cells = age_key_cells(&a->key), .new = age_sink_new, .arg = a};
}
