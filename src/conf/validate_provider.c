// SPDX-License-Identifier: Apache-2.0
/* What is said of a store, held against what is known of its provider. A key that only says how requests are made (addressing, conditional_puts,
 * equal_parts, max_parts) overrides that; one that asks for what the provider does not have is an error. */
#include "validate.h"

#include <keepfs/base/mem.h>
#include <keepfs/conf/provider.h>

#include <string.h>

struct provided { /* one store */
	struct conf_loader *loader;
	struct conf_ref section; /* its key is not set */
	const struct conf_store *store;
	const struct conf_provider_info *provider;
};

static struct conf_ref key_of_store(const struct provided *p, const char *name)
{
	struct conf_ref ref = p->section;

	ref.key = conf_key_find(ref.section, name);
	return ref;
}

/* The key that says whose it is. */
static struct conf_ref provider_key(const struct provided *p)
{
	return key_of_store(p, p->store->provider == CONF_PROVIDER_AUTO ? "endpoint" : "provider");
}

static void need_key(const struct provided *p, const char *key, const char *example)
{
	const struct conf_origin *at = conf_origin_of(&p->loader->conf, provider_key(p));
	_cleanup(str) struct str title = {0};

	conf_ref_title(&p->loader->conf, key_of_store(p, key), &title);
	conf_problem(p->loader, at->line, "%s: %s: provider %s needs it; allowed: %s", at->text,
	             str_text(&title), p->provider->name, example);
}

static bool is_from(const struct provided *p, const char *key, bool or_provider)
{
	const struct conf_origin *at = conf_origin_of(&p->loader->conf, key_of_store(p, key));

	return at->given || (or_provider && str_starts(str_or_empty(at->text), "provider "));
}

static void check_provider_needs(const struct provided *p)
{
	bool is_aws = p->provider == conf_provider_info(CONF_PROVIDER_AWS);
	bool has_pattern = p->provider->endpoint && strchr(p->provider->endpoint, '{');

	if (!p->provider->region && has_pattern && !is_from(p, "region", true))
		need_key(p, "region", "the region of the bucket, as the provider calls it");
	else if (!is_aws && !*str_or_empty(p->store->endpoint))
		need_key(p, "endpoint", "https://host[:port]");
}

static void check_address(const struct provided *p)
{
	const struct conf_provider_info *at = conf_provider_at(str_or_empty(p->store->endpoint));
	_cleanup(free) char *region = conf_provider_region(p->provider, str_or_empty(p->store->endpoint));
	_cleanup(free) char *allowed = NULL;

	if (at && at != p->provider)
		conf_contradiction(
		        p->loader, key_of_store(p, "provider"), key_of_store(p, "endpoint"),
		        "is not whose this is:", "the provider of the endpoint, or no provider here");
	if (!region || str_equal(region, p->store->region))
		return;
	allowed = mem_printf("region = %s, or the endpoint of the other region", region);
	conf_contradiction(p->loader, key_of_store(p, "region"), key_of_store(p, "endpoint"),
	                   "is another region than that of", allowed);
}

static void check_offers(const struct provided *p)
{
	if (p->store->sse == CONF_SSE_AES256 && !p->provider->has_sse)
		conf_contradiction(
		        p->loader, key_of_store(p, "sse"), provider_key(p), "is not to be had with",
		        "sse = none: what is stored is encrypted by the provider's own means, or not at all");
	if (p->store->sse == CONF_SSE_KMS && !p->provider->has_sse_kms)
		conf_contradiction(p->loader, key_of_store(p, "sse"), provider_key(p),
		                   "is not to be had with",
		                   p->provider->has_sse ? "sse = AES256, or none" : "sse = none");
	if (p->store->delete_versions && !p->provider->has_versions)
		conf_contradiction(p->loader, key_of_store(p, "delete_versions"), provider_key(p),
		                   "is for buckets that keep versions, which there are none of with",
		                   "delete_versions = no");
	if (p->store->object_lock && p->provider->no_object_lock) {
		_cleanup(free) char *allowed =
		        mem_printf("object_lock = none: %s. What is to be locked needs another store",
		                   p->provider->no_object_lock);

		conf_contradiction(p->loader, key_of_store(p, "object_lock"), provider_key(p),
		                   "is not to be had with", allowed);
	}
}

static void check_part_size(const struct provided *p)
{
	const struct conf_store *main = &p->loader->conf.store;
	_cleanup(str) struct str allowed = {0};

	if (main->part_bytes <= p->provider->max_part_bytes)
		return;
	str_appendf(&allowed, "part_size = %llu or less", (unsigned long long)p->provider->max_part_bytes);
	conf_contradiction(p->loader,
	                   (struct conf_ref){.section = CONF_SECTION_STORE,
	                                     .key = conf_key_find(CONF_SECTION_STORE, "part_size")},
	                   provider_key(p), "is larger than a part may be with", str_text(&allowed));
}

static void check_provided(struct conf_loader *l, struct conf_ref section)
{
	struct provided p = {.loader = l, .section = section, .store = conf_base(&l->conf, section)};

	if (!str_starts(str_or_empty(p.store->url), "s3://"))
		return;
	p.provider = conf_provider_of(p.store);
	check_provider_needs(&p);
	check_address(&p);
	check_offers(&p);
	check_part_size(&p);
}

void conf_validate_providers(struct conf_loader *l)
{
	check_provided(l, (struct conf_ref){.section = CONF_SECTION_STORE});
	for (size_t i = 0; i < l->conf.store_count; i++)
		check_provided(l, (struct conf_ref){.section = CONF_SECTION_NAMED_STORE, .item = i});
}
