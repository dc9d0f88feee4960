// SPDX-License-Identifier: Apache-2.0
/* Listings as they are read. All of it may be damaged, or somebody else's: nothing is believed. */
#include "listing_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/decompression.h>
#include <keepfs/codec/shown_name.h>

#define OTHER_FORMAT "a line is of another format than it"

static int damaged_listing(struct error *err, const char *what)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "a listing is damaged: %s", what);
}

bool listing_pack_split(const char *pack, char ret_directory[static 17], int64_t *ret_number)
{
	int64_t at_us, number = 0;
	const char *digit = pack + CLOCK_NAME_BYTES;

	if (strlen(pack) < CLOCK_NAME_BYTES + 5 || strlen(pack) > CLOCK_NAME_BYTES + 12 ||
	    clock_parse_name(pack, &at_us) < 0 || pack[CLOCK_NAME_BYTES - 1] != '/')
		return false;
	/* Of five digits, or of more without a zero in front. */
	if (strlen(digit) > 5 && digit[0] == '0')
		return false;
	for (; *digit; digit++) {
		if (*digit < '0' || *digit > '9')
			return false;
		number = number * 10 + (*digit - '0');
	}
	memcpy(ret_directory, pack, CLOCK_NAME_BYTES - 1);
	ret_directory[CLOCK_NAME_BYTES - 1] = '\0';
	*ret_number = number;
	return number > 0;
}

bool listing_get_natural(const struct json *j, const char *key, uint64_t *ret)
{
	int64_t value;

	if (!json_get_int(j, key, &value) || value < 0)
		return false;
	*ret = (uint64_t)value;
	return true;
}

bool listing_get_name(const struct json *j, const char *member, char **ret_key)
{
	const char *name = json_get_string(j, member);
	_cleanup(str) struct str key = {0};

	if (!name || shown_name_key(name, &key) < 0)
		return false;
	*ret_key = str_take(&key);
	return true;
}

bool listing_get_modified(const struct json *j, int64_t *ret_at_us)
{
	return json_get_time(j, "modified", ret_at_us) || json_get_null(j, "modified");
}

static bool is_hex_digest(const char *text)
{
	return text && strlen(text) == SHA256_HEX_BYTES - 1 &&
	       strspn(text, "0123456789abcdef") == SHA256_HEX_BYTES - 1;
}

static bool get_meta(const struct json *j, struct json **ret)
{
	const struct json *meta = json_get(j, "meta");

	if (!meta)
		return true;
	if (!json_is_object_value(meta))
		return false;
	for (const char *key = json_first_key(meta); key; key = json_next_key(meta, key))
		if (!json_get_string(meta, key))
			return false;
	*ret = json_clone(meta);
	return true;
}

static const char *read_mirror_entry(const struct json *j, struct listing_entry *e)
{
	const char *sha256 = json_get_string(j, "sha256"), *pack = json_get_string(j, "pack");
	char directory[CLOCK_NAME_BYTES];
	int64_t number;

	if (!listing_get_name(j, "name", &e->key))
		return "a name is none";
	if (!listing_get_natural(j, "size", &e->bytes) || !listing_get_natural(j, "at", &e->at))
		return "a size or a place is none";
	if (!listing_get_modified(j, &e->modified_us))
		return "a time is none";
	if (!is_hex_digest(sha256))
		return "a SHA-256 is none";
	if (!pack || !listing_pack_split(pack, directory, &number))
		return "the name of a pack is none";
	if (!json_get_string(j, "etag"))
		return "an object has no etag";
	if (!get_meta(j, &e->meta))
		return "the metadata of an object are no strings";
	str_copy(e->sha256, sizeof(e->sha256), sha256);
	e->pack = mem_strdup(pack);
	e->etag = mem_strdup(json_get_string(j, "etag"));
	e->version_id = mem_strdup(json_get_string(j, "version_id"));
	e->type = mem_strdup(json_get_string(j, "type"));
	return NULL;
}

static int decode_entry(const struct json *j, struct listing_entry *ret, struct error *err)
{
	_cleanup(listing_entry) struct listing_entry e = {0};
	const char *why = listing_line_is_base(j) ? listing_base_read(j, &e) : read_mirror_entry(j, &e);

	if (why)
		return damaged_listing(err, why);
	*ret = e;
	e = (struct listing_entry){0};
	return 0;
}

int listing_entry_decode(const char *line, size_t len, struct listing_entry *ret, struct error *err)
{
	_cleanup(json) struct json *j = json_parse(line, len, NULL);

	return j && json_is_object_value(j) ? decode_entry(j, ret, err)
	                                    : damaged_listing(err, "a line is no JSON");
}

/* "name" comes first, so mostly nothing else has to be understood. */
static bool plain_line_name(const char *line, size_t len, struct str *ret)
{
	static const char begin[] = "{\"name\":\"";
	const char *name = line + sizeof(begin) - 1, *end;

	if (len < sizeof(begin) || memcmp(line, begin, sizeof(begin) - 1) != 0)
		return false;
	end = memchr(name, '"', len - (sizeof(begin) - 1));
	if (!end || memchr(name, '\\', (size_t)(end - name)))
		return false;
	str_append_bytes(ret, name, (size_t)(end - name));
	return true;
}

int listing_line_key(const char *line, size_t len, struct str *ret, struct error *err)
{
	_cleanup(str) struct str name = {0};
	_cleanup(listing_entry) struct listing_entry whole = {0};
	int r;

	str_clear(ret);
	if (plain_line_name(line, len, &name))
		return shown_name_key(str_text(&name), ret) < 0 ? damaged_listing(err, "a name is none") : 0;
	r = listing_entry_decode(line, len, &whole, err);
	if (r == 0)
		str_append(ret, whole.key);
	return r;
}

/* The index. */

void listing_index_finish(struct listing_index *x)
{
	for (size_t i = 0; i < x->count; i++)
		free(x->frames[i].first);
	free(x->frames);
	*x = (struct listing_index){0};
}

static bool find_format(const struct json *j, const char *(*name_of)(enum listing_format),
                        enum listing_format *ret)
{
	const char *format = json_get_string(j, "format");

	for (int i = LISTING_MIRROR; i <= LISTING_BASE; i++) {
		if (!str_equal(format, name_of((enum listing_format)i)))
			continue;
		*ret = (enum listing_format)i;
		return true;
	}
	return false;
}

static int check_listing_format(const struct json *j, const char *(*name_of)(enum listing_format),
                                enum listing_format *ret, struct error *err)
{
	int64_t version = 0;

	if (!find_format(j, name_of, ret) || !json_get_int(j, "version", &version) || version < 1)
		return damaged_listing(err, "its first line is none");
	if (version > LISTING_VERSION)
		return error_set(err, ERROR_USAGE, ENOTSUP, "a newer keepfs has written this listing");
	return 0;
}

static bool read_frame(const struct json *j, const struct listing_index *x, struct listing_frame *f)
{
	const struct listing_frame *before = x->count > 0 ? &x->frames[x->count - 1] : NULL;
	uint64_t bytes, raw, lines;

	if (!listing_get_natural(j, "at", &f->at) || !listing_get_natural(j, "bytes", &bytes) ||
	    !listing_get_natural(j, "raw", &raw) || !listing_get_natural(j, "lines", &lines))
		return false;
	if (raw == 0 || raw > LISTING_FRAME_BYTES || bytes == 0 || bytes > 2 * LISTING_FRAME_BYTES ||
	    lines == 0 || lines > LISTING_FRAME_LINES || f->at > x->listing_bytes ||
	    bytes > x->listing_bytes - f->at)
		return false;
	f->bytes = bytes;
	f->raw = raw;
	f->lines = (uint32_t)lines;
	if (before && f->at != before->at + before->bytes)
		return false;
	if (!listing_get_name(j, "first", &f->first))
		return false;
	return !before || strcmp(before->first, f->first) < 0;
}

static int take_frame(struct listing_index *x, const char *line, size_t len, uint64_t *lines,
                      struct error *err)
{
	_cleanup(json) struct json *j = json_parse(line, len, NULL);
	struct listing_frame f = {0};

	if (!j || !read_frame(j, x, &f)) {
		free(f.first);
		return damaged_listing(err, "its index is wrong");
	}
	if ((x->count & (x->count - 1)) == 0)
		x->frames = mem_resize(x->frames, x->count ? x->count * 2 : 1, sizeof(f));
	x->frames[x->count++] = f;
	*lines += f.lines;
	return 0;
}

static int take_index_head(struct listing_index *x, const char *line, size_t len, struct error *err)
{
	_cleanup(json) struct json *j = json_parse(line, len, NULL);
	int r = j ? check_listing_format(j, listing_index_format_name, &x->format, err)
	          : damaged_listing(err, "its index is no JSON");

	if (r == 0 &&
	    (!listing_get_natural(j, "listing_bytes", &x->listing_bytes) ||
	     !listing_get_natural(j, "count", &x->objects) || !listing_get_natural(j, "bytes", &x->bytes)))
		r = damaged_listing(err, "its index has no numbers");
	return r;
}

int listing_index_decode(const char *text, size_t len, struct listing_index *ret, struct error *err)
{
	_cleanup(listing_index) struct listing_index x = {0};
	const char *end = text + len;
	uint64_t lines = 0;
	int r = 0;

	for (bool is_first = true; r == 0 && text < end; is_first = false) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		if (!stop)
			return damaged_listing(err, "its index was cut off");
		r = is_first ? take_index_head(&x, text, (size_t)(stop - text), err)
		             : take_frame(&x, text, (size_t)(stop - text), &lines, err);
		text = stop + 1;
	}
	if (r == 0 && (x.listing_bytes == 0 || lines != x.objects))
		r = damaged_listing(err, "its index was cut off");
	if (r < 0)
		return r;
	*ret = x;
	x = (struct listing_index){0};
	return 0;
}

/* By the index. */

struct listing_reader {
	const struct listing_index *index;
	const struct listing_source *source;
	struct unpacker *unpacker;
	size_t frame;   /* of which the lines are; index->count: of none */
	size_t next;    /* the frame that comes when the lines are at their end */
	char *lines;    /* LISTING_FRAME_BYTES */
	size_t len, at; /* of the lines; of these so many were taken */
	char *packed;
	size_t room; /* of packed */
};

struct listing_reader *listing_reader_new(const struct listing_index *index,
                                          const struct listing_source *source)
{
	struct listing_reader *r = mem_alloc(sizeof(*r));

	r->index = index;
	r->source = source;
	r->frame = index->count;
	return r;
}

struct listing_reader *listing_reader_free(struct listing_reader *r)
{
	if (!r)
		return NULL;
	unpacker_free(r->unpacker);
	free(r->lines);
	free(r->packed);
	free(r);
	return NULL;
}

static int unpack_lines(struct listing_reader *r, const struct listing_frame *f, struct error *err)
{
	int result;

	if (!r->unpacker) {
		r->unpacker = unpacker_new(COMPRESSION_ZSTD);
		r->lines = mem_alloc(LISTING_FRAME_BYTES);
	}
	if (r->room < f->bytes) {
		free(r->packed);
		r->packed = mem_alloc(f->bytes);
		r->room = f->bytes;
	}
	result = r->source->read(r->source->arg, f->at, r->packed, f->bytes, err);
	if (result == 0)
		result = unpacker_run(r->unpacker, r->packed, f->bytes, r->lines, LISTING_FRAME_BYTES,
		                      &r->len, err);
	if (result == 0 && (r->len != f->raw || r->lines[r->len - 1] != '\n'))
		result = damaged_listing(err, "a frame is not as the index says");
	return result;
}

static int load_frame(struct listing_reader *r, size_t number, struct error *err)
{
	int result = 0;

	if (r->frame != number)
		result = unpack_lines(r, &r->index->frames[number], err);
	r->frame = result < 0 ? r->index->count : number;
	r->next = result < 0 ? r->next : number + 1;
	r->at = 0;
	if (result < 0)
		r->len = 0;
	return result;
}

/* The last frame that begins with @key or before it. */
static size_t frame_of(const struct listing_index *x, const char *key)
{
	size_t low = 0, high = x->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(x->frames[middle].first, key) <= 0)
			low = middle;
		else
			high = middle;
	}
	return low;
}

int listing_reader_seek(struct listing_reader *r, const char *key, struct error *err)
{
	int result = r->index->count > 0 ? load_frame(r, frame_of(r->index, key), err) : 0;

	while (result == 0 && r->at < r->len) {
		_cleanup(listing_entry) struct listing_entry e = {0};
		size_t before = r->at;

		result = listing_reader_next(r, &e, err);
		if (result == 1 && strcmp(e.key, key) >= 0) {
			r->at = before;
			return 0;
		}
		result = result < 0 ? result : 0;
	}
	return result;
}

int listing_reader_next(struct listing_reader *r, struct listing_entry *ret, struct error *err)
{
	const char *line, *end;
	int result = 0;

	if (r->at == r->len && r->next < r->index->count)
		result = load_frame(r, r->next, err);
	if (result < 0)
		return result;
	if (r->at == r->len)
		return 0;
	line = r->lines + r->at;
	end = memchr(line, '\n', r->len - r->at);
	result = listing_entry_decode(line, (size_t)(end - line), ret, err);
	r->at += (size_t)(end - line) + 1;
	if (result == 0 && ret->format != r->index->format) {
		listing_entry_finish(ret);
		result = damaged_listing(err, OTHER_FORMAT);
	}
	return result < 0 ? result : 1;
}

int listing_reader_find(struct listing_reader *r, const char *key, struct listing_entry *ret,
                        struct error *err)
{
	_cleanup(listing_entry) struct listing_entry e = {0};
	int result = listing_reader_seek(r, key, err);

	if (result == 0)
		result = listing_reader_next(r, &e, err);
	if (result <= 0 || strcmp(e.key, key) != 0)
		return result < 0 ? result : 0;
	*ret = e;
	e = (struct listing_entry){0};
	return 1;
}

/* All of it. */

struct listing_scan {
	struct listing_scan_to to;
	struct decompressor *plain;
	struct str line;
	enum listing_format format; /* has_head */
	bool has_head, has_tail;
	uint64_t objects, bytes;
	char *last; /* key */
};

static int scan_head(struct listing_scan *s, const struct json *j, struct error *err)
{
	_cleanup(listing_head) struct listing_head head = {0};
	int r = check_listing_format(j, listing_format_name, &head.format, err);

	if (r < 0)
		return r;
	head.job = mem_strdup(json_get_string(j, "job"));
	head.source = mem_strdup(json_get_string(j, "source"));
	if (!head.job || !head.source || !json_get_time(j, "taken_at", &head.taken_at_us))
		return damaged_listing(err, "its first line does not say of what it is");
	s->format = head.format;
	s->has_head = true;
	return s->to.head ? s->to.head(s->to.arg, &head, err) : 0;
}

static int scan_tail(struct listing_scan *s, const struct json *j, struct error *err)
{
	uint64_t count, bytes;

	if (!listing_get_natural(j, "count", &count) || !listing_get_natural(j, "bytes", &bytes) ||
	    count != s->objects || bytes != s->bytes)
		return damaged_listing(err, "its last line counts other objects");
	s->has_tail = true;
	return 0;
}

static int scan_entry(struct listing_scan *s, const struct json *j, struct error *err)
{
	_cleanup(listing_entry) struct listing_entry e = {0};
	int r = decode_entry(j, &e, err);

	if (r < 0)
		return r;
	if (e.format != s->format)
		return damaged_listing(err, OTHER_FORMAT);
	if (s->last && strcmp(s->last, e.key) >= 0)
		return damaged_listing(err, "its keys are not in order");
	mem_replace_string(&s->last, e.key);
	s->objects++;
	s->bytes += e.bytes;
	return s->to.entry(s->to.arg, &e, err);
}

static int scan_line(struct listing_scan *s, struct error *err)
{
	_cleanup(json) struct json *j = json_parse(str_text(&s->line), s->line.len, NULL);
	int r;

	if (!j || !json_is_object_value(j) || s->has_tail)
		return damaged_listing(err, s->has_tail ? "it goes on behind its end" : "a line is no JSON");
	if (!s->has_head)
		r = scan_head(s, j, err);
	else
		r = json_get(j, "count") ? scan_tail(s, j, err) : scan_entry(s, j, err);
	str_clear(&s->line);
	return r;
}

static int scan_plain(void *arg, const void *data, size_t len, struct error *err)
{
	struct listing_scan *s = arg;
	const char *at = data, *end = at + len;

	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t part = (size_t)((stop ? stop : end) - at);
		int r;

		if (s->line.len + part > LISTING_LINE_BYTES)
			return damaged_listing(err, "a line is too long");
		str_append_bytes(&s->line, at, part);
		at += part + (stop != NULL);
		r = stop ? scan_line(s, err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

struct listing_scan *listing_scan_new(const struct listing_scan_to *to)
{
	struct listing_scan *s = mem_alloc(sizeof(*s));
	const struct decompressor_out out = {.write = scan_plain, .arg = s};

	s->to = *to;
	s->plain = decompressor_new(COMPRESSION_ZSTD, &out);
	return s;
}

struct listing_scan *listing_scan_free(struct listing_scan *s)
{
	if (!s)
		return NULL;
	decompressor_free(s->plain);
	str_finish(&s->line);
	free(s->last);
	free(s);
	return NULL;
}

int listing_scan_feed(struct listing_scan *s, const void *data, size_t len, struct error *err)
{
	return decompressor_write(s->plain, data, len, err);
}

int listing_scan_end(struct listing_scan *s, struct error *err)
{
	int r = decompressor_finish(s->plain, err);

	return r == 0 && !s->has_tail ? damaged_listing(err, "it was cut off") : r;
}
