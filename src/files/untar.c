// SPDX-License-Identifier: Apache-2.0
/*
 * libarchive reads, and writes nothing: its writer follows paths from the working directory of the process, which a daemon shares with all
 * of its threads. In the locale "C" it leaves names as they are; in one of UTF-8 it would compose what was decomposed.
 */
#include "untar.h"

#include "troubles.h"

#include <keepfs/base/mem.h>
#include <keepfs/files/tree_path.h>

#include <archive.h>
#include <archive_entry.h>
#include <endian.h>
#include <errno.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>

struct untar {
	struct feed *feed;
	bool given_up;
	struct archive *archive;
	struct archive_entry *raw;
	locale_t plain;
	struct untar_entry entry;
	struct untar_attribute *attributes;
	size_t attribute_count;
	struct str path, link;
	uint64_t count;
};

static la_ssize_t read_feed(struct archive *archive, void *arg, const void **ret)
{
	struct untar *u = arg;
	ssize_t n = feed_next(u->feed, ret);

	if (n < 0) {
		u->given_up = true;
		archive_set_error(archive, ECANCELED, "given up");
	}
	return n < 0 ? ARCHIVE_FATAL : n;
}

struct untar *untar_new(struct feed *feed)
{
	struct untar *u = mem_alloc(sizeof(*u));

	u->feed = feed;
	u->plain = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
	return u;
}

static void drop_attributes(struct untar *u)
{
	for (size_t i = 0; i < u->attribute_count; i++) {
		free(u->attributes[i].name);
		free(u->attributes[i].value);
	}
	u->attribute_count = 0;
}

struct untar *untar_free(struct untar *u)
{
	if (u->archive)
		archive_read_free(u->archive);
	if (u->plain)
		freelocale(u->plain);
	drop_attributes(u);
	free(u->attributes);
	str_finish(&u->path);
	str_finish(&u->link);
	free(u);
	return NULL;
}

static int not_read(const struct untar *u, struct error *err)
{
	const char *why = archive_error_string(u->archive);

	if (u->given_up)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	return error_set(err, ERROR_CORRUPT, EBADMSG, "the archive cannot be read: %s",
	                 why ? why : "no reason was given");
}

static int open_archive(struct untar *u, struct error *err)
{
	u->archive = archive_read_new();
	if (!u->archive)
		return error_system(err, ENOMEM, "an archive cannot be read");
	if (archive_read_support_format_tar(u->archive) == ARCHIVE_OK &&
	    archive_read_open(u->archive, u, NULL, read_feed, NULL) == ARCHIVE_OK)
		return 0;
	return not_read(u, err);
}

/* Attributes. */

static void add_entry_attribute(struct untar *u, char *name, const void *value, size_t len)
{
	struct untar_attribute *a;

	u->attributes = mem_resize(u->attributes, u->attribute_count + 1, sizeof(*u->attributes));
	a = &u->attributes[u->attribute_count++];
	*a = (struct untar_attribute){.name = name, .value = mem_alloc(len + 1), .bytes = len};
	if (len > 0)
		memcpy(a->value, value, len);
}

/* attributes.c says how a name is written: "%3D" for '=', "%25" for '%', and nothing else. */
static char *attribute_name(const char *written)
{
	_cleanup(str) struct str name = {0};

	for (; *written; written++) {
		bool is_code = strncmp(written, "%3D", 3) == 0 || strncmp(written, "%25", 3) == 0;

		str_append_char(&name, !is_code ? *written : written[1] == '3' ? '=' : '%');
		written += is_code ? 2 : 0;
	}
	return str_take(&name);
}

static void take_attributes(struct untar *u)
{
	const char *name;
	const void *value;
	size_t len;

	archive_entry_xattr_reset(u->raw);
	while (archive_entry_xattr_next(u->raw, &name, &value, &len) == ARCHIVE_OK)
		if (name)
			add_entry_attribute(u, attribute_name(name), value, len);
}

/* linux/posix_acl_xattr.h: a version, then entries; all of it little-endian. */
struct acl_row {
	uint16_t tag, permissions;
	uint32_t id;
};

#define ACL_VERSION 2
#define ACL_NOBODY  0xffffffffU

static bool acl_tag(int tag, uint16_t *ret)
{
	static const struct {
		int libarchive;
		uint16_t own;
	} tags[] = {
	        {ARCHIVE_ENTRY_ACL_USER_OBJ, 0x01},  {ARCHIVE_ENTRY_ACL_USER, 0x02},
	        {ARCHIVE_ENTRY_ACL_GROUP_OBJ, 0x04}, {ARCHIVE_ENTRY_ACL_GROUP, 0x08},
	        {ARCHIVE_ENTRY_ACL_MASK, 0x10},      {ARCHIVE_ENTRY_ACL_OTHER, 0x20},
	};

	for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
		if (tags[i].libarchive == tag) {
			*ret = tags[i].own;
			return true;
		}
	return false;
}

static int by_tag_and_id(const void *a, const void *b)
{
	const struct acl_row *x = a, *y = b;

	if (x->tag != y->tag)
		return le16toh(x->tag) < le16toh(y->tag) ? -1 : 1;
	return le32toh(x->id) < le32toh(y->id) ? -1 : x->id != y->id;
}

static bool has_id(uint16_t tag)
{
	return tag == 0x02 || tag == 0x08;
}

/* The rows of one ACL, as the kernel wants them: in order. Return: how many; none when it says no more than the mode. */
static size_t acl_rows(struct untar *u, int type, struct acl_row **ret)
{
	int found, permset, tag, id;
	const char *name;
	size_t count = 0;

	if (archive_entry_acl_reset(u->raw, type) == 0)
		return 0;
	while (archive_entry_acl_next(u->raw, type, &found, &permset, &tag, &id, &name) == ARCHIVE_OK) {
		uint16_t own;

		if (found != type || !acl_tag(tag, &own))
			continue;
		*ret = mem_resize(*ret, count + 1, sizeof(**ret));
		(*ret)[count++] = (struct acl_row){htole16(own), htole16((uint16_t)(permset & 7)),
		                                   htole32(has_id(own) ? (uint32_t)id : ACL_NOBODY)};
	}
	if (count > 0)
		qsort(*ret, count, sizeof(**ret), by_tag_and_id);
	return count;
}

/* libarchive keeps the owning group's own rights in the mode; the group bits of a file with an ACL are those of the mask. */
static void take_mask(struct untar_entry *e, const struct acl_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (le16toh(rows[i].tag) == 0x10)
			e->mode = (e->mode & ~(mode_t)070) | (mode_t)(le16toh(rows[i].permissions) << 3);
}

static void take_acl(struct untar *u, int type, const char *name)
{
	_cleanup(free) struct acl_row *rows = NULL;
	size_t count = acl_rows(u, type, &rows);
	uint32_t version = htole32(ACL_VERSION);
	_cleanup(str) struct str value = {0};

	if (count == 0)
		return;
	str_append_bytes(&value, &version, sizeof(version));
	str_append_bytes(&value, rows, count * sizeof(*rows));
	if (type == ARCHIVE_ENTRY_ACL_TYPE_ACCESS)
		take_mask(&u->entry, rows, count);
	add_entry_attribute(u, mem_strdup(name), value.data, value.len);
}

/* Entries. */

static int refuse_entry(const char *path, const char *what, struct error *err)
{
	char shown[300];

	path_printable(path, shown, sizeof(shown));
	return error_set(err, ERROR_DENIED, EPERM, "the archive is not one that keepfs has made: %s %s",
	                 shown, what);
}

static int take_kind(struct untar_entry *e, const char *path, struct error *err)
{
	switch (e->mode & S_IFMT) {
	case S_IFREG:
		e->kind = UNTAR_FILE;
		return 0;
	case S_IFDIR:
		e->kind = UNTAR_DIRECTORY;
		return 0;
	case S_IFLNK:
		e->kind = UNTAR_SYMLINK;
		return 0;
	case S_IFIFO:
	case S_IFCHR:
	case S_IFBLK:
		e->kind = UNTAR_SPECIAL;
		return 0;
	default:
		return refuse_entry(path, "is of a kind that is not known", err);
	}
}

static int take_links(struct untar *u, const char *path, struct error *err)
{
	const char *hard = archive_entry_hardlink(u->raw), *symbolic = archive_entry_symlink(u->raw);
	struct untar_entry *e = &u->entry;

	if (hard) {
		if (tree_path_normal(hard, &u->link) < 0 || u->link.len == 0)
			return refuse_entry(path, "is a hard link to something outside of it", err);
		e->kind = UNTAR_HARD_LINK;
		e->link = str_text(&u->link);
		return 0;
	}
	if (e->kind == UNTAR_SYMLINK && (!symbolic || !*symbolic))
		return refuse_entry(path, "is a link to nothing", err);
	e->link = e->kind == UNTAR_SYMLINK ? symbolic : NULL;
	return 0;
}

/* A time before 1970 is written as a negative number with a fraction, of which libarchive takes the sign for the seconds only. */
static struct timespec time_of_entry(struct archive_entry *raw)
{
	struct timespec t = {archive_entry_mtime(raw), archive_entry_mtime_nsec(raw)};

	if (t.tv_sec < 0 && t.tv_nsec > 0) {
		t.tv_sec--;
		t.tv_nsec = 1000000000 - t.tv_nsec;
	}
	return t;
}

static int take_entry(struct untar *u, struct error *err)
{
	struct untar_entry *e = &u->entry;
	const char *path = archive_entry_pathname(u->raw);
	int r;

	if (!path || tree_path_normal(path, &u->path) < 0)
		return refuse_entry(str_or_empty(path), "leads out of the directory", err);
	*e = (struct untar_entry){
	        .number = u->count++,
	        .path = str_text(&u->path),
	        .mode = archive_entry_mode(u->raw),
	        .device = archive_entry_rdev(u->raw),
	        .uid = (uid_t)archive_entry_uid(u->raw),
	        .gid = (gid_t)archive_entry_gid(u->raw),
	        .user = str_or_empty(archive_entry_uname(u->raw)),
	        .group = str_or_empty(archive_entry_gname(u->raw)),
	        .size = (uint64_t)archive_entry_size(u->raw),
	        .mtime = time_of_entry(u->raw),
	};
	if (archive_entry_hardlink(u->raw))
		return take_links(u, path, err);
	r = take_kind(e, path, err);
	if (r == 0 && u->path.len == 0 && e->kind != UNTAR_DIRECTORY)
		r = refuse_entry(path, "stands where a directory has to be", err);
	if (r == 0)
		r = take_links(u, path, err);
	take_attributes(u);
	take_acl(u, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, "system.posix_acl_access");
	take_acl(u, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default");
	e->attributes = u->attributes;
	e->attribute_count = u->attribute_count;
	return r;
}

/* libarchive ends with the archive's end; behind that are zeros, and whoever gives them waits for them to be taken. */
static int read_to_the_end(struct untar *u, struct error *err)
{
	const void *ignored;
	ssize_t n;

	while ((n = feed_next(u->feed, &ignored)) > 0)
		;
	u->given_up = u->given_up || n < 0;
	return n < 0 ? not_read(u, err) : 0;
}

/* ARCHIVE_WARN: a name could not be converted, and stayed as it is. */
static int read_header(struct untar *u, const struct untar_entry **ret, struct error *err)
{
	int r = u->archive ? 0 : open_archive(u, err);

	if (r < 0)
		return r;
	drop_attributes(u);
	r = archive_read_next_header(u->archive, &u->raw);
	if (r == ARCHIVE_EOF)
		return read_to_the_end(u, err);
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return not_read(u, err);
	r = take_entry(u, err);
	*ret = &u->entry;
	return r < 0 ? r : 1;
}

int untar_next(struct untar *u, const struct untar_entry **ret, struct error *err)
{
	locale_t before = u->plain ? uselocale(u->plain) : (locale_t)0;
	int r = read_header(u, ret, err);

	if (before)
		uselocale(before);
	return r;
}

int untar_data(struct untar *u, const void **ret, size_t *ret_len, uint64_t *ret_at, struct error *err)
{
	la_int64_t at;
	int r = archive_read_data_block(u->archive, ret, ret_len, &at);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return not_read(u, err);
	*ret_at = (uint64_t)at;
	return 1;
}
