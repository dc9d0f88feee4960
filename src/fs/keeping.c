// SPDX-License-Identifier: Apache-2.0
/* control/prune, control/hold, control/undelete: what people say about what is kept. */
#include "keeping.h"

#include "fs_private.h"

#include <keepfs/artifact.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/codec/name.h>
#include <keepfs/notify.h>
#include <keepfs/prune.h>
#include <keepfs/wal/keep.h>

#include <errno.h>
#include <string.h>

int command_prune(struct command *c, struct str *answer, struct error *err)
{
	const struct conf *conf = fs_conf_ref(c->fs);
	struct prune p;
	int r = fs_begin_prune(c->fs, conf, &p, err);

	if (r == 0)
		r = prune_command(&p, c->text, c->by, answer, err);
	if (r == 0)
		r = wal_keep_command(&p, c->text, c->by, answer, err);
	fs_conf_unref(c->fs, conf);
	audit(c->fs, &c->audit, "prune", c->text, r, r < 0 ? err->message : "");
	return r;
}

static int find_artifact_of_word(struct fs *fs, const char *path, uint64_t *ret_ino, struct error *err)
{
	size_t len =
	        strlen(path) - (str_ends(path, MANIFEST_SEALED_SUFFIX) ? strlen(MANIFEST_SEALED_SUFFIX) : 0);
	_cleanup(free) char *plain = mem_printf("%.*s", (int)len, path);
	struct catalog_entry entry;
	int r = catalog_entry_by_ino(fs->ctx.repository->catalog, ino_of_artifact(plain), &entry);

	if (r == 0 && entry.kind != CATALOG_ARTIFACT)
		r = -ENOENT;
	if (r == -ENOENT)
		return error_set(
		        err, ERROR_NOT_FOUND, ENOENT,
		        "there is no backup %s: write its path as the mount shows it, such as backups/full/20261120T020000Z.dump",
		        path);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	*ret_ino = entry.ino;
	return 0;
}

/* Holds. */

struct hold_request {
	struct command_line line;
	struct catalog_hold hold;
	bool ends;
};

static void cleanup_hold_request(struct hold_request *r)
{
	command_line_finish(&r->line);
}

static int refuse_hold_words(struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "write PATH on reason='why' [name=NAME] [until=2027-01-31], or PATH off [name=NAME]");
}

static int take_until(const char *text, int64_t now_us, int64_t *ret_us, struct error *err)
{
	_cleanup(free) char *day = mem_printf("%sT00:00:00Z", text);

	if (clock_parse_iso(text, ret_us) < 0 && clock_parse_iso(day, ret_us) < 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "until=%.40s is no date: write it as 2027-01-31 or 2027-01-31T12:00:00Z (UTC)", text);
	if (*ret_us <= now_us)
		return error_set(err, ERROR_USAGE, EINVAL, "until=%.40s is over already", text);
	return 0;
}

static int take_hold_pair(struct hold_request *r, const struct command_pair *pair, struct error *err)
{
	if (strcmp(pair->key, "reason") == 0 && pair->value[0] &&
	    strlen(pair->value) < sizeof(r->hold.reason))
		str_copy(r->hold.reason, sizeof(r->hold.reason), pair->value);
	else if (strcmp(pair->key, "name") == 0 && name_is_safe(pair->value) &&
	         strlen(pair->value) < sizeof(r->hold.name))
		str_copy(r->hold.name, sizeof(r->hold.name), pair->value);
	else if (strcmp(pair->key, "until") == 0 && !r->ends)
		return take_until(pair->value, r->hold.at_us, &r->hold.until_us, err);
	else
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%.40s=%.40s: allowed are reason (of at most %zu bytes), name (of at most %zu letters, digits, '.', '_' and '-') and until",
		        pair->key, pair->value, sizeof(r->hold.reason) - 1, sizeof(r->hold.name) - 1);
	return 0;
}

static int parse_hold(const struct command *c, struct hold_request *r, struct error *err)
{
	int result = command_line_parse(c->text, &r->line, err);

	if (result < 0)
		return result;
	if (r->line.word_count != 2 ||
	    (strcmp(r->line.words[1], "on") != 0 && strcmp(r->line.words[1], "off") != 0))
		return refuse_hold_words(err);
	r->ends = strcmp(r->line.words[1], "off") == 0;
	r->hold.at_us = clock_now_us();
	str_copy(r->hold.name, sizeof(r->hold.name), "hold");
	str_copy(r->hold.by, sizeof(r->hold.by), c->by);
	for (size_t i = 0; result == 0 && i < r->line.pair_count; i++)
		result = take_hold_pair(r, &r->line.pairs[i], err);
	if (result == 0 && !r->ends && !r->hold.reason[0])
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "a hold needs a reason, so that others know when it can end: reason='audit 2026'");
	return result;
}

/* Without a name the only one is meant. */
static int name_ended(struct fs *fs, uint64_t ino, struct hold_request *r, struct error *err)
{
	struct catalog_hold holds[CATALOG_HOLDS_MAX];
	ssize_t count;

	for (size_t i = 0; i < r->line.pair_count; i++)
		if (strcmp(r->line.pairs[i].key, "name") == 0)
			return 0;
	count = catalog_holds(fs->ctx.repository->catalog, ino, holds, CATALOG_HOLDS_MAX);
	if (count < 0)
		return error_system(err, (int)-count, "the catalog cannot be read");
	if (count > 1)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "it has %zd holds: say which one ends with name=%s", count, holds[0].name);
	if (count == 1)
		str_copy(r->hold.name, sizeof(r->hold.name), holds[0].name);
	return 0;
}

static int change_hold(struct fs *fs, const char *path, struct hold_request *r, struct error *err)
{
	uint64_t ino = 0;
	int result = find_artifact_of_word(fs, path, &ino, err);

	if (result == 0 && !r->ends)
		return artifact_hold(fs->ctx.repository, ino, &r->hold, err);
	if (result == 0)
		result = name_ended(fs, ino, r, err);
	return result < 0 ? result : artifact_end_hold(fs->ctx.repository, ino, r->hold.name, err);
}

static void tell_of_hold(struct fs *fs, const char *path, const struct hold_request *r)
{
	_cleanup(free) char *title = mem_printf("%s is %s", path, r->ends ? "no longer held" : "held");
	_cleanup(free) char *text = mem_printf("by %s as %s%s%s", r->hold.by, r->hold.name,
	                                       r->hold.reason[0] ? ": " : "", r->hold.reason);
	const struct notify_event event = {
	        .event = r->ends ? EVENT_HOLD_ENDED : EVENT_HOLD_ADDED,
	        .title = title,
	        .text = text,
	};

	if (fs->ctx.notify)
		notify_tell(fs->ctx.notify, &event);
}

int command_hold(struct command *c, struct str *answer, struct error *err)
{
	_cleanup(hold_request) struct hold_request request = {0};
	_cleanup(free) char *path = NULL;
	int r = parse_hold(c, &request, err);

	if (r == 0) {
		path = tree_path(request.line.words[0]);
		r = change_hold(c->fs, path, &request, err);
	}
	if (r == 0) {
		str_appendf(answer, "%s is %s as %s\n", path, request.ends ? "no longer held" : "held",
		            request.hold.name);
		tell_of_hold(c->fs, path, &request);
	}
	audit(c->fs, &c->audit, request.ends ? "release" : "hold", path ? path : c->text, r,
	      r < 0 ? err->message : c->text);
	return r;
}

/* The trash. */

static int undelete(struct command *c, const char *path, struct str *answer, struct error *err)
{
	int r = artifact_undelete(c->fs->ctx.repository, path, err);

	if (r < 0)
		error_prefix(err, "%s", path);
	else if (r == ARTIFACT_DAMAGED)
		str_appendf(
		        answer,
		        "%s is listed again, but the store lacks some of it, so it counts as damaged: %s\n",
		        path, err->message);
	else
		str_appendf(answer, "%s is listed again\n", path);
	return r;
}

int command_undelete(struct command *c, struct str *answer, struct error *err)
{
	_cleanup(command_line) struct command_line line = {0};
	_cleanup(free) char *path = NULL;
	int r = command_line_parse(c->text, &line, err);

	if (r == 0 && (line.word_count != 1 || line.pair_count > 0))
		r = error_set(
		        err, ERROR_USAGE, EINVAL,
		        "write the path of one backup that was removed, such as backups/full/20261120T020000Z.dump; status/retention lists what is in the trash");
	if (r == 0) {
		path = tree_path(line.words[0]);
		r = undelete(c, path, answer, err);
	}
	audit(c->fs, &c->audit, "undelete", path ? path : c->text, r < 0 ? r : 0, r != 0 ? err->message : "");
	return r < 0 ? r : 0;
}

const char prune_help[] =
        "prune    echo full > prune       what would be removed of a job, or of tenants/acme, and why; all: of\n"
        "                                 everything. Nothing is removed. The answer ends with the plan's number\n"
        "         echo 'full after=NAME' > prune  the same, going on behind that backup: an answer has 200 of each\n"
        "                                 directory\n"
        "         echo 'full confirm=PLAN' > prune\n"
        "                                 remove it, if it is still that plan\n"
        "         echo 'full apply' > prune\n"
        "                                 remove now what would be removed after the next backup\n"
        "         echo 'full simulate=400d' > prune\n"
        "                                 what will be there when the schedule goes on as it does\n"
        "         echo clock=right > prune\n"
        "                                 the clock was set, and is right: nothing is held up by it any more\n"
        "         errors: EINVAL wrong command, ESTALE it would remove something else by now\n";
const char hold_help[] =
        "hold     echo \"backups/full/NAME on reason='audit 2026'\" > hold\n"
        "                                 it stays until that is ended, whatever the rules say, and rm is\n"
        "                                 refused; name=NAME where several hold it, until=2027-01-31 (UTC)\n"
        "         echo 'backups/full/NAME off name=NAME' > hold\n"
        "                                 end it\n";
const char undelete_help[] =
        "undelete echo backups/full/NAME > undelete\n"
        "                                 bring back what was removed, as long as the store has it\n"
        "         errors: ENOENT it was not removed, or is deleted for good, EBUSY it is being deleted just now\n";
