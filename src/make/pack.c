// SPDX-License-Identifier: Apache-2.0
/*
 * A pack on its way into the store. What comes behind its last byte takes as long as all before it: parts that are still being sent, the list of its members, and reading back every byte of it. So it is
 * done on a thread of its own, with memory of its own, while the next pack is filled.
 */
#include "pack_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <string.h>

#define ZEROS_BYTES ((size_t)64 << 10)

/* A member whose bytes the store has copied: nobody has seen them before they are read back. */
struct copied_member {
	struct listing_entry entry;
	char md5[2 * MD5_BYTES + 1]; /* that its bytes have to have; "": nobody knows */
	struct str line;
	struct sha256 *sha256; /* of what was read so far, as all below */
	struct md5 *md5_so_far;
	uint64_t at; /* in the pack */
};

struct pack {
	struct make_order order;
	struct make_target target;
	struct draft *draft;
	struct stream_object *object; /* NULL: finished */
	uint64_t at;
	bool is_broken;                 /* the store has refused bytes of it */
	struct listing_writer *members; /* NULL: none are listed */
	struct str listing;             /* of members */
	struct copied_member *copied;   /* NULL: all bytes were put */
	pthread_t thread;
	bool is_running; /* the thread, which all above belongs to */
	atomic_bool has_failed;
	int result; /* of publishing; the thread's until it is joined */
	struct error error;
};

static int take_members(void *arg, const void *data, size_t len, struct error *err)
{
	(void)err;
	str_append_bytes(arg, data, len);
	return 0;
}

int pack_new(const struct pack_options *options, struct pack **ret, struct error *err)
{
	_cleanup(pack) struct pack *pack = mem_alloc(sizeof(*pack));
	const struct draft_options draft = {.ctx = options->ctx,
	                                    .order = &pack->order,
	                                    .kind = "pack",
	                                    .suffix = options->suffix,
	                                    .is_pack = true,
	                                    .started_at_us = options->started_at_us};
	const struct listing_out out = {.write = take_members, .arg = &pack->listing};
	int r;

	pack->order = *options->order;
	pack->order.target = &pack->target;
	pack->target.label = mem_strdup(options->job);
	pack->target.directory = mem_strdup(options->directory);
	pack->target.stem = mem_strdup(options->stem);
	r = draft_new(&draft, &pack->draft, err);
	if (r == 0)
		r = draft_open(pack->draft, NULL, 0, &pack->object, err);
	if (r < 0)
		return r;
	if (options->members)
		pack->members = listing_writer_new(options->members, &out);
	*ret = take_ptr(&pack);
	return 0;
}

static void await_thread(struct pack *pack)
{
	if (pack->is_running)
		pthread_join(pack->thread, NULL);
	pack->is_running = false;
}

static void copied_member_free(struct copied_member *c)
{
	if (!c)
		return;
	listing_entry_finish(&c->entry);
	str_finish(&c->line);
	sha256_free(c->sha256);
	md5_free(c->md5_so_far);
	free(c);
}

struct pack *pack_free(struct pack *pack)
{
	if (!pack)
		return NULL;
	await_thread(pack);
	copied_member_free(pack->copied);
	stream_object_free(pack->object);
	draft_free(pack->draft);
	listing_writer_free(pack->members);
	str_finish(&pack->listing);
	free(pack->target.label);
	free(pack->target.directory);
	free(pack->target.stem);
	free(pack);
	return NULL;
}

int pack_pace(struct pack *pack, uint64_t bytes, struct error *err)
{
	return draft_pace(pack->draft, bytes, err);
}

int pack_put(struct pack *pack, const void *data, size_t len, struct error *err)
{
	int r = stream_object_write(pack->object, data, len, err);

	pack->at += len;
	pack->is_broken |= r < 0;
	return r;
}

int pack_put_zeros(struct pack *pack, uint64_t bytes, struct error *err)
{
	static const char zeros[ZEROS_BYTES];
	int r = 0;

	for (; r == 0 && bytes > 0; bytes -= bytes < sizeof(zeros) ? bytes : sizeof(zeros))
		r = pack_put(pack, zeros, bytes < sizeof(zeros) ? (size_t)bytes : sizeof(zeros), err);
	return r;
}

int pack_copy(struct pack *pack, const struct sink_copy *from, struct error *err)
{
	int r = stream_object_copy(pack->object, from, err);

	pack->at += from->from->bytes;
	pack->is_broken |= r < 0;
	return r;
}

void pack_end_copied(struct pack *pack, const struct listing_entry *e, const char *md5)
{
	struct copied_member *c = pack->copied = mem_alloc(sizeof(*c));

	c->entry = (struct listing_entry){.key = mem_strdup(e->key),
	                                  .bytes = e->bytes,
	                                  .etag = mem_strdup(e->etag),
	                                  .modified_us = e->modified_us,
	                                  .type = mem_strdup(e->type),
	                                  .version_id = mem_strdup(e->version_id),
	                                  .meta = e->meta ? json_clone(e->meta) : NULL,
	                                  .pack = mem_strdup(e->pack),
	                                  .at = e->at};
	str_copy(c->md5, sizeof(c->md5), md5);
}

const struct listing_entry *pack_copied(const struct pack *pack, const struct str **ret_line)
{
	if (pack->copied)
		*ret_line = &pack->copied->line;
	return pack->copied ? &pack->copied->entry : NULL;
}

int pack_list(struct pack *pack, const struct listing_entry *e, const struct str *line, struct error *err)
{
	return listing_writer_add_line(pack->members, e, line, err);
}

uint64_t pack_bytes(const struct pack *pack)
{
	return pack->at;
}

uint64_t pack_count(const struct pack *pack)
{
	return pack->members ? listing_writer_count(pack->members) : 0;
}

uint64_t pack_content_bytes(const struct pack *pack)
{
	return pack->members ? listing_writer_bytes(pack->members) : 0;
}

struct manifest *pack_manifest(struct pack *pack)
{
	return draft_manifest(pack->draft);
}

bool pack_is_broken(const struct pack *pack)
{
	return pack->is_broken;
}

/* Of what is read back, what is the member's. */
static int take_copied_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	struct copied_member *c = arg;
	uint64_t begin = c->entry.at, end = begin + c->entry.bytes, from = c->at, to = c->at + len;

	(void)err;
	c->at = to;
	from = from > begin ? from : begin;
	to = to < end ? to : end;
	if (from >= to)
		return 0;
	data = (const char *)data + (from - (c->at - len));
	sha256_update(c->sha256, data, (size_t)(to - from));
	if (c->md5_so_far)
		md5_update(c->md5_so_far, data, (size_t)(to - from));
	return 0;
}

static int check_copied_md5(struct copied_member *c, struct error *err)
{
	uint8_t digest[MD5_BYTES];
	char found[2 * MD5_BYTES + 1];

	if (!c->md5_so_far)
		return 0;
	md5_final(c->md5_so_far, digest);
	hex_encode(digest, sizeof(digest), found);
	return strcmp(found, c->md5) == 0
	               ? 0
	               : error_set(
	                         err, ERROR_CORRUPT, EBADMSG,
	                         "%s: what the server has copied has the MD5 %s, and the object in the source has the ETag %s: if that server's ETags are no MD5s, set server_copy = no",
	                         c->entry.key, found, c->md5);
}

static int end_copied_bytes(void *arg, struct error *err)
{
	struct copied_member *c = arg;
	uint8_t digest[SHA256_BYTES];

	sha256_final(c->sha256, digest);
	hex_encode(digest, sizeof(digest), c->entry.sha256);
	return check_copied_md5(c, err);
}

/* It is read back before it is listed as a member, since only then its digest is known. */
static int finish_copied_pack(struct pack *pack, struct error *err)
{
	struct copied_member *c = pack->copied;
	const struct draft_check check = {.feed = take_copied_bytes, .end = end_copied_bytes, .arg = c};
	int r;

	c->sha256 = sha256_new();
	c->md5_so_far = c->md5[0] ? md5_new() : NULL;
	r = draft_finish_copied(pack->draft, NULL, &pack->object, &check, err);
	if (r < 0)
		return r;
	listing_entry_encode(&c->entry, &c->line);
	return pack_list(pack, &c->entry, &c->line, err);
}

static int put_pack_members(struct pack *pack, struct error *err)
{
	_cleanup(free) char *key = draft_contents_key(pack->draft);
	int r = listing_writer_finish(pack->members, NULL, err);

	return r < 0 ? r
	             : draft_put_object(pack->draft, MANIFEST_ROLE_MEMBERS, key, pack->listing.data,
	                                pack->listing.len, err);
}

static int seal_pack(struct pack *pack, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	int r = pack->copied ? finish_copied_pack(pack, err)
	                     : draft_finish(pack->draft, NULL, pack->object, NULL, err);

	pack->object = stream_object_free(pack->object);
	if (r == 0 && pack->members)
		r = put_pack_members(pack, err);
	return r < 0 ? r : draft_publish(pack->draft, NULL, &m, err);
}

static void *publish_filled_pack(void *arg)
{
	struct pack *pack = arg;

	pack->result = seal_pack(pack, &pack->error);
	/* Taken back at once, and its memory is free for the next one. */
	pack->object = stream_object_free(pack->object);
	pack->draft = draft_free(pack->draft);
	if (pack->result < 0)
		atomic_store(&pack->has_failed, true);
	return NULL;
}

void pack_publish(struct pack *pack)
{
	pack->is_running = draft_set_aside(pack->draft) &&
	                   thread_start(&pack->thread, "pack", publish_filled_pack, pack) == 0;
	if (!pack->is_running)
		publish_filled_pack(pack);
}

bool pack_has_failed(const struct pack *pack)
{
	return atomic_load(&pack->has_failed);
}

int pack_await(struct pack *pack, struct error *err)
{
	await_thread(pack);
	if (pack->result < 0 && err)
		*err = pack->error;
	return pack->result;
}
