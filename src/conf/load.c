// SPDX-License-Identifier: Apache-2.0
/* From file, environment and defaults to one struct conf. Nothing stops at the first problem: each is noted
 * with its place, a key with a wrong value keeps its default, and validation goes on, so that all are shown
 * at once. */
#include "load.h"

#include <keepfs/base/mem.h>

#include "value.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void add_problem(struct conf_loader *l, int line, const char *prefix, const char *fmt, va_list args)
{
	struct str text = {0};

	str_append(&text, prefix);
	str_vappendf(&text, fmt, args);
	l->problems = mem_resize(l->problems, l->problem_count + 1, sizeof(*l->problems));
	l->problems[l->problem_count++] =
	        (struct conf_problem){.line = line ? line : INT_MAX, .text = str_take(&text)};
}

void conf_problem(struct conf_loader *l, int line, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add_problem(l, line, "", fmt, args);
	va_end(args);
	l->error_count++;
}

void conf_warning(struct conf_loader *l, int line, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add_problem(l, line, "warning: ", fmt, args);
	va_end(args);
}

/* Append all of them, by line; those of one line stay in the order they were found in. */
static void finish_problems(struct conf_loader *l, struct str *out)
{
	for (size_t i = 1; i < l->problem_count; i++) {
		struct conf_problem p = l->problems[i];
		size_t j = i;

		for (; j > 0 && l->problems[j - 1].line > p.line; j--)
			l->problems[j] = l->problems[j - 1];
		l->problems[j] = p;
	}
	for (size_t i = 0; i < l->problem_count; i++) {
		str_appendf(out, "%s\n", l->problems[i].text);
		free(l->problems[i].text);
	}
	free(l->problems);
}

/* Origins and values. */

static struct conf_origin *new_origins(void)
{
	return mem_array(conf_key_count, sizeof(struct conf_origin));
}

static void free_origins(struct conf_origin *of)
{
	for (size_t i = 0; of && i < conf_key_count; i++)
		free(of[i].text);
	free(of);
}

struct conf_origin *conf_origin_of(struct conf *c, int key, size_t job)
{
	if (conf_keys[key].section == CONF_SECTION_BACKUP)
		return &c->origins->of_jobs[job][key];
	return &c->origins->of[key];
}

void conf_key_title(const struct conf *c, int key, size_t job, struct str *out)
{
	const struct conf_key *k = &conf_keys[key];

	if (k->section == CONF_SECTION_BACKUP)
		str_appendf(out, "[backup %s] %s", c->backups[job].name, k->name);
	else
		str_appendf(out, "%s %s", conf_sections[k->section].header, k->name);
}

static void value_problem(struct conf_loader *l, int key, size_t job, const char *value,
                          const char *origin_text, int line, const char *wrong)
{
	_cleanup(str) struct str title = {0}, shown = {0}, allowed = {0};

	conf_key_title(&l->conf, key, job, &title);
	conf_value_show(&conf_keys[key], value, &shown);
	conf_value_allowed(&conf_keys[key], &allowed);
	conf_problem(l, line, "%s: %s = %s: %s; allowed: %s", origin_text, str_text(&title), str_text(&shown),
	             wrong, str_text(&allowed));
}

void conf_set(struct conf_loader *l, int key, size_t job, const char *value, const char *origin_text,
              int line, bool given)
{
	const struct conf_key *k = &conf_keys[key];
	struct conf_origin *origin = conf_origin_of(&l->conf, key, job);
	_cleanup(str) struct str wrong = {0};

	origin->wrong = conf_value_parse(k, value, conf_section_base(&l->conf, k->section, job), &wrong) < 0;
	if (origin->wrong)
		value_problem(l, key, job, value, origin_text, line, str_text(&wrong));
	mem_replace_string(&origin->text, origin_text);
	origin->line = line;
	origin->given = given;
}

/* Jobs. */

/* The rules of name_is_safe(), which stands on this floor too. */
const char *conf_job_name_wrong(const char *name)
{
	size_t len = strlen(name);

	if (strcmp(name, "now") == 0)
		return "is reserved: 'now' triggers the default job";
	if (len < 1 || len > 200)
		return "is not 1 to 200 characters long";
	if (*name == '.' || *name == '-')
		return "begins with '.' or '-'";
	if (strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != len)
		return "holds a character that is not allowed";
	return NULL;
}

size_t conf_add_job(struct conf_loader *l, const char *name, int line)
{
	struct conf *c = &l->conf;
	size_t job = c->backup_count++;

	c->backups = mem_resize(c->backups, c->backup_count, sizeof(*c->backups));
	c->origins->of_jobs = mem_resize(c->origins->of_jobs, c->backup_count, sizeof(*c->origins->of_jobs));
	c->origins->of_jobs[job] = new_origins();
	c->backups[job] = (struct conf_backup){.name = mem_strdup(name), .line = line};
	return job;
}

/* A secret in a file that everybody can read is a secret no more. */
static void warn_of_readers(struct conf_loader *l)
{
	struct stat st;

	if (stat(l->conf.path, &st) < 0 || !(st.st_mode & S_IROTH))
		return;
	for (size_t i = 0; i < conf_key_count; i++) {
		bool many = conf_keys[i].section == CONF_SECTION_BACKUP;

		for (size_t job = 0; job < (many ? l->conf.backup_count : 1); job++) {
			const struct conf_origin *origin = conf_origin_of(&l->conf, (int)i, job);
			_cleanup(str) struct str plain = {0}, shown = {0}, title = {0};

			if (origin->line == 0)
				continue;
			conf_value_format(&conf_keys[i],
			                  conf_section_base(&l->conf, conf_keys[i].section, job), &plain);
			conf_value_show(&conf_keys[i], str_text(&plain), &shown);
			conf_key_title(&l->conf, (int)i, job, &title);
			if (!str_equal(str_text(&plain), str_text(&shown)))
				conf_warning(
				        l, origin->line,
				        "%s: %s: every user of this system can read this secret; protect it with: chmod 600 %s",
				        origin->text, str_text(&title), l->conf.path);
			if (plain.data)
				explicit_bzero(plain.data, plain.cap);
		}
	}
}

int conf_load(const char *path, struct conf *ret_conf, struct str *ret_problems)
{
	struct conf_loader l = {0};
	int r = 0;

	l.conf.path = mem_strdup(path);
	l.conf.origins = mem_alloc(sizeof(*l.conf.origins));
	l.conf.origins->of = new_origins();
	if (path)
		r = conf_read_file(&l);
	if (r == 0) {
		conf_read_environment(&l);
		conf_set_defaults(&l);
		conf_validate(&l);
		if (path)
			warn_of_readers(&l);
	}
	if (r == 0 && l.error_count > 0)
		r = -EINVAL;
	finish_problems(&l, ret_problems);
	if (r == 0)
		*ret_conf = l.conf;
	else
		conf_finish(&l.conf);
	return r;
}

void conf_finish(struct conf *c)
{
	for (size_t i = 0; i < conf_key_count; i++)
		for (size_t job = 0;
		     job < (conf_keys[i].section == CONF_SECTION_BACKUP ? c->backup_count : 1); job++)
			conf_value_finish(&conf_keys[i], conf_section_base(c, conf_keys[i].section, job));
	for (size_t job = 0; job < c->backup_count; job++) {
		free(c->backups[job].name);
		if (c->origins)
			free_origins(c->origins->of_jobs[job]);
	}
	if (c->origins) {
		free_origins(c->origins->of);
		free(c->origins->of_jobs);
	}
	free(c->origins);
	free(c->backups);
	free(c->path);
	*c = (struct conf){0};
}

const struct conf_backup *conf_find_backup(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->backup_count; i++)
		if (strcmp(c->backups[i].name, name) == 0)
			return &c->backups[i];
	return NULL;
}

char *conf_find_path(const char *option)
{
	const char *named = option ? option : getenv("KEEPFS_CONFIG"), *config = getenv("XDG_CONFIG_HOME");
	_cleanup(free) char *home = conf_home();
	_cleanup(free) char *path = NULL;

	if (named && *named)
		return mem_strdup(named);
	if (config && *config == '/')
		path = mem_printf("%s/keepfs/keepfs.conf", config);
	else if (home)
		path = mem_printf("%s/.config/keepfs/keepfs.conf", home);
	if (path && access(path, F_OK) == 0)
		return take_ptr(&path);
	if (access("/etc/keepfs/keepfs.conf", F_OK) == 0)
		return mem_strdup("/etc/keepfs/keepfs.conf");
	return NULL;
}
