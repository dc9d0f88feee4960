// SPDX-License-Identifier: Apache-2.0
/*
 * Ciphers are borrowed for a cell each: as many are made as threads decrypt at the same time, and no more. So none is made for each
 * cell, and none is used by two threads.
 */
#include <keepfs/base/mem.h>
#include <keepfs/reader/age.h>

#include <pthread.h>
#include <stdlib.h>

struct spare {
	struct age_cipher *cipher;
	struct spare *next;
};

struct age_layout {
	struct reader_layout layout;
	struct age_key key;
	pthread_mutex_t lock;
	struct spare *spares; /* lock: those that nobody uses */
};

static struct spare *borrow_cipher(struct age_layout *a)
{
	struct spare *s;

	pthread_mutex_lock(&a->lock);
	s = a->spares;
	if (s)
		a->spares = s->next;
	pthread_mutex_unlock(&a->lock);
	if (s)
		return s;
	s = mem_alloc(sizeof(*s));
	s->cipher = age_cipher_new(&a->key);
	return s;
}

static void return_cipher(struct age_layout *a, struct spare *s)
{
	pthread_mutex_lock(&a->lock);
	s->next = a->spares;
	a->spares = s;
	pthread_mutex_unlock(&a->lock);
}

static int age_decode(const struct reader_layout *l, uint64_t cell, bool last, void *bytes, size_t stored,
                      struct error *err)
{
	struct age_layout *a = (struct age_layout *)l;
	struct spare *s = borrow_cipher(a);
	int r = age_open_cell(s->cipher, cell, last, bytes, stored, bytes, err);

	return_cipher(a, s);
	return r;
}

static void age_layout_free(struct reader_layout *l)
{
	struct age_layout *a = (struct age_layout *)l;

	while (a->spares) {
		struct spare *s = a->spares;

		a->spares = s->next;
		age_cipher_free(s->cipher);
		free(s);
	}
	pthread_mutex_destroy(&a->lock);
	age_key_wipe(&a->key);
	free(a);
}

static const struct reader_layout_ops age_layout_ops = {.decode = age_decode, .free = age_layout_free};

struct reader_layout *reader_age_layout(const struct age_key *k)
{
	struct age_layout *a = mem_alloc(sizeof(*a));

	*a = (struct age_layout){.layout = {.ops = &age_layout_ops, .cells = age_key_cells(k)}, .key = *k};
	pthread_mutex_init(&a->lock, NULL);
	return &a->layout;
}
