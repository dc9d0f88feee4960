// SPDX-License-Identifier: Apache-2.0
/* What an artifact needs of others: packs, by their directories and numbers. */
#include <keepfs/codec/manifest.h>

#include <errno.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>

#define NUMBER_MAX INT64_C(999999999)

/* "packs/documents/20261120T020000Z" */
static bool is_directory_of_packs(const char *text)
{
	static const char root[] = TREE_PACKS "/";
	const char *time = strrchr(text, '/'), *name = text + sizeof(root) - 1;
	_cleanup(free) char *job = NULL;
	int64_t at_us;

	if (!str_starts(text, root) || time <= name)
		return false;
	job = mem_printf("%.*s", (int)(time - name), name);
	return name_is_safe(job) && strlen(time + 1) == CLOCK_NAME_BYTES - 1 &&
	       clock_parse_name(time + 1, &at_us) == 0;
}

static bool take_pack_number(const char **at, int64_t *ret)
{
	int64_t number = 0;

	if (**at < '1' || **at > '9')
		return false;
	for (; **at >= '0' && **at <= '9' && number <= NUMBER_MAX; (*at)++)
		number = number * 10 + (**at - '0');
	*ret = number;
	return number <= NUMBER_MAX;
}

/* "1-5000,5003", ascending. */
static int each_range(const char *directory, const char *at,
                      int (*each)(void *arg, const struct manifest_need *need), void *arg)
{
	struct manifest_need need = {.directory = directory};

	do {
		int64_t before = need.last;
		int r;

		if (!take_pack_number(&at, &need.first) || need.first <= before)
			return -EBADMSG;
		need.last = need.first;
		if (*at == '-') {
			at++;
			if (!take_pack_number(&at, &need.last) || need.last <= need.first)
				return -EBADMSG;
		}
		r = each(arg, &need);
		if (r != 0)
			return r;
	} while (*at++ == ',');
	return at[-1] ? -EBADMSG : 0;
}

int manifest_each_need(const struct manifest *m, int (*each)(void *arg, const struct manifest_need *need),
                       void *arg)
{
	int r = 0;

	if (!m->needs)
		return 0;
	if (!json_is_object_value(m->needs))
		return -EBADMSG;
	for (const char *key = json_first_key(m->needs); r == 0 && key; key = json_next_key(m->needs, key)) {
		const char *ranges = json_get_string(m->needs, key);

		r = ranges && is_directory_of_packs(key) ? each_range(key, ranges, each, arg) : -EBADMSG;
	}
	return r;
}
