// SPDX-License-Identifier: Apache-2.0
/* Listings as they are written: lines, frames, the index. */
#include "listing_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/compression.h>
#include <keepfs/codec/shown_name.h>

#define ZSTD_LEVEL 3

_Static_assert(LISTING_FRAME_BYTES >= SEGMENT_RAW_BYTES && SEGMENT_RAW_BYTES > LISTING_LINE_BYTES,
               "a frame is one segment");

/* Shown names have no line ends. */
void listing_append_sum(struct str *out, const char *sha256, const char *name)
{
	str_appendf(out, "%s%s  ", strchr(name, '\\') ? "\\" : "", sha256);
	for (const char *at = name; *at; at++) {
		if (*at == '\\')
			str_append_char(out, '\\');
		str_append_char(out, *at);
	}
	str_append_char(out, '\n');
}

void listing_head_finish(struct listing_head *h)
{
	free(h->job);
	free(h->source);
	*h = (struct listing_head){0};
}

void listing_entry_finish(struct listing_entry *e)
{
	free(e->key);
	free(e->etag);
	free(e->version_id);
	free(e->type);
	free(e->pack);
	json_free(e->meta);
	listing_runs_free(e);
	*e = (struct listing_entry){0};
}

static void end_listing_line(struct json *j, struct str *out)
{
	json_write(j, 0, out);
	str_append_char(out, '\n');
	json_free(j);
}

static struct json *mirror_line(const struct listing_entry *e, const char *name)
{
	struct json *j = json_object_new();

	json_set_string(j, "name", name);
	json_set_int(j, "size", (int64_t)e->bytes);
	json_set_string(j, "etag", e->etag);
	if (e->version_id)
		json_set_string(j, "version_id", e->version_id);
	json_set_time(j, "modified", e->modified_us);
	if (e->type)
		json_set_string(j, "type", e->type);
	if (e->meta)
		json_set(j, "meta", json_clone(e->meta));
	json_set_string(j, "sha256", e->sha256);
	json_set_string(j, "pack", e->pack);
	json_set_int(j, "at", (int64_t)e->at);
	return j;
}

void listing_entry_encode(const struct listing_entry *e, struct str *out)
{
	_cleanup(str) struct str name = {0};

	shown_name(e->key, strlen(e->key), &name);
	end_listing_line(e->format == LISTING_BASE ? listing_base_line(e, str_text(&name))
	                                           : mirror_line(e, str_text(&name)),
	                 out);
}

static const struct {
	const char *format, *index_format, *pack_suffix;
} listing_formats[] = {
        [LISTING_MIRROR] = {"keepfs-mirror", "keepfs-mirror-index", ".tar"},
        [LISTING_BASE] = {"keepfs-base", "keepfs-base-index", ".tar.zst"},
};

const char *listing_format_name(enum listing_format format)
{
	return listing_formats[format].format;
}

const char *listing_index_format_name(enum listing_format format)
{
	return listing_formats[format].index_format;
}

const char *listing_pack_suffix(enum listing_format format)
{
	return listing_formats[format].pack_suffix;
}

bool listing_is_kind(const char *kind)
{
	return str_equal(kind, LISTING_KIND_MIRROR) || str_equal(kind, LISTING_KIND_BASE);
}

struct listing_writer {
	enum listing_format format;
	struct listing_out out;
	struct compressor *compressor;
	struct str lines; /* of the frame that is filled */
	uint32_t line_count;
	struct str last;  /* key */
	struct str first; /* name of the first object of the frame */
	struct str index; /* its lines but the first */
	uint64_t written;
	uint64_t objects, bytes;
	char *packed;
	size_t packed_bytes;
};

static const struct compression packing = {.method = COMPRESSION_ZSTD, .level = ZSTD_LEVEL};

struct listing_writer *listing_writer_new(const struct listing_head *head, const struct listing_out *out)
{
	struct listing_writer *w = mem_alloc(sizeof(*w));
	struct json *j = json_object_new();

	w->format = head->format;
	w->out = *out;
	w->compressor = compressor_new(&packing, SEGMENT_CHECK_NONE);
	w->packed_bytes = compressor_bound(&packing, SEGMENT_RAW_BYTES);
	w->packed = mem_alloc(w->packed_bytes);
	json_set_string(j, "format", listing_format_name(head->format));
	json_set_int(j, "version", LISTING_VERSION);
	json_set_string(j, "job", head->job);
	json_set_string(j, "source", head->source);
	json_set_time(j, "taken_at", head->taken_at_us);
	end_listing_line(j, &w->lines);
	return w;
}

struct listing_writer *listing_writer_free(struct listing_writer *w)
{
	if (!w)
		return NULL;
	compressor_free(w->compressor);
	str_finish(&w->lines);
	str_finish(&w->last);
	str_finish(&w->first);
	str_finish(&w->index);
	free(w->packed);
	free(w);
	return NULL;
}

static void note_frame(struct listing_writer *w, const struct segment *s)
{
	struct json *j = json_object_new();

	json_set_int(j, "at", (int64_t)w->written);
	json_set_int(j, "bytes", (int64_t)s->bytes);
	json_set_int(j, "raw", (int64_t)s->raw_bytes);
	json_set_int(j, "lines", w->line_count);
	json_set_string(j, "first", str_text(&w->first));
	end_listing_line(j, &w->index);
}

static int end_frame(struct listing_writer *w, struct error *err)
{
	struct segment s = {0};
	int r = compressor_run(w->compressor, w->lines.data, w->lines.len, w->packed, w->packed_bytes, &s,
	                       err);

	if (r == 0)
		r = w->out.write(w->out.arg, w->packed, s.bytes, err);
	if (r < 0)
		return r;
	if (w->line_count > 0)
		note_frame(w, &s);
	w->written += s.bytes;
	w->line_count = 0;
	str_clear(&w->lines);
	return 0;
}

/* The first line, and the last, are frames of their own: a frame of the index has nothing but objects. */
static int make_line_room(struct listing_writer *w, size_t len, struct error *err)
{
	bool is_full = w->line_count == LISTING_FRAME_LINES || w->lines.len + len > SEGMENT_RAW_BYTES;

	return w->lines.len > 0 && (w->line_count == 0 || is_full) ? end_frame(w, err) : 0;
}

int listing_writer_add(struct listing_writer *w, const struct listing_entry *e, struct error *err)
{
	_cleanup(str) struct str line = {0};

	listing_entry_encode(e, &line);
	return listing_writer_add_line(w, e, &line, err);
}

int listing_writer_add_line(struct listing_writer *w, const struct listing_entry *e, const struct str *line,
                            struct error *err)
{
	int r;

	if (e->format != w->format)
		return error_set(err, ERROR_INTERNAL, EINVAL, "%s is of another format than its listing",
		                 e->key);
	if (w->objects > 0 && strcmp(str_text(&w->last), e->key) >= 0)
		return error_set(err, ERROR_INTERNAL, EINVAL,
		                 "a listing has to be in the order of its keys: %s is not behind %s", e->key,
		                 str_text(&w->last));
	if (line->len > LISTING_LINE_BYTES)
		return error_set(
		        err, ERROR_USAGE, E2BIG,
		        "%s: what is known of the object beside its bytes is %zu KiB, and more than %zu KiB cannot be kept",
		        e->key, line->len >> 10, LISTING_LINE_BYTES >> 10);
	r = make_line_room(w, line->len, err);
	if (r < 0)
		return r;
	if (w->line_count++ == 0) {
		str_clear(&w->first);
		shown_name(e->key, strlen(e->key), &w->first);
	}
	str_append_bytes(&w->lines, line->data, line->len);
	str_clear(&w->last);
	str_append(&w->last, e->key);
	w->objects++;
	w->bytes += e->bytes;
	return 0;
}

int listing_writer_finish(struct listing_writer *w, struct str *ret_index, struct error *err)
{
	struct json *j = json_object_new();
	int r = end_frame(w, err);

	json_set_int(j, "count", (int64_t)w->objects);
	json_set_int(j, "bytes", (int64_t)w->bytes);
	end_listing_line(j, &w->lines);
	if (r == 0)
		r = end_frame(w, err);
	if (r < 0 || !ret_index)
		return r;
	j = json_object_new();
	json_set_string(j, "format", listing_index_format_name(w->format));
	json_set_int(j, "version", LISTING_VERSION);
	json_set_int(j, "listing_bytes", (int64_t)w->written);
	json_set_int(j, "count", (int64_t)w->objects);
	json_set_int(j, "bytes", (int64_t)w->bytes);
	end_listing_line(j, ret_index);
	str_append_bytes(ret_index, str_text(&w->index), w->index.len);
	return 0;
}

uint64_t listing_writer_count(const struct listing_writer *w)
{
	return w->objects;
}

uint64_t listing_writer_bytes(const struct listing_writer *w)
{
	return w->bytes;
}
