// SPDX-License-Identifier: Apache-2.0
/* See confirm.h. */
#include "confirm.h"

#include "control_rules.h"
#include "made_file.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/spool.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/notify.h>
#include <keepfs/use.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define WAITING_MAX  32
#define NO_LOGIN     UINT32_MAX
#define NUMBER_LEAST 100000000
#define NUMBER_COUNT 900000000

struct waiting {
	uint64_t number; /* 0: the place is free */
	int64_t until_us;
	uint32_t login; /* who has logged in; NO_LOGIN: not known */
	struct node node;
	struct catalog_audit audit;
	char by[128];
	char *text;
	char *shown; /* what of it others may see */
};

struct confirmations {
	pthread_mutex_t lock;
	struct waiting places[WAITING_MAX]; /* lock */
};

struct confirmations *confirmations_new(void)
{
	struct confirmations *c = mem_alloc(sizeof(*c));

	pthread_mutex_init(&c->lock, NULL);
	return c;
}

static void forget_waiting(struct waiting *w)
{
	free(w->text);
	free(w->shown);
	*w = (struct waiting){0};
}

struct confirmations *confirmations_free(struct confirmations *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < WAITING_MAX; i++)
		forget_waiting(&c->places[i]);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}

/* What destroys something. */

static const char *confirm_value(const struct command_line *line, const char *key)
{
	for (size_t i = 0; i < line->pair_count; i++)
		if (str_equal(line->pairs[i].key, key))
			return line->pairs[i].value;
	return NULL;
}

static bool confirm_has_word(const struct command_line *line, const char *word)
{
	for (size_t i = 0; i < line->word_count; i++)
		if (str_equal(line->words[i], word))
			return true;
	return false;
}

static bool says_yes(const char *value)
{
	return value && (str_equal(value, "yes") || str_equal(value, "true") || str_equal(value, "1"));
}

static bool only_shows(const struct command_line *line)
{
	return says_yes(confirm_value(line, "plan")) || says_yes(confirm_value(line, "dry-run"));
}

static bool replaces_something(const struct command_line *line)
{
	return !only_shows(line) &&
	       (confirm_value(line, "confirm") || says_yes(confirm_value(line, "clean")) ||
	        says_yes(confirm_value(line, "replace")) || says_yes(confirm_value(line, "overwrite")) ||
	        str_equal(confirm_value(line, "mode"), "replace"));
}

static bool lifts_a_guard(const struct command_line *line)
{
	return confirm_value(line, "confirm") || confirm_value(line, "clock");
}

static bool deletes_a_tenant(const struct command_line *line)
{
	return confirm_value(line, "then-delete") && !only_shows(line);
}

static bool ends_a_hold(const struct command_line *line)
{
	return confirm_has_word(line, "off");
}

static bool registers_an_erasure(const struct command_line *line)
{
	return !(line->word_count == 1 && str_equal(line->words[0], "list"));
}

bool confirm_is_needed(const char *file, const char *text)
{
	static const struct {
		const char *file;
		bool (*is_needed)(const struct command_line *line);
	} rules[] = {
	        {"restore", replaces_something}, {"restore-tenant", replaces_something},
	        {"rescue", replaces_something},  {"import", replaces_something},
	        {"prune", lifts_a_guard},        {"trigger", deletes_a_tenant},
	        {"hold", ends_a_hold},           {"erase", registers_an_erasure},
	};
	_cleanup(command_line) struct command_line line = {0};
	struct error ignored = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		if (!str_equal(rules[i].file, file))
			continue;
		/* What cannot be taken apart is refused by the command itself. */
		return command_line_parse(text, &line, &ignored) == 0 && rules[i].is_needed(&line);
	}
	return false;
}

/* What others may see of a command: of whom an erasure is nobody is told, as its own line of the audit does not. */
static char *shown_command(const char *file, const char *text)
{
	if (str_equal(file, "erase"))
		return mem_printf("erase %.*s …", (int)strcspn(text, " \t"), text);
	return mem_printf("%s %s", file, text);
}

/* Waiting. */

uint32_t confirm_login_of(int64_t pid)
{
	_cleanup(str) struct str text = {0};
	char path[64], *end;
	unsigned long id;

	snprintf(path, sizeof(path), "/proc/%lld/loginuid", (long long)pid);
	if (fd_read_file(path, 32, &text) < 0)
		return NO_LOGIN;
	id = strtoul(str_text(&text), &end, 10);
	return end == str_text(&text) || id >= NO_LOGIN ? NO_LOGIN : (uint32_t)id;
}

static void drop_overdue(struct confirmations *c, int64_t now_us)
{
	for (size_t i = 0; i < WAITING_MAX; i++)
		if (c->places[i].number && c->places[i].until_us <= now_us)
			forget_waiting(&c->places[i]);
}

static bool number_waits(const struct confirmations *c, uint64_t number)
{
	for (size_t i = 0; i < WAITING_MAX; i++)
		if (c->places[i].number == number)
			return true;
	return false;
}

/* By chance: one that was told before a restart, in a mail for instance, must not be that of another command behind it. */
static uint64_t new_number(const struct confirmations *c)
{
	uint64_t number;

	do {
		if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
			abort();
		number = NUMBER_LEAST + number % NUMBER_COUNT;
	} while (number_waits(c, number));
	return number;
}

static uint64_t keep_waiting(const struct command *c, const char *text, int64_t now_us, int64_t until_us)
{
	struct confirmations *all = c->fs->confirmations;
	struct waiting *free_place = NULL;
	uint64_t number = 0;

	pthread_mutex_lock(&all->lock);
	drop_overdue(all, now_us);
	for (size_t i = 0; !free_place && i < WAITING_MAX; i++)
		if (!all->places[i].number)
			free_place = &all->places[i];
	if (free_place) {
		number = new_number(all);
		*free_place = (struct waiting){.number = number,
		                               .until_us = until_us,
		                               .login = c->login,
		                               .node = c->node,
		                               .audit = c->audit,
		                               .text = mem_strdup(text),
		                               .shown = shown_command(c->node.file->name, text)};
		str_copy(free_place->by, sizeof(free_place->by), c->by);
	}
	pthread_mutex_unlock(&all->lock);
	return number;
}

static void tell_of_waiting(struct fs *fs, const struct command *c, const char *shown, uint64_t number)
{
	_cleanup(free) char *title = mem_printf("%s waits for a second person", shown);
	_cleanup(free) char *text = mem_printf("ordered by %s", c->by);
	_cleanup(free) char *what_to_do = mem_printf(
	        "look at it, and as another user of [control] confirm_by: keepfs confirm %llu, or keepfs confirm %llu --refuse",
	        (unsigned long long)number, (unsigned long long)number);
	const struct notify_event event = {
	        .event = EVENT_CONFIRM, .title = title, .text = text, .what_to_do = what_to_do};

	if (fs->ctx.notify)
		notify_tell(fs->ctx.notify, &event);
}

int confirm_wait(const struct command *c, struct str *answer, struct error *err)
{
	const struct conf_control *conf = &c->fs->ctx.conf->control;
	struct catalog_audit entry = c->audit;
	int64_t now_us = clock_now_us(), until_us = now_us + conf->confirm_within_ms * 1000;
	_cleanup(free) char *object = NULL, *text = NULL;
	_cleanup(str) struct str meant = {0};
	char until[CLOCK_ISO_BYTES];
	uint64_t number;
	int r;

	if (!conf->confirm_by || !conf->confirm_by[0] || !confirm_is_needed(c->node.file->name, c->text))
		return 0;
	/* Others will see it. */
	if (use_has_password(c->text))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "a command that waits for a second person must not hold a password: let it be in ~/.pgpass or a service file of the user of keepfs");
	r = use_fix_backups(c->fs->ctx.repository->catalog, c->node.file->name, c->text, &text, &meant, err);
	if (r < 0)
		return r;
	number = keep_waiting(c, text, now_us, until_us);
	if (!number)
		return error_set(
		        err, ERROR_CONFLICT, EBUSY,
		        "%d commands wait to be confirmed already: have some confirmed or refused first (status/confirmations)",
		        WAITING_MAX);
	clock_format_iso(until_us, until);
	object = shown_command(c->node.file->name, text);
	str_appendf(
	        answer,
	        "waits for a second person as number %llu, until %s: another user of [control] confirm_by has "
	        "to run: keepfs confirm %llu\n",
	        (unsigned long long)number, until, (unsigned long long)number);
	str_append(answer, str_text(&meant));
	if (audit(c->fs, &entry, "wait", object, 0, str_text(answer)) < 0)
		return error_set(err, ERROR_INTERNAL, EIO, "the audit cannot be written");
	tell_of_waiting(c->fs, c, object, number);
	return 1;
}

/* Confirming. */

struct confirm_request {
	uint64_t number;
	bool refuses;
};

static int parse_confirm(const char *text, struct confirm_request *ret, struct error *err)
{
	const char *digits = strchr(text, '=');
	char *end = NULL;

	ret->refuses = str_starts(text, "refuse=");
	if (digits && (ret->refuses || str_starts(text, "confirm=")) && digits[1] >= '1' && digits[1] <= '9')
		ret->number = strtoull(digits + 1, &end, 10);
	if (!end || *end)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "write list, confirm=NUMBER or refuse=NUMBER; what waits: status/confirmations");
	return 0;
}

static bool is_same_person(const struct waiting *w, const struct command *c)
{
	return w->audit.uid == c->audit.uid || (c->login != NO_LOGIN && c->login == w->login);
}

/* Take it out, so that nobody else confirms it as well. Whoever has ordered it may give it up himself. */
static int take_waiting(const struct command *c, const struct confirm_request *request, struct waiting *ret,
                        struct error *err)
{
	struct confirmations *all = c->fs->confirmations;
	struct waiting *found = NULL;
	int r = 0;

	pthread_mutex_lock(&all->lock);
	drop_overdue(all, clock_now_us());
	for (size_t i = 0; !found && i < WAITING_MAX; i++)
		if (all->places[i].number == request->number)
			found = &all->places[i];
	if (!found)
		r = error_set(
		        err, ERROR_NOT_FOUND, ENOENT,
		        "nothing waits as number %llu: it was confirmed, refused, or waited for too long",
		        (unsigned long long)request->number);
	else if (!c->may_confirm && !(request->refuses && found->audit.uid == c->audit.uid))
		r = error_set(err, ERROR_DENIED, EPERM, "[control] confirm_by does not name you");
	else if (!request->refuses && is_same_person(found, c))
		r = error_set(
		        err, ERROR_DENIED, EPERM,
		        "whoever has ordered it cannot confirm it, under another name neither: a second person has to");
	if (r == 0) {
		*ret = *found;
		*found = (struct waiting){0};
	}
	pthread_mutex_unlock(&all->lock);
	return r;
}

static int carry_out_waiting(const struct command *c, const struct waiting *w, struct str *answer,
                             struct error *err)
{
	size_t len = strlen(w->text);
	_cleanup(free) struct command *own = mem_alloc(sizeof(*own) + len + 1);

	own->fs = c->fs;
	own->node = w->node;
	own->audit = w->audit;
	own->audit.at_us = clock_now_us();
	snprintf(own->by, sizeof(own->by), "%.70s, confirmed by uid %lld", w->by, (long long)c->audit.uid);
	memcpy(own->text, w->text, len + 1);
	return w->node.file->run(own, answer, err);
}

static int confirm_or_refuse(struct command *c, struct str *answer, struct error *err)
{
	_cleanup(free) char *object = NULL, *detail = NULL;
	struct confirm_request request = {0};
	struct waiting w = {0};
	int r = parse_confirm(c->text, &request, err);

	if (r == 0)
		r = take_waiting(c, &request, &w, err);
	object = mem_strdup(w.shown ? w.shown : c->text);
	detail = r < 0 ? mem_strdup(err->message) : mem_printf("ordered by %s", w.by);
	/* Both are in it before anything is done. */
	if (audit(c->fs, &c->audit, request.refuses ? "refuse" : "confirm", object, r, detail) < 0 && r == 0)
		r = error_set(err, ERROR_INTERNAL, EIO, "the audit cannot be written");
	if (r == 0 && request.refuses)
		str_appendf(answer, "%s is not done\n", object);
	else if (r == 0)
		r = carry_out_waiting(c, &w, answer, err);
	if (r == 0 && !request.refuses && w.node.file->copied_soon)
		copies_soon(c->fs->ctx.copies);
	forget_waiting(&w);
	return r;
}

static void append_waiting(struct confirmations *all, struct str *out)
{
	pthread_mutex_lock(&all->lock);
	drop_overdue(all, clock_now_us());
	for (size_t i = 0; i < WAITING_MAX; i++) {
		const struct waiting *w = &all->places[i];
		char until[CLOCK_ISO_BYTES];

		if (!w->number)
			continue;
		clock_format_iso(w->until_us, until);
		str_appendf(out, "%llu %s; ordered by %s; until %s\n", (unsigned long long)w->number,
		            w->shown, w->by, until);
	}
	pthread_mutex_unlock(&all->lock);
	if (out->len == 0)
		str_append(out, "nothing waits for a second person\n");
}

int command_confirm(struct command *c, struct str *answer, struct error *err)
{
	if (!str_equal(c->text, "list"))
		return confirm_or_refuse(c, answer, err);
	append_waiting(c->fs->confirmations, answer);
	return 0;
}

int write_confirmations(struct fs *fs, const struct node *node, struct spool *out)
{
	_cleanup(str) struct str text = {0}, shown = {0};

	append_waiting(fs->confirmations, &text);
	str_append_visible(&shown, str_text(&text));
	spool_append(out, str_text(&shown), shown.len);
	return spool_error(out);
}

const char confirm_help[] =
        "confirm  echo list > confirm     what waits for a second person, where [control] confirm_by says that some commands do\n"
        "         echo confirm=NUMBER > confirm\n"
        "                                 carry it out, as the one who has ordered it: for another user of confirm_by alone\n"
        "         echo refuse=NUMBER > confirm     forget it\n"
        "         errors: ENOENT nothing waits as that number, EPERM it is your own\n";
