// SPDX-License-Identifier: Apache-2.0
/* What a registry names, remembered in the catalog, and what has changed told to people. */
#include <keepfs/make/members.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/name.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DAY_US (INT64_C(86400) * US_PER_S)

struct learning {
	const struct make_context *ctx;
	const struct conf_job *job;
	const struct make_member_words *words;
	struct make_targets *targets;
	struct catalog_audit *audits; /* written when the catalog can be called again */
	size_t audit_count;
	char **named; /* those that are new, or back: theirs are the directories that may not be there */
	size_t named_count;
	size_t missing;
};

static void tell_member_change(struct learning *l, const struct catalog_member *m, const char *what)
{
	struct catalog_audit *entry;

	make_targets_note(l->targets, "%s %s %s", l->words->one, m->name, what);
	log_info("job %s: %s %s %s", l->job->name, l->words->one, m->name, what);
	l->audits = mem_resize(l->audits, l->audit_count + 1, sizeof(*l->audits));
	entry = &l->audits[l->audit_count++];
	*entry = (struct catalog_audit){.at_us = make_now_us(l->ctx), .uid = -1, .pid = -1};
	str_copy(entry->command, sizeof(entry->command), "keepfs");
	str_copy(entry->action, sizeof(entry->action), "registry");
	snprintf(entry->object, sizeof(entry->object), "%s/%s", l->job->name, m->name);
	str_copy(entry->result, sizeof(entry->result), "ok");
	str_copy(entry->detail, sizeof(entry->detail), what);
}

static void note_named(struct learning *l, const char *name)
{
	l->named = mem_resize(l->named, l->named_count + 1, sizeof(*l->named));
	l->named[l->named_count++] = mem_strdup(name);
}

static void take_change(void *arg, enum catalog_member_change change, const struct catalog_member *m)
{
	struct learning *l = arg;
	const char *of = *m->class ? " of the class " : "";
	_cleanup(free) char *what = NULL;

	switch (change) {
	case CATALOG_MEMBER_NEW:
		what = mem_printf("is new%s%s: %s", of, m->class, l->words->when_new);
		note_named(l, m->name);
		break;
	case CATALOG_MEMBER_BACK:
		what = mem_strdup("is named again");
		note_named(l, m->name);
		break;
	case CATALOG_MEMBER_CLASS:
		what = *m->class ? mem_printf("is of the class %s now", m->class)
		                 : mem_strdup("is of no class any more");
		break;
	case CATALOG_MEMBER_GONE:
		what = mem_printf("is not named any more: it is gone, and %s", l->words->when_gone);
		break;
	case CATALOG_MEMBER_MISSING:
		l->missing++;
		return;
	}
	tell_member_change(l, m, what);
}

static void write_audits(const struct learning *l)
{
	struct error err = {0};

	for (size_t i = 0; i < l->audit_count; i++)
		if (catalog_add_audit(l->ctx->repository->catalog, &l->audits[i], &err) < 0)
			log_error("job %s: that the %s %s %s could not be audited: %s", l->job->name,
			          l->words->one, l->audits[i].object, l->audits[i].detail, err.message);
}

/* Each is shown as soon as it is known, also when nothing can be made of it. */
static void make_named_directories(const struct learning *l)
{
	struct error err = {0};

	for (size_t i = 0; i < l->named_count; i++) {
		_cleanup(free) char *below = name_from_database(l->named[i]),
		                    *directory = make_directory_of(l->job, below);

		if (catalog_ensure_directory(l->ctx->repository->catalog, directory, make_now_us(l->ctx),
		                             &err) < 0)
			log_warning("job %s: the directory of %s %s could not be made: %s", l->job->name,
			            l->words->one, l->named[i], err.message);
		free(l->named[i]);
	}
	free(l->named);
}

/* The directories of both are shown, and somebody may copy them to where they are one. */

static int compare_case_apart(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;
	int order = strcasecmp(x, y);

	return order ? order : strcmp(x, y);
}

static void note_alike(const struct catalog_named *rows, size_t count, struct make_targets *ret)
{
	_cleanup(free) const char **names = mem_array(count + 1, sizeof(*names));

	for (size_t i = 0; i < count; i++)
		names[i] = rows[i].name;
	qsort(names, count, sizeof(*names), compare_case_apart);
	for (size_t i = 1; i < count; i++)
		if (strcasecmp(names[i], names[i - 1]) == 0)
			make_targets_note(
			        ret,
			        "warning: %s and %s differ in nothing but case: copied to a file system that does not tell these apart, what is kept of them would replace each other",
			        names[i - 1], names[i]);
}

/* Without a delay for plans that delete much, a day all the same: so much is not believed at once. */
static int64_t patience_us(const struct make_context *ctx)
{
	const struct conf *conf = make_conf_ref(ctx);
	int64_t delay_ms = conf->policy_delay_ms;

	make_conf_unref(ctx, conf);
	return delay_ms > 0 ? delay_ms * 1000 : DAY_US;
}

int make_learn_members(const struct make_context *ctx, const struct conf_job *job,
                       const struct make_member_words *words, const struct catalog_named *rows, size_t count,
                       struct make_targets *ret, struct error *err)
{
	struct learning l = {.ctx = ctx, .job = job, .words = words, .targets = ret};
	const struct catalog_reading reading = {.job = job->name,
	                                        .rows = rows,
	                                        .count = count,
	                                        .at_us = make_now_us(ctx),
	                                        .patience_us = patience_us(ctx)};
	int r = catalog_read_members(ctx->repository->catalog, &reading, take_change, &l, err);

	note_alike(rows, count, ret);
	if (r == 0)
		write_audits(&l);
	make_named_directories(&l);
	if (l.missing > 0 && r == 0)
		ret->warning = mem_printf(
		        "%zu %s are suddenly not named any more, and %zu still are: that is doubted, and nothing counts as gone for now",
		        l.missing, words->many, count);
	free(l.audits);
	return r;
}

bool make_is_known_member(const struct make_context *ctx, const struct conf_job *job,
                          const struct make_wanted *wanted, bool may_be_gone)
{
	struct catalog_member m;

	if (!wanted->database)
		return wanted->may_be_none;
	return catalog_member(ctx->repository->catalog, job->name, wanted->database, &m) == 0 &&
	       (may_be_gone || !m.gone_since_us) && (!wanted->class || str_equal(m.class, wanted->class));
}
