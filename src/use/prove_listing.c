// SPDX-License-Identifier: Apache-2.0
/* A listing of a mirror: every line of it, their order and their number. The bytes that it tells of are in packs, which are proven by themselves. */
#include "prove.h"

#include <keepfs/codec/listing.h>

static int skip_entry(void *arg, struct listing_entry *e, struct error *err)
{
	(void)arg;
	(void)e;
	(void)err;
	return 0;
}

static int feed_listing(void *arg, const void *data, size_t len, struct error *err)
{
	return listing_scan_feed(arg, data, len, err);
}

int prove_listing(struct backup *b, struct error *err)
{
	static const struct listing_scan_to to = {.entry = skip_entry};
	_cleanup(listing_scan) struct listing_scan *scan = listing_scan_new(&to);
	_cleanup(manifest) struct manifest m = {0};
	const struct manifest_object *listing;
	int r = backup_read_manifest(b, &m, err);

	if (r < 0)
		return r;
	listing = manifest_object_of_role(&m, MANIFEST_ROLE_LISTING);
	if (!listing)
		return 1;
	r = backup_check_object(b, listing, feed_listing, scan, err);
	return r < 0 ? r : listing_scan_end(scan, err);
}
