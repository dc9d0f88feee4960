// SPDX-License-Identifier: Apache-2.0
/*
 * Packs. Each is an artifact of its own: a tar, and beside its manifest the list of its members with their places, by which a run that broke off is found again. What
 * was begun of a member and cannot be ended is filled with zeros: the tar stays a tar, and whoever unpacks it gets the member that comes behind under the same name, or a file
 * that no listing names.
 */
#include "mirror_private.h"
#include "tar_member.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/codec/name.h>
#include <keepfs/codec/shown_name.h>
#include <keepfs/stream/rate.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define ZEROS_BYTES ((size_t)64 << 10)

struct packer {
	const struct make_context *ctx;
	struct make_order order; /* as the run's, for packs */
	struct make_target target;
	char *job;         /* whose packs they are */
	struct rate *rate; /* of all packs; NULL: the order has one */
	int64_t at_us; /* after which their directory is named; moved on while another run's has that name */
	char time[CLOCK_NAME_BYTES];
	int64_t number; /* of the pack that is filled, or was last; 0: none yet */
	char *source;
	struct draft *draft; /* NULL: none is begun */
	struct stream_object *object;
	uint64_t at;
	struct listing_writer *members;
	struct str listing;    /* of members */
	struct str line;       /* of the member that was ended last */
	uint64_t count;        /* packs that were published */
	struct sha256 *digest; /* of the member that is written */
	bool is_in_member,
	        is_broken;        /* one was begun and not ended; the store has refused bytes of the pack */
	uint64_t member_at, left; /* of it */
	uint64_t member_bytes;
};

struct packer *packer_new(const struct make_context *ctx, const struct make_order *order,
                          const struct conf_job *keeper, int64_t started_at_us, const char *source)
{
	struct packer *p = mem_alloc(sizeof(*p));

	p->ctx = ctx;
	p->order = *order;
	p->order.target = &p->target;
	/* Also of a part of a bundle each is an artifact of its own, which others may need. */
	p->order.whole = NULL;
	p->order.part = NULL;
	p->order.job = keeper;
	if (!order->rate)
		p->order.rate = p->rate = rate_new(order->job->max_rate_bytes);
	p->order.hold = NULL;
	p->order.keep_ms = 0;
	p->order.note = NULL;
	p->order.partial = false;
	p->at_us = started_at_us;
	p->job = mem_strdup(order->job->name);
	p->source = mem_strdup(source);
	p->target.label = mem_strdup(order->job->name);
	return p;
}

static void forget_pack(struct packer *p)
{
	p->object = stream_object_free(p->object);
	p->draft = draft_free(p->draft);
	p->members = listing_writer_free(p->members);
	p->digest = sha256_free(p->digest);
	str_clear(&p->listing);
	p->at = 0;
	p->is_in_member = p->is_broken = false;
}

struct packer *packer_free(struct packer *p)
{
	if (!p)
		return NULL;
	forget_pack(p);
	str_finish(&p->listing);
	str_finish(&p->line);
	free(p->target.label);
	free(p->target.directory);
	free(p->target.stem);
	free(p->source);
	rate_free(p->rate);
	free(p->job);
	free(p);
	return NULL;
}

uint64_t packer_count(const struct packer *p)
{
	return p->count;
}

/* The first second from the begin of the run on in whose directory nothing is. */
static int find_pack_directory(struct packer *p, struct error *err)
{
	int taken = 1;

	for (; taken > 0; p->at_us += US_PER_S) {
		clock_format_name(p->at_us, p->time);
		free(p->target.directory);
		p->target.directory = mem_printf(TREE_PACKS "/%s/%s", p->job, p->time);
		taken = catalog_stem_taken(p->ctx->repository->catalog, p->target.directory, "00001");
	}
	return taken < 0 ? error_system(err, -taken, "the catalog cannot be read") : 0;
}

static int take_members(void *arg, const void *data, size_t len, struct error *err)
{
	(void)err;
	str_append_bytes(arg, data, len);
	return 0;
}

static int open_pack(struct packer *p, struct error *err)
{
	const struct draft_options options = {.ctx = p->ctx,
	                                      .order = &p->order,
	                                      .kind = "pack",
	                                      .suffix = ".tar",
	                                      .is_pack = true,
	                                      .started_at_us = make_now_us(p->ctx)};
	const struct listing_out out = {.write = take_members, .arg = &p->listing};
	struct listing_head head = {.job = p->job, .source = p->source, .taken_at_us = options.started_at_us};
	int r = p->number == 0 ? find_pack_directory(p, err) : 0;

	if (r < 0)
		return r;
	free(p->target.stem);
	p->target.stem = mem_printf("%05" PRId64, ++p->number);
	r = draft_new(&options, &p->draft, err);
	if (r == 0)
		r = draft_open(p->draft, NULL, 0, &p->object, err);
	if (r == 0)
		p->members = listing_writer_new(&head, &out);
	return r;
}

static int put_packed(struct packer *p, const void *data, size_t len, struct error *err)
{
	int r = stream_object_write(p->object, data, len, err);

	p->at += len;
	p->is_broken = p->is_broken || r < 0;
	return r;
}

static int put_zeros(struct packer *p, uint64_t bytes, struct error *err)
{
	static const char zeros[ZEROS_BYTES];
	int r = 0;

	for (; r == 0 && bytes > 0; bytes -= bytes < sizeof(zeros) ? bytes : sizeof(zeros))
		r = put_packed(p, zeros, bytes < sizeof(zeros) ? (size_t)bytes : sizeof(zeros), err);
	return r;
}

static int put_pack_members(struct packer *p, struct error *err)
{
	_cleanup(free) char *key = draft_contents_key(p->draft);
	int r = listing_writer_finish(p->members, NULL, err);

	return r < 0 ? r
	             : draft_put_object(p->draft, MANIFEST_ROLE_MEMBERS, key, p->listing.data, p->listing.len,
	                                err);
}

static int seal_pack(struct packer *p, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	struct manifest *made = draft_manifest(p->draft);
	int r = put_zeros(p, 2 * TAR_BLOCK, err);

	if (r == 0)
		r = draft_finish(p->draft, NULL, p->object, NULL, err);
	p->object = stream_object_free(p->object);
	if (r < 0)
		return r;
	manifest_set_fact(made, "format", "tar");
	manifest_set_fact_int(made, "objects", (int64_t)listing_writer_count(p->members));
	manifest_set_fact_int(made, "content_bytes", (int64_t)listing_writer_bytes(p->members));
	r = put_pack_members(p, err);
	return r < 0 ? r : draft_publish(p->draft, NULL, &m, err);
}

/* What could not be published is given up: nothing can be written to it any more. */
static int publish_pack(struct packer *p, struct error *err)
{
	int r = seal_pack(p, err);

	p->count += r == 0;
	forget_pack(p);
	return r;
}

int packer_finish(struct packer *p, struct error *err)
{
	int r = 0;

	/* Of a run that failed in the middle of an object. */
	if (p->is_in_member && !p->is_broken)
		r = packer_spoil(p, err);
	if (r == 0 && p->draft && !p->is_broken && listing_writer_count(p->members) > 0)
		return publish_pack(p, err);
	forget_pack(p);
	return r;
}

static bool is_full_for(const struct packer *p, uint64_t bytes)
{
	return p->draft && listing_writer_count(p->members) > 0 &&
	       (p->at + bytes > PACK_BYTES || bytes >= PACK_ALONE_BYTES ||
	        listing_writer_count(p->members) >= PACK_MEMBERS);
}

int packer_begin(struct packer *p, const struct listing_entry *e, struct error *err)
{
	_cleanup(str) struct str name = {0}, headers = {0};
	int r = is_full_for(p, e->bytes) ? publish_pack(p, err) : 0;

	if (r == 0 && !p->draft)
		r = open_pack(p, err);
	if (r < 0)
		return r;
	shown_name(e->key, strlen(e->key), &name);
	tar_member_append(&headers, str_text(&name), e->bytes, e->modified_us);
	p->is_in_member = true;
	r = put_packed(p, headers.data, headers.len, err);
	p->member_at = p->at;
	p->member_bytes = p->left = e->bytes;
	sha256_free(p->digest);
	p->digest = sha256_new();
	return r;
}

int packer_write(struct packer *p, const void *data, size_t len, struct error *err)
{
	int r = draft_pace(p->draft, len, err);

	if (r == 0 && len > p->left)
		r = error_set(err, ERROR_INTERNAL, EOVERFLOW, "an object is longer than its listing says");
	if (r < 0)
		return r;
	sha256_update(p->digest, data, len);
	p->left -= len;
	return put_packed(p, data, len, err);
}

int packer_end(struct packer *p, struct listing_entry *e, struct error *err)
{
	uint8_t digest[SHA256_BYTES];
	int r;

	sha256_final(p->digest, digest);
	hex_encode(digest, sizeof(digest), e->sha256);
	free(e->pack);
	e->pack = mem_printf("%s/%s", p->time, p->target.stem);
	e->at = p->member_at;
	p->is_in_member = false;
	r = put_zeros(p, tar_member_padding(p->member_bytes), err);
	str_clear(&p->line);
	listing_entry_encode(e, &p->line);
	if (r == 0)
		r = listing_writer_add_line(p->members, e, &p->line, err);
	return r == 0 && e->bytes >= PACK_ALONE_BYTES ? publish_pack(p, err) : r;
}

const struct str *packer_line(const struct packer *p)
{
	return &p->line;
}

int packer_spoil(struct packer *p, struct error *err)
{
	if (listing_writer_count(p->members) == 0) {
		forget_pack(p);
		return 0;
	}
	p->is_in_member = false;
	return put_zeros(p, p->left + tar_member_padding(p->member_bytes), err);
}
