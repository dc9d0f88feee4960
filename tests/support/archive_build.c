// SPDX-License-Identifier: Apache-2.0
/* The format once more, in the writing direction, and without the code that is tested. */
#include "archive_build.h"

#include <string.h>

#define ROWS_PER_CHUNK 3

const struct archive_shape archive_sound = {1, 14, 4, 8, 1, -1, 2};

void archive_put_int(struct str *s, int64_t value)
{
	uint64_t magnitude = (uint64_t)(value < 0 ? -value : value);

	str_append_char(s, value < 0);
	for (int i = 0; i < 4; i++)
		str_append_char(s, (char)(magnitude >> (8 * i) & 0xff));
}

void archive_put_text(struct str *s, const char *text)
{
	archive_put_int(s, text ? (int64_t)strlen(text) : -1);
	str_append(s, text ? text : "");
}

void archive_put_head(struct str *s, const struct archive_shape *shape)
{
	str_append(s, "PGDMP");
	str_append_char(s, (char)shape->major);
	str_append_char(s, (char)shape->minor);
	str_append_char(s, 0);
	str_append_char(s, (char)shape->int_size);
	str_append_char(s, (char)shape->offset_size);
	str_append_char(s, (char)shape->format);
	if (shape->minor >= 15)
		str_append_char(s, (char)shape->compression);
	else
		archive_put_int(s, shape->compression);
	for (int i = 0; i < 7; i++)
		archive_put_int(s, i);
	archive_put_text(s, "a database");
	archive_put_text(s, "15.1");
	archive_put_text(s, NULL);
	archive_put_int(s, shape->entries);
}

void archive_put_entry(struct str *s, const struct archive_shape *shape, int id, int had_dumper,
                       int data_state)
{
	archive_put_int(s, id);
	archive_put_int(s, had_dumper);
	archive_put_text(s, "0");
	archive_put_text(s, "16384");
	archive_put_text(s, "tag");
	archive_put_text(s, "TABLE DATA");
	archive_put_int(s, 3);
	archive_put_text(s, "the definition");
	archive_put_text(s, NULL);
	archive_put_text(s, "COPY …");
	archive_put_text(s, "the schema");
	archive_put_text(s, "the tablespace");
	if (shape->minor >= 14)
		archive_put_text(s, "heap");
	if (shape->minor >= 16)
		archive_put_int(s, 'r');
	archive_put_text(s, "owner");
	archive_put_text(s, "false");
	archive_put_text(s, "1");
	archive_put_text(s, "2147483647");
	archive_put_text(s, NULL);
	str_append_char(s, (char)data_state);
	str_append_bytes(s, "\0\0\0\0\0\0\0", (size_t)shape->offset_size);
}

void archive_put_named_entry(struct str *s, const struct archive_shape *shape, int id, const char *name)
{
	archive_put_entry(s, shape, id, *name != 0, *name ? 1 : 3);
	s->len -= 1 + (size_t)shape->offset_size;
	archive_put_text(s, name);
}

void archive_put_block(struct str *s, int type, int id)
{
	str_append_char(s, (char)type);
	archive_put_int(s, id);
}

void archive_put_chunks(struct str *s)
{
	archive_put_text(s, "1\tone\n");
	archive_put_text(s, "2\ttwo\n");
	archive_put_int(s, 0);
}

void archive_put_toc(struct str *s, const struct archive_shape *shape)
{
	archive_put_head(s, shape);
	archive_put_entry(s, shape, 7, 1, 1);
	archive_put_entry(s, shape, 8, 0, 3);
}

void archive_put_whole(struct str *s, const struct archive_shape *shape)
{
	archive_put_toc(s, shape);
	archive_put_block(s, 1, 7);
	archive_put_chunks(s);
}

/* Rows as pg_dump -Z0 writes them, a few in each chunk. */
static void put_rows(struct str *s, size_t bytes)
{
	_cleanup(str) struct str chunk = {0};
	size_t done = 0;

	for (unsigned row = 1; done < bytes; row++) {
		str_appendf(&chunk, "%u\t%x\tvalue number %u\t\\N\n", row, row * 2654435761U, row % 97);
		if (row % ROWS_PER_CHUNK && done + chunk.len < bytes)
			continue;
		archive_put_text(s, str_text(&chunk));
		done += chunk.len;
		str_clear(&chunk);
	}
	archive_put_text(s, "\\.\n\n\n");
	archive_put_int(s, 0);
}

static void put_blob(struct str *s, int64_t oid, const char *text)
{
	archive_put_int(s, oid);
	if (*text)
		archive_put_text(s, text);
	archive_put_int(s, 0);
}

void archive_put_rich(struct str *s, const struct archive_shape *shape, size_t table_bytes)
{
	struct archive_shape rich = *shape;

	rich.entries = 6;
	archive_put_head(s, &rich);
	for (int id = 11; id <= 16; id++)
		archive_put_entry(s, &rich, id, id != 14, id != 14 ? 1 : 3);
	archive_put_block(s, 1, 12);
	put_rows(s, table_bytes);
	archive_put_block(s, 3, 15);
	put_blob(s, 16385, "a large object\n");
	put_blob(s, 16386, "");
	put_blob(s, -1294967296, "3000000000\n"); /* as 3000000000 is written */
	put_blob(s, INT32_MIN, "2147483648\n");
	put_blob(s, -1, "4294967295\n");
	archive_put_int(s, 0);
	archive_put_block(s, 1, 11);
	put_rows(s, 0);
	archive_put_block(s, 3, 16);
	archive_put_int(s, 0);
	archive_put_block(s, 1, 13);
	archive_put_int(s, 0);
}
