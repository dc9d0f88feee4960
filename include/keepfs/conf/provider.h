// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What is known of the providers of S3, from their own documentation: one table, with a row for each. [store] provider
 * names a row, or the host of the endpoint tells which one it is. A row says what the keys of a store are when nobody has
 * set them, and what contradicts the provider. docs/operations.md ("Providers") names the document of each fact.
 *
 * Pure; any thread.
 */
#include <keepfs/conf.h>

struct conf_provider_info {
	const char *name; /* the word of the configuration */
	const char *
	        endpoint; /* with {region}; "": that of AWS, which the driver makes; NULL: it must be given */
	/* where addresses lead that are this provider's: a host, "*" for one label; NULL: it has no hosts of its own */
	const char *hosts;
	const char *
	        region; /* NULL: it must be given, unless the endpoint tells it; "": as AWS's own programs find it */
	enum conf_addressing addressing;
	enum conf_conditional
	        conditional; /* CONF_CONDITIONAL_AUTO: nobody says; it is tried, and a refusal noticed */
	bool equal_parts;    /* all parts of an upload but the last must have one size */
	uint64_t min_part_bytes, max_part_bytes;
	unsigned max_parts;
	bool has_sse, has_sse_kms; /* x-amz-server-side-encryption: AES256, aws:kms */
	bool has_versions;
	/* NULL: it has locks, x-amz-object-lock-…; else why [store] object_lock cannot be asked for, for people */
	const char *no_object_lock;
};

/** conf_provider_info() - of an enum conf_provider other than CONF_PROVIDER_AUTO. Never NULL. */
const struct conf_provider_info *conf_provider_info(int provider);
/** conf_provider_of() - the row that applies to @store: the one that is named; else that of the endpoint's host; else AWS's without an
 * endpoint, and that of unknown servers with one. Never NULL. */
const struct conf_provider_info *conf_provider_of(const struct conf_store *store);
/** conf_provider_at() - by the host of @endpoint ("https://host[:port]"); NULL: of none. */
const struct conf_provider_info *conf_provider_at(const char *endpoint);
/** conf_provider_find() - by its name; NULL: there is none. */
const struct conf_provider_info *conf_provider_find(const char *name);
/** conf_provider_endpoint() - heap: its endpoint in @region; NULL when it has none by itself, or needs a region and @region is "". */
char *conf_provider_endpoint(const struct conf_provider_info *p, const char *region);
/** conf_provider_region() - heap: the region that @endpoint is in, as its host says; NULL: it does not say. */
char *conf_provider_region(const struct conf_provider_info *p, const char *endpoint);
/** conf_puts_conditionally() - what is to be expected of a put with a condition at @store. */
enum conf_conditional conf_puts_conditionally(const struct conf_store *store);
/** conf_wants_equal_parts() - must all parts of an upload to @store but the last have one size? */
bool conf_wants_equal_parts(const struct conf_store *store);
