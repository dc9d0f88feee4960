// SPDX-License-Identifier: Apache-2.0
/* Extended attributes of artifacts and of their further files: user.keepfs.…, from the catalog. */
#include "xattr.h"

#include "asked.h"
#include "thaws.h"

#include <keepfs/base/str.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/store.h>

#include <errno.h>
#include <string.h>

#define PREFIX "user.keepfs."

/* What every artifact has; behind them come the facts of its kind, under their own names. */
static const char *const names[] = {
        "sha256",     "job",           "kind",         "target",        "run",          "state",
        "started_at", "verified_at",   "triggered_by", "partial",       "note",         "stored_bytes",
        "tier",       "hold",          "keep_until",   "class",         "drilled_at",   "drilled_level",
        "org",        "store",         "encrypted_to", "stored_sha256", "locked_until", "lock_mode",
        "copies",     "storage_class", "thaw",
};

static bool append_time(struct str *out, int64_t at_us)
{
	char iso[CLOCK_ISO_BYTES];

	if (at_us == 0)
		return false;
	str_append(out, clock_format_iso(at_us, iso));
	return true;
}

static bool append_lock_mode(const struct manifest *m, struct str *out)
{
	if (m->lock_mode == STORE_LOCK_NONE)
		return false;
	str_append(out, store_lock_mode_name((enum store_lock_mode)m->lock_mode));
	return true;
}

static bool append_known_tiers(const struct manifest *m, struct str *out)
{
	manifest_append_tiers(out, m->tiers);
	return out->len > 0;
}

/* "audit: audit 2026 (by uid 0 (bash))", the next behind "; ". */
static bool append_known_holds(const struct facts *facts, struct str *out)
{
	for (size_t i = 0; i < facts->hold_count; i++) {
		const struct catalog_hold *hold = &facts->holds[i];
		char until[CLOCK_ISO_BYTES];

		if (hold->until_us && hold->until_us <= clock_now_us())
			continue;
		str_appendf(out, "%s%s: %s (by %s", out->len > 0 ? "; " : "", hold->name, hold->reason,
		            hold->by);
		if (hold->until_us)
			str_appendf(out, ", until %s", clock_format_iso(hold->until_us, until));
		str_append_char(out, ')');
	}
	return out->len > 0;
}

/* The highest level that a drill has proven; 0: none has. */
static int drilled_level(const struct facts *facts)
{
	for (int level = PROOF_LEVELS - 1; level >= PROOF_RESTORED; level--)
		if (facts->proven_at_us[level])
			return level;
	return 0;
}

static bool append_drilled_level(const struct facts *facts, struct str *out)
{
	if (drilled_level(facts) == 0)
		return false;
	str_appendf(out, "%d", drilled_level(facts));
	return true;
}

/* What is not known is where it was put. */
static bool append_storage_class(const struct facts *facts, struct str *out)
{
	str_append(out, facts->storage_class.name);
	return out->len > 0;
}

static bool is_common(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* What is known of an export beyond these is for those who run keepfs: notes, holds, who ordered it. */
static bool is_for_admins(const char *name)
{
	static const char *const told[] = {"sha256", "org", "state", "started_at", "verified_at"};

	for (size_t i = 0; i < ARRAY_SIZE(told); i++)
		if (strcmp(told[i], name) == 0)
			return true;
	return false;
}

/* The value of attribute @name ("sha256"); false when there is none. */
static bool attribute_value(const struct facts *facts, const char *name, struct str *out)
{
	const struct manifest *m = &facts->manifest;
	const struct {
		const char *name;
		const char *text;
	} texts[] = {
	        {"sha256", *facts->sha256 ? facts->sha256 : NULL},
	        {"job", m->job},
	        {"kind", m->kind},
	        {"target", m->target},
	        {"class", m->class},
	        {"org", str_equal(m->kind, "export") ? m->target : NULL},
	        {"state", facts->damaged ? "damaged" : run_state_name(RUN_COMPLETED)},
	        {"triggered_by", m->triggered_by},
	        {"partial", m->partial ? "yes" : "no"},
	        {"note", m->note},
	        {"encrypted_to", m->encrypted_to},
	        {"stored_sha256", *facts->stored_sha256 ? facts->stored_sha256 : NULL},
	        {"store", *str_or_empty(facts->store) ? facts->store : NULL},
	        {"copies", facts->copies},
	};

	if (facts->for_admin && !is_for_admins(name))
		return false;
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
	else if (strcmp(name, "tier") == 0)
		return append_known_tiers(m, out);
	else if (strcmp(name, "hold") == 0)
		return append_known_holds(facts, out);
	else if (strcmp(name, "keep_until") == 0)
		return append_time(out, m->keep_until_us);
	else if (strcmp(name, "locked_until") == 0)
		return append_time(out, m->locked_until_us);
	else if (strcmp(name, "lock_mode") == 0)
		return append_lock_mode(m, out);
	else if (strcmp(name, "storage_class") == 0)
		return append_storage_class(facts, out);
	else if (strcmp(name, "thaw") == 0)
		return append_thaw_state(&facts->storage_class, out);
	else if (strcmp(name, "drilled_at") == 0)
		return append_time(out, facts->proven_at_us[PROOF_RESTORED]);
	else if (strcmp(name, "drilled_level") == 0)
		return append_drilled_level(facts, out);
	else if (strcmp(name, "started_at") == 0)
		return append_time(out, m->started_at_us);
	else if (strcmp(name, "verified_at") == 0)
		return append_time(out, m->verified_at_us);
	else
		return m->facts && json_scalar_text(json_get(m->facts, name), out);
	return true;
}

static bool is_own(const char *name)
{
	return strcmp(name, "sha256") == 0 || strcmp(name, "state") == 0;
}

static void append_name(const struct facts *facts, const char *name, struct str *list)
{
	_cleanup(str) struct str value = {0};

	if (!attribute_value(facts, name, &value))
		return;
	str_appendf(list, PREFIX "%s", name);
	str_append_char(list, '\0');
}

static int give_bytes(struct str *value, size_t size, struct answer *ret)
{
	if (size > 0 && size < value->len)
		return -ERANGE;
	ret->kind = size == 0 ? ANSWER_SIZE : ANSWER_BYTES;
	ret->len = value->len;
	ret->bytes = str_take(value);
	return 0;
}

static void facts_of_node_finish(struct facts *facts)
{
	manifest_finish(&facts->manifest);
	free(facts->store);
	free(facts->copies);
}

static int answer_attribute(struct fs *fs, const struct node *node, const struct asked *a, struct answer *ret)
{
	_cleanup(str) struct str value = {0};
	struct facts facts = {.for_admin = node->for_admin};
	int r = node->class->facts ? node->class->facts(fs, node, &facts) : -ENODATA;

	/* There is nothing to tell of it. */
	if (r > 0)
		r = -ENODATA;
	if (r == 0 && !attribute_value(&facts, a->name, &value))
		r = -ENODATA;
	if (r == 0)
		r = give_bytes(&value, a->size, ret);
	facts_of_node_finish(&facts);
	return r;
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct asked a = {.make = answer_attribute,
	                  .ino = ino,
	                  .size = size,
	                  .is_of_itself = true,
	                  .is_of_facts = true};

	/* 'Not supported' is what makes ls stop asking for access control lists file by file. */
	if (!str_starts(name, "user.")) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	if (!str_starts(name, PREFIX) || strlen(name) >= sizeof(a.name)) {
		fuse_reply_err(req, ENODATA);
		return;
	}
	str_copy(a.name, sizeof(a.name), name + strlen(PREFIX));
	answer_asked(req, &a);
}

static int answer_names(struct fs *fs, const struct node *node, const struct asked *a, struct answer *ret)
{
	_cleanup(str) struct str list = {0};
	struct facts facts = {.for_admin = node->for_admin, .for_names = true};
	bool has_facts = node->class->facts;
	int r = has_facts ? node->class->facts(fs, node, &facts) : 0;

	/* There is nothing to tell of it. */
	if (r > 0) {
		has_facts = false;
		r = 0;
	}
	for (size_t i = 0; has_facts && r == 0 && i < ARRAY_SIZE(names); i++)
		if (!facts.is_one_of_many || is_own(names[i]))
			append_name(&facts, names[i], &list);
	for (const char *name = r == 0 ? json_first_key(facts.manifest.facts) : NULL; name;
	     name = json_next_key(facts.manifest.facts, name))
		if (!is_common(name))
			append_name(&facts, name, &list);
	if (r == 0)
		r = give_bytes(&list, a->size, ret);
	facts_of_node_finish(&facts);
	return r;
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	answer_asked(req, &(struct asked){.make = answer_names,
	                                  .ino = ino,
	                                  .size = size,
	                                  .is_of_itself = true,
	                                  .is_of_facts = true});
}
