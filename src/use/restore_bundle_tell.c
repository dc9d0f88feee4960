// SPDX-License-Identifier: Apache-2.0
/* What a bundle holds, and what it lacks, for whoever is about to restore it. */
#include "restore_bundle.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/codec/json.h>

#include <inttypes.h>
#include <string.h>

#define DESCRIPTION_NAME  "MANIFEST.json"
#define DESCRIPTION_BYTES ((size_t)16 << 20)

static int take_description(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

/* What was not there to be backed up stands in the bundle's own description alone. */
static void tell_what_is_missing(const struct restore_whole *w)
{
	struct backup *b = w->t->backup;
	_cleanup(str) struct str text = {0};
	_cleanup(json) struct json *j = NULL;
	const struct backup_out out = {.write = take_description, .arg = &text};
	const struct json *missing;
	struct catalog_entry file;
	struct error err = {0};

	if (backup_find(b, DESCRIPTION_NAME, &file) < 0 || file.size_bytes > DESCRIPTION_BYTES ||
	    backup_read(b, &file, &out, &err) < 0)
		return;
	j = json_parse(str_text(&text), text.len, &err);
	missing = j ? json_get(j, "missing") : NULL;
	for (size_t i = 0; i < json_count(missing); i++)
		make_say(w->t->order, "not in it: %s: %s",
		         str_or_empty(json_get_string(json_item(missing, i), "job")),
		         str_or_empty(json_get_string(json_item(missing, i), "why")));
}

static void tell_head(const struct restore_whole *w)
{
	const struct manifest *m = &w->t->backup->m;
	const char *version = manifest_fact(m, RESTORE_BUNDLE_VERSION),
	           *host = manifest_fact(m, RESTORE_BUNDLE_HOST);
	char at[CLOCK_ISO_BYTES], size[16];

	make_say(w->t->order, "the deployment %s: %s (%s), made %s%s%s%s%s", w->name, w->t->backup->path,
	         str_format_bytes(size, sizeof(size), m->size_bytes),
	         clock_format_iso(m->started_at_us - m->started_at_us % US_PER_S, at), host ? " on " : "",
	         str_or_empty(host), version ? ", version " : "", str_or_empty(version));
}

/* Also those that are not chosen: whoever reads it should know that they are not brought back. */
static void tell_part(const struct restore_whole *w, const struct catalog_part *part)
{
	struct catalog *c = w->t->backup->ctx->repository->catalog;
	_cleanup(manifest) struct manifest m = {0};
	struct catalog_part again;
	struct catalog_entry file;
	char at[CLOCK_ISO_BYTES], size[16];
	bool secret = catalog_entry_by_ino(c, part->ino, &file) == 0 && file.secret;

	if (catalog_part(c, part->ino, &again, &m) < 0)
		return;
	make_say(w->t->order, "%s %s: %s of %s, taken %s, %s%s", secret ? "secret part" : "part", part->name,
	         part->kind, m.target, clock_format_iso(m.finished_at_us - m.finished_at_us % US_PER_S, at),
	         str_format_bytes(size, sizeof(size), m.size_bytes),
	         secret && !w->t->wanted->secrets ? ": NOT restored, which only secrets=yes does" : "");
}

static void tell_around(const struct restore_whole *w)
{
	const struct make_order *order = w->t->order;
	const struct conf_bundle *b = w->job ? &w->job->bundle : NULL;

	if (!b) {
		make_say(
		        order,
		        "the configuration has no [bundle %s]: nothing is stopped before, nothing is started after it, and nothing is checked",
		        w->t->backup->m.job);
		return;
	}
	make_say(order, "before anything is changed: %s",
	         *b->restore_stop_hook ? b->restore_stop_hook
	                               : "nothing is stopped (restore_stop_hook is empty)");
	make_say(order, "when everything is restored: %s",
	         *b->restore_start_hook ? b->restore_start_hook
	                                : "nothing is started (restore_start_hook is empty)");
	for (size_t i = 0; i < w->conf->check_count; i++)
		if (conf_check_is_of_bundle(&w->conf->checks[i], w->job->name))
			make_say(order, "and then the health check %s", w->conf->checks[i].name);
}

void restore_bundle_tell(struct restore_whole *w)
{
	struct catalog *c = w->t->backup->ctx->repository->catalog;
	struct catalog_part part;

	tell_head(w);
	for (int64_t after = -1; catalog_next_part(c, w->t->backup->ino, after, &part) == 0;
	     after = part.number)
		tell_part(w, &part);
	tell_what_is_missing(w);
	tell_around(w);
}
