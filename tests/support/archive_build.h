// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Archives that are built by hand, of every version and as wrong as wanted: what the tests of the reader, of
 * the writer and the fuzzing begin with.
 */
#include <keepfs/base/str.h>
#include <stdint.h>

struct archive_shape { /* what a test changes of the archive that the functions below write */
	int major, minor, int_size, offset_size, format, compression;
	int entries;
};

extern const struct archive_shape archive_sound; /* 1.14, two entries */

void archive_put_int(struct str *s, int64_t value);
void archive_put_text(struct str *s, const char *text); /* NULL: as NULL is written */
void archive_put_head(struct str *s, const struct archive_shape *shape);
void archive_put_entry(struct str *s, const struct archive_shape *shape, int id, int had_dumper,
                       int data_state);
/** archive_put_named_entry() - of a directory: the name of its file instead of the offset; "": it has no data. */
void archive_put_named_entry(struct str *s, const struct archive_shape *shape, int id, const char *name);
void archive_put_block(struct str *s, int type, int id);
/** archive_put_chunks() - two rows, and the end of the data. */
void archive_put_chunks(struct str *s);
/** archive_put_toc() - head, one entry with data (7), one without (8); no blocks. */
void archive_put_toc(struct str *s, const struct archive_shape *shape);
void archive_put_whole(struct str *s, const struct archive_shape *shape);
/**
 * archive_put_rich() - one with all there can be, behind the head: tables (one without rows, one of
 * @table_bytes), blocks of large objects (none in them, an empty one, those of high numbers), not in the
 * order of the table of contents. Compression is said to be @shape's, and the data is what it is.
 */
void archive_put_rich(struct str *s, const struct archive_shape *shape, size_t table_bytes);
