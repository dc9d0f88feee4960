// SPDX-License-Identifier: Apache-2.0
/* Files that consist of compressed segments. */
#include <keepfs/make/draft.h>

int segment_file_begin(struct segment_file *f, struct stream_object *object, bool gzip, struct error *err)
{
	uint8_t head[GZIP_HEAD_BYTES];

	*f = (struct segment_file){
	        .object = object, .gzip = gzip, .check = segment_check_empty(SEGMENT_CHECK_CRC32)};
	if (!gzip)
		return 0;
	gzip_head(head);
	f->bytes = sizeof(head);
	return stream_object_write(f->object, head, sizeof(head), err);
}

int segment_file_add(struct segment_file *f, const struct segment *s, const void *data, struct error *err)
{
	f->check = segment_check_join(SEGMENT_CHECK_CRC32, f->check, s->check, s->raw_bytes);
	f->raw_bytes += s->raw_bytes;
	f->bytes += s->bytes;
	return stream_object_write(f->object, data, s->bytes, err);
}

int segment_file_end(struct segment_file *f, struct error *err)
{
	uint8_t tail[GZIP_TAIL_BYTES];

	if (!f->gzip)
		return 0;
	gzip_tail(f->check, f->raw_bytes, tail);
	return stream_object_write(f->object, tail, sizeof(tail), err);
}
