// SPDX-License-Identifier: Apache-2.0
/* What a mistyped name was probably meant to be: the known name with the fewest edits, when they are few for
 * its length. */
#include "load.h"

#include <keepfs/base/mem.h>

#include <ctype.h>
#include <string.h>

/* Edits (insert, delete, change, swap of neighbours) from @a to @b, case aside; three rows of the usual
 * table. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t width = strlen(b) + 1;
	_cleanup(free) size_t *memory = mem_array(3 * width, sizeof(*memory));
	size_t *before = memory, *above = memory + width, *row = memory + 2 * width;

	for (size_t j = 0; j < width; j++)
		above[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t *recycled = before;

		row[0] = i;
		for (size_t j = 1; j < width; j++) {
			bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
			size_t best = above[j - 1] + !same;

			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			row[j] = best;
		}
		before = above;
		above = row;
		row = recycled;
	}
	return above[width - 1];
}

const char *conf_nearest(const char *word, const char *const *names, size_t count)
{
	const char *nearest = NULL;
	size_t best = 0;

	if (strlen(word) > 200)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t distance = edit_distance(word, names[i]), len = strlen(names[i]);

		if (distance > 1 + len / 4 || distance >= len || (nearest && distance >= best))
			continue;
		nearest = names[i];
		best = distance;
	}
	return nearest;
}

const char *conf_nearest_key(enum conf_section section, const char *word)
{
	_cleanup(free) const char **names = mem_array(conf_key_count, sizeof(*names));
	struct conf_ref ref = {.section = section, .key = -1};
	size_t count = 0;

	while (conf_next_key(&ref))
		names[count++] = conf_keys[ref.key].name;
	return conf_nearest(word, names, count);
}
