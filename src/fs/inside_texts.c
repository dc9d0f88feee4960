// SPDX-License-Identifier: Apache-2.0
/*
 * The texts in the directory of a dump. Each is a row of a table: what pg_restore says of the dump, made when somebody asks for it. A
 * dump that cannot be looked into has texts that say why.
 */
#include "asked.h"
#include "dir.h"
#include "inside.h"
#include "made_file.h"
#include "text.h"
#include "lookers.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/inside.h>
#include <keepfs/catalog/parts.h>
#include <keepfs/inside/attach.h>
#include <keepfs/use/erasures.h>

#include <errno.h>
#include <string.h>

/* Texts that only say why there is nothing else are kept no longer than until the next one is asked for: what is
 * missing may be there then. */
static atomic_uint_least64_t reasons;

static uint64_t text_of_dump(struct fs *fs, const struct node *node)
{
	return atomic_load(&reasons) + 1;
}

static int write_reason(const struct error *err, const char *prefix, struct spool *out)
{
	spool_appendf(out, "%s%s\n", prefix,
	              err->message[0] ? err->message : "this dump cannot be looked into");
	atomic_fetch_add(&reasons, 1);
	return spool_error(out);
}

typedef int write_of_dump_fn(struct fs *fs, const struct node *node, struct inside_dump *dump,
                             struct spool *out, struct error *err);

/* @prefix: what a reason has before it, so that the text stays what its name says. */
static int write_dump_text(struct fs *fs, const struct node *node, const char *prefix,
                           write_of_dump_fn *write, struct spool *out)
{
	_cleanup(inside_dump) struct inside_dump *dump = NULL;
	struct error err = {0};
	int r = inside_dump_of(fs, node, &dump, &err);

	if (r == INSIDE_UNKNOWN)
		return write_reason(&err, prefix, out);
	if (r < 0)
		return r;
	r = write(fs, node, dump, out, &err);
	if (r == -ENOENT && spool_size(out) == 0)
		return write_reason(&err, prefix, out);
	return r < 0 ? inside_failed(fs, node, node_path(fs, node), r, &err) : 0;
}

static int write_toc_of(struct fs *fs, const struct node *node, struct inside_dump *dump, struct spool *out,
                        struct error *err)
{
	return inside_write_toc(dump, node->cancel, out, err);
}

static int write_toc(struct fs *fs, const struct node *node, struct spool *out)
{
	return write_dump_text(fs, node, "; ", write_toc_of, out);
}

static int write_file_schema_of(struct fs *fs, const struct node *node, struct inside_dump *dump,
                                struct spool *out, struct error *err)
{
	return inside_write_schema(dump, node->cancel, out, err);
}

static int write_schema(struct fs *fs, const struct node *node, struct spool *out)
{
	return write_dump_text(fs, node, "-- ", write_file_schema_of, out);
}

struct attached {
	const struct node *text;
	struct inside_dump *dump;
	const char *directory; /* of the dump, absolute */
};

static void append_path_of_rows(void *arg, const struct inside_table *table, struct str *ret)
{
	const struct attached *a = arg;
	char name[NAME_MAX_BYTES] = "";
	struct node rows;

	node_inside(a->text, INSIDE_TSV, table->number, &rows);
	(void)inside_file_name(a->dump, &rows, name);
	str_appendf(ret, "%s/" TABLES_NAME "/%s", a->directory, name);
}

static int write_attach_of(struct fs *fs, const struct node *node, struct inside_dump *dump,
                           struct spool *out, struct error *err)
{
	_cleanup(free) char *path = inside_path_of(fs, node), *absolute = NULL;
	struct attached attached = {.text = node, .dump = dump};
	struct inside_attach attach = {
	        .state_dir = fs->ctx.conf->state_dir, .path = append_path_of_rows, .arg = &attached};

	if (!path)
		return -ESTALE;
	absolute = mem_printf("%s/%s", fs->ctx.conf->mountpoint, path);
	attach.backup = path + strlen(INSIDE_NAME "/");
	attached.directory = absolute;
	return inside_write_attach(dump, &attach, node->cancel, out, err);
}

static int write_attach(struct fs *fs, const struct node *node, struct spool *out)
{
	return write_dump_text(fs, node, "-- ", write_attach_of, out);
}

/* Only where there is something to say. */

static bool append_erased(struct fs *fs, const struct node *node, struct str *out)
{
	_cleanup(manifest) struct manifest m = {0};
	const struct erasures_asked asked = {.conf = fs->ctx.conf, .m = &m};

	return erasures_any_here(fs->ctx.conf) &&
	       catalog_backup_manifest(fs->ctx.repository->catalog, node->entry.ino, &m) == 0 &&
	       erasures_append_notice(&asked, out);
}

static bool has_erased(struct fs *fs, const struct node *node)
{
	_cleanup(str) struct str ignored = {0};

	return append_erased(fs, node, &ignored);
}

static int write_erased(struct fs *fs, const struct node *node, struct spool *out)
{
	_cleanup(str) struct str notice = {0};

	if (!append_erased(fs, node, &notice))
		return -ENOENT;
	spool_appendf(out, "%s\n", str_text(&notice));
	return spool_error(out);
}

static uint64_t generation_of_erased(struct fs *fs, const struct node *node)
{
	return erasures_stamp(fs->ctx.conf) + 1;
}

#define TEXT_ERASED 3

static bool text_is_there(struct fs *fs, const struct node *directory, const struct made_file *text)
{
	return text->number != TEXT_ERASED || has_erased(fs, directory);
}

static const struct made_file inside_texts[] = {
        {.number = 0, .name = "toc.txt", .write = write_toc, .generation = text_of_dump},
        {.number = 1, .name = "schema.sql", .write = write_schema, .generation = text_of_dump},
        {.number = 2, .name = "attach.sql", .write = write_attach, .generation = text_of_dump},
        {.number = TEXT_ERASED,
         .name = ERASED_NAME,
         .write = write_erased,
         .generation = generation_of_erased},
};

static void node_of_text(const struct node *like, const struct made_file *text, struct node *ret)
{
	node_inside(like, INSIDE_FIXED, PART_TEXTS + text->number, ret);
	ret->class = &class_inside_text;
	ret->file = text;
}

static const struct made_file *made_text(unsigned number)
{
	for (size_t i = 0; i < ARRAY_SIZE(inside_texts); i++)
		if (inside_texts[i].number == number)
			return &inside_texts[i];
	return NULL;
}

int dump_text_load(struct fs *fs, uint32_t part, struct node *ret)
{
	const struct made_file *text = part >= PART_TEXTS ? made_text(part - PART_TEXTS) : NULL;

	if (!text)
		return -ENOENT;
	ret->class = &class_inside_text;
	ret->file = text;
	return 0;
}

int dump_text_child(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(inside_texts); i++) {
		if (strcmp(name, inside_texts[i].name) == 0 &&
		    text_is_there(fs, directory, &inside_texts[i])) {
			node_of_text(directory, &inside_texts[i], ret);
			return 0;
		}
	}
	return -ENOENT;
}

int inside_erased_of(struct fs *fs, const struct node *like, const struct catalog_entry *entry,
                     struct node *ret)
{
	struct node of_dump = {.entry = *entry, .cancel = like->cancel, .in_haste = like->in_haste};
	uint32_t number;
	int r = has_erased(fs, &of_dump)
	                ? catalog_inside_number(fs->ctx.repository->catalog, entry->ino, &number, NULL)
	                : -ENOENT;

	if (r < 0)
		return r;
	of_dump.ino = ino_inside(number, INSIDE_FIXED, 0);
	node_of_text(&of_dump, made_text(TEXT_ERASED), ret);
	ret->is_second_name = true;
	return 0;
}

#define POSITION_TEXTS 2 /* behind tables/ and blobs/ */

bool dump_text_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(inside_texts); i++) {
		unsigned position = POSITION_TEXTS + inside_texts[i].number;
		struct node node;

		node_of_text(directory, &inside_texts[i], &node);
		if (position >= listing_position(after) && text_is_there(fs, directory, &inside_texts[i]) &&
		    !listing_add(l, inside_texts[i].name, &node, OFFSET_FIXED + (off_t)position))
			return false;
	}
	return true;
}

/* Others may wait for the same text, and have more time. */
static int open_patiently(struct fs *fs, const struct node *node, struct text **ret)
{
	struct node patient = *node;

	if (inside_is_too_long(fs, node))
		return -EAGAIN;
	patient.in_haste = false;
	return text_open(fs, &patient, ret);
}

static int text_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	_cleanup(text) struct text *text = NULL;
	int r = open_patiently(fs, node, &text);

	if (r < 0)
		return r;
	st->st_mode |= file_permissions(fs, node) & 0444;
	st->st_size = (off_t)text_bytes(text);
	*mtime_us = node->entry.mtime_us;
	return 0;
}

static char *text_path(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *path = inside_path_of(fs, node);

	return path ? mem_printf("%s/%s", path, node->file->name) : NULL;
}

struct text_opening {
	struct later later;
	struct node node;
	struct fuse_file_info fi;
	struct catalog_audit reader;
};

static void note_text_reading(struct text_opening *o)
{
	_cleanup(free) char *path = text_path(o->later.fs, &o->node);

	audit(o->later.fs, &o->reader, "read", path ? path : "a removed backup", 0, "");
}

static void open_text(void *arg)
{
	struct text_opening *o = arg;
	struct fs *fs = o->later.fs;
	struct text *text = NULL;
	int r = open_patiently(fs, &o->node, &text);

	if (r == -EAGAIN && o->node.in_haste) {
		o->node.in_haste = false;
		lookers_add(fs->long_lookers, o->node.entry.ino, open_text, o);
		return;
	}
	if (r == 0)
		note_text_reading(o);
	if (!later_claim(&o->later))
		text_unref(text);
	else if (r < 0)
		fuse_reply_err(o->later.pending.req, r == -ECANCELED ? EINTR : -r);
	else
		reply_open(o->later.pending.req, text_handle_new(fs, &o->node, text, NULL), &o->fi);
	later_end(&o->later);
	free(o);
}

static int text_begin_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                           struct handle **ret_handle, struct error *err)
{
	struct fs *fs = fs_of(req);
	struct text_opening *o = mem_alloc(sizeof(*o));

	o->node = *node;
	o->node.cancel = &o->later.cancel;
	o->node.in_haste = true;
	o->fi = *fi;
	caller_of(req, &o->reader);
	if (later_begin(&o->later, fs, req))
		lookers_add(fs->lookers, node->entry.ino, open_text, o);
	else
		free(o);
	return OPENED_LATER;
}

const struct node_class class_inside_text = {
        .type = S_IFREG,
        .name_s = ATTR_FOREVER_S,
        .waits = true,
        .stat_is_costly = true,
        .stat = text_stat,
        .path = text_path,
        .open = text_begin_open,
        .why_kept = inside_why_kept,
};
