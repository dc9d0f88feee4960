// SPDX-License-Identifier: Apache-2.0
/*
 * What the server sends are several tars, and a manifest. They become one tar, which any tar unpacks to the whole data directory: what is in a tablespace has the name that it has there by the symbolic link
 * pg_tblspc/OID, and this is a directory.
 */
#include "cluster_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/tar_member.h>
#include <keepfs/codec/tar_stream.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLESPACES   "pg_tblspc/"
#define MANIFEST_MODE 0600U
#define COPY_BYTES    ((size_t)64 << 10)
#define OID_BYTES     32 /* "pg_tblspc/16385" with NUL */

struct taken_place {
	char directory[OID_BYTES]; /* "" of the data directory itself */
	bool is_there;             /* the directory is in the tar */
};

struct tar_members {
	struct cluster_taking *t;
	struct taken_place *places;
	size_t count;
	struct taken_place *place; /* whose tar comes; NULL: none has come */
	struct tar_stream tar;     /* of it */
	/* The member that is written. */
	struct str key;
	struct listing_entry entry; /* its key is the one above */
	bool is_left_out;           /* it is there already */
	uint32_t uid, gid;
	bool has_root, has_manifest;
	int64_t now_us;
	struct base_manifest *parser;
	struct spool *manifest;
};

/* Members. */

static int put_member_header(struct tar_members *m, struct error *err)
{
	const struct cluster_member member = {.name = str_text(&m->key),
	                                      .entry = &m->entry,
	                                      .bytes = m->entry.bytes,
	                                      .uid = m->uid,
	                                      .gid = m->gid};

	return m->entry.is_directory ? cluster_put_header(m->t->packer, &member, err)
	                             : cluster_pages_begin(m->t->pages, &member, err);
}

static int put_member_bytes(struct tar_members *m, const void *data, size_t len, struct error *err)
{
	return cluster_pages_put(m->t->pages, data, len, err);
}

static int end_taken(struct tar_members *m, struct error *err)
{
	_cleanup(listing_entry) struct listing_entry e = m->entry;
	int r = 0;

	e.key = mem_strdup(str_text(&m->key));
	if (!e.is_directory) {
		r = cluster_pages_end(m->t->pages, &e, err);
		m->t->file_count++;
		m->t->content_bytes += e.bytes;
	}
	return r < 0 ? r : cluster_files_arrived(m->t->files, &e, err);
}

static int put_taken_directory(struct tar_members *m, const char *key, struct error *err)
{
	int r;

	str_clear(&m->key);
	str_append(&m->key, key);
	m->entry = (struct listing_entry){.format = LISTING_BASE,
	                                  .is_directory = true,
	                                  .mode = m->t->root_mode,
	                                  .modified_us = m->now_us};
	r = put_member_header(m, err);
	return r < 0 ? r : end_taken(m, err);
}

/* The server sends no member for the data directory itself, nor for a tablespace. */
static int put_directories_before(struct tar_members *m, struct error *err)
{
	int r = 0;

	if (!m->has_root)
		r = put_taken_directory(m, "", err);
	m->has_root = true;
	if (r == 0 && m->place->directory[0] && !m->place->is_there) {
		m->place->is_there = true;
		r = put_taken_directory(m, m->place->directory, err);
	}
	return r;
}

static struct taken_place *find_tablespace(struct tar_members *m, const char *name)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->places[i].directory[0] && strcmp(m->places[i].directory, name) == 0)
			return &m->places[i];
	return NULL;
}

/* What stands for a tablespace in the data directory: a link, or, of one that was made within it, a directory. */
static int pass_tablespace(struct tar_members *m, struct taken_place *place, struct error *err)
{
	m->is_left_out = true;
	if (place->is_there)
		return 0;
	place->is_there = true;
	return put_taken_directory(m, place->directory, err);
}

static int take_tar_member(void *arg, const struct tar_stream_member *member, struct error *err)
{
	struct tar_members *m = arg;
	struct taken_place *tablespace;
	int r;

	m->uid = member->uid;
	m->gid = member->gid;
	r = put_directories_before(m, err);
	if (r < 0)
		return r;
	tablespace = m->place->directory[0] ? NULL : find_tablespace(m, member->name);
	m->is_left_out = false;
	if (tablespace && member->type != TAR_STREAM_FILE)
		return pass_tablespace(m, tablespace, err);
	if (member->type == TAR_STREAM_LINK)
		return error_set(err, ERROR_UNAVAILABLE, EPROTO,
		                 "the server has sent the symbolic link %s, which is no tablespace's: a base "
		                 "backup cannot have it; replace it by what it leads to",
		                 member->name);
	str_clear(&m->key);
	str_appendf(&m->key, "%s%s%s", m->place->directory, m->place->directory[0] ? "/" : "", member->name);
	m->entry = (struct listing_entry){.format = LISTING_BASE,
	                                  .is_directory = member->type == TAR_STREAM_DIRECTORY,
	                                  .bytes = member->bytes,
	                                  .mode = member->mode,
	                                  .modified_us = member->modified_s * US_PER_S};
	return put_member_header(m, err);
}

static int take_member_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	struct tar_members *m = arg;

	return m->is_left_out ? 0 : put_member_bytes(m, data, len, err);
}

static int take_end_of_member(void *arg, struct error *err)
{
	struct tar_members *m = arg;

	return m->is_left_out ? 0 : end_taken(m, err);
}

/* What comes. */

static void describe_places(struct tar_members *m, const struct pg_base_place *places, uint64_t *ret_bytes)
{
	*ret_bytes = 0;
	m->places = mem_array(m->count, sizeof(*m->places));
	for (size_t i = 0; i < m->count; i++) {
		*ret_bytes += places[i].bytes;
		if (places[i].oid == 0)
			continue;
		snprintf(m->places[i].directory, OID_BYTES, TABLESPACES "%" PRIu32, places[i].oid);
		str_appendf(&m->t->tablespaces, "%s%" PRIu32 " %s", m->t->tablespaces.len ? "\n" : "",
		            places[i].oid, places[i].path);
	}
}

static int take_start(void *arg, uint64_t lsn, uint32_t timeline, const struct pg_base_place *places,
                      size_t count, struct error *err)
{
	struct tar_members *m = arg;
	char at[PG_LSN_BYTES], size[16];
	uint64_t bytes;

	(void)err;
	m->count = count;
	describe_places(m, places, &bytes);
	m->t->start_lsn = lsn;
	m->t->timeline = timeline;
	if (m->t->order->progress)
		atomic_store(&m->t->order->progress->expected_bytes, bytes);
	make_say(m->t->order,
	         "the server has made its checkpoint: from %s on, timeline %" PRIu32
	         ", about %s, %zu tablespaces beside the data directory",
	         pg_lsn_format(lsn, at), timeline, str_format_bytes(size, sizeof(size), bytes), count - 1);
	return 0;
}

static int end_archive(struct tar_members *m, struct error *err)
{
	return m->place ? tar_stream_end(&m->tar, err) : 0;
}

static int take_archive(void *arg, size_t place, struct error *err)
{
	struct tar_members *m = arg;
	int r = end_archive(m, err);

	m->place = &m->places[place];
	m->tar = (struct tar_stream){.to = {.member = take_tar_member,
	                                    .data = take_member_bytes,
	                                    .end = take_end_of_member,
	                                    .arg = m}};
	return r;
}

static int take_archive_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	struct tar_members *m = arg;
	int r = draft_pace(m->t->draft, len, err);

	return r < 0 ? r : tar_stream_feed(&m->tar, data, len, err);
}

static int take_promised_file(void *arg, const struct base_manifest_file *f, struct error *err)
{
	return cluster_files_promised(((struct tar_members *)arg)->t->files, f, err);
}

static int take_manifest_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	struct tar_members *m = arg;
	int r = m->has_manifest ? 0 : end_archive(m, err);

	m->has_manifest = true;
	if (r == 0)
		r = base_manifest_feed(m->parser, data, len, err);
	return r < 0 ? r : spool_put(m->manifest, data, len, err);
}

static int put_manifest_bytes(struct tar_members *m, struct error *err)
{
	_cleanup(free) char *buf = mem_alloc(COPY_BYTES);
	uint64_t size = spool_size(m->manifest);
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < size;) {
		size_t len = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;

		r = spool_get(m->manifest, buf, len, at, err);
		if (r == 0)
			r = put_member_bytes(m, buf, len, err);
		at += len;
	}
	return r;
}

static int put_base_manifest(struct tar_members *m, struct error *err)
{
	static const char zeros[TAR_END_BYTES];
	int r;

	str_clear(&m->key);
	str_append(&m->key, CLUSTER_MANIFEST);
	m->entry = (struct listing_entry){.format = LISTING_BASE,
	                                  .bytes = spool_size(m->manifest),
	                                  .mode = MANIFEST_MODE,
	                                  .modified_us = make_now_us(m->t->ctx)};
	r = put_member_header(m, err);
	if (r == 0)
		r = put_manifest_bytes(m, err);
	if (r == 0)
		r = end_taken(m, err);
	return r < 0 ? r : cluster_packer_put(m->t->packer, zeros, sizeof(zeros), NULL, err);
}

int cluster_take(struct cluster_taking *t, struct pg_replication *session,
                 const struct pg_base_options *options, uint64_t *ret_stop_lsn, struct error *err)
{
	struct tar_members *m = mem_alloc(sizeof(*m));
	const struct base_manifest_to promised = {.file = take_promised_file, .arg = m};
	const struct pg_base_to to = {.start = take_start,
	                              .archive = take_archive,
	                              .data = take_archive_bytes,
	                              .manifest = take_manifest_bytes,
	                              .arg = m};
	uint32_t timeline = 0;
	int r;

	t->own = m;
	m->t = t;
	m->now_us = make_now_us(t->ctx);
	m->parser = base_manifest_new(&promised);
	m->manifest = spool_new(t->ctx->conf->state_dir);
	r = pg_replication_base(session, options, &to, ret_stop_lsn, &timeline, err);
	if (r == 0)
		r = base_manifest_end(m->parser, err);
	if (r == 0 && timeline != t->timeline)
		r = error_set(err, ERROR_UNAVAILABLE, EPROTO,
		              "the server was promoted while it was backed up (timeline %" PRIu32
		              " became %" PRIu32 "): run it again",
		              t->timeline, timeline);
	return r < 0 ? r : put_base_manifest(m, err);
}

void cluster_taking_finish(struct cluster_taking *t)
{
	struct tar_members *m = t->own;

	str_finish(&t->tablespaces);
	if (!m)
		return;
	str_finish(&m->key);
	base_manifest_free(m->parser);
	spool_free(m->manifest);
	free(m->places);
	free(m);
	t->own = NULL;
}
