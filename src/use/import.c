// SPDX-License-Identifier: Apache-2.0
/*
 * keepfs import: the run. An export of the store is first copied into a file of keepfs's own, through the path that checks its CRC-32C, since its reader goes
 * back and forth in it; another one is read where it lies. All that follows is one transaction at the server (keepfs/use/import.h).
 */
#include "import_order.h"
#include "proving.h"
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/exported.h>
#include <keepfs/pg.h>
#include <keepfs/use.h>
#include <keepfs/use/erasures.h>
#include <keepfs/use/import.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct importing {
	const struct make_context *ctx; /* borrowed, as the next two */
	const struct make_order *order;
	const struct import_order *wanted;
	struct pg_import_options options;
	struct tenancy_rules rules;
	struct backup backup;
	int fd;         /* of the copy; -1 */
	char *database; /* heap: what is connected to */
	struct exported *exported;
	struct pg_session *session;
	struct import *rows;
};

static void importing_finish(struct importing *i)
{
	import_free(i->rows);
	pg_session_free(i->session);
	exported_close(i->exported);
	backup_finish(&i->backup);
	if (i->fd >= 0)
		close(i->fd);
	free(i->database);
}

static inline void cleanup_importing(struct importing *i)
{
	importing_finish(i);
}

/* The file. */

static int open_own_copy(const char *state_dir, int *ret, struct error *err)
{
	_cleanup(free) char *path = mem_printf("%s/import-XXXXXX", state_dir);
	int fd = open(state_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		fd = mkostemp(path, O_CLOEXEC);
	else
		*path = '\0';
	if (fd < 0)
		return error_system(err, errno, "a file for the export cannot be made in %s", state_dir);
	if (*path)
		unlink(path);
	*ret = fd;
	return 0;
}

static int write_own_copy(void *arg, const void *data, size_t len, struct error *err)
{
	const struct importing *i = arg;
	const char *at = data;

	while (len > 0) {
		ssize_t n = write(i->fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_system(err, errno, "the export cannot be copied into %s",
			                    i->ctx->conf->state_dir);
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int copy_stored_export(struct importing *i, struct error *err)
{
	const struct backup_out out = {.write = write_own_copy, .arg = i};
	struct catalog_entry entry, file;
	int r = words_find_backup(i->ctx->repository->catalog, i->order->target->name, &entry);

	if (r < 0)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "%s is not there any more",
		                 i->order->target->name);
	r = backup_open(&i->backup, entry.ino, err);
	if (r == 0)
		r = backup_own(&i->backup, &file);
	if (r == 0)
		r = open_own_copy(i->ctx->conf->state_dir, &i->fd, err);
	return r == 0 ? backup_read(&i->backup, &file, &out, err) : r;
}

static int check_not_erased(struct importing *i, struct error *err)
{
	_cleanup(erasures) struct erasures *e = NULL;
	int r = erasures_load(i->ctx->conf, i->ctx->repository, i->order->cancel, &e, err);

	return r < 0 ? r : erasures_check_exported(e, i->exported, err);
}

static int open_export_file(struct importing *i, struct error *err)
{
	struct exported_source source = {
	        .path = i->order->target->name, .fd = -1, .temporary_dir = i->ctx->conf->state_dir};
	int r = import_order_is_path(i->wanted->file) ? 0 : copy_stored_export(i, err);

	source.fd = i->fd;
	if (r == 0)
		r = exported_open(&source, i->order->cancel, &i->exported, err);
	if (r == 0)
		r = check_not_erased(i, err);
	for (size_t n = 0; r == 0 && n < exported_head(i->exported)->remark_count; n++)
		make_warn(i->order, "%s", exported_head(i->exported)->remarks[n]);
	return r;
}

/* The target. */

static const struct conf_export *export_of_job(const struct conf *conf, const char *job_name)
{
	const struct conf_job *job = conf_find_job(conf, str_or_empty(job_name));

	return job && job->kind == CONF_JOB_EXPORT ? &job->export : NULL;
}

static const char *database_of_job(const struct conf *conf, const char *job_name)
{
	const struct conf_export *export = export_of_job(conf, job_name);

	return export ? export->database : NULL;
}

static bool is_plain_name(const char *database)
{
	return !strchr(database, '=') && !strstr(database, "://");
}

/* The name of a database alone: at the server from which the exports come. */
static int find_database(struct importing *i, struct error *err)
{
	const char *given = i->wanted->database;
	const char *own = database_of_job(i->ctx->conf, i->backup.path ? i->backup.m.job : CONF_EXPORTS);

	if (given && own && is_plain_name(given))
		i->database = pg_conninfo_with_database(own, given);
	else if (given)
		i->database = mem_strdup(given);
	else if (own && i->backup.path)
		i->database = mem_strdup(own);
	return i->database ? 0
	                   : error_set(err, ERROR_USAGE, EINVAL,
	                               "say into which database: database=NAME, or database=postgresql://…");
}

static void say_import_line(void *arg, const char *line)
{
	const struct importing *i = arg;

	if (str_starts(line, "clash: ") && !i->wanted->dry_run)
		make_warn(i->order, "%s", line);
	else
		make_say(i->order, "%s", line);
}

static void tell_file(const struct importing *i)
{
	const struct exported_head *head = exported_head(i->exported);

	make_say(i->order, "%s: %" PRIu64 " rows of %zu tables of the tenant %s (%s), as they were in %s",
	         i->wanted->file, head->rows, head->table_count, head->slug, head->tenant_id, head->database);
	for (size_t n = 0; n < head->redacted_count; n++) {
		const struct exported_redacted *x = &head->redacted[n];

		make_say(i->order, "redacted (%s): %s.%s.%s%s", x->how, x->schema, x->table, x->column,
		         x->path_count > 0 ? ", within it" : "");
	}
	for (size_t n = 0; n < head->left_out_count; n++)
		make_say(i->order, "not in the file: %s.%s, %s", head->left_out[n].schema,
		         head->left_out[n].table, head->left_out[n].why);
}

/* What a file says of its tables is not believed where the configuration says it. */
static void take_export_rules(struct importing *i)
{
	const struct conf_export *export = export_of_job(i->ctx->conf, CONF_EXPORTS);

	if (!export)
		return;
	i->rules = (struct tenancy_rules){
	        .kind = (enum tenancy_kind) export->tenancy,
	        .tenant_columns = export->tenant_columns,
	        .tenant_table = *str_or_empty(export->tenant_table) ? export->tenant_table : NULL,
	        .shared = export->shared,
	        .referred = export->referred,
	        .excluded = export->excluded,
	        .references = export->references,
	};
	i->options.rules = &i->rules;
}

static int stage_file(struct importing *i, struct error *err)
{
	int r = import_open(i->database, NULL, i->order->cancel, &i->session, err);

	i->options = i->wanted->options;
	i->options.say = say_import_line;
	i->options.arg = i;
	take_export_rules(i);
	if (r == 0)
		r = import_new(i->session, i->exported, &i->options, &i->rows, err);
	return r == 0 ? import_stage(i->rows, err) : r;
}

/* What was erased must not come back: whoever keeps a register of that looks at the rows here, between staging and planning. */
static int plan_file(struct importing *i, struct pg_import_found *ret, struct error *err)
{
	return import_plan(i->rows, ret, err);
}

static int tell_dry_run(const struct importing *i, const struct pg_import_found *found)
{
	if (found->same)
		make_say(i->order, "all of it is in the target already: there is nothing to do");
	else if (found->tenant && exported_head(i->exported)->tenancy[0] == 'c')
		make_say(
		        i->order,
		        "the tenant is in the target already, with other rows: an import would be refused; name a new one with tenant=");
	else if (found->clashes > 0)
		make_say(i->order, "an import would be refused: %zu clashes", found->clashes);
	else
		make_say(i->order, "%" PRIu64 " rows would be inserted", found->rows);
	make_say(i->order, "nothing was changed");
	return 0;
}

static int write_imported(struct importing *i, const struct pg_import_found *found, struct error *err)
{
	uint64_t rows = 0;
	int r;

	if (found->same) {
		make_say(i->order, "all of it is in the target already: nothing was changed");
		return 0;
	}
	r = import_insert(i->rows, &rows, err);
	if (r == 0)
		r = import_compare(i->rows, NULL, NULL, err);
	if (r > 0)
		return -EEXIST;
	if (r == 0)
		r = import_commit(i->session, err);
	if (r == 0)
		make_say(i->order,
		         "%" PRIu64 " rows were inserted, and are those of the file; the tenant's id is %s",
		         rows, str_or_empty(import_tenant_id(i->rows)));
	return r;
}

static int import_file(struct importing *i, struct error *err)
{
	struct pg_import_found found = {0};
	int r = open_export_file(i, err);

	if (r == 0)
		r = find_database(i, err);
	if (r < 0)
		return r;
	tell_file(i);
	r = stage_file(i, err);
	if (r == 0)
		r = plan_file(i, &found, err);
	if (r < 0)
		return r;
	return i->wanted->dry_run ? tell_dry_run(i, &found) : write_imported(i, &found, err);
}

/* The work. */

static enum make_lane import_lane(const struct command_line *line)
{
	return MAKE_LANE_RESTORE;
}

static int find_stored_export(const struct make_context *ctx, const char *word, struct make_target *t,
                              struct error *err)
{
	struct catalog *c = ctx->repository->catalog;
	_cleanup(backup) struct backup b = {.ctx = ctx};
	struct catalog_entry entry;
	int r = words_find_to_restore(c, word, &entry, err);

	if (r == 0)
		r = backup_open(&b, entry.ino, err);
	if (r == 0 && !str_equal(b.m.kind, "export"))
		r = error_set(err, ERROR_USAGE, EINVAL,
		              "%s is no export of a tenant: it is restored, and not imported", b.path);
	if (r < 0)
		return r;
	t->name = catalog_path(c, entry.ino);
	t->directory = mem_strdup(t->name);
	t->stays_ino = entry.artifact_ino;
	return 0;
}

static int import_prepare(const struct make_context *ctx, const struct make_wanted *wanted,
                          struct make_targets *ret, struct error *err)
{
	_cleanup(import_order) struct import_order order = {0};
	struct make_target *t;
	int r = import_order_read(wanted->line, &order, err);

	if (r < 0)
		return r;
	t = make_targets_add(ret);
	if (import_order_is_path(order.file)) {
		t->name = mem_strdup(order.file);
		t->directory = mem_strdup(CONF_EXPORTS);
	} else {
		r = find_stored_export(ctx, order.file, t, err);
	}
	t->label = mem_strdup(t->name);
	t->claim =
	        mem_printf("import into %s", order.database ? order.database : "the database of the exports");
	return r;
}

static int say_nothing_came(int r, struct error *err)
{
	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled, and nothing was changed");
	if (r < 0 && r != -EINPROGRESS)
		error_prefix(err, "nothing was changed");
	return r;
}

static int import_with_pool(struct make_context *ctx, const struct make_order *order, struct error *err)
{
	_cleanup(import_order) struct import_order wanted = {0};
	uint64_t wrong_ino = 0;
	int r = import_order_read(order->line, &wanted, err);

	if (r == 0) {
		_cleanup(importing) struct importing i = {
		        .ctx = ctx, .order = order, .wanted = &wanted, .fd = -1};

		i.backup.ctx = ctx;
		i.backup.cancel = order->cancel;
		r = import_file(&i, err);
		if (r < 0 && err->damage)
			wrong_ino = i.backup.ino;
	}
	/* What else it reads has let go of the pool by now. */
	if (wrong_ino)
		proving_again(ctx, order, NULL, wrong_ino);
	return r;
}

static int import_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                       struct error *err)
{
	struct make_context own = *ctx;
	struct error why = {0};
	int r;

	own.pool = pool_new(PROVING_POOL_BYTES);
	if (!own.pool)
		return error_system(err, ENOMEM, "there is no memory for reading the export");
	r = say_nothing_came(import_with_pool(&own, order, &why), &why);
	pool_free(own.pool);
	if (r < 0 && err)
		*err = why;
	return r;
}

const struct make_kind use_import = {
        .name = "import",
        .targets_name = "exports",
        .tells_state = true,
        .first_word_alone = true,
        .lane = import_lane,
        .prepare = import_prepare,
        .make = import_make,
};
