// SPDX-License-Identifier: Apache-2.0
/* THE table of providers of S3. docs/operations.md, "Providers", names the document of each fact; what none of them says is left as it is at AWS,
 * or found out by trying. */
#include <keepfs/conf/provider.h>

#include <keepfs/base/mem.h>

#include <string.h>

#define MIB          (UINT64_C(1) << 20)
#define GIB          (UINT64_C(1) << 30)
#define REGION       "{region}"
#define AWS_PARTS    .min_part_bytes = 5 * MIB, .max_part_bytes = 5 * GIB, .max_parts = 10000
#define ANY_OF_LABEL "abcdefghijklmnopqrstuvwxyz0123456789-"

static const struct conf_provider_info providers[CONF_PROVIDERS] = {
        [CONF_PROVIDER_AWS] = {.name = "aws",
                               .endpoint = "",
                               .hosts = "s3." REGION ".amazonaws.com",
                               .region = "",
                               .addressing = CONF_ADDRESSING_AUTO,
                               .conditional = CONF_CONDITIONAL_YES,
                               AWS_PARTS,
                               .has_sse = true,
                               .has_sse_kms = true,
                               .has_versions = true},
        /* Its own header for conditions (x-goog-if-generation-match) is refused beside x-amz-…, and If-None-Match is for reading. */
        [CONF_PROVIDER_GCS] =
                {.name = "gcs",
                 .endpoint = "https://storage.googleapis.com",
                 .hosts = "storage.googleapis.com",
                 .region = "auto",
                 .addressing = CONF_ADDRESSING_PATH,
                 .conditional = CONF_CONDITIONAL_NO,
                 AWS_PARTS,
                 .has_versions = true,
                 .no_object_lock =
                         "its own locks are asked for by x-goog-… headers, and its documents know no x-amz-object-lock-… and no legal hold of that kind"},
        [CONF_PROVIDER_B2] = {.name = "b2",
                              .endpoint = "https://s3." REGION ".backblazeb2.com",
                              .hosts = "s3." REGION ".backblazeb2.com",
                              .addressing = CONF_ADDRESSING_PATH,
                              .conditional = CONF_CONDITIONAL_NO,
                              .min_part_bytes = 5 * MIB,
                              .max_part_bytes = UINT64_C(5000000000),
                              .max_parts = 10000,
                              .has_sse = true,
                              .has_versions = true},
        [CONF_PROVIDER_WASABI] = {.name = "wasabi",
                                  .endpoint = "https://s3." REGION ".wasabisys.com",
                                  .hosts = "s3." REGION ".wasabisys.com",
                                  .region = "us-east-1",
                                  .addressing = CONF_ADDRESSING_PATH,
                                  .conditional = CONF_CONDITIONAL_NO,
                                  AWS_PARTS,
                                  .has_sse = true,
                                  .has_versions = true},
        [CONF_PROVIDER_SPACES] = {.name = "spaces",
                                  .endpoint = "https://" REGION ".digitaloceanspaces.com",
                                  .hosts = REGION ".digitaloceanspaces.com",
                                  .addressing = CONF_ADDRESSING_PATH,
                                  .conditional = CONF_CONDITIONAL_AUTO,
                                  AWS_PARTS,
                                  .has_versions = true,
                                  .no_object_lock =
                                          "its documents name no object lock among what it has of S3"},
        [CONF_PROVIDER_MINIO] = {.name = "minio",
                                 .region = "",
                                 .addressing = CONF_ADDRESSING_PATH,
                                 .conditional = CONF_CONDITIONAL_AUTO,
                                 AWS_PARTS,
                                 .has_sse = true,
                                 .has_sse_kms = true,
                                 .has_versions = true},
        [CONF_PROVIDER_R2] =
                {.name = "r2",
                 .hosts = "*.r2.cloudflarestorage.com",
                 .region = "auto",
                 .addressing = CONF_ADDRESSING_PATH,
                 .conditional = CONF_CONDITIONAL_YES,
                 .equal_parts = true,
                 .min_part_bytes = 5 * MIB,
                 .max_part_bytes = 5 * GIB - 5 * MIB,
                 .max_parts = 10000,
                 .no_object_lock =
                         "it does not implement x-amz-object-lock-…; its bucket locks are rules of a whole bucket"},
        [CONF_PROVIDER_HETZNER] = {.name = "hetzner",
                                   .endpoint = "https://" REGION ".your-objectstorage.com",
                                   .hosts = REGION ".your-objectstorage.com",
                                   .addressing = CONF_ADDRESSING_PATH,
                                   .conditional = CONF_CONDITIONAL_AUTO,
                                   AWS_PARTS,
                                   .has_versions = true},
        [CONF_PROVIDER_CEPH] = {.name = "ceph",
                                .region = "",
                                .addressing = CONF_ADDRESSING_PATH,
                                .conditional = CONF_CONDITIONAL_YES,
                                AWS_PARTS,
                                .has_sse = true,
                                .has_sse_kms = true,
                                .has_versions = true},
        [CONF_PROVIDER_SWIFT] = {.name = "swift",
                                 .region = "",
                                 .addressing = CONF_ADDRESSING_PATH,
                                 .conditional = CONF_CONDITIONAL_NO,
                                 .min_part_bytes = 5 * MIB,
                                 .max_part_bytes = 5 * GIB,
                                 .max_parts = 1000,
                                 .has_versions = true,
                                 .no_object_lock = "it accepts locks, and deletes all the same"},
        [CONF_PROVIDER_OTHER] = {.name = "other",
                                 .region = "",
                                 .addressing = CONF_ADDRESSING_PATH,
                                 .conditional = CONF_CONDITIONAL_AUTO,
                                 AWS_PARTS,
                                 .has_sse = true,
                                 .has_sse_kms = true,
                                 .has_versions = true},
};

const struct conf_provider_info *conf_provider_info(int provider)
{
	return &providers[provider > CONF_PROVIDER_AUTO && provider < CONF_PROVIDERS ? provider
	                                                                             : CONF_PROVIDER_OTHER];
}

const struct conf_provider_info *conf_provider_find(const char *name)
{
	for (int i = CONF_PROVIDER_AUTO + 1; i < CONF_PROVIDERS; i++)
		if (str_equal(providers[i].name, name))
			return &providers[i];
	return NULL;
}

/* Does @host, of @len bytes, fit @pattern, in which one label stands open? That label is *@ret_label. */
static bool fits_host(const char *pattern, const char *host, size_t len, const char **ret_label,
                      size_t *ret_label_len)
{
	size_t before = strcspn(pattern, "{*"), hole = pattern[before] == '{' ? strlen(REGION) : 1, after;

	*ret_label = host + before;
	*ret_label_len = 0;
	if (!pattern[before])
		return len == before && strncasecmp(pattern, host, len) == 0;
	after = strlen(pattern) - before - hole;
	if (len <= before + after || strncasecmp(pattern, host, before) != 0 ||
	    strncasecmp(pattern + before + hole, host + len - after, after) != 0)
		return false;
	*ret_label_len = len - before - after;
	return strspn(*ret_label, ANY_OF_LABEL ".") >= *ret_label_len &&
	       !(pattern[before] == '{' && memchr(*ret_label, '.', *ret_label_len));
}

static bool is_address_of(const struct conf_provider_info *p, const char *endpoint, const char **ret_label,
                          size_t *ret_label_len)
{
	const char *host = strstr(endpoint, "://");

	if (!p->hosts || !host)
		return false;
	host += strlen("://");
	return fits_host(p->hosts, host, strcspn(host, ":/"), ret_label, ret_label_len);
}

const struct conf_provider_info *conf_provider_at(const char *endpoint)
{
	const char *label;
	size_t len;

	for (int i = CONF_PROVIDER_AUTO + 1; i < CONF_PROVIDERS; i++)
		if (is_address_of(&providers[i], endpoint, &label, &len))
			return &providers[i];
	return NULL;
}

const struct conf_provider_info *conf_provider_of(const struct conf_store *store)
{
	const char *endpoint = str_or_empty(store->endpoint);
	const struct conf_provider_info *at;

	if (store->provider != CONF_PROVIDER_AUTO)
		return conf_provider_info(store->provider);
	if (!*endpoint)
		return &providers[CONF_PROVIDER_AWS];
	at = conf_provider_at(endpoint);
	return at ? at : &providers[CONF_PROVIDER_OTHER];
}

char *conf_provider_endpoint(const struct conf_provider_info *p, const char *region)
{
	const char *hole = p->endpoint ? strstr(p->endpoint, REGION) : NULL;

	if (!p->endpoint || (hole && !*region))
		return NULL;
	if (!hole)
		return mem_strdup(p->endpoint);
	return mem_printf("%.*s%s%s", (int)(hole - p->endpoint), p->endpoint, region, hole + strlen(REGION));
}

char *conf_provider_region(const struct conf_provider_info *p, const char *endpoint)
{
	const char *label;
	size_t len;

	if (!is_address_of(p, endpoint, &label, &len) || !strstr(p->hosts, REGION))
		return NULL;
	return mem_printf("%.*s", (int)len, label);
}

enum conf_conditional conf_puts_conditionally(const struct conf_store *store)
{
	if (store->conditional_puts != CONF_CONDITIONAL_AUTO)
		return (enum conf_conditional)store->conditional_puts;
	/* What a provider documents may still be missing in an older server: a refusal is noticed. */
	return conf_provider_of(store)->conditional == CONF_CONDITIONAL_NO ? CONF_CONDITIONAL_NO
	                                                                   : CONF_CONDITIONAL_AUTO;
}

bool conf_wants_equal_parts(const struct conf_store *store)
{
	if (store->equal_parts != CONF_EQUAL_PARTS_AUTO)
		return store->equal_parts == CONF_EQUAL_PARTS_YES;
	return conf_provider_of(store)->equal_parts;
}
