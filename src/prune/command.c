// SPDX-License-Identifier: Apache-2.0
/* What is written to control/prune: the words, the answer, and the number by which a plan is confirmed. */
#include "prune_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/name.h>

/* Backups that are to go, of a directory and of all: an answer is in memory. What is behind them is another page. */
#define SHOWN_OF_EACH 200
#define SHOWN_OF_ALL  2000

struct prune_request {
	struct command_line line;
	const char *confirm; /* NULL: nothing is confirmed */
	const char *after;   /* a name: only what is behind it is told; NULL: all */
	int64_t days;        /* of a simulation; 0: none */
	bool applies, json, trusts_clock;
	struct {
		char **items;
		size_t count;
	} scopes; /* directories; none: all */
};

static void prune_request_finish(struct prune_request *r)
{
	for (size_t i = 0; i < r->scopes.count; i++)
		free(r->scopes.items[i]);
	free(r->scopes.items);
	command_line_finish(&r->line);
}

static void cleanup_prune_request(struct prune_request *r)
{
	prune_request_finish(r);
}

struct numbered { /* a directory of which something is to go */
	char path[512];
	char id[20];
};

struct survey { /* all that a command is about */
	const struct prune *p;
	const struct prune_request *request;
	struct numbered *numbered;
	size_t numbered_count;
	size_t directories, kept, due, put_off;
	int64_t put_off_until_us;
	size_t shown;     /* backups that were told of */
	bool found_after; /* a directory has the backup of that name */
	struct str *answer;
	struct json *list; /* NULL: no JSON is asked for */
};

/* The words. */

static int take_scope(const struct prune *p, struct prune_request *r, const char *word, struct error *err)
{
	_cleanup(free) char *path = tree_path(word);
	_cleanup(free) struct catalog_place *place = mem_alloc(sizeof(*place));
	ssize_t n;

	n = catalog_places(p->repository->catalog, path, "", place, 1);
	if (n < 0)
		return error_system(err, (int)-n, "the catalog cannot be read");
	if (n == 0 && !conf_find_job(p->conf, word))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "'%.100s' is neither a job, nor a directory of backups, such as full or tenants/acme; for all of them write: all",
		        word);
	r->scopes.items = mem_resize(r->scopes.items, r->scopes.count + 1, sizeof(*r->scopes.items));
	r->scopes.items[r->scopes.count++] = take_ptr(&path);
	return 0;
}

static int take_days(struct prune_request *r, const char *text, struct error *err)
{
	char *end;
	long days = strtol(text, &end, 10);

	if (end == text || (*end && strcmp(end, "d") != 0) || days < 1 || days > PRUNE_SIMULATED_DAYS_MAX)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "simulate = %.40s: write a number of days from 1d to %dd, such as 400d",
		                 text, PRUNE_SIMULATED_DAYS_MAX);
	r->days = days;
	return 0;
}

static int take_prune_pair(struct prune_request *r, const struct command_pair *pair, struct error *err)
{
	if (strcmp(pair->key, "confirm") == 0) {
		r->confirm = pair->value;
		return 0;
	}
	if (strcmp(pair->key, "after") == 0) {
		r->after = pair->value;
		return 0;
	}
	if (strcmp(pair->key, "simulate") == 0)
		return take_days(r, pair->value, err);
	if (strcmp(pair->key, "clock") == 0 && strcmp(pair->value, "right") == 0) {
		r->trusts_clock = true;
		return 0;
	}
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "%.40s=%.40s: allowed are confirm=PLAN, simulate=400d, after=NAME and clock=right",
	                 pair->key, pair->value);
}

static int parse_request(const struct prune *p, const char *text, struct prune_request *r, struct error *err)
{
	int result = command_line_parse(text, &r->line, err);

	for (size_t i = 0; result == 0 && i < r->line.word_count; i++) {
		const char *word = r->line.words[i];

		if (strcmp(word, "apply") == 0)
			r->applies = true;
		else if (strcmp(word, "json") == 0)
			r->json = true;
		else if (strcmp(word, "all") != 0 && strcmp(word, "now") != 0)
			result = take_scope(p, r, word, err);
	}
	for (size_t i = 0; result == 0 && i < r->line.pair_count; i++)
		result = take_prune_pair(r, &r->line.pairs[i], err);
	return result;
}

/* The directories. */

typedef int place_fn(struct survey *s, const struct catalog_place *place, struct error *err);

static int each_in_scope(struct survey *s, const char *scope, place_fn *each, struct error *err)
{
	_cleanup(free) struct catalog_place *place = mem_alloc(sizeof(*place));
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = catalog_places(s->p->repository->catalog, scope, place->path, place, 1)) > 0)
		r = each(s, place, err);
	if (r == 0 && n < 0)
		r = error_system(err, (int)-n, "the catalog cannot be read");
	return r;
}

static int each_place(struct survey *s, place_fn *each, struct error *err)
{
	int r = 0;

	if (s->request->scopes.count == 0)
		return each_in_scope(s, NULL, each, err);
	for (size_t i = 0; r == 0 && i < s->request->scopes.count; i++)
		r = each_in_scope(s, s->request->scopes.items[i], each, err);
	return r;
}

static void add_numbered(struct survey *s, const struct prune_plan *plan)
{
	struct numbered *n;

	if (!plan->id[0] || !plan->job)
		return;
	s->numbered = mem_resize(s->numbered, s->numbered_count + 1, sizeof(*s->numbered));
	n = &s->numbered[s->numbered_count++];
	str_copy(n->path, sizeof(n->path), plan->place.path);
	str_copy(n->id, sizeof(n->id), plan->id);
}

/* One directory's number is its own; that of several is of all these. */
static void number_survey(const struct survey *s, char ret[static 20])
{
	_cleanup(str) struct str text = {0};
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	str_copy(ret, 20, s->numbered_count == 1 ? s->numbered[0].id : "");
	if (s->numbered_count < 2)
		return;
	for (size_t i = 0; i < s->numbered_count; i++)
		str_appendf(&text, "%s %s\n", s->numbered[i].path, s->numbered[i].id);
	sha256_once(text.data, text.len, digest);
	hex_encode(digest, sizeof(digest), hex);
	str_cut(ret, 9, hex);
}

/* The answer. */

/* Where a page of a directory begins: behind the backup that was asked for, if it is there. False: it is not, so nothing is
 * told of this directory. */
static bool find_page(struct survey *s, const struct prune_plan *plan, size_t *ret_from)
{
	_cleanup(free) char *path = NULL;
	uint64_t ino;

	*ret_from = 0;
	if (!s->request->after)
		return true;
	path = mem_printf("%s/%s", plan->place.path, s->request->after);
	ino = ino_of_artifact(path);
	while (*ret_from < plan->count && plan->artifacts[*ret_from].ino != ino)
		++*ret_from;
	if (*ret_from == plan->count)
		return false;
	++*ret_from;
	s->found_after = true;
	return true;
}

static void tell_goes(struct survey *s, const char *name, const char *why, struct json *due)
{
	struct json *item;

	if (!due) {
		str_appendf(s->answer, "  %s  %s\n", name, why);
		return;
	}
	item = json_object_new();
	json_set_string(item, "name", name);
	json_set_string(item, "why", why);
	json_append(due, item);
}

/* One page from @from on; how many are behind it. @ret_last: the name of the last that was told; "": none was. */
static size_t tell_page(struct survey *s, const struct prune_plan *plan, size_t from, struct json *due,
                        char ret_last[static NAME_MAX_BYTES])
{
	size_t shown = 0, left = 0;

	ret_last[0] = '\0';
	for (size_t i = from; i < plan->count; i++) {
		_cleanup(str) struct str why = {0};
		char name[NAME_MAX_BYTES];

		if (plan->backups[i].reasons)
			continue;
		if (shown == SHOWN_OF_EACH || s->shown == SHOWN_OF_ALL) {
			left++;
			continue;
		}
		if (catalog_name_of(s->p->repository->catalog, plan->artifacts[i].ino, name, sizeof(name)) <
		    0)
			continue;
		prune_append_why(plan, i, &why);
		tell_goes(s, name, str_text(&why), due);
		str_copy(ret_last, NAME_MAX_BYTES, name);
		shown++;
		s->shown++;
	}
	return left;
}

static void tell_behind(struct survey *s, const struct prune_plan *plan, size_t left, const char *last)
{
	const char *scope = tree_short(plan->place.path);

	if (left > 0 && *last)
		str_appendf(s->answer, "  and %zu more: keepfs prune %s after=%s\n", left, scope, last);
	else if (left > 0)
		str_appendf(s->answer, "  and %zu more: keepfs prune %s\n", left, scope);
}

/* Those that only their lock keeps, the first few of them: whoever reads this may ask why they are there. */
static void tell_put_off(struct survey *s, const struct prune_plan *plan, struct json *list)
{
	size_t shown = 0;

	for (size_t i = 0; i < plan->count && shown < SHOWN_OF_EACH; i++) {
		_cleanup(str) struct str why = {0};
		char name[NAME_MAX_BYTES], until[CLOCK_ISO_BYTES];
		int64_t until_us = plan->backups[i].locked_until_s * US_PER_S;
		struct json *item;

		if (plan->backups[i].reasons != RETENTION_LOCKED ||
		    catalog_name_of(s->p->repository->catalog, plan->artifacts[i].ino, name, sizeof(name)) <
		            0)
			continue;
		shown++;
		prune_append_why(plan, i, &why);
		if (!list) {
			str_appendf(s->answer, "  put off: %s  locked in the store until %s; %s\n", name,
			            clock_format_iso(until_us, until), str_text(&why));
			continue;
		}
		item = json_object_new();
		json_set_string(item, "name", name);
		json_set_time(item, "locked_until", until_us);
		json_set_string(item, "why", str_text(&why));
		json_append(list, item);
	}
	if (!list && plan->put_off > shown)
		str_appendf(s->answer, "  and %zu more are put off: status/retention\n",
		            plan->put_off - shown);
}

static void tell_place(struct survey *s, const struct prune_plan *plan)
{
	char until[CLOCK_ISO_BYTES], last[NAME_MAX_BYTES];
	struct json *j, *due, *put_off;
	size_t from, left;

	if (!find_page(s, plan, &from))
		return;
	if (!s->list) {
		str_appendf(s->answer, "%s: %zu of %zu go: %s%s%s\n", plan->place.path, plan->due,
		            plan->count, prune_state_name(plan->state), plan->why[0] ? ": " : "", plan->why);
		if (plan->state == PRUNE_WAITS)
			str_appendf(s->answer, "  without a word it is done at %s\n",
			            clock_format_iso(plan->waits_until_us, until));
		left = tell_page(s, plan, from, NULL, last);
		tell_behind(s, plan, left, last);
		tell_put_off(s, plan, NULL);
		return;
	}
	j = json_object_new();
	due = json_array_new();
	json_set_string(j, "path", plan->place.path);
	json_set_string(j, "state", prune_state_name(plan->state));
	json_set_string(j, "why", plan->why[0] ? plan->why : NULL);
	json_set_time(j, "waits_until", plan->waits_until_us);
	json_set_int(j, "kept", (int64_t)(plan->count - plan->due));
	json_set_int(j, "due", (int64_t)plan->due);
	left = tell_page(s, plan, from, due, last);
	json_set(j, "goes", due);
	json_set_int(j, "left", (int64_t)left);
	json_set_string(j, "after", left && last[0] ? last : NULL);
	put_off = json_array_new();
	tell_put_off(s, plan, put_off);
	json_set_int(j, "put_off", (int64_t)plan->put_off);
	json_set(j, "locked", put_off);
	json_append(s->list, j);
}

static int survey_place(struct survey *s, const struct catalog_place *place, struct error *err)
{
	_cleanup(prune_plan) struct prune_plan plan = {0};
	int r = prune_plan(s->p, place, &plan, err);

	if (r < 0)
		return r;
	s->directories++;
	s->due += plan.due;
	s->kept += plan.count - plan.due;
	if (plan.put_off > 0 && (s->put_off == 0 || plan.put_off_until_us < s->put_off_until_us))
		s->put_off_until_us = plan.put_off_until_us;
	s->put_off += plan.put_off;
	add_numbered(s, &plan);
	if (s->answer && (plan.due > 0 || plan.put_off > 0 || s->request->scopes.count > 0))
		tell_place(s, &plan);
	return 0;
}

static void append_put_off_line(size_t count, int64_t until_us, struct str *out)
{
	prune_append_put_off(count, until_us, out);
	if (count > 0)
		str_append_char(out, '\n');
}

static void append_scope_words(const struct prune_request *r, struct str *out)
{
	for (size_t i = 0; i < r->scopes.count; i++)
		str_appendf(out, "%s ", tree_short(r->scopes.items[i]));
	if (r->scopes.count == 0)
		str_append(out, "all ");
}

static int dry_run(struct survey *s, struct error *err)
{
	_cleanup(json) struct json *whole = NULL;
	_cleanup(str) struct str scope = {0};
	char id[20];
	int r;

	if (s->request->json) {
		whole = json_object_new();
		s->list = json_array_new();
		json_set(whole, "directories", s->list);
	}
	r = each_place(s, survey_place, err);
	if (r < 0)
		return r;
	if (s->request->after && !s->found_after)
		return error_set(
		        err, ERROR_NOT_FOUND, EINVAL,
		        "after=%.100s: there is no such backup (any more) in what was asked for: ask for the first page, without after",
		        s->request->after);
	number_survey(s, id);
	if (whole) {
		json_set_string(whole, "plan", id[0] ? id : NULL);
		json_set_int(whole, "kept", (int64_t)s->kept);
		json_set_int(whole, "due", (int64_t)s->due);
		json_write(whole, 0, s->answer);
		str_append_char(s->answer, '\n');
		return 0;
	}
	append_scope_words(s->request, &scope);
	str_appendf(s->answer, "%zu of %zu backups in %zu director%s go\n", s->due, s->due + s->kept,
	            s->directories, s->directories == 1 ? "y" : "ies");
	append_put_off_line(s->put_off, s->put_off_until_us, s->answer);
	if (id[0])
		str_appendf(s->answer, "plan %s; to carry it out: echo '%sconfirm=%s' > control/prune\n", id,
		            str_text(&scope), id);
	return 0;
}

struct carrying {
	struct survey survey; /* first: what each_place() hands on */
	const char *by;
	bool is_confirmed;
	struct prune_outcome outcome;
};

static bool is_as_surveyed(const struct survey *s, const struct prune_plan *plan)
{
	for (size_t i = 0; i < s->numbered_count; i++)
		if (strcmp(s->numbered[i].path, plan->place.path) == 0)
			return strcmp(s->numbered[i].id, plan->id) == 0;
	return false;
}

static int carry_out_place(struct survey *s, const struct catalog_place *place, struct error *err)
{
	struct carrying *c = (struct carrying *)s;
	_cleanup(prune_plan) struct prune_plan plan = {0};
	const struct prune_order order = {.by = c->by, .is_confirmed = c->is_confirmed};
	int r = prune_plan(s->p, place, &plan, err);

	if (r < 0)
		return r;
	/* What has changed since it was confirmed was seen by nobody. */
	if (c->is_confirmed && !is_as_surveyed(s, &plan))
		return 0;
	return prune_carry_out(s->p, &plan, &order, &c->outcome, err);
}

static void tell_carried_out(const struct prune_outcome *o, struct str *answer)
{
	str_appendf(answer, "%zu removed, %zu stay\n", o->removed, o->kept);
	append_put_off_line(o->put_off, o->put_off_until_us, answer);
	if (o->refused)
		str_appendf(answer, "%zu could not be removed: %s\n", o->refused, o->why);
	if (o->in_use)
		str_appendf(answer, "%zu stay until the next run: %s\n", o->in_use, o->use);
	if (o->waiting)
		str_appendf(answer, "%zu director%s wait%s to be confirmed: %s\n", o->waiting,
		            o->waiting == 1 ? "y" : "ies", o->waiting == 1 ? "s" : "", o->why);
	if (o->suspended)
		str_appendf(answer, "in %zu director%s nothing is removed now: %s\n", o->suspended,
		            o->suspended == 1 ? "y" : "ies", o->why);
}

static int carry_out_all(struct survey *s, const char *by, struct error *err)
{
	struct carrying c = {.survey = *s, .by = by, .is_confirmed = s->request->confirm != NULL};
	char id[20];
	int r = 0;

	if (c.is_confirmed) {
		c.survey.answer = NULL;
		r = each_place(&c.survey, survey_place, err);
		number_survey(&c.survey, id);
		if (r == 0 && strcmp(id, s->request->confirm) != 0)
			r = error_set(
			        err, ERROR_CONFLICT, ESTALE,
			        "plan %.40s is not what would be done now (%s): look at it again, without confirm",
			        s->request->confirm, id[0] ? id : "nothing is to go");
	}
	if (r == 0)
		r = each_place(&c.survey, carry_out_place, err);
	if (r == 0)
		tell_carried_out(&c.outcome, s->answer);
	free(c.survey.numbered);
	return r;
}

static int simulate_place(struct survey *s, const struct catalog_place *place, struct error *err)
{
	_cleanup(prune_plan) struct prune_plan plan = {0};
	int r = prune_plan(s->p, place, &plan, err);

	if (r < 0)
		return r;
	if (!plan.job)
		return 0;
	return prune_simulate(s->p, &plan, (int)s->request->days, s->list, s->answer, err);
}

static int simulate_all(struct survey *s, struct error *err)
{
	_cleanup(json) struct json *list = s->request->json ? json_array_new() : NULL;
	int r;

	s->list = list;
	r = each_place(s, simulate_place, err);
	if (r == 0 && list) {
		json_write(list, 0, s->answer);
		str_append_char(s->answer, '\n');
	}
	return r;
}

int prune_command(const struct prune *p, const char *text, const char *by, struct str *answer,
                  struct error *err)
{
	_cleanup(prune_request) struct prune_request request = {0};
	_cleanup(free) char *who = mem_printf("retention, %s", by);
	struct survey s = {.p = p, .request = &request, .answer = answer};
	int r = parse_request(p, text, &request, err);

	if (r < 0)
		return r;
	if (request.trusts_clock) {
		r = artifact_trust_clock(p->repository, &p->time, err);
		if (r == 0)
			str_append(answer, "the clock is taken to be right from now on\n");
		return r;
	}
	if (request.after && (request.days || request.applies || request.confirm))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "after=%.100s is a page of what would go: without apply, confirm and simulate",
		        request.after);
	if (request.days)
		r = simulate_all(&s, err);
	else if (request.applies || request.confirm)
		r = carry_out_all(&s, who, err);
	else
		r = dry_run(&s, err);
	free(s.numbered);
	return r;
}
