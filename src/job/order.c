// SPDX-License-Identifier: Apache-2.0
/* From the text of a trigger to an order: which words name a job, and which pairs are its keys. What the keys may be, and
 * their values, is seen to by whoever takes the order (request.c). */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/job.h>
#include <keepfs/use.h>
#include <keepfs/use/past.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_KEEP_MAX_MS (INT64_C(36500) * 86400 * 1000)

#define JOBS_SHOWN 30

void jobs_order_finish(struct jobs_order *order)
{
	free(order->keys);
	free(order->values);
	command_line_finish(&order->line);
	free(order->work_name);
	*order = (struct jobs_order){0};
}

#define EXPORT_WORD "export" /* and the name of a tenant behind it */

/* "now, full, tenants, exports, export TENANT": what may be triggered. */
static void list_allowed(const struct conf *conf, struct str *out)
{
	str_append(out, "now");
	for (size_t i = 0; i < conf->job_count && i < JOBS_SHOWN; i++)
		str_appendf(out, ", %s", conf->jobs[i].name);
	if (conf->job_count > JOBS_SHOWN)
		str_appendf(out, " and %zu more", conf->job_count - JOBS_SHOWN);
	if (conf_exports(conf))
		str_append(out, ", " EXPORT_WORD " TENANT");
}

static int refuse_word(const struct conf *conf, struct error *err, const char *what, const char *which)
{
	_cleanup(str) struct str allowed = {0};

	list_allowed(conf, &allowed);
	return error_set(err, ERROR_USAGE, EINVAL, "%s%s%.100s%s; write one of: %s", what, which ? " '" : "",
	                 which ? which : "", which ? "'" : "", str_text(&allowed));
}

static const struct conf_job *job_of_word(const struct conf *conf, const char *word)
{
	return str_equal(word, "now") ? &conf->jobs[0] : conf_find_job(conf, word);
}

/* A second word: mostly a pair that is written otherwise. */
static int refuse_words(const struct conf *conf, const struct command_line *line, struct error *err)
{
	_cleanup(str) struct str keys = {0};
	const struct conf_job *job = job_of_word(conf, line->words[0]);
	size_t i = 1;

	while (i < line->word_count && !strchr(line->words[i], '='))
		i++;
	if (i == line->word_count)
		return refuse_word(conf, err, "one job is triggered at a time, but behind it there is",
		                   line->words[1]);
	conf_list_trigger_keys(job ? job : &conf->jobs[0], &keys);
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "'%.100s' is not written as key=value, without spaces around '=' and with the key in lower case; keys: %s",
	        line->words[i], str_text(&keys));
}

/* "export acme" is "exports tenant=acme". A job may be called export, too: its name stands alone. */
static bool names_tenant(const struct conf *conf, const struct command_line *line)
{
	return line->word_count > 0 && str_equal(line->words[0], EXPORT_WORD) &&
	       (line->word_count > 1 || !conf_find_job(conf, EXPORT_WORD));
}

static int take_tenant_word(const struct conf *conf, struct jobs_order *order, struct error *err)
{
	const struct command_line *line = &order->line;

	order->job = conf_exports(conf);
	if (!order->job)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "nothing says how tenants are exported: add a section [export] to the configuration");
	if (line->word_count == 1)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "export: names no tenant; write one (export acme), or export all of them (" CONF_EXPORTS
		        ")");
	if (line->word_count > 2)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "export takes one tenant at a time, but behind %.100s there is '%.100s'; all of them: " CONF_EXPORTS,
		        line->words[1], line->words[2]);
	if (!*line->words[1])
		return error_set(err, ERROR_USAGE, EINVAL, "export: the name of the tenant is empty");
	order->database = line->words[1];
	return 0;
}

static int take_job(const struct conf *conf, struct jobs_order *order, struct error *err)
{
	const struct command_line *line = &order->line;

	if (names_tenant(conf, line))
		return take_tenant_word(conf, order, err);
	if (conf->job_count == 0)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "no backup is configured: add a section [backup NAME] to the configuration");
	if (line->word_count == 0)
		return refuse_word(conf, err,
		                   line->pair_count > 0 ? "the command names no job" : "the command is empty",
		                   NULL);
	if (line->word_count > 1)
		return refuse_words(conf, line, err);
	order->job = job_of_word(conf, line->words[0]);
	return order->job ? 0 : refuse_word(conf, err, "there is no job", line->words[0]);
}

static bool is_export(const struct jobs_order *order)
{
	return order->job->kind == CONF_JOB_EXPORT;
}

/* Where the order has it; NULL: it is a key of the job. */
static const char **order_key(struct jobs_order *order, const char *key)
{
	if (str_equal(key, "note"))
		return &order->note;
	if (str_equal(key, "hold"))
		return &order->hold;
	if (str_equal(key, is_export(order) ? "tenant" : "database"))
		return &order->database;
	if (is_export(order) && str_equal(key, "then-delete"))
		return &order->then_delete;
	return str_equal(key, "class") ? &order->class : NULL;
}

static int take_order_key(const struct jobs_order *order, const char **own, const struct command_pair *pair,
                          struct error *err)
{
	if (*own)
		return error_set(err, ERROR_USAGE, EINVAL, "%s: this key is given twice", pair->key);
	if (!pair->value[0] && own != &order->note && own != &order->hold)
		return error_set(err, ERROR_USAGE, EINVAL, "%s: names none; leave it out to %s all",
		                 pair->key, is_export(order) ? "export" : "back up");
	*own = pair->value;
	return 0;
}

static int take_final(struct jobs_order *order, const char *value, struct error *err)
{
	if (!str_equal(value, "yes") && !str_equal(value, "no"))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "final = %.100s: is none of the words that are allowed; allowed: yes or no",
		                 value);
	order->is_final = str_equal(value, "yes");
	return 0;
}

static int take_keep(struct jobs_order *order, const char *value, struct error *err)
{
	if (order->keep_ms)
		return error_set(err, ERROR_USAGE, EINVAL, "keep: this key is given twice");
	if (conf_parse_duration(value, &order->keep_ms) < 0 || order->keep_ms <= 0 ||
	    order->keep_ms > JOBS_KEEP_MAX_MS)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "keep = %.40s: for how long it is to stay in any case, such as 90d, at most 36500d",
		        value);
	return 0;
}

/* The name is typed twice, so that what is deleted is never a slip of a key. */
static int check_deletion(struct jobs_order *order, struct error *err)
{
	if (!order->database)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "then-delete: deletes one tenant: name it (export acme then-delete=acme)");
	if (!str_equal(order->then_delete, order->database))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "then-delete=%.100s: is not the name of the tenant that is exported, %.100s; nothing was done",
		        order->then_delete, order->database);
	order->is_final = true;
	return 0;
}

static int check_order(struct jobs_order *order, struct error *err)
{
	if (order->then_delete)
		return check_deletion(order, err);
	if (!order->is_final || order->database)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL, "final=yes is for one database: add database=NAME");
}

static int take_pairs(struct jobs_order *order, struct error *err)
{
	const struct command_line *line = &order->line;

	order->keys = mem_array(line->pair_count + 1, sizeof(*order->keys));
	order->values = mem_array(line->pair_count + 1, sizeof(*order->values));
	for (size_t i = 0; i < line->pair_count; i++) {
		const struct command_pair *pair = &line->pairs[i];
		const char **own = order_key(order, pair->key);
		int r = 0;

		if (str_equal(pair->key, "final") && !is_export(order)) {
			r = take_final(order, pair->value, err);
		} else if (str_equal(pair->key, "keep")) {
			r = take_keep(order, pair->value, err);
		} else if (own) {
			r = take_order_key(order, own, pair, err);
		} else {
			order->keys[order->key_count] = pair->key;
			order->values[order->key_count++] = pair->value;
		}
		if (r < 0)
			return r;
	}
	return check_order(order, err);
}

/* "export acme from=full/latest.dump", "exports tenant=acme from=…": it is a job of another kind, which reads a backup. */
static bool is_export_from_backup(const struct conf *conf, const struct command_line *line)
{
	bool has_from = false;

	for (size_t i = 0; i < line->pair_count; i++)
		has_from |= str_equal(line->pairs[i].key, "from");
	return has_from && conf_exports(conf) &&
	       (names_tenant(conf, line) ||
	        (line->word_count == 1 && str_equal(line->words[0], CONF_EXPORTS)));
}

/* One tenant is exported from one backup at a time. */
static int order_export_from_backup(const char *text, const struct command_line *line, struct jobs_order *ret,
                                    struct error *err)
{
	const char *tenant = line->word_count > 1 ? line->words[1] : "all";
	int r;

	for (size_t i = 0; i < line->pair_count; i++)
		if (str_equal(line->pairs[i].key, "tenant"))
			tenant = line->pairs[i].value;
	r = jobs_order_parse_work(&use_past, text, ret, err);
	if (r < 0)
		return r;
	free(ret->work_name);
	ret->work_name = mem_printf("%s:%s", use_past.name, tenant);
	return 0;
}

int jobs_order_parse(const struct conf *conf, const char *text, struct jobs_order *ret, struct error *err)
{
	_cleanup(jobs_order) struct jobs_order order = {0};
	int r = command_line_parse(text, &order.line, err);

	if (r == 0 && is_export_from_backup(conf, &order.line))
		return order_export_from_backup(text, &order.line, ret, err);
	if (r == 0)
		r = take_job(conf, &order, err);
	if (r == 0)
		r = take_pairs(&order, err);
	if (r < 0)
		return r;
	order.conf = conf;
	*ret = order;
	order = (struct jobs_order){0};
	return 0;
}

int jobs_order_parse_work(const struct make_kind *work, const char *text, struct jobs_order *ret,
                          struct error *err)
{
	_cleanup(jobs_order) struct jobs_order order = {.work = work, .work_text = text};
	int r = command_line_parse(text, &order.line, err);

	if (r < 0)
		return r;
	order.work_name = use_name(work, &order.line);
	for (size_t i = 0; i < order.line.pair_count; i++)
		if (str_equal(order.line.pairs[i].key, "note"))
			order.note = order.line.pairs[i].value;
	*ret = order;
	order = (struct jobs_order){0};
	return 0;
}
