// SPDX-License-Identifier: Apache-2.0
#include "attributes.h"
#include "fd_path.h"
#include "tar.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

/* linux/posix_acl_xattr.h: a version, then entries; all of it little-endian. */
#define ACL_VERSION 2

struct acl_entry {
	uint16_t tag, permissions;
	uint32_t id;
};

static const struct {
	uint16_t tag;
	bool has_id;
	const char *name;
} acl_tags[] = {
        {0x01, false, "user"}, {0x02, true, "user"},  {0x04, false, "group"},
        {0x08, true, "group"}, {0x10, false, "mask"}, {0x20, false, "other"},
};

static int append_acl_entry(struct str *out, const struct acl_entry *e)
{
	unsigned p = le16toh(e->permissions);

	for (size_t i = 0; i < ARRAY_SIZE(acl_tags); i++) {
		if (acl_tags[i].tag != le16toh(e->tag))
			continue;
		str_appendf(out, "%s%s:", out->len > 0 ? "," : "", acl_tags[i].name);
		if (acl_tags[i].has_id)
			str_appendf(out, "%u", le32toh(e->id));
		str_appendf(out, ":%c%c%c", p & 4 ? 'r' : '-', p & 2 ? 'w' : '-', p & 1 ? 'x' : '-');
		return 0;
	}
	return -EBADMSG;
}

int acl_append_text(struct str *out, const void *acl, size_t len)
{
	const char *p = acl;
	uint32_t version;
	int r = 0;

	if (len < sizeof(version) || (len - sizeof(version)) % sizeof(struct acl_entry) != 0)
		return -EBADMSG;
	memcpy(&version, p, sizeof(version));
	if (le32toh(version) != ACL_VERSION)
		return -EBADMSG;
	for (size_t at = sizeof(version); at < len && r == 0; at += sizeof(struct acl_entry)) {
		struct acl_entry e;

		memcpy(&e, p + at, sizeof(e));
		r = append_acl_entry(out, &e);
	}
	return r;
}

static int append_acl(struct str *records, const char *keyword, const void *acl, size_t len)
{
	_cleanup(str) struct str text = {0};
	int r = acl_append_text(&text, acl, len);

	if (r == 0)
		tar_append_record(records, keyword, str_text(&text), text.len);
	return r;
}

/* A keyword ends at the first '=', so one in a name is written as GNU tar and libarchive write it. */
static void append_attribute(struct str *records, const char *name, const void *value, size_t len)
{
	_cleanup(str) struct str keyword = {0};

	str_append(&keyword, "SCHILY.xattr.");
	for (; *name; name++)
		if (*name == '%' || *name == '=')
			str_appendf(&keyword, "%%%02X", (unsigned)*name);
		else
			str_append_char(&keyword, *name);
	tar_append_record(records, str_text(&keyword), value, len);
}

/* @path: NULL: @fd can be asked. */
static int append_one(struct attributes *a, int fd, const char *path, const char *name, struct str *records)
{
	bool access = str_equal(name, "system.posix_acl_access"),
	     def = str_equal(name, "system.posix_acl_default");
	ssize_t len;

	if (str_starts(name, "system.") && !access && !def)
		return 0;
	len = path ? getxattr(path, name, a->value, sizeof(a->value))
	           : fgetxattr(fd, name, a->value, sizeof(a->value));
	if (len < 0) /* ENODATA: removed since it was listed */
		return errno == ENODATA ? 0 : -errno;
	if (access || def)
		return append_acl(records, access ? "SCHILY.acl.access" : "SCHILY.acl.default", a->value,
		                  (size_t)len);
	append_attribute(records, name, a->value, (size_t)len);
	return 0;
}

int attributes_append(struct attributes *a, int fd, struct str *records)
{
	char buf[FD_PATH_BYTES];
	const char *path = NULL;
	ssize_t len = flistxattr(fd, a->names, sizeof(a->names));
	int r = 0;

	if (len < 0 && errno == EBADF) { /* it is of O_PATH */
		path = fd_path(fd, buf);
		len = listxattr(path, a->names, sizeof(a->names));
	}
	if (len < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (const char *name = a->names; name < a->names + len && r == 0; name += strlen(name) + 1)
		r = append_one(a, fd, path, name, records);
	return r;
}
