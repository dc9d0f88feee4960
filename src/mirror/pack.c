// SPDX-License-Identifier: Apache-2.0
/*
 * Packs. Each is a tar, and beside its manifest the list of its members with their places, by which a run that broke off is found again. What
 * was begun of a member and cannot be ended is filled with zeros: the tar stays a tar, and whoever unpacks it gets the member that comes behind under the same name, or a file
 * that no listing names.
 */
#include "mirror_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/shown_name.h>
#include <keepfs/codec/tar_member.h>

#include <errno.h>
#include <string.h>

#define MEMBER_MODE 0644U

struct packer {
	struct packs *packs;
	struct str line;          /* of the member that was ended last */
	struct sha256 *digest;    /* of the member that is written */
	bool is_in_member;        /* one was begun and not ended */
	bool is_copied;           /* of the member that is written the store has copied bytes */
	uint64_t member_at, left; /* of it */
	uint64_t member_bytes;
};

struct packer *packer_new(const struct make_context *ctx, const struct make_order *order,
                          const struct conf_job *keeper, int64_t started_at_us, const char *source)
{
	const struct packs_options options = {.ctx = ctx,
	                                      .order = order,
	                                      .keeper = keeper,
	                                      .format = LISTING_MIRROR,
	                                      .lists = source,
	                                      .started_at_us = started_at_us};
	struct packer *p = mem_alloc(sizeof(*p));

	p->packs = packs_new(&options);
	return p;
}

static void forget_pack(struct packer *p)
{
	packs_drop(p->packs);
	p->digest = sha256_free(p->digest);
	p->is_in_member = p->is_copied = false;
}

struct packer *packer_free(struct packer *p)
{
	if (!p)
		return NULL;
	forget_pack(p);
	packs_free(p->packs);
	str_finish(&p->line);
	free(p);
	return NULL;
}

uint64_t packer_count(const struct packer *p)
{
	return packs_count(p->packs);
}

static int put_packed(struct packer *p, const void *data, size_t len, struct error *err)
{
	return pack_put(packs_filled(p->packs), data, len, err);
}

static int put_packed_zeros(struct packer *p, uint64_t bytes, struct error *err)
{
	return pack_put_zeros(packs_filled(p->packs), bytes, err);
}

static bool is_packed_broken(const struct packer *p)
{
	return packs_filled(p->packs) && pack_is_broken(packs_filled(p->packs));
}

static uint64_t members_packed(const struct packer *p)
{
	const struct pack *pack = packs_filled(p->packs);

	return pack ? pack_count(pack) : 0;
}

void packer_tell(struct packer *p, const struct packs_told *told)
{
	packs_tell(p->packs, told);
}

int packer_settle(struct packer *p, struct error *err)
{
	return packs_settle(p->packs, err);
}

static int publish_members(struct packer *p, uint64_t members, uint64_t content_bytes, struct error *err)
{
	struct manifest *made = pack_manifest(packs_filled(p->packs));
	int r = put_packed_zeros(p, TAR_END_BYTES, err);

	manifest_set_fact(made, "format", "tar");
	manifest_set_fact_int(made, "objects", (int64_t)members);
	manifest_set_fact_int(made, "content_bytes", (int64_t)content_bytes);
	if (r == 0)
		r = packs_publish(p->packs, err);
	forget_pack(p);
	return r;
}

static int publish_pack(struct packer *p, struct error *err)
{
	return publish_members(p, members_packed(p), pack_content_bytes(packs_filled(p->packs)), err);
}

int packer_finish(struct packer *p, struct error *err)
{
	int r = packs_check(p->packs, err);

	/* Of a run that failed in the middle of an object. */
	if (r == 0 && p->is_in_member && !is_packed_broken(p))
		r = packer_spoil(p, err);
	if (r == 0 && !is_packed_broken(p) && members_packed(p) > 0)
		r = publish_pack(p, err);
	forget_pack(p);
	return r == 0 ? packs_finish(p->packs, err) : r;
}

static bool is_full_for(const struct packer *p, uint64_t bytes)
{
	return members_packed(p) > 0 && (pack_bytes(packs_filled(p->packs)) + bytes > PACK_BYTES ||
	                                 bytes >= PACK_ALONE_BYTES || members_packed(p) >= PACK_MEMBERS);
}

void packer_headers(const struct listing_entry *e, struct str *out)
{
	_cleanup(str) struct str name = {0};

	shown_name(e->key, strlen(e->key), &name);
	tar_member_append(out, &(struct tar_member){.name = str_text(&name),
	                                            .bytes = e->bytes,
	                                            .modified_us = e->modified_us,
	                                            .mode = MEMBER_MODE});
}

int packer_begin(struct packer *p, const struct listing_entry *e, struct error *err)
{
	_cleanup(str) struct str headers = {0};
	int r = packs_check(p->packs, err);

	if (r == 0 && is_full_for(p, e->bytes))
		r = publish_pack(p, err);
	if (r == 0)
		r = packs_open(p->packs, err);
	if (r < 0)
		return r;
	packer_headers(e, &headers);
	p->is_in_member = true;
	r = put_packed(p, headers.data, headers.len, err);
	p->member_at = pack_bytes(packs_filled(p->packs));
	p->member_bytes = p->left = e->bytes;
	sha256_free(p->digest);
	p->digest = sha256_new();
	return r;
}

int packer_write(struct packer *p, const void *data, size_t len, struct error *err)
{
	int r = packs_check(p->packs, err);

	if (r == 0)
		r = pack_pace(packs_filled(p->packs), len, err);
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
	int r = packs_check(p->packs, err);

	return r < 0 ? r : pack_pace(packs_filled(p->packs), bytes, err);
}

int packer_copy(struct packer *p, const struct store_range *from, struct error *err)
{
	const struct sink_copy copy = {.from = from, .pace = pace_copied, .arg = p};
	int r = packs_check(p->packs, err);

	if (r == 0 && (from->bytes > p->left || members_packed(p) > 0))
		r = error_set(err, ERROR_INTERNAL, EINVAL,
		              "bytes are copied into a pack that they are not for");
	if (r < 0)
		return r;
	p->is_copied = true;
	p->left -= from->bytes;
	return pack_copy(packs_filled(p->packs), &copy, err);
}

/* Its digest is not known yet. */
static int end_copied_member(struct packer *p, struct listing_entry *e, bool etag_is_md5, struct error *err)
{
	int r = put_packed_zeros(p, tar_member_padding(p->member_bytes), err);

	e->sha256[0] = '\0';
	if (r < 0)
		return r;
	pack_end_copied(packs_filled(p->packs), e, etag_is_md5 ? e->etag : "");
	return publish_members(p, 1, e->bytes, err);
}

int packer_end(struct packer *p, struct listing_entry *e, bool etag_is_md5, struct error *err)
{
	uint8_t digest[SHA256_BYTES];
	int r;

	free(e->pack);
	e->pack = packs_name(p->packs, packs_number(p->packs));
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
		r = pack_list(packs_filled(p->packs), e, &p->line, err);
	return r == 0 && e->bytes >= PACK_ALONE_BYTES ? publish_pack(p, err) : r;
}

const struct str *packer_line(const struct packer *p)
{
	return &p->line;
}

int packer_spoil(struct packer *p, struct error *err)
{
	int r = packs_check(p->packs, err);

	if (r < 0)
		return r;
	if (members_packed(p) == 0) {
		forget_pack(p);
		return 0;
	}
	p->is_in_member = false;
	return put_packed_zeros(p, p->left + tar_member_padding(p->member_bytes), err);
}
