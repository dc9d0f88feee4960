// SPDX-License-Identifier: Apache-2.0
/* Extended attributes of artifacts and of their further files: user.keepfs.…, from the catalog. A further
 * file has a checksum and a size of its own, and else what is known of its artifact. */
#include "fs_private.h"

#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/manifest.h>

#include <errno.h>
#include <string.h>

#define PREFIX "user.keepfs."

static const char *const names[] = {
        "sha256",         "job",          "kind",
        "database",       "run",          "state",
        "server_version", "tool_version", "system_identifier",
        "started_at",     "verified_at",  "triggered_by",
        "format",         "content",      "compression",
        "partial",        "note",         "stored_bytes",
};

struct facts {
	struct manifest manifest;      /* of the artifact */
	char sha256[SHA256_HEX_BYTES]; /* "": not known */
	uint64_t stored_bytes;
	bool damaged; /* of a file in a directory: that one or another of it */
};

static bool append_time(struct str *out, int64_t at_us)
{
	char iso[CLOCK_ISO_BYTES];

	if (at_us == 0)
		return false;
	str_append(out, clock_format_iso(at_us, iso));
	return true;
}

/* The value of attribute @name ("sha256"); false when there is none. */
static bool value_of(const struct facts *facts, const char *name, struct str *out)
{
	const struct manifest *m = &facts->manifest;
	const struct {
		const char *name;
		const char *text;
	} texts[] = {
	        {"sha256", *facts->sha256 ? facts->sha256 : NULL},
	        {"job", m->job},
	        {"kind", m->kind},
	        {"database", m->database},
	        {"state", facts->damaged ? "damaged" : run_state_name(RUN_COMPLETED)},
	        {"server_version", m->server_version},
	        {"tool_version", m->tool_version},
	        {"system_identifier", m->system_identifier},
	        {"triggered_by", m->triggered_by},
	        {"format", m->format},
	        {"content", m->content},
	        {"compression", m->compression},
	        {"partial", m->partial ? "yes" : "no"},
	        {"note", m->note},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strcmp(texts[i].name, name) == 0) {
			if (!texts[i].text)
				return false;
			str_append(out, texts[i].text);
			return true;
		}
	}
	if (strcmp(name, "run") == 0)
		str_appendf(out, "%lld", (long long)m->run_id);
	else if (strcmp(name, "stored_bytes") == 0)
		str_appendf(out, "%llu", (unsigned long long)facts->stored_bytes);
	else if (strcmp(name, "started_at") == 0)
		return append_time(out, m->started_at_us);
	else if (strcmp(name, "verified_at") == 0)
		return append_time(out, m->verified_at_us);
	else
		return false;
	return true;
}

static void reply_bytes(fuse_req_t req, const struct str *value, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, value->len);
	else if (size < value->len)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, str_text(value), value->len);
}

/* 0 with the facts of an artifact or of a further file; 1 when @ino is neither. */
static int load(struct fs *fs, fuse_ino_t ino, struct facts *ret)
{
	struct catalog *catalog = fs->ctx.catalog;
	struct node node;
	int r = node_load(fs, ino, &node);

	if (r < 0)
		return r;
	if (!node_is_stored(&node) && !node_is_artifact(&node))
		return 1;
	r = catalog_manifest(catalog, ino, &ret->manifest);
	if (r == 0)
		r = catalog_file_sha256(catalog, ino, ret->sha256);
	/* The bytes of a directory are those of its files, and these are stored as they are read. */
	ret->stored_bytes = node.kind == NODE_ARTIFACT ? ret->manifest.stored_bytes : node.entry.size_bytes;
	ret->damaged =
	        catalog_is_damaged(catalog, ino) || (node.entry.parent_ino == node.entry.artifact_ino &&
	                                             catalog_is_damaged(catalog, node.entry.parent_ino));
	return r;
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	_cleanup(str) struct str value = {0};
	struct facts facts = {0};
	int r;

	/* 'Not supported' is what makes ls stop asking for access control lists file by file. */
	if (!str_starts(name, "user.")) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	r = str_starts(name, PREFIX) ? load(fs_of(req), ino, &facts) : 1;
	if (r < 0)
		fuse_reply_err(req, -r);
	else if (r > 0 || !value_of(&facts, name + strlen(PREFIX), &value))
		fuse_reply_err(req, ENODATA);
	else
		reply_bytes(req, &value, size);
	manifest_finish(&facts.manifest);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	_cleanup(str) struct str list = {0};
	struct facts facts = {0};
	int r = load(fs_of(req), ino, &facts);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		_cleanup(str) struct str value = {0};

		if (!value_of(&facts, names[i], &value))
			continue;
		str_appendf(&list, PREFIX "%s", names[i]);
		str_append_char(&list, '\0');
	}
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_bytes(req, &list, size);
	manifest_finish(&facts.manifest);
}
