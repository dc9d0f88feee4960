// SPDX-License-Identifier: Apache-2.0
/* The order of the steps: who, which dump, a server with its tables, the rows, the export. And the same as a work of runs. */
#include "past_dump.h"
#include "past_rows.h"
#include "proving.h"
#include "words.h"

#include <keepfs/artifact.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/codec/name.h>
#include <keepfs/pg.h>
#include <keepfs/pg/hollow.h>
#include <keepfs/use/erasures.h>
#include <keepfs/use/past.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define DATABASE_DEFAULT "restored"
#define NAMESAKES_PAGE   16

struct past {
	const struct make_context *ctx; /* borrowed, as the next three */
	const struct make_order *order;
	const struct past_order *wanted;
	const struct conf *conf;
	const struct conf_job *job; /* of [export] */
	struct conf_job *changed;   /* the same with another format; NULL */
	struct export_member member;
	char *database; /* heap: that the dump must be of; "": any */
	uint64_t ino;
	struct past_dump dump;
	struct past_server server;
	struct pg_session *session;
	struct export_tables tables;
	struct past_scope scope;
	struct export_counts counts;
	struct conf_job unredacted; /* @job, without what it redacts; borrows all of it */
	struct erasures *erasures;
};

void past_result_finish(struct past_result *r)
{
	free(r->backup);
	free(r->tenant_id);
	*r = (struct past_result){0};
}

static void finish_past(struct past *p)
{
	export_tables_free(&p->tables);
	pg_session_free(p->session);
	past_server_finish(&p->server);
	past_dump_close(&p->dump);
	export_member_finish(&p->member);
	erasures_free(p->erasures);
	conf_job_free(p->changed);
	free(p->database);
}

/* Who. */

static const struct conf_job *export_job_in(const struct conf *conf, struct error *err)
{
	const struct conf_job *job = conf_find_job(conf, CONF_EXPORTS);

	if (job && job->kind == CONF_JOB_EXPORT)
		return job;
	error_set(err, ERROR_USAGE, EINVAL,
	          "nothing says how tenants are exported: add a section [export] to the configuration");
	return NULL;
}

static int change_format(const struct conf_job *job, const char *format, struct conf_job **ret,
                         struct error *err)
{
	static const char *const keys[] = {"format"};
	bool is_partial;

	return format ? conf_job_override(job, keys, &format, 1, ret, &is_partial, err) : 0;
}

static int find_export_job(struct past *p, struct error *err)
{
	int r;

	p->job = export_job_in(p->conf, err);
	if (!p->job)
		return -EINVAL;
	r = change_format(p->job, p->wanted->format, &p->changed, err);
	if (r == 0 && p->changed)
		p->job = p->changed;
	return r;
}

static int entry_of_last_export(const struct past *p, struct catalog_entry *ret)
{
	_cleanup(free) char *below = name_from_database(p->wanted->tenant);
	_cleanup(free) char *directory = make_directory_of(p->job, below);

	return catalog_entry_made_last(p->ctx->repository->catalog, ino_of_directory(directory), ret);
}

/* Heap: what the newest export of it says; NULL: there is none. */
static char *id_of_last_export(const struct past *p)
{
	_cleanup(manifest) struct manifest m = {0};
	struct catalog_entry entry;

	if (entry_of_last_export(p, &entry) < 0 ||
	    catalog_manifest(p->ctx->repository->catalog, entry.ino, &m) < 0)
		return NULL;
	return mem_strdup(manifest_fact(&m, "tenant_id"));
}

/* Whose class, and so whose store, nobody says any more: it goes where the last one is. */
static int make_unnamed_member(struct past *p, const char *id, struct error *err)
{
	struct catalog_entry entry;
	int r = export_member_make(p->job, p->wanted->tenant, id, &p->member, err), found;

	if (r < 0)
		return r;
	found = entry_of_last_export(p, &entry);
	if (found == 0)
		found = catalog_store_of_ino(p->ctx->repository->catalog, entry.ino, &p->member.store);
	p->member.has_store = found == 0;
	return found < 0 && found != -ENOENT ? error_system(err, -found, "the catalog cannot be read") : 0;
}

static int find_by_last_export(struct past *p, struct error *why, struct error *err)
{
	const char *slug = p->wanted->tenant;
	_cleanup(free) char *id = id_of_last_export(p);

	if (!id)
		return error_set(
		        err, ERROR_NOT_FOUND, ENOENT,
		        "who %.60s is, nobody knows: no export of it is there, and of now: %s; name the id that its rows have: id=…",
		        slug, why->message);
	make_say(p->order, "%s is the tenant with the id %s, as its last export says, since now: %s", slug,
	         id, why->message);
	return make_unnamed_member(p, id, err);
}

/* Another tenant may have that name by now. */
static bool is_named_so(const struct past *p)
{
	return !p->wanted->tenant_id || str_equal(p->member.id, p->wanted->tenant_id);
}

/* Who reads what comes into the directory is said by the slug, whosever the rows are. */
static int refuse_other_of_same_name(const struct past *p, struct error *err)
{
	const struct past_order *w = p->wanted;

	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%.60s is the tenant with the id %.60s now, who would read what is exported of the one with the id %.60s: restore the backup into a database (keepfs restore), and export from there",
	        w->tenant, p->member.id, w->tenant_id);
}

/* What is another's now, with an id that somebody has mistyped, say, must not come into the directory of this one. */
static int check_is_nobody_elses(struct past *p, struct error *err)
{
	const struct past_order *w = p->wanted;
	_cleanup(free) char *slug = NULL;
	struct error why = {0};
	int r = export_member_of_id(p->ctx, p->job, w->tenant_id, p->order->cancel, &slug, &why);

	if (r < 0 && cancel_is_set(p->order->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	/* A server that is lost is a reason to do this. */
	if (r < 0)
		make_say(p->order, "whether the id %.60s is another tenant's now cannot be asked: %s",
		         w->tenant_id, why.message);
	if (!slug || str_equal(slug, w->tenant))
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "the id %.60s is that of the tenant %.60s now, whose rows must not be exported as %.60s: name %.60s, or the id that %.60s had",
	        w->tenant_id, slug, w->tenant, slug, w->tenant);
}

static int find_past_member(struct past *p, struct error *err)
{
	const struct past_order *w = p->wanted;
	struct error why = {0};
	int r = export_member_ask(p->ctx, p->job, w->tenant, p->order->cancel, &p->member, &why);

	if (r == 0 && is_named_so(p))
		return 0;
	if (r == 0 && !p->wanted->path)
		return refuse_other_of_same_name(p, err);
	export_member_finish(&p->member);
	if (cancel_is_set(p->order->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (w->tenant_id) {
		r = w->path ? 0 : check_is_nobody_elses(p, err);
		return r < 0 ? r : make_unnamed_member(p, w->tenant_id, err);
	}
	return find_by_last_export(p, &why, err);
}

/* Which dump. */

static int find_backup_of_tenant(struct past *p, struct error *err)
{
	bool is_own = p->job->export.tenancy == TENANCY_DATABASE;

	p->database = is_own ? mem_strdup(p->member.own) : pg_conninfo_database(p->job->export.database);
	return past_find_dump(p->ctx, p->wanted->backup, p->database, &p->ino, err);
}

static int open_dump_of_tenant(struct past *p, struct error *err)
{
	int r = past_dump_open(&p->dump, p->ctx, p->ino, p->order->cancel, err);
	const struct backup *b = &p->dump.backup;

	if (r < 0)
		return r;
	make_say(p->order, "%s (id %s) is exported from %s", p->member.slug, p->member.id, b->path);
	if (b->damage)
		make_warn(
		        p->order,
		        "%s is marked as damaged (%s); all that is read of it is checked, so what comes of it is right",
		        b->path, b->damage);
	if (b->m.partial)
		make_warn(p->order,
		          "%s was made to leave out a part of the database: an export of it may lack tables",
		          b->path);
	return 0;
}

/* Whose name it was. */

struct namesake { /* whom the exports nearest to the dump name */
	int64_t before_us, behind_us;
	char *before, *behind; /* heap: ids; NULL: there is none */
};

static void look_at_namesake(struct catalog *c, uint64_t ino, int64_t dumped_at_us, struct namesake *n)
{
	_cleanup(manifest) struct manifest m = {0};
	const char *id = catalog_manifest(c, ino, &m) == 0 ? manifest_fact(&m, "tenant_id") : NULL;

	/* One of a backup says nothing of the moment when it was made. */
	if (!id || manifest_fact(&m, "from"))
		return;
	if (m.started_at_us <= dumped_at_us && (!n->before || m.started_at_us >= n->before_us)) {
		mem_replace_string(&n->before, id);
		n->before_us = m.started_at_us;
	}
	if (m.started_at_us > dumped_at_us && (!n->behind || m.started_at_us <= n->behind_us)) {
		mem_replace_string(&n->behind, id);
		n->behind_us = m.started_at_us;
	}
}

/* A schema and a database are found by a name, which another tenant may have had at the moment of the dump. */
static int check_name_was_its_own(const struct past *p, struct error *err)
{
	struct catalog *c = p->ctx->repository->catalog;
	_cleanup(free) char *below = name_from_database(p->wanted->tenant);
	_cleanup(free) char *directory = make_directory_of(p->job, below);
	struct catalog_entry entries[NAMESAKES_PAGE];
	struct namesake n = {0};
	int64_t after = -1;
	ssize_t count;
	const char *id;
	int r = 0;

	if (p->job->export.tenancy == TENANCY_COLUMN)
		return 0;
	while ((count = catalog_entries(c, ino_of_directory(directory), CATALOG_ARTIFACT, after, entries,
	                                NAMESAKES_PAGE)) > 0) {
		for (ssize_t i = 0; i < count; i++)
			look_at_namesake(c, entries[i].ino, p->dump.backup.m.started_at_us, &n);
		after = entries[count - 1].sequence;
	}
	id = n.before ? n.before : n.behind;
	if (count < 0)
		r = error_system(err, (int)-count, "the catalog cannot be read");
	else if (id && !str_equal(id, p->member.id))
		r = error_set(
		        err, ERROR_DENIED, EPERM,
		        "when %s was made, %.60s was the name of the tenant with the id %.60s, as its export of that time says, and not of the one with the id %.60s: whose %s it is cannot be told; restore the backup into a database (keepfs restore), and export from there",
		        p->dump.backup.path, p->wanted->tenant, id, p->member.id, p->member.own);
	free(n.before);
	free(n.behind);
	return r;
}

/* The database. */

static const char *name_for_database(const struct past *p)
{
	const char *own = manifest_fact(&p->dump.backup.m, "database");

	if (p->job->export.tenancy == TENANCY_DATABASE)
		return p->member.own;
	if (!own || !*own || str_equal(own, "postgres") || str_starts(own, "template"))
		return DATABASE_DEFAULT;
	return own;
}

static int make_server_with_tables(struct past *p, struct error *err)
{
	const struct conf_export *conf = &p->job->export;
	int r;

	p->scope = (struct past_scope){.kind = (enum tenancy_kind)conf->tenancy,
	                               .schema = conf->tenancy == TENANCY_SCHEMA ? p->member.own : NULL,
	                               .excluded = conf->excluded,
	                               .shared = conf->shared};
	p->server = (struct past_server){.ctx = p->ctx,
	                                 .order = p->order,
	                                 .conf = p->conf,
	                                 .backup = &p->dump.backup,
	                                 .dump = p->dump.dump,
	                                 .database = name_for_database(p),
	                                 .database_script = str_text(&p->dump.database_script)};
	r = past_server_start(&p->server, err);
	return r < 0 ? r : past_server_make_tables(&p->server, &p->scope, err);
}

/* A column may be redacted by a comment that it has got since the dump. */
static int take_redactions_of_now(struct past *p, struct error *err)
{
	const char *own = p->job->export.tenancy == TENANCY_DATABASE ? p->member.own : NULL;
	_cleanup(pg_session) struct pg_session *living = NULL;
	struct error why = {0};
	int r = pg_session_open(p->job->export.database, own, "keepfs export", p->server.cancel, &living,
	                        &why);

	if (r == 0)
		return pg_hollow_redactions(p->session, living, err);
	if (cancel_is_set(p->server.cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	make_warn(
	        p->order,
	        "columns whose comments have redacted them only since the backup are not redacted, since the database of now cannot be asked for them: %s",
	        why.message);
	return 0;
}

static int decide_dumped_tables(struct past *p, struct error *err)
{
	int r = pg_session_open(p->server.conninfo, NULL, "keepfs export", p->server.cancel, &p->session,
	                        err);

	if (r == 0)
		r = pg_hollow_prepare(p->session, err);
	if (r == 0 && !p->wanted->is_unredacted)
		r = take_redactions_of_now(p, err);
	return r < 0 ? r : export_tables_read(p->session, p->job, p->scope.schema, &p->tables, err);
}

static const char *label_of_dump(const struct past *p)
{
	return str_or_empty(manifest_fact(&p->dump.backup.m, "database"));
}

static int load_rows_of_tenant(struct past *p, struct error *err)
{
	const struct past_rows_options options = {
	        .server = &p->server,
	        .session = p->session,
	        .tables = &p->tables,
	        .scope = &p->scope,
	        .tenant = p->member.id,
	        .erasures = p->erasures,
	        .source = label_of_dump(p),
	        .memory_bytes = p->job->export.keys_memory_bytes,
	};
	int64_t began_us = clock_mono_us();
	struct past_rows_counts n;
	char size[16];
	int r = past_rows_load(&options, &n, err);

	/* It is not needed any more, and has settings of its own. */
	p->session = pg_session_free(p->session);
	if (r == 0)
		make_say(p->order, "%" PRIu64 " of %" PRIu64 " rows were taken, %s read in %.1f s",
		         n.kept_rows, n.read_rows, str_format_bytes(size, sizeof(size), n.read_bytes),
		         (double)(clock_mono_us() - began_us) / (double)US_PER_S);
	return r;
}

static int export_loaded(struct past *p, struct manifest *ret, struct error *err)
{
	const struct manifest *m = &p->dump.backup.m;
	const struct export_copy copy = {
	        .member = &p->member,
	        .conninfo = p->server.conninfo,
	        .database = str_or_empty(manifest_fact(m, "database")),
	        .from = p->dump.backup.path,
	        .taken_at_us = m->started_at_us,
	        .server_version = manifest_fact(m, "server_version"),
	        .path = p->wanted->path,
	        .is_unredacted = p->wanted->is_unredacted,
	};

	return export_make_copy(p->ctx, p->order, p->job, &copy, ret, &p->counts, err);
}

static int refuse_erased_tenant(struct past *p, struct error *err)
{
	int r = erasures_load(p->conf, p->ctx->repository, p->order->cancel, &p->erasures, err);

	if (r == 0)
		r = erasures_refuse_database(p->erasures, label_of_dump(p), err);
	if (r == 0 && erasures_is_tenant(p->erasures, label_of_dump(p), p->member.id))
		r = erasures_refuse_tenant(p->member.slug, err);
	return r;
}

static void say_of_past(void *arg, const char *line)
{
	make_say(((struct past *)arg)->order, "%s", line);
}

/* Rows that were erased are in the dump, and must not be in what comes of it. */
static int apply_erasures_to_past(struct past *p, struct error *err)
{
	const struct erasures_target target = {
	        .conf = p->conf,
	        .server = p->server.conninfo,
	        .source = label_of_dump(p),
	        .cancel = p->server.cancel,
	        .say = say_of_past,
	        .arg = p,
	};

	return erasures_apply(p->erasures, &target, err);
}

static int run_past(struct past *p, struct manifest *ret, struct error *err)
{
	int r = open_dump_of_tenant(p, err);

	if (r == 0)
		r = check_name_was_its_own(p, err);
	if (r == 0)
		r = refuse_erased_tenant(p, err);
	if (r == 0)
		r = make_server_with_tables(p, err);
	if (r == 0)
		r = decide_dumped_tables(p, err);
	if (r == 0)
		r = load_rows_of_tenant(p, err);
	if (r == 0)
		r = apply_erasures_to_past(p, err);
	if (r == 0)
		r = export_loaded(p, ret, err);
	/* Whatever was under way then fails in words of its own. */
	if (r < 0 && p->server.scratch && pg_scratch_failure(p->server.scratch, err) < 0)
		r = -ENOSPC;
	return r;
}

static void fill_result(const struct past *p, struct past_result *ret)
{
	*ret = (struct past_result){.backup = mem_strdup(p->dump.backup.path),
	                            .taken_at_us = p->dump.backup.m.started_at_us,
	                            .tenant_id = mem_strdup(p->member.id),
	                            .rows = p->counts.rows,
	                            .tables = p->counts.tables};
}

/* While it is read nobody removes it. */
static int export_kept(struct past *p, struct manifest *ret, struct past_result *ret_result, bool *ret_wrong,
                       struct error *err)
{
	struct repository *repository = p->ctx->repository;
	uint64_t kept = p->ino;
	int r;

	(void)catalog_artifact_of(repository->catalog, p->ino, &kept);
	r = artifact_keep(repository, kept, p->order->run_id, "exported from", err);

	if (r < 0)
		return r;
	r = run_past(p, ret, err);
	*ret_wrong = r < 0 && err->damage;
	if (r == 0 && ret_result)
		fill_result(p, ret_result);
	artifact_let_go(repository, kept, p->order->run_id);
	return r;
}

/* What else it reads has let go of the memory by now. */
static void look_at_dump_again(const struct past *p, uint64_t ino)
{
	struct make_context own = *p->ctx;

	own.pool = pool_new(PROVING_POOL_BYTES);
	if (own.pool)
		proving_again(&own, p->order, NULL, ino);
	pool_free(own.pool);
}

static const struct conf_job *without_redaction(struct past *p)
{
	p->unredacted = *p->job;
	p->unredacted.export.redact = p->unredacted.export.redact_types = NULL;
	p->unredacted.export.secrets_unsure = CONF_UNSURE_WARN;
	return &p->unredacted;
}

int past_export(const struct make_context *ctx, const struct make_order *order, const struct past_order *past,
                struct manifest *ret, struct past_result *ret_result, struct error *err)
{
	struct past p = {.ctx = ctx, .order = order, .wanted = past, .conf = make_conf_ref(ctx)};
	struct error why = {0};
	bool is_wrong = false;
	int r;

	r = find_export_job(&p, &why);
	if (r == 0 && past->is_unredacted)
		p.job = without_redaction(&p);
	if (r == 0)
		r = find_past_member(&p, &why);
	if (r == 0)
		r = find_backup_of_tenant(&p, &why);
	if (r == 0)
		r = export_kept(&p, ret, ret_result, &is_wrong, &why);
	finish_past(&p);
	if (is_wrong)
		look_at_dump_again(&p, p.ino);
	make_conf_unref(ctx, p.conf);
	if (r < 0 && err)
		*err = why;
	return r;
}

/* The work. "export acme from=full/latest.dump": the first word is the trigger's. */

static int take_past_words(const struct command_line *line, struct past_order *ret, struct error *err)
{
	static const char *const allowed[] = {"from", "id", "tenant", "format", "note", NULL};
	bool has_verb = line->word_count > 0 &&
	                (str_equal(line->words[0], "export") || str_equal(line->words[0], CONF_EXPORTS));
	const char *pair = words_pair(line, "tenant");
	size_t count = line->word_count - has_verb + (pair != NULL);
	int r = words_check_pairs(line, allowed, err);

	if (r < 0)
		return r;
	if (count != 1)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "one tenant is exported from a backup at a time: export acme from=full/latest.dump");
	*ret = (struct past_order){.tenant = pair ? pair : line->words[has_verb],
	                           .tenant_id = words_pair(line, "id"),
	                           .backup = words_pair(line, "from"),
	                           .format = words_pair(line, "format")};
	if (!ret->backup || !*ret->backup)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "from= names no backup; write one as the mount shows it: full/latest.dump");
	if (ret->tenant_id && !*ret->tenant_id)
		return error_set(err, ERROR_USAGE, EINVAL, "id= is empty");
	return *ret->tenant ? 0
	                    : error_set(err, ERROR_USAGE, EINVAL, "export: the name of the tenant is empty");
}

static int past_targets(const struct make_context *ctx, const struct conf_job *job,
                        const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	const struct conf *conf = make_conf_ref(ctx);
	const struct conf_job *of_exports = export_job_in(conf, err);
	struct conf_job *changed = NULL;
	struct past_order past;
	int r = of_exports ? take_past_words(wanted->line, &past, err) : -EINVAL;

	if (r == 0)
		r = change_format(of_exports, past.format, &changed, err);
	conf_job_free(changed);
	if (r == 0) {
		_cleanup(free) char *below = name_from_database(past.tenant);
		struct make_target *t = make_targets_add(ret);

		t->name = mem_strdup(past.tenant);
		t->label = mem_strdup(past.tenant);
		t->directory = make_directory_of(of_exports, below);
	}
	make_conf_unref(ctx, conf);
	return r;
}

static int past_accepts(const struct make_context *ctx, const struct conf_job *job,
                        const struct make_wanted *wanted, struct error *err)
{
	_cleanup(make_targets) struct make_targets targets = {0};

	return past_targets(ctx, job, wanted, &targets, err);
}

static int past_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                     struct error *err)
{
	struct past_order past;
	int r = take_past_words(order->line, &past, err);

	return r < 0 ? r : past_export(ctx, order, &past, ret, NULL, err);
}

static enum make_lane past_lane(const struct command_line *line)
{
	return MAKE_LANE_RESTORE;
}

const struct make_kind use_past = {
        .name = "export",
        .targets_name = "tenants",
        .lane = past_lane,
        .accepts = past_accepts,
        .targets = past_targets,
        .make = past_make,
};
