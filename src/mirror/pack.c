// SPDX-License-Identifier: Apache-2.0
/*
 * Packs. Each is an artifact of its own: a tar, and beside its manifest the list of its members with their places, by which a run that broke off is found again. What
 * was begun of a member and cannot be ended is filled with zeros: the tar stays a tar, and whoever unpacks it gets the member that comes behind under the same name, or a file
 * that no listing names.
 *
 * One pack is filled while the one before it is published (pack_publish.c), which takes as long as to fill it, since all of it is read back. Its first failure is the packer's: it is told by every later
 * call, and what was begun behind that pack is given up. So packs are published in the order of their keys, and packer_finish() returns 0 only when every one of them was.
 */
#include "pack.h"
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

struct packer {
	const struct make_context *ctx;
	struct make_order order; /* as the run's, for packs */
	char *job;               /* whose packs they are */
	struct rate *rate;       /* of all packs; NULL: the order has one */
	int64_t at_us; /* after which their directory is named; moved on while another run's has that name */
	char time[CLOCK_NAME_BYTES];
	char *directory; /* of all packs; NULL: none was begun */
	int64_t number;  /* of the pack that is filled, or was last; 0: none yet */
	char *source;
	struct pack *pack;   /* that is filled; NULL: none is begun */
	struct pack *behind; /* that is published meanwhile; NULL: none */
	struct str line;     /* of the member that was ended last */
	uint64_t count;      /* packs that were published */
	int failed;          /* negative errno of the first that was not, and why */
	struct error failure;
	struct sha256 *digest; /* of the member that is written */
	bool is_in_member,
	        is_broken;        /* one was begun and not ended; the store has refused bytes of the pack */
	bool is_copied;           /* of the member that is written the store has copied bytes */
	uint64_t member_at, left; /* of it */
	uint64_t member_bytes;
	struct packer_told told;
};

struct packer *packer_new(const struct make_context *ctx, const struct make_order *order,
                          const struct conf_job *keeper, int64_t started_at_us, const char *source)
{
	struct packer *p = mem_alloc(sizeof(*p));

	p->ctx = ctx;
	p->order = *order;
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
	return p;
}

static void forget_pack(struct packer *p)
{
	p->pack = pack_free(p->pack);
	p->digest = sha256_free(p->digest);
	p->is_in_member = p->is_broken = p->is_copied = false;
}

struct packer *packer_free(struct packer *p)
{
	if (!p)
		return NULL;
	forget_pack(p);
	pack_free(p->behind);
	str_finish(&p->line);
	free(p->directory);
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

static int told_packer_failure(const struct packer *p, struct error *err)
{
	if (p->failed < 0 && err)
		*err = p->failure;
	return p->failed;
}

void packer_tell(struct packer *p, const struct packer_told *told)
{
	p->told = *told;
}

static int tell_copied_member(struct packer *p, const struct pack *pack, struct error *err)
{
	const struct str *line;
	const struct listing_entry *e = pack_copied(pack, &line);

	return e ? p->told.copied(p->told.arg, e, line, err) : 0;
}

int packer_settle(struct packer *p, struct error *err)
{
	_cleanup(pack) struct pack *behind = take_ptr(&p->behind);

	if (!behind)
		return told_packer_failure(p, err);
	p->failed = pack_await(behind, &p->failure);
	p->count += p->failed == 0;
	return p->failed < 0 ? told_packer_failure(p, err) : tell_copied_member(p, behind, err);
}

/* A pack that cannot be published is found out before the one behind it is full: an object may be very large. */
static int look_behind(struct packer *p, struct error *err)
{
	return p->behind && pack_has_failed(p->behind) ? packer_settle(p, err) : told_packer_failure(p, err);
}

/* The first second from the begin of the run on in whose directory nothing is. */
static int find_pack_directory(struct packer *p, struct error *err)
{
	int taken = 1;

	for (; taken > 0; p->at_us += US_PER_S) {
		clock_format_name(p->at_us, p->time);
		free(p->directory);
		p->directory = mem_printf(TREE_PACKS "/%s/%s", p->job, p->time);
		taken = catalog_stem_taken(p->ctx->repository->catalog, p->directory, "00001");
	}
	return taken < 0 ? error_system(err, -taken, "the catalog cannot be read") : 0;
}

static int open_pack(struct packer *p, struct error *err)
{
	const struct listing_head head = {
	        .job = p->job, .source = p->source, .taken_at_us = make_now_us(p->ctx)};
	_cleanup(free) char *stem = NULL;
	int r = p->number == 0 ? find_pack_directory(p, err) : 0;

	if (r < 0)
		return r;
	stem = mem_printf("%05" PRId64, ++p->number);
	return pack_new(p->ctx, &p->order, p->directory, stem, &head, &p->pack, err);
}

static int put_packed(struct packer *p, const void *data, size_t len, struct error *err)
{
	int r = pack_put(p->pack, data, len, err);

	p->is_broken = p->is_broken || r < 0;
	return r;
}

static int put_packed_zeros(struct packer *p, uint64_t bytes, struct error *err)
{
	int r = pack_put_zeros(p->pack, bytes, err);

	p->is_broken = p->is_broken || r < 0;
	return r;
}

/* What could not be published is given up: nothing can be written to it any more. */
static int publish_pack(struct packer *p, struct error *err)
{
	int r = packer_settle(p, err);

	if (r == 0) {
		p->behind = take_ptr(&p->pack);
		pack_publish(p->behind);
	}
	forget_pack(p);
	return r;
}

int packer_finish(struct packer *p, struct error *err)
{
	int r = look_behind(p, err);

	/* Of a run that failed in the middle of an object. */
	if (r == 0 && p->is_in_member && !p->is_broken)
		r = packer_spoil(p, err);
	if (r == 0 && p->pack && !p->is_broken && pack_count(p->pack) > 0)
		r = publish_pack(p, err);
	forget_pack(p);
	return r == 0 ? packer_settle(p, err) : r;
}

static bool is_full_for(const struct packer *p, uint64_t bytes)
{
	return p->pack && pack_count(p->pack) > 0 &&
	       (pack_bytes(p->pack) + bytes > PACK_BYTES || bytes >= PACK_ALONE_BYTES ||
	        pack_count(p->pack) >= PACK_MEMBERS);
}

void packer_headers(const struct listing_entry *e, struct str *out)
{
	_cleanup(str) struct str name = {0};

	shown_name(e->key, strlen(e->key), &name);
	tar_member_append(out, str_text(&name), e->bytes, e->modified_us);
}

int packer_begin(struct packer *p, const struct listing_entry *e, struct error *err)
{
	_cleanup(str) struct str headers = {0};
	int r = look_behind(p, err);

	if (r == 0 && is_full_for(p, e->bytes))
		r = publish_pack(p, err);
	if (r == 0 && !p->pack)
		r = open_pack(p, err);
	if (r < 0)
		return r;
	packer_headers(e, &headers);
	p->is_in_member = true;
	r = put_packed(p, headers.data, headers.len, err);
	p->member_at = pack_bytes(p->pack);
	p->member_bytes = p->left = e->bytes;
	sha256_free(p->digest);
	p->digest = sha256_new();
	return r;
}

int packer_write(struct packer *p, const void *data, size_t len, struct error *err)
{
	int r = look_behind(p, err);

	if (r == 0)
		r = pack_pace(p->pack, len, err);
	if (r == 0 && len > p->left)
		r = error_set(err, ERROR_INTERNAL, EOVERFLOW, "an object is longer than its listing says");
	if (r < 0)
		return r;
	sha256_update(p->digest, data, len);
	p->left -= len;
	return put_packed(p, data, len, err);
}

static int pace_copied(void *arg, uint64_t bytes, struct error *err)
{
	struct packer *p = arg;
	int r = look_behind(p, err);

	return r < 0 ? r : pack_pace(p->pack, bytes, err);
}

int packer_copy(struct packer *p, const struct store_range *from, struct error *err)
{
	const struct sink_copy copy = {.from = from, .pace = pace_copied, .arg = p};
	int r = look_behind(p, err);

	if (r == 0 && (from->bytes > p->left || pack_count(p->pack) > 0))
		r = error_set(err, ERROR_INTERNAL, EINVAL,
		              "bytes are copied into a pack that they are not for");
	if (r < 0)
		return r;
	p->is_copied = true;
	p->left -= from->bytes;
	r = pack_copy(p->pack, &copy, err);
	p->is_broken = r < 0;
	return r;
}

/* Its digest is not known yet. */
static int end_copied_member(struct packer *p, struct listing_entry *e, bool etag_is_md5, struct error *err)
{
	int r = put_packed_zeros(p, tar_member_padding(p->member_bytes), err);

	e->sha256[0] = '\0';
	if (r < 0)
		return r;
	pack_end_copied(p->pack, e, etag_is_md5 ? e->etag : "");
	return publish_pack(p, err);
}

int packer_end(struct packer *p, struct listing_entry *e, bool etag_is_md5, struct error *err)
{
	uint8_t digest[SHA256_BYTES];
	int r;

	free(e->pack);
	e->pack = mem_printf("%s/%05" PRId64, p->time, p->number);
	e->at = p->member_at;
	p->is_in_member = false;
	if (p->is_copied)
		return end_copied_member(p, e, etag_is_md5, err);
	sha256_final(p->digest, digest);
	hex_encode(digest, sizeof(digest), e->sha256);
	r = put_packed_zeros(p, tar_member_padding(p->member_bytes), err);
	str_clear(&p->line);
	listing_entry_encode(e, &p->line);
	if (r == 0)
		r = pack_list(p->pack, e, &p->line, err);
	return r == 0 && e->bytes >= PACK_ALONE_BYTES ? publish_pack(p, err) : r;
}

const struct str *packer_line(const struct packer *p)
{
	return &p->line;
}

int packer_spoil(struct packer *p, struct error *err)
{
	int r = told_packer_failure(p, err);

	if (r < 0)
		return r;
	if (!p->pack || pack_count(p->pack) == 0) {
		forget_pack(p);
		return 0;
	}
	p->is_in_member = false;
	return put_packed_zeros(p, p->left + tar_member_padding(p->member_bytes), err);
}
