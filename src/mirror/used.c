// SPDX-License-Identifier: Apache-2.0
/* A table of packs by their names. */
#include <keepfs/mirror/used.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/listing.h>
#include <keepfs/codec/name.h>

#include <inttypes.h>
#include <string.h>

#define FIRST_ROOM 64

void used_finish(struct used *u)
{
	for (size_t i = 0; i < u->count; i++)
		free(u->packs[i].name);
	free(u->packs);
	free(u->table);
	*u = (struct used){0};
}

/* Where @pack is, or is to be. */
static size_t *place_of_pack(const struct used *u, const char *pack)
{
	size_t at = hash_quickly(pack, strlen(pack)) & (u->room - 1);

	while (u->table[at] && strcmp(u->packs[u->table[at] - 1].name, pack) != 0)
		at = (at + 1) & (u->room - 1);
	return &u->table[at];
}

/* Half of the places stay empty. */
static void make_room_for_packs(struct used *u)
{
	if (2 * (u->count + 1) <= u->room)
		return;
	u->room = u->room ? 2 * u->room : FIRST_ROOM;
	free(u->table);
	u->table = mem_array(u->room, sizeof(*u->table));
	u->packs = mem_resize(u->packs, u->room / 2, sizeof(*u->packs));
	for (size_t i = 0; i < u->count; i++)
		*place_of_pack(u, u->packs[i].name) = i + 1;
}

void used_add(struct used *u, const char *pack, uint64_t bytes)
{
	size_t *place;

	make_room_for_packs(u);
	place = place_of_pack(u, pack);
	if (!*place) {
		u->packs[u->count++] = (struct used_pack){.name = mem_strdup(pack)};
		*place = u->count;
	}
	u->packs[*place - 1].bytes += bytes;
}

const struct used_pack *used_find(const struct used *u, const char *pack)
{
	size_t number = u->count > 0 ? *place_of_pack(u, pack) : 0;

	return number ? &u->packs[number - 1] : NULL;
}

struct pack_number {
	char directory[17];
	int64_t number;
};

static int compare_pack_numbers(const void *a, const void *b)
{
	const struct pack_number *x = a, *y = b;
	int order = strcmp(x->directory, y->directory);

	return order ? order : (x->number > y->number) - (x->number < y->number);
}

struct json *used_needs(struct used *u, const char *job)
{
	_cleanup(free) struct pack_number *all = mem_array(u->count + 1, sizeof(*all));
	struct json *needs = u->count > 0 ? json_object_new() : NULL;
	size_t count = 0;

	for (size_t i = 0; i < u->count; i++)
		count += listing_pack_split(u->packs[i].name, all[count].directory, &all[count].number);
	qsort(all, count, sizeof(*all), compare_pack_numbers);
	for (size_t i = 0; i < count;) {
		_cleanup(free) char *directory = mem_printf(TREE_PACKS "/%s/%s", job, all[i].directory);
		_cleanup(str) struct str ranges = {0};
		size_t first = i;

		while (i < count && strcmp(all[i].directory, all[first].directory) == 0) {
			size_t begin = i++;

			while (i < count && strcmp(all[i].directory, all[begin].directory) == 0 &&
			       all[i].number == all[i - 1].number + 1)
				i++;
			str_appendf(&ranges, "%s%" PRId64, ranges.len ? "," : "", all[begin].number);
			if (i - 1 > begin)
				str_appendf(&ranges, "-%" PRId64, all[i - 1].number);
		}
		json_set_string(needs, directory, str_text(&ranges));
	}
	return needs;
}
