// SPDX-License-Identifier: Apache-2.0
/* Tars as their bytes come: headers are gathered, data are passed on as they are. */
#include <keepfs/codec/tar_header.h>
#include <keepfs/codec/tar_stream.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define NUMBER_MAX ((uint64_t)INT64_MAX)

static int refuse_tar(const struct tar_stream *t, const char *what, struct error *err)
{
	if (!t->name[0])
		return error_set(err, ERROR_CORRUPT, EBADMSG, "a tar is damaged at its first member: %s",
		                 what);
	return error_set(err, ERROR_CORRUPT, EBADMSG, "a tar is damaged %s %s: %s",
	                 t->is_in_member ? "in" : "behind", t->name, what);
}

/* Octal digits, which spaces may precede, and spaces or NULs follow; or, where the first bit is set, the rest of the field in base 256. False: neither. */
static bool read_tar_number(const char *field, size_t len, uint64_t *ret)
{
	const unsigned char *p = (const unsigned char *)field;
	uint64_t value = 0;
	size_t i = 0;

	if (p[0] == 0x80) {
		for (i = 1; i < len; i++) {
			if (value >> 55)
				return false;
			value = value << 8 | p[i];
		}
		*ret = value;
		return value <= NUMBER_MAX;
	}
	while (i < len && p[i] == ' ')
		i++;
	if (i == len || p[i] < '0' || p[i] > '7')
		return false;
	for (; i < len && p[i] >= '0' && p[i] <= '7'; i++)
		value = value << 3 | (uint64_t)(p[i] - '0');
	for (; i < len; i++)
		if (p[i] != ' ' && p[i] != '\0')
			return false;
	*ret = value;
	return true;
}

/* As if its own field were spaces. */
static bool has_right_checksum(const struct tar_header *h)
{
	const unsigned char *p = (const unsigned char *)h;
	size_t from = offsetof(struct tar_header, checksum), to = from + sizeof(h->checksum);
	uint64_t told, sum = 0;

	for (size_t i = 0; i < sizeof(*h); i++)
		sum += i >= from && i < to ? ' ' : p[i];
	return read_tar_number(h->checksum, sizeof(h->checksum), &told) && told == sum;
}

static bool is_relative_path(const char *path)
{
	if (!*path)
		return false;
	for (;;) {
		size_t len = strcspn(path, "/");

		if (len == 0 || (len == 1 && path[0] == '.') || (len == 2 && strncmp(path, "..", 2) == 0))
			return false;
		if (!path[len])
			return true;
		path += len + 1;
	}
}

static void copy_tar_text(char *out, const char *field, size_t len)
{
	size_t n = strnlen(field, len);

	memcpy(out, field, n);
	out[n] = '\0';
}

static int read_tar_name(struct tar_stream *t, const struct tar_header *h, struct tar_stream_member *m,
                         struct error *err)
{
	size_t len;

	copy_tar_text(m->name, h->name, sizeof(h->name));
	/* "./pg_wal/archive_status" */
	if (m->name[0] == '.' && m->name[1] == '/')
		memmove(m->name, m->name + 2, strlen(m->name + 2) + 1);
	copy_tar_text(m->target, h->link, sizeof(h->link));
	len = strlen(m->name);
	/* Of a link, too: PostgreSQL knows those that lead to directories alone. */
	if (m->type != TAR_STREAM_FILE && len > 1 && m->name[len - 1] == '/')
		m->name[len - 1] = '\0';
	if (h->prefix[0] || !is_relative_path(m->name))
		return refuse_tar(t, "a name is not a relative path of up to 100 bytes", err);
	if (m->type == TAR_STREAM_LINK && !m->target[0])
		return refuse_tar(t, "a symbolic link leads nowhere", err);
	return 0;
}

static int read_tar_numbers(struct tar_stream *t, const struct tar_header *h, struct tar_stream_member *m,
                            struct error *err)
{
	uint64_t mode, uid, gid, mtime, bytes;

	if (!read_tar_number(h->mode, sizeof(h->mode), &mode) ||
	    !read_tar_number(h->uid, sizeof(h->uid), &uid) ||
	    !read_tar_number(h->gid, sizeof(h->gid), &gid) ||
	    !read_tar_number(h->mtime, sizeof(h->mtime), &mtime) ||
	    !read_tar_number(h->size, sizeof(h->size), &bytes))
		return refuse_tar(t, "a number in a header is none", err);
	if (uid > UINT32_MAX || gid > UINT32_MAX)
		return refuse_tar(t, "the owner of a member is no number of a user", err);
	m->mode = (unsigned)(mode & 07777);
	m->uid = (uint32_t)uid;
	m->gid = (uint32_t)gid;
	m->modified_s = (int64_t)mtime;
	if (m->type != TAR_STREAM_FILE && bytes > 0)
		return refuse_tar(t, "a member that is no file has data", err);
	m->bytes = bytes;
	return 0;
}

static int read_tar_type(struct tar_stream *t, const struct tar_header *h, struct tar_stream_member *m,
                         struct error *err)
{
	switch (h->type) {
	case '0':
		m->type = TAR_STREAM_FILE;
		return 0;
	case '2':
		m->type = TAR_STREAM_LINK;
		return 0;
	case '5':
		m->type = TAR_STREAM_DIRECTORY;
		return 0;
	default:
		return refuse_tar(t, "a member is neither file nor directory nor symbolic link", err);
	}
}

static int begin_tar_member(struct tar_stream *t, struct error *err)
{
	const struct tar_header *h = (const void *)t->block;
	struct tar_stream_member m = {0};
	int r;

	if (memcmp(h->magic, "ustar", sizeof(h->magic)) != 0)
		return refuse_tar(t, "there is no header of a member where one belongs", err);
	if (!has_right_checksum(h))
		return refuse_tar(t, "the checksum of a header is wrong", err);
	r = read_tar_type(t, h, &m, err);
	if (r == 0)
		r = read_tar_name(t, h, &m, err);
	if (r == 0)
		r = read_tar_numbers(t, h, &m, err);
	if (r < 0)
		return r;
	memcpy(t->name, m.name, sizeof(t->name));
	t->is_in_member = true;
	t->left = m.bytes;
	t->padding = (size_t)(-m.bytes & (TAR_STREAM_BLOCK - 1));
	return t->to.member(t->to.arg, &m, err);
}

static int end_tar_member(struct tar_stream *t, struct error *err)
{
	if (!t->is_in_member || t->left > 0 || t->padding > 0)
		return 0;
	t->is_in_member = false;
	return t->to.end(t->to.arg, err);
}

static bool is_block_of_zeros(const struct tar_stream *t)
{
	static const unsigned char zeros[TAR_STREAM_BLOCK];

	return memcmp(t->block, zeros, sizeof(zeros)) == 0;
}

static int take_tar_block(struct tar_stream *t, struct error *err)
{
	int r;

	t->have = 0;
	if (is_block_of_zeros(t)) {
		t->zeros += t->zeros < 2;
		return 0;
	}
	if (t->zeros > 0)
		return refuse_tar(t, "there is something behind its end", err);
	r = begin_tar_member(t, err);
	return r < 0 ? r : end_tar_member(t, err);
}

static size_t least_of_tar(uint64_t a, size_t b)
{
	return a < b ? (size_t)a : b;
}

int tar_stream_feed(struct tar_stream *t, const void *data, size_t len, struct error *err)
{
	const unsigned char *p = data;
	int r = 0;

	while (r == 0 && len > 0) {
		size_t n;

		if (t->is_in_member && t->left > 0) {
			n = least_of_tar(t->left, len);
			t->left -= n;
			r = t->to.data(t->to.arg, p, n, err);
			if (r == 0)
				r = end_tar_member(t, err);
		} else if (t->is_in_member) {
			n = least_of_tar(t->padding, len);
			t->padding -= n;
			r = end_tar_member(t, err);
		} else {
			n = least_of_tar(TAR_STREAM_BLOCK - t->have, len);
			memcpy(t->block + t->have, p, n);
			t->have += n;
			if (t->have == TAR_STREAM_BLOCK)
				r = take_tar_block(t, err);
		}
		p += n;
		len -= n;
	}
	return r;
}

int tar_stream_end(struct tar_stream *t, struct error *err)
{
	if (t->is_in_member || t->have > 0 || t->zeros == 1)
		return refuse_tar(t, "it was cut off", err);
	return 0;
}
