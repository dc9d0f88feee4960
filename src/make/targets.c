// SPDX-License-Identifier: Apache-2.0
/* The targets of a run: the list, and choosing from it. */
#include <keepfs/make.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <stdarg.h>

#define NAMES_SHOWN 20 /* in a message */

struct make_target *make_targets_add(struct make_targets *targets)
{
	size_t count = targets->count;

	/* The room for them is a power of two. */
	if ((count & (count - 1)) == 0)
		targets->items = mem_resize(targets->items, count ? 2 * count : 1, sizeof(*targets->items));
	targets->items[count] = (struct make_target){0};
	targets->count++;
	return &targets->items[count];
}

static void target_finish(struct make_target *t)
{
	free(t->name);
	free(t->label);
	free(t->class);
	free(t->directory);
	free(t->stem);
	free(t->problem);
	free(t->claim);
}

void make_targets_note(struct make_targets *targets, const char *fmt, ...)
{
	struct str line = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&line, fmt, args);
	va_end(args);
	targets->notes = mem_resize(targets->notes, targets->note_count + 1, sizeof(*targets->notes));
	targets->notes[targets->note_count++] = str_take(&line);
}

void make_targets_drop_shared(struct make_targets *targets)
{
	if (targets->free_shared)
		targets->free_shared(targets->shared);
	targets->shared = NULL;
	targets->free_shared = NULL;
}

void make_targets_finish(struct make_targets *targets)
{
	for (size_t i = 0; i < targets->count; i++) {
		target_finish(&targets->items[i]);
	}
	free(targets->items);
	for (size_t i = 0; i < targets->note_count; i++)
		free(targets->notes[i]);
	free(targets->notes);
	free(targets->failure);
	free(targets->warning);
	make_targets_drop_shared(targets);
	*targets = (struct make_targets){0};
}

static bool is_excepted(const struct make_wanted *wanted, const char *class)
{
	for (char *const *except = wanted->except_classes; except && *except; except++)
		if (str_equal(*except, class))
			return true;
	return false;
}

static bool is_wanted_target(const struct make_wanted *wanted, const struct make_target *t)
{
	if (wanted->database && !str_equal(t->label, wanted->database))
		return false;
	if (wanted->class && !str_equal(t->class, wanted->class))
		return false;
	return !is_excepted(wanted, t->class);
}

static const char *name_of(const struct make_target *t, bool of_class)
{
	return of_class ? str_or_empty(t->class) : t->label;
}

/* Is it the first of its name? Of classes each is listed once, and what has none is not. */
static bool is_first_of_its_name(const struct make_targets *targets, size_t at, bool of_class)
{
	const char *name = name_of(&targets->items[at], of_class);

	for (size_t i = 0; i < at; i++)
		if (str_equal(name_of(&targets->items[i], of_class), name))
			return false;
	return *name;
}

static void list_target_names(const struct make_targets *targets, bool of_class, struct str *out)
{
	size_t count = 0;

	for (size_t i = 0; i < targets->count; i++) {
		if (!is_first_of_its_name(targets, i, of_class))
			continue;
		if (count++ < NAMES_SHOWN)
			str_appendf(out, "%s%s", out->len > 0 ? ", " : "",
			            name_of(&targets->items[i], of_class));
	}
	if (count == 0)
		str_append(out, "none");
	if (count > NAMES_SHOWN)
		str_appendf(out, " and %zu more", count - NAMES_SHOWN);
}

static int refuse_wanted(const struct conf_job *job, const struct make_wanted *wanted,
                         const struct make_targets *targets, struct error *err)
{
	const char *word = job->kind == CONF_JOB_EXPORT ? "tenant" : "database";
	_cleanup(str) struct str there = {0};

	list_target_names(targets, !wanted->database, &there);
	if (wanted->database && wanted->class)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "job %s has no %s '%.100s' of the class '%.100s'; its %ss: %s", job->name,
		                 word, wanted->database, wanted->class, word, str_text(&there));
	if (wanted->database)
		return error_set(err, ERROR_USAGE, EINVAL, "job %s has no %s '%.100s'; its %ss: %s",
		                 job->name, word, wanted->database, word, str_text(&there));
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "job %s has no %s of the class '%.100s'; the classes of its %ss: %s", job->name,
	                 word, wanted->class, word, str_text(&there));
}

int make_targets_choose(const struct conf_job *job, const struct make_wanted *wanted,
                        struct make_targets *targets, struct error *err)
{
	size_t kept = 0;
	bool any = false;

	for (size_t i = 0; i < targets->count; i++)
		any |= is_wanted_target(wanted, &targets->items[i]);
	if (!any && (wanted->database || (wanted->class && !wanted->may_be_none)))
		return refuse_wanted(job, wanted, targets, err);
	for (size_t i = 0; i < targets->count; i++) {
		if (is_wanted_target(wanted, &targets->items[i]))
			targets->items[kept++] = targets->items[i];
		else
			target_finish(&targets->items[i]);
	}
	targets->count = kept;
	return 0;
}
