// SPDX-License-Identifier: Apache-2.0
/*
 * A file comes, and there is one of that name. An archiver hands over again what nobody told it was taken; that is the same file. What lies behind the last valid record may differ between a server and its
 * standby, or before and after a crash, and means nothing: segments that agree up to there are the same as well. Anything else means that two servers believe to be the one that writes this WAL.
 *
 * How far the records go is known when a segment was read, and what is before that is compared by its SHA-256: so each is read twice, piece by piece. That is rare.
 */
#include "wal_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/age.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/wal_scan.h>

#include <errno.h>
#include <string.h>

static const char split_brain[] =
        "it is there already with other content, and stays as it is: two servers write this WAL. Either a copy of the server archives, too (give it another archive_command, or none), or the old primary lives on beside the promoted one (stop one of them, and make a new base backup)";

/* What is known of the one that is there may be its name alone. */
static int know_twin(struct wal *w, const struct catalog_wal *there, const struct wal_fetching *f,
                     struct catalog_wal *ret, struct error *err)
{
	struct wal_sums sums;
	int r;

	*ret = *there;
	if (there->sha256[0])
		return 0;
	r = wal_fetch_sums(f, &sums, err);
	if (r < 0)
		return r;
	ret->bytes = sums.bytes;
	str_copy(ret->sha256, sizeof(ret->sha256), sums.sha256);
	return catalog_wal_learn_sums(w->options.repository->catalog, there->id, sums.bytes, sums.sha256,
	                              err);
}

/* The bytes of a segment that mean something. */

struct meaning {
	struct wal_scan *scan;
	bool has_ended;
	struct sha256 *sha256;
	uint64_t left; /* to be hashed */
};

static int scan_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	struct meaning *m = arg;
	int r = m->has_ended ? 0 : wal_scan_feed(m->scan, data, len, err);

	m->has_ended |= r == WAL_SCAN_ENDED;
	return r < 0 ? r : 0;
}

static int hash_meaning(void *arg, const void *data, size_t len, struct error *err)
{
	struct meaning *m = arg;
	size_t n = len < m->left ? len : (size_t)m->left;

	sha256_update(m->sha256, data, n);
	m->left -= n;
	return 0;
}

/* Of the one that came (@come) or, when that is NULL, of the one that is there. */
static int read_twin(const struct wal_fetching *f, const struct wal_twin *come,
                     int (*write)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                     struct error *err)
{
	if (!come)
		return wal_fetch(f, write, arg, err);
	return come->is_plain ? pages_each(come->stored, write, arg, err)
	                      : wal_unpack(f, come->stored, write, arg, err);
}

/* @ret_bytes: how many mean something; 0: there is no record in it by which that could be told. */
static int find_meaning(const struct wal_fetching *f, const struct wal_twin *come,
                        const struct wal_name *name, uint64_t *ret_bytes, struct error *err)
{
	_cleanup(wal_scan) struct wal_scan *scan = wal_scan_new(&(struct wal_scan_options){0});
	struct meaning m = {.scan = scan};
	int r;

	wal_scan_begin(scan, name);
	r = read_twin(f, come, scan_bytes, &m, err);
	if (r == 0)
		*ret_bytes = wal_scan_state(scan)->first_record ? wal_scan_meant_bytes(scan) : 0;
	return r;
}

static int sum_meaning(const struct wal_fetching *f, const struct wal_twin *come, uint64_t bytes,
                       uint8_t ret[static SHA256_BYTES], struct error *err)
{
	struct meaning m = {.sha256 = sha256_new(), .left = bytes};
	int r = read_twin(f, come, hash_meaning, &m, err);

	sha256_final(m.sha256, ret);
	sha256_free(m.sha256);
	return r;
}

/* @ret_bytes: of both; 0: they mean different things. */
static int compare_meaning(const struct wal_fetching *there, const struct wal_fetching *come,
                           const struct wal_twin *t, uint64_t *ret_bytes, struct error *err)
{
	uint8_t here_sum[SHA256_BYTES], come_sum[SHA256_BYTES];
	uint64_t here = 0, came = 0;
	int r = find_meaning(come, t, t->name, &came, err);

	if (r == 0)
		r = find_meaning(there, NULL, t->name, &here, err);
	if (r < 0 || came == 0 || here != came) {
		*ret_bytes = 0;
		return r;
	}
	r = sum_meaning(come, t, came, come_sum, err);
	if (r == 0)
		r = sum_meaning(there, NULL, here, here_sum, err);
	*ret_bytes = r == 0 && memcmp(here_sum, come_sum, SHA256_BYTES) == 0 ? here : 0;
	return r;
}

int wal_compare_twins(struct wal *w, const struct wal_twin *t, struct cancel *cancel, char **ret_note,
                      struct error *err)
{
	struct wal_fetching f, come;
	struct catalog_wal there;
	uint64_t same = 0;
	int r;

	wal_fetching_of(w, t->there, cancel, &f);
	/* The archiver asks again by itself, and notes that it had to. */
	f.patience_ms = 0;
	f.at_once = true;
	r = know_twin(w, t->there, &f, &there, err);
	if (r == 0 && there.bytes == t->bytes && str_equal(there.sha256, t->sha256)) {
		*ret_note = mem_printf("it was there already, with the same content");
		return 0;
	}
	come = f;
	come.key = t->key_text;
	come.age_key = t->key;
	if (r == 0 && there.bytes == t->bytes &&
	    (t->name->kind == WAL_NAME_SEGMENT || t->name->kind == WAL_NAME_PARTIAL))
		r = compare_meaning(&f, &come, t, &same, err);
	if (r < 0) {
		error_prefix(err, "it is there already, and cannot be compared");
		return r == -ENOENT ? -EIO : r;
	}
	if (same == 0)
		return error_set(err, ERROR_CONFLICT, EEXIST, "%s", split_brain);
	*ret_note = mem_printf(
	        "it was there already, with other bytes behind the last valid record, which mean nothing: the first %llu bytes are the same",
	        (unsigned long long)same);
	return 0;
}
