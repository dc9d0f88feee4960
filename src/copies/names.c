// SPDX-License-Identifier: Apache-2.0
/* Which copies there are, and which of them go. */
#include "copies_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/manifest.h>

#include <string.h>

#define COPY_SUFFIX ".sqlite.zst"
#define PAGE        1000
#define DAY_US      (INT64_C(86400) * US_PER_S)

char *copy_key(const struct copy_name *name)
{
	char at[CLOCK_NAME_BYTES];

	return mem_printf(COPIES_PREFIX "%s-%s" COPY_SUFFIX "%s", clock_format_name(name->at_us, at),
	                  name->hash, name->is_sealed ? MANIFEST_SEALED_SUFFIX : "");
}

bool copy_name_parse(const char *key, struct copy_name *ret)
{
	const char *at = key + strlen(COPIES_PREFIX), *hash = at + CLOCK_NAME_BYTES;

	if (!str_starts(key, COPIES_PREFIX) || strlen(at) < CLOCK_NAME_BYTES + COPY_HASH_HEX ||
	    clock_parse_name(at, &ret->at_us) < 0 || hash[-1] != '-')
		return false;
	ret->is_sealed = str_ends(hash, MANIFEST_SEALED_SUFFIX);
	if (strspn(hash, "0123456789abcdef") != COPY_HASH_HEX ||
	    !str_equal(hash + COPY_HASH_HEX,
	               ret->is_sealed ? COPY_SUFFIX MANIFEST_SEALED_SUFFIX : COPY_SUFFIX))
		return false;
	memcpy(ret->hash, hash, COPY_HASH_HEX);
	ret->hash[COPY_HASH_HEX] = '\0';
	return true;
}

static void take_copy_names(struct copy_list *list, const struct store_object *objects, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct copy_name name;

		if (!copy_name_parse(objects[i].key, &name)) {
			if (list->strange)
				list->strange(list->arg, objects[i].key);
			continue;
		}
		list->items = mem_resize(list->items, list->count + 1, sizeof(*list->items));
		list->items[list->count++] = name;
	}
}

int copy_list_get(struct store *store, const struct store_call *call, struct copy_list *ret,
                  struct error *err)
{
	char last[STORE_KEY_BYTES] = "";
	bool more = true;

	while (more) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;
		int r = store_list(store, call, COPIES_PREFIX, *last ? last : NULL, PAGE, &objects, &count,
		                   &more, err);

		if (r < 0)
			return r;
		take_copy_names(ret, objects, count);
		if (count == 0)
			break;
		str_copy(last, sizeof(last), objects[count - 1].key);
	}
	return 0;
}

static void remove_copy(const struct copies_context *ctx, const struct store_call *call,
                        const struct copy_name *name)
{
	_cleanup(free) char *key = copy_key(name);
	struct error err = {0};

	if (store_remove(ctx->store, call, key, &err) < 0)
		log_warning("an old copy of the catalog stays in the store: %s", err.message);
}

void copies_remove_old(const struct copies_context *ctx, const struct store_call *call,
                       const struct copy_list *list, int64_t keep)
{
	int64_t days = 0, day = INT64_MIN;

	for (size_t i = list->count; i-- > 0;) {
		int64_t of_day = list->items[i].at_us / DAY_US;
		bool is_last_of_day = of_day != day;

		day = of_day;
		days += is_last_of_day;
		if (!is_last_of_day || days > keep)
			remove_copy(ctx, call, &list->items[i]);
	}
}
