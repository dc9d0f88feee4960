/* Extended attributes of artifacts: user.keepfs.…, from the catalog. */
#include "internal.h"

#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

#define PREFIX "user.keepfs."

static const char *const names[] = {"sha256",         "job",          "kind",
                                    "database",       "run",          "state",
                                    "server_version", "tool_version", "system_identifier",
                                    "started_at",     "triggered_by", "stored_bytes"};

/* The value of attribute @name ("sha256"); false when the artifact has none. */
static bool value_of(struct fs *fs, const struct manifest *m, const char *name, struct str *out)
{
	bool damaged = catalog_is_damaged(fs->ctx.catalog, ino_of_artifact(m->path));
	const struct {
		const char *name;
		const char *text;
	} texts[] = {
	        {"sha256", m->sha256},
	        {"job", m->job},
	        {"kind", m->kind},
	        {"database", m->database},
	        {"state", damaged ? "damaged" : run_state_name(RUN_COMPLETED)},
	        {"server_version", m->server_version},
	        {"tool_version", m->tool_version},
	        {"system_identifier", m->system_identifier},
	        {"triggered_by", m->triggered_by},
	};
	char iso[CLOCK_ISO_BYTES];

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
		str_appendf(out, "%llu", (unsigned long long)m->stored_bytes);
	else if (strcmp(name, "started_at") == 0)
		str_append(out, clock_format_iso(m->started_at_us, iso));
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

/* 0 with the artifact's facts; 1 when @ino is no artifact. */
static int load(struct fs *fs, fuse_ino_t ino, struct manifest *m)
{
	struct node node;
	int r = node_load(fs, ino, &node);

	if (r < 0)
		return r;
	return node.kind == NODE_ARTIFACT ? catalog_manifest(fs->ctx.catalog, ino, m) : 1;
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str value = {0};
	int r;

	/* 'Not supported' is what makes ls stop asking for access control lists file by file. */
	if (!str_starts(name, "user.")) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	r = str_starts(name, PREFIX) ? load(fs_of(req), ino, &m) : 1;
	if (r < 0)
		fuse_reply_err(req, -r);
	else if (r > 0 || !value_of(fs_of(req), &m, name + strlen(PREFIX), &value))
		fuse_reply_err(req, ENODATA);
	else
		reply_bytes(req, &value, size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str list = {0};
	int r = load(fs_of(req), ino, &m);

	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		_cleanup(str) struct str value = {0};

		if (!value_of(fs_of(req), &m, names[i], &value))
			continue;
		str_appendf(&list, PREFIX "%s", names[i]);
		str_append_char(&list, '\0');
	}
	reply_bytes(req, &list, size);
}
