// SPDX-License-Identifier: Apache-2.0
/*
 * See diff_pairs.h. The lowest bits of a number say in which set of places the pair is kept; the others only tell those of one set apart. So two pairs
 * whose hashes are equal get two numbers, as long as both are known.
 */
#include "diff_pairs.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define SETS        2048
#define PLACES      8 /* of a set */
#define NUMBER_MASK ((UINT32_C(1) << DIFF_PAIR_NUMBER_BITS) - 1)

struct place {
	struct diff_pair_id id;
	uint64_t used; /* when, counted in uses; 0: nothing is kept here */
	uint32_t number;
};

struct diff_pairs {
	pthread_mutex_t lock;
	uint64_t uses; /* lock, with the places */
	struct place sets[SETS][PLACES];
};

/* Names. */

int diff_pair_name_parse(const char *name, char ret_a[static NAME_MAX_BYTES],
                         char ret_b[static NAME_MAX_BYTES])
{
	size_t a = strcspn(name, "."), b;

	if (a == 0 || a >= NAME_MAX_BYTES || name[a] != '.' || name[a + 1] != '.')
		return -EINVAL;
	b = strlen(name + a + 2);
	if (b == 0 || b >= NAME_MAX_BYTES || strcspn(name + a + 2, "./") != b || memchr(name, '/', a))
		return -EINVAL;
	memcpy(ret_a, name, a);
	ret_a[a] = '\0';
	memcpy(ret_b, name + a + 2, b + 1);
	return 0;
}

bool diff_pair_name_format(const char *a, const char *b, char ret[static NAME_MAX_BYTES])
{
	size_t len_a = strcspn(a, "."), len_b = strcspn(b, ".");

	if (len_a == 0 || len_b == 0 || len_a + 2 + len_b >= NAME_MAX_BYTES)
		return false;
	snprintf(ret, NAME_MAX_BYTES, "%.*s..%.*s", (int)len_a, a, (int)len_b, b);
	return true;
}

bool diff_pair_id_equal(const struct diff_pair_id *x, const struct diff_pair_id *y)
{
	return x->inos[0] == y->inos[0] && x->inos[1] == y->inos[1] &&
	       x->finished_at_us[0] == y->finished_at_us[0] && x->finished_at_us[1] == y->finished_at_us[1];
}

/* Numbers. */

struct diff_pairs *diff_pairs_new(void)
{
	struct diff_pairs *p = mem_alloc(sizeof(*p));

	pthread_mutex_init(&p->lock, NULL);
	return p;
}

struct diff_pairs *diff_pairs_free(struct diff_pairs *p)
{
	if (!p)
		return NULL;
	pthread_mutex_destroy(&p->lock);
	free(p);
	return NULL;
}

static uint32_t hash_of_pair(const struct diff_pair_id *id)
{
	char text[96];

	snprintf(text, sizeof(text), "%016" PRIx64 "/%" PRId64 "/%016" PRIx64 "/%" PRId64, id->inos[0],
	         id->finished_at_us[0], id->inos[1], id->finished_at_us[1]);
	return (uint32_t)hash64(text) & NUMBER_MASK;
}

/* With the lock. */
static struct place *find_pair_place(struct diff_pairs *p, uint32_t number)
{
	struct place *set = p->sets[number % SETS];

	for (int i = 0; i < PLACES; i++)
		if (set[i].used && set[i].number == number)
			return &set[i];
	return NULL;
}

/* With the lock. NULL: it is not known. */
static struct place *find_known_pair(struct diff_pairs *p, uint32_t hash, const struct diff_pair_id *id)
{
	struct place *set = p->sets[hash % SETS];

	for (int i = 0; i < PLACES; i++)
		if (set[i].used && diff_pair_id_equal(&set[i].id, id))
			return &set[i];
	return NULL;
}

/* With the lock: the first number of its set that no other pair has. */
static uint32_t free_number(struct diff_pairs *p, uint32_t hash)
{
	while (find_pair_place(p, hash))
		hash = (hash + SETS) & NUMBER_MASK;
	return hash;
}

/* With the lock: one that is free, or whose pair nobody has used for longest. */
static struct place *oldest_place(struct diff_pairs *p, uint32_t hash)
{
	struct place *set = p->sets[hash % SETS], *oldest = &set[0];

	for (int i = 1; i < PLACES; i++)
		if (set[i].used < oldest->used)
			oldest = &set[i];
	return oldest;
}

uint32_t diff_pairs_number(struct diff_pairs *p, const struct diff_pair_id *id)
{
	uint32_t hash = hash_of_pair(id), number;
	const struct place *place;

	pthread_mutex_lock(&p->lock);
	place = find_known_pair(p, hash, id);
	number = place ? place->number : free_number(p, hash);
	pthread_mutex_unlock(&p->lock);
	return number;
}

uint32_t diff_pairs_add(struct diff_pairs *p, const struct diff_pair_id *id)
{
	uint32_t hash = hash_of_pair(id), number;
	struct place *place;

	pthread_mutex_lock(&p->lock);
	place = find_known_pair(p, hash, id);
	if (!place) {
		number = free_number(p, hash);
		place = oldest_place(p, hash);
		*place = (struct place){.id = *id, .number = number};
	}
	place->used = ++p->uses;
	number = place->number;
	pthread_mutex_unlock(&p->lock);
	return number;
}

bool diff_pairs_find(struct diff_pairs *p, uint32_t number, struct diff_pair_id *ret)
{
	struct place *place;

	pthread_mutex_lock(&p->lock);
	place = find_pair_place(p, number);
	if (place) {
		place->used = ++p->uses;
		*ret = place->id;
	}
	pthread_mutex_unlock(&p->lock);
	return place;
}
