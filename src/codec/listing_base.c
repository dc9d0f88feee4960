// SPDX-License-Identifier: Apache-2.0
/* The lines of a base: files in runs, and directories. What is read may be damaged, or somebody else's: nothing is believed. */
#include "listing_private.h"

#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#define MODE_DIGITS 4
#define MODE_BITS   07777U
/* From so many on a line has the names of its packs once. */
#define NUMBERED_RUNS 16

void listing_runs_free(struct listing_entry *e)
{
	for (size_t i = 0; i < e->run_count; i++)
		free(e->runs[i].pack);
	free(e->runs);
	e->runs = NULL;
	e->run_count = 0;
}

/* The names of packs in a line of many runs, which has each once, and their numbers in its runs. */
struct pack_names {
	const char **names; /* borrowed */
	size_t count, last;
};

static size_t number_pack(struct pack_names *n, const char *pack)
{
	if (n->count > 0 && strcmp(n->names[n->last], pack) == 0)
		return n->last;
	for (n->last = 0; n->last < n->count; n->last++)
		if (strcmp(n->names[n->last], pack) == 0)
			return n->last;
	if ((n->count & (n->count - 1)) == 0)
		n->names = mem_resize(n->names, n->count ? 2 * n->count : 1, sizeof(*n->names));
	n->names[n->count++] = pack;
	return n->last;
}

/* @names: NULL: the run has the name. */
static struct json *run_as_json(const struct listing_run *run, struct pack_names *names)
{
	struct json *j = json_array_new();

	json_append(j, json_int_new((int64_t)run->at));
	json_append(j, json_int_new((int64_t)run->bytes));
	if (run->pack) {
		if (names)
			json_append(j, json_int_new((int64_t)number_pack(names, run->pack)));
		else
			json_append_string(j, run->pack);
		json_append(j, json_int_new((int64_t)run->place));
	}
	return j;
}

static void set_pack_names(struct json *j, const struct pack_names *names)
{
	struct json *packs = json_array_new();

	for (size_t i = 0; i < names->count; i++)
		json_append_string(packs, names->names[i]);
	json_set(j, "packs", packs);
}

static void set_file_members(struct json *j, const struct listing_entry *e)
{
	struct json *runs = json_array_new();
	struct pack_names names = {0};
	bool numbered = e->run_count >= NUMBERED_RUNS;

	if (e->crc32c[0])
		json_set_string(j, "crc32c", e->crc32c);
	if (e->sums_at)
		json_set_int(j, "sums", (int64_t)e->sums_at);
	for (size_t i = 0; i < e->run_count; i++)
		json_append(runs, run_as_json(&e->runs[i], numbered ? &names : NULL));
	if (numbered)
		set_pack_names(j, &names);
	json_set(j, "runs", runs);
	free(names.names);
}

struct json *listing_base_line(const struct listing_entry *e, const char *name)
{
	struct json *j = json_object_new();
	_cleanup(free) char *mode = mem_printf("%04o", e->mode & MODE_BITS);

	json_set_string(j, "name", name);
	if (e->is_directory)
		json_set_bool(j, "dir", true);
	else
		json_set_int(j, "size", (int64_t)e->bytes);
	json_set_string(j, "mode", mode);
	json_set_time(j, "modified", e->modified_us);
	if (!e->is_directory)
		set_file_members(j, e);
	return j;
}

bool listing_line_is_base(const struct json *j)
{
	return json_get(j, "runs") || json_get(j, "dir");
}

static bool read_file_mode(const struct json *j, unsigned *ret)
{
	const char *text = json_get_string(j, "mode");
	unsigned mode = 0;

	if (!text || strlen(text) != MODE_DIGITS || strspn(text, "01234567") != MODE_DIGITS)
		return false;
	for (; *text; text++)
		mode = mode << 3 | (unsigned)(*text - '0');
	*ret = mode;
	return true;
}

static bool is_crc32c(const char *text)
{
	return text && strlen(text) == LISTING_CRC32C_BYTES - 1 &&
	       strspn(text, "0123456789abcdef") == LISTING_CRC32C_BYTES - 1;
}

static bool read_run_number(const struct json *run, size_t index, uint64_t *ret)
{
	int64_t value;

	if (!json_number(json_item(run, index), &value) || value < 0)
		return false;
	*ret = (uint64_t)value;
	return true;
}

/* @packs: of the line, or NULL. */
static const char *name_of_pack(const struct json *pack, const struct json *packs)
{
	int64_t number;

	if (json_text(pack) || !json_is_array_value(packs))
		return json_text(pack);
	if (!json_number(pack, &number) || number < 0 || (uint64_t)number >= json_count(packs))
		return NULL;
	return json_text(json_item(packs, (size_t)number));
}

static bool read_pack_of_run(const struct json *run, const struct json *packs, struct listing_run *ret)
{
	const char *pack = name_of_pack(json_item(run, 2), packs);
	char directory[CLOCK_NAME_BYTES];
	int64_t number;

	if (!pack || !listing_pack_split(pack, directory, &number) || !read_run_number(run, 3, &ret->place) ||
	    ret->place > (uint64_t)INT64_MAX - ret->bytes)
		return false;
	ret->pack = mem_strdup(pack);
	return true;
}

/* @at: where it has to begin; @left: so many bytes of the file are not covered yet. */
static bool read_base_run(const struct json *run, const struct json *packs, uint64_t at, uint64_t left,
                          struct listing_run *ret)
{
	if (!json_is_array_value(run) || (json_count(run) != 2 && json_count(run) != 4) ||
	    !read_run_number(run, 0, &ret->at) || !read_run_number(run, 1, &ret->bytes))
		return false;
	if (ret->at != at || ret->bytes == 0 || ret->bytes > left)
		return false;
	return json_count(run) == 2 || read_pack_of_run(run, packs, ret);
}

static bool read_runs(const struct json *j, struct listing_entry *e)
{
	const struct json *runs = json_get(j, "runs"), *packs = json_get(j, "packs");
	uint64_t at = 0;

	if (!json_is_array_value(runs))
		return false;
	e->runs = json_count(runs) > 0 ? mem_array(json_count(runs), sizeof(*e->runs)) : NULL;
	while (e->run_count < json_count(runs)) {
		struct listing_run run = {0};

		if (!read_base_run(json_item(runs, e->run_count), packs, at, e->bytes - at, &run))
			return false;
		e->runs[e->run_count++] = run;
		at += run.bytes;
	}
	return at == e->bytes;
}

static const char *read_file_of_base(const struct json *j, struct listing_entry *e)
{
	const char *crc32c = json_get_string(j, "crc32c");

	if (!listing_get_natural(j, "size", &e->bytes))
		return "a size is none";
	if (json_get(j, "crc32c") && !is_crc32c(crc32c))
		return "a CRC-32C is none";
	str_copy(e->crc32c, sizeof(e->crc32c), str_or_empty(crc32c));
	if (json_get(j, "sums") && !listing_get_natural(j, "sums", &e->sums_at))
		return "the place of page sums is none";
	return read_runs(j, e) ? NULL : "the runs of a file are not its bytes";
}

static const char *read_directory_of_base(const struct json *j, struct listing_entry *e)
{
	if (!json_get_bool(j, "dir", &e->is_directory) || !e->is_directory || json_get(j, "runs") ||
	    json_get(j, "size"))
		return "a directory has what only files have";
	return NULL;
}

const char *listing_base_read(const struct json *j, struct listing_entry *e)
{
	e->format = LISTING_BASE;
	if (!listing_get_name(j, "name", &e->key))
		return "a name is none";
	if (!listing_get_modified(j, &e->modified_us))
		return "a time is none";
	if (!read_file_mode(j, &e->mode))
		return "a mode is none";
	return json_get(j, "dir") ? read_directory_of_base(j, e) : read_file_of_base(j, e);
}
