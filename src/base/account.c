// SPDX-License-Identifier: Apache-2.0
/* Names are asked of the host (NSS), numbers are taken as they are, also when nobody has them: in a container the users are those of the host outside. */
#include <keepfs/base/account.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>

/* A group's entry names its members. */
#define ACCOUNT_ENTRY_BYTES (64 << 10)

int account_id_parse(const char *text, uint32_t *ret)
{
	uint64_t value = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (uint64_t)(*text - '0');
		if (value >= UINT32_MAX)
			return -EINVAL;
	}
	*ret = (uint32_t)value;
	return 0;
}

int account_user(const char *text, uid_t *ret)
{
	struct passwd entry, *found = NULL;
	char buf[ACCOUNT_ENTRY_BYTES];

	if (account_id_parse(text, ret) == 0)
		return 0;
	if (getpwnam_r(text, &entry, buf, sizeof(buf), &found) != 0 || !found)
		return -ENOENT;
	*ret = found->pw_uid;
	return 0;
}

int account_group(const char *text, gid_t *ret)
{
	struct group entry, *found = NULL;
	char buf[ACCOUNT_ENTRY_BYTES];

	if (account_id_parse(text, ret) == 0)
		return 0;
	if (getgrnam_r(text, &entry, buf, sizeof(buf), &found) != 0 || !found)
		return -ENOENT;
	*ret = found->gr_gid;
	return 0;
}
