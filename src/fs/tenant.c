// SPDX-License-Identifier: Apache-2.0
/*
 * exports/<tenant>/.explain.txt: what an export of it would have now. The server is asked by whoever opens it, within a deadline; a text says why it could not be.
 *
 * exports/<tenant>/.trigger: orders an export of this tenant alone. What it answers is for the tenant's admin, too: so none of it is a message that may name others.
 */
#include "tenant.h"

#include "command.h"
#include "fs_private.h"
#include "later.h"
#include "lookers.h"
#include "rights.h"
#include "text.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/members.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/codec/name.h>
#include <keepfs/export.h>

#include <errno.h>
#include <string.h>

#define EXPLAIN_DEADLINE_MS 30000
#define TRIGGER_NAME        ".trigger"

static uint64_t exports_ino(void)
{
	return tree_root_of(CONF_EXPORTS)->catalog_ino;
}

/* Which tenant is it? */

struct tenant_search {
	const char *directory;
	struct catalog_member *ret;
	bool found;
};

static void compare_tenant(void *arg, const struct catalog_member *m)
{
	struct tenant_search *search = arg;
	_cleanup(free) char *directory = search->found ? NULL : name_from_database(m->name);

	if (!directory || strcmp(directory, search->directory) != 0)
		return;
	*search->ret = *m;
	search->found = true;
}

static int find_named_tenant(struct fs *fs, const struct node *node, struct catalog_member *ret,
                             struct error *err)
{
	struct tenant_search search = {.directory = node->entry.name, .ret = ret};
	char last[CLOCK_ISO_BYTES];
	int r = catalog_each_member(fs->ctx.repository->catalog, CONF_EXPORTS, true, compare_tenant, &search);

	if (r < 0)
		return error_set(err, ERROR_INTERNAL, -r, "the catalog cannot be read");
	if (!search.found)
		return error_set(err, ERROR_NOT_FOUND, ENOENT,
		                 "no tenant with the directory %s was ever named by [export] tenants",
		                 node->entry.name);
	if (!ret->gone_since_us)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "tenant %s is gone: it was named last at %s; what was exported of it stays for keep_deleted",
	        ret->name, clock_format_iso(ret->last_seen_us, last));
}

static const struct conf_job *find_exports(const struct conf *conf, struct error *err)
{
	const struct conf_job *job = conf_exports(conf);

	if (job)
		return job;
	error_set(err, ERROR_USAGE, EINVAL,
	          "nothing says how tenants are exported: there is no section [export] any more");
	return NULL;
}

/* .explain.txt */

struct explain_request {
	struct later later;
	struct node node;
	struct fuse_file_info fi;
	bool for_admin;
};

/* The end of the waiting, which begins with the struct. */
struct explain_deadline {
	struct cancel *waits, over;
	pthread_t thread;
	bool runs, passed;
};

static void *watch_deadline(void *arg)
{
	struct explain_deadline *d = arg;

	d->passed = !cancel_sleep_ms(&d->over, EXPLAIN_DEADLINE_MS);
	if (d->passed)
		cancel_set(d->waits);
	return NULL;
}

static void begin_deadline(struct explain_deadline *d, struct cancel *waits)
{
	*d = (struct explain_deadline){.waits = waits};
	cancel_init(&d->over);
	/* Without it each question to the server still ends by itself. */
	d->runs = thread_start(&d->thread, "deadline", watch_deadline, d) == 0;
}

/* Has it passed? */
static bool end_deadline(struct explain_deadline *d)
{
	cancel_set(&d->over);
	if (d->runs)
		pthread_join(d->thread, NULL);
	cancel_finish(&d->over);
	return d->passed;
}

static int ask_for_explanation(struct explain_request *er, const struct conf_job *job, const char *tenant,
                               struct str *out, struct error *err)
{
	const struct export_question question = {.tenant = tenant, .cancel = &er->later.cancel};
	struct explain_deadline deadline;
	int r;

	begin_deadline(&deadline, &er->later.cancel);
	r = export_explain(er->later.fs->ctx.make, job, &question, out, err);
	if (end_deadline(&deadline) && r < 0)
		r = error_set(err, ERROR_TIMEOUT, ETIMEDOUT,
		              "the server has not answered all questions within %d s",
		              EXPLAIN_DEADLINE_MS / 1000);
	return r;
}

static int explain_tenant(struct explain_request *er, struct str *out, struct error *err)
{
	struct fs *fs = er->later.fs;
	const struct conf *conf = fs_conf_ref(fs);
	const struct conf_job *job = find_exports(conf, err);
	struct catalog_member m;
	int r = job ? find_named_tenant(fs, &er->node, &m, err) : -EINVAL;

	if (r == 0)
		r = ask_for_explanation(er, job, m.name, out, err);
	fs_conf_unref(fs, conf);
	return r;
}

/* What a server or a rule says may name others; what is said here does not. */
static void write_no_explanation(struct explain_request *er, const struct error *err, struct str *out)
{
	_cleanup(free) char *path = catalog_path(er->later.fs->ctx.repository->catalog, er->node.entry.ino);

	str_clear(out);
	if (er->for_admin) {
		str_append(
		        out,
		        "What an export would have could not be found out now. Those who run keepfs find the reason in status/last-error.\n");
		report_trouble(er->later.fs->ctx.troubles, path, EIO, err->message);
		return;
	}
	str_append(out, "What an export would have could not be found out: ");
	str_append_line(out, err->message);
	str_append_char(out, '\n');
}

static void make_explanation(void *arg)
{
	struct explain_request *er = arg;
	struct fs *fs = er->later.fs;
	_cleanup(str) struct str out = {0};
	struct error err = {0};
	struct node node = er->node;
	int r = explain_tenant(er, &out, &err);

	if (r < 0)
		write_no_explanation(er, &err, &out);
	else
		text_set_answer(fs, node.ino, str_text(&out));
	node.file = NULL; /* a text that is nobody else's */
	if (later_claim(&er->later))
		reply_open(er->later.pending.req,
		           text_handle_new(fs, &node, text_with(fs, node.ino, str_text(&out)), NULL),
		           &er->fi);
	later_end(&er->later);
	free(er);
}

/* All tenants are one thing to those who look: a server that does not answer takes two of them, and leaves the others to what is asked about dumps. */
static int explain_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                        struct handle **ret_handle, struct error *err)
{
	struct fs *fs = fs_of(req);
	struct explain_request *er;

	if (!fs->ctx.make)
		return -ENOTSUP;
	er = mem_alloc(sizeof(*er));
	er->node = *node;
	er->fi = *fi;
	er->for_admin = node->for_admin;
	if (later_begin(&er->later, fs, req))
		lookers_add(fs->long_lookers, exports_ino(), make_explanation, er);
	else
		free(er);
	return OPENED_LATER;
}

/* Its size is that of the last one: only whoever opens it asks the server. */
static int explain_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	_cleanup(text) struct text *last = text_answer(fs, node->ino);

	st->st_mode |= fs->ctx.conf->file_mode & 0444;
	st->st_size = last ? (off_t)text_bytes(last) : 0;
	return 0;
}

const struct node_class class_tenant_explain = {.type = S_IFREG, .stat = explain_stat, .open = explain_open};

/* .trigger */

/* What a tenant's admin may say of his export: the rest is what those who run keepfs have decided. */
static int take_trigger_words(const struct command_line *line, struct jobs_order *order, struct error *err)
{
	if (line->word_count > 1 || (line->word_count == 1 && strcmp(line->words[0], "now") != 0))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "'%.100s' is no command here; write: now, and if you like note='why' or format=FORMAT",
		        line->words[line->word_count - 1]);
	order->keys = mem_array(line->pair_count + 1, sizeof(*order->keys));
	order->values = mem_array(line->pair_count + 1, sizeof(*order->values));
	for (size_t i = 0; i < line->pair_count; i++) {
		const struct command_pair *pair = &line->pairs[i];

		if (str_equal(pair->key, "note")) {
			order->note = pair->value;
		} else if (str_equal(pair->key, "format")) {
			order->keys[order->key_count] = pair->key;
			order->values[order->key_count++] = pair->value;
		} else {
			return error_set(err, ERROR_USAGE, EINVAL,
			                 "%s: cannot be given here; allowed: note, format", pair->key);
		}
	}
	return 0;
}

static int order_export(struct command *c, const struct conf *conf, const struct catalog_member *m,
                        struct catalog_run *run, struct error *err)
{
	_cleanup(jobs_order) struct jobs_order order = {.conf = conf, .database = m->name};
	int r = command_line_parse(c->text, &order.line, err);

	order.job = find_exports(conf, err);
	if (r == 0)
		r = order.job ? take_trigger_words(&order.line, &order, err) : -EINVAL;
	if (r == 0)
		r = jobs_submit(c->fs->jobs, &order, c->by, run, err);
	if (r == -EBUSY)
		return error_set(
		        err, ERROR_CONFLICT, EBUSY,
		        "an export is waiting or at work, and there is one at a time: order this one when that has ended");
	return r;
}

static int trigger_tenant(struct command *c, struct str *answer, struct error *err)
{
	_cleanup(free) char *directory = catalog_path(c->fs->ctx.repository->catalog, c->node.entry.ino),
	                    *object = mem_printf("%s/" TRIGGER_NAME, directory ? directory : "exports");
	const struct conf *conf = fs_conf_ref(c->fs);
	struct catalog_member m;
	struct catalog_run run;
	int r = find_named_tenant(c->fs, &c->node, &m, err);

	if (r == 0)
		r = order_export(c, conf, &m, &run, err);
	fs_conf_unref(c->fs, conf);
	if (r == 0)
		str_appendf(answer, "%lld %s %s\n", (long long)run.id, run_state_name(RUN_PENDING), run.job);
	audit(c->fs, &c->audit, "trigger", object, r, r < 0 ? err->message : str_text(answer));
	return r;
}

const struct node_class class_tenant_trigger = {
        .type = S_IFREG,
        .writable = true,
        .stat = command_stat,
        .setattr = command_keep_attributes,
        .open = command_open,
};

/* Both of them. */

const char tenant_help[] =
        "To export one tenant: echo now > exports/<tenant>/.trigger, which a tenant's own admin may do, too; note='why' and\n"
        "format=FORMAT can stand behind it. What an export of it would have: cat exports/<tenant>/.explain.txt\n"
        "Neither of the two is listed by ls.\n";

static const struct made_file rows[] = {
        {.number = 1, .name = TRIGGER_NAME, .run = trigger_tenant},
        {.number = 3, .name = ".explain.txt"},
};
static const struct node_class *const row_classes[] = {&class_tenant_trigger, &class_tenant_explain};

static void node_of_tenant_file(const struct node *directory, size_t row, struct node *ret)
{
	*ret = (struct node){
	        .ino = ino_of_tenant_file(directory->entry.ino, rows[row].number),
	        .class = row_classes[row],
	        .file = &rows[row],
	        .entry = directory->entry,
	};
}

static bool is_tenant_directory(const struct node *directory)
{
	return directory->class == &class_directory && directory->entry.parent_ino == exports_ino();
}

int tenant_child(const struct node *directory, const char *name, struct node *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows) && is_tenant_directory(directory); i++) {
		if (strcmp(rows[i].name, name) == 0) {
			node_of_tenant_file(directory, i, ret);
			return 0;
		}
	}
	return -ENOENT;
}

int tenant_file_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	struct node directory;
	int r = catalog_load(fs, ino & ~(uint64_t)rows[1].number, &directory);

	for (size_t i = 0; r == 0 && is_tenant_directory(&directory) && i < ARRAY_SIZE(rows); i++) {
		if ((ino & rows[1].number) == rows[i].number) {
			node_of_tenant_file(&directory, i, ret);
			return 0;
		}
	}
	return r < 0 ? r : -ENOENT;
}

/* Of runs. */

static void append_run_time(struct str *out, const char *key, int64_t at_us)
{
	char iso[CLOCK_ISO_BYTES];

	str_appendf(out, "%s %s\n", key, at_us ? clock_format_iso(at_us, iso) : "-");
}

static void append_run_export(struct fs *fs, const struct catalog_run *run, struct str *out)
{
	_cleanup(free) struct catalog_target *target = mem_alloc(sizeof(*target));

	if (catalog_run_targets(fs->ctx.repository->catalog, run->id, 0, target, 1) == 1 && *target->path)
		str_appendf(out, "export %s\nsize_bytes %llu\n", target->path,
		            (unsigned long long)target->size_bytes);
}

int tenant_run_text(struct fs *fs, const struct node *node, struct text **ret)
{
	_cleanup(str) struct str out = {0};
	struct node now;
	int r = node_load(fs, node->ino, &now);

	if (r < 0)
		return r;
	str_appendf(&out, "run %lld\nstate %s\n", (long long)now.run.id, run_state_name(now.run.state));
	append_run_time(&out, "queued", now.run.queued_at_us);
	append_run_time(&out, "started", now.run.started_at_us);
	append_run_time(&out, "finished", now.run.finished_at_us);
	append_run_export(fs, &now.run, &out);
	if (now.run.state == RUN_FAILED)
		str_append(
		        &out,
		        "error the export could not be made; those who run keepfs find the reason in the run's log\n");
	*ret = text_with(fs, node->ino, str_text(&out));
	return 0;
}
