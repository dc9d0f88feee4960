// SPDX-License-Identifier: Apache-2.0
/*
 * control/: a row and a function for each of its files, and README, which is made from the rows. How a
 * command comes from write() to its function stands in command.c.
 */
#include "command.h"
#include "fs_private.h"
#include "made_file.h"
#include "text.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/check.h>

#include <errno.h>
#include <string.h>

static int trigger(struct command *c, struct str *answer, struct error *err)
{
	_cleanup(jobs_order) struct jobs_order order = {0};
	const struct conf *conf = fs_conf_ref(c->fs);
	struct catalog_run run;
	int r = jobs_order_parse(conf, c->text, &order, err);

	if (r == 0)
		r = jobs_submit(c->fs->jobs, &order, c->by, &run, err);
	/* A run has a copy of its job. */
	fs_conf_unref(c->fs, conf);
	if (r == 0)
		str_appendf(answer, "%lld %s %s\n", (long long)run.id, run_state_name(RUN_PENDING), run.job);
	audit(c->fs, &c->audit, "trigger", c->text, r, r < 0 ? err->message : str_text(answer));
	return r;
}

static int probe(struct command *c, struct str *answer, struct error *err)
{
	_cleanup(free) struct check_result *check = mem_alloc(sizeof(*check));
	int r = 0;

	if (strcmp(c->text, "now") != 0) {
		r = error_set(err, ERROR_USAGE, EINVAL, "'%s' is not a command for probe: write 'now'",
		              c->text);
	} else {
		const struct conf *conf = fs_conf_ref(c->fs);

		check_run(conf, repository_store(c->fs->ctx.repository), NULL, c->fs->ctx.repository->catalog,
		          check);
		fs_conf_unref(c->fs, conf);
		for (size_t i = 0; i < check->count; i++)
			str_appendf(answer, "%s %s: %s\n", check->items[i].ok ? "ok  " : "FAIL",
			            check->items[i].check, check->items[i].detail);
	}
	audit(c->fs, &c->audit, "probe", "control/probe", r,
	      r < 0           ? err->message
	      : check->failed ? "some checks failed"
	                      : "all checks passed");
	return r;
}

static const char trigger_help[] =
        "trigger  echo now > trigger      make a backup with the first job of the configuration\n"
        "         echo JOB > trigger      make a backup with the job of that name\n"
        "         echo JOB KEY=VALUE ... > trigger\n"
        "                                 the same, but this once with other values of: format,\n"
        "                                 compression, content, jobs, schemas, exclude_schemas, tables,\n"
        "                                 exclude_tables, exclude_table_data, globals, verify, max_rate;\n"
        "                                 and note='why', which stays with the backup. Values are quoted as\n"
        "                                 for a shell. A backup of less than the job's is named so\n"
        "                                 (.schema.dump, .data.dump, .partial.dump)\n"
        "                                 answer: <run> pending <job>; watch it in jobs/<run>/\n"
        "         errors: EINVAL wrong command, EBUSY the job already runs; the reason: cat trigger\n";

static const char probe_help[] =
        "probe    echo now > probe        check store, PostgreSQL, pg_dump and disk; the result: cat probe\n";

/* What stands in README before and behind the paragraphs of the files. */
static const char readme_head[] =
        "One command per write; the answer can be read from the same descriptor, or afterwards with cat.\n"
        "\n";
static const char readme_links[] =
        "\n"
        "To hand out a backup: cat links/backups/<job>/<name> gives a URL that ends by itself\n";
static const char readme_removal[] =
        "To remove a backup: rm backups/<job>/<name>, or rmdir when it is a directory. What lies beside it\n"
        "(.tables.csv, .globals.sql.gz, .database.sql.gz) goes with it. The last whole one is refused.\n";

static void append_help(const struct made_files *files, struct spool *out)
{
	for (size_t i = 0; i < files->count; i++) {
		if (files->rows[i].help)
			spool_append(out, files->rows[i].help, strlen(files->rows[i].help));
	}
}

static int write_readme(struct fs *fs, const struct node *node, struct spool *out)
{
	spool_append(out, readme_head, strlen(readme_head));
	append_help(&control_files, out);
	spool_append(out, readme_links, strlen(readme_links));
	append_help(&run_files, out);
	spool_append(out, readme_removal, strlen(readme_removal));
	return spool_error(out);
}

static const struct made_file rows[] = {
        /* 0 to 6: status.c */
        {.number = 7, .name = "trigger", .run = trigger, .help = trigger_help},
        {.number = 8, .name = "probe", .run = probe, .help = probe_help},
        {.number = 9, .name = "README", .write = write_readme, .generation = text_constant},
        /* 10: status.c */
};

const struct made_files control_files = {
        .rows = rows, .count = ARRAY_SIZE(rows), .text_class = &class_text, .first_ino = INO_FIXED};
