// SPDX-License-Identifier: Apache-2.0
/* From file, environment and defaults to one struct conf. Nothing stops at the first problem: each is noted
 * with its place, a key with a wrong value keeps its default, and validation goes on, so that all are shown
 * at once. */
#include "load.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include "value.h"

#include <errno.h>
#include <fcntl.h>
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

void conf_take_problems(struct conf_loader *l, struct str *out)
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
	l->problems = NULL;
	l->problem_count = 0;
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

struct conf_origin *conf_origin_of(const struct conf *c, struct conf_ref ref)
{
	const struct conf_list *list = conf_sections[ref.section].list;
	struct conf_origin *of = list         ? *conf_item_origins(list, conf_item(c, list, ref.item))
	                         : c->origins ? c->origins->of[ref.section]
	                                      : NULL;

	return of ? &of[ref.key] : NULL;
}

bool conf_key_is_given(const struct conf *c, struct conf_ref ref)
{
	const struct conf_origin *origin = conf_origin_of(c, ref);

	return origin && origin->given && !origin->wrong;
}

static void value_problem(struct conf_loader *l, struct conf_ref ref, const char *value,
                          const char *origin_text, int line, const char *wrong)
{
	_cleanup(str) struct str title = {0}, shown = {0}, allowed = {0};

	conf_ref_title(&l->conf, ref, &title);
	conf_value_show(&conf_keys[ref.key], value, &shown);
	conf_value_allowed(&conf_keys[ref.key], &allowed);
	conf_problem(l, line, "%s: %s = %s: %s; allowed: %s", origin_text, str_text(&title), str_text(&shown),
	             wrong, str_text(&allowed));
}

/* White space at the ends of a value means nothing: in the file it was taken away, and elsewhere it comes from
 * an `echo`, or from a line end of Windows. */
static void append_trimmed(const char *value, struct str *out)
{
	size_t len;

	value += strspn(value, CONF_WHITE_SPACE);
	len = strlen(value);
	while (len > 0 && strchr(CONF_WHITE_SPACE, value[len - 1]))
		len--;
	str_append_bytes(out, value, len);
}

void conf_set(struct conf_loader *l, struct conf_ref ref, const char *text, const char *origin_text, int line,
              bool given)
{
	struct conf_origin *origin = conf_origin_of(&l->conf, ref);
	_cleanup(str) struct str wrong = {0}, trimmed = {0};
	const char *value;

	append_trimmed(text, &trimmed);
	value = str_text(&trimmed);
	origin->wrong = conf_value_parse(&conf_keys[ref.key], value, conf_base(&l->conf, ref), &wrong) < 0;
	if (origin->wrong)
		value_problem(l, ref, value, origin_text, line, str_text(&wrong));
	mem_replace_string(&origin->text, origin_text);
	origin->line = line;
	origin->given = given;
	if (trimmed.data)
		explicit_bzero(trimmed.data, trimmed.cap);
}

/* Jobs. */

/* The rules of name_is_safe(), which stands on this floor too. */
const char *conf_job_name_wrong(const char *name)
{
	if (strcmp(name, "now") == 0)
		return "is reserved: 'now' triggers the default job";
	/* In manifests and in the catalog it is the job of every pack. */
	if (strcmp(name, "packs") == 0)
		return "is reserved: it is that of the packs in which mirrors keep objects";
	return conf_item_name_wrong(name);
}

const char *conf_item_name_wrong(const char *name)
{
	size_t len = strlen(name);

	if (len < 1 || len > 200)
		return "is not 1 to 200 characters long";
	if (*name == '.' || *name == '-')
		return "begins with '.' or '-'";
	if (strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != len)
		return "holds a character that is not allowed";
	return NULL;
}

size_t conf_add_section(struct conf_loader *l, enum conf_section section, const char *name, int line)
{
	const struct conf_list *list = conf_sections[section].list;
	size_t item = conf_item_add(&l->conf, section, name, line);

	*conf_item_origins(list, conf_item(&l->conf, list, item)) = new_origins();
	return item;
}

static void warn_of_reader(struct conf_loader *l, struct conf_ref ref)
{
	const struct conf_origin *origin = conf_origin_of(&l->conf, ref);
	_cleanup(str) struct str plain = {0}, shown = {0}, title = {0};

	if (origin->line == 0)
		return;
	conf_value_format(&conf_keys[ref.key], conf_base(&l->conf, ref), &plain);
	conf_value_show(&conf_keys[ref.key], str_text(&plain), &shown);
	conf_ref_title(&l->conf, ref, &title);
	if (!str_equal(str_text(&plain), str_text(&shown)) && !conf_is_sealed(str_text(&plain)))
		conf_warning(
		        l, origin->line,
		        "%s: %s: every user of this system can read this secret; protect it with: chmod 600 %s",
		        origin->text, str_text(&title), l->conf.path);
	if (plain.data)
		explicit_bzero(plain.data, plain.cap);
}

static bool can_everybody_read(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_mode & S_IROTH;
}

/* Nobody else can do anything with what is sealed. */
static bool is_sealed_file(const char *path)
{
	static const char begin[] = "-----BEGIN AGE ENCRYPTED FILE-----";
	char bytes[sizeof(begin)] = {0};
	_cleanup(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd >= 0 && fd_pread_full(fd, bytes, sizeof(begin) - 1, 0) == 0 && str_equal(bytes, begin);
}

static void warn_of_secret_file(struct conf_loader *l, struct conf_ref ref)
{
	const struct conf_origin *origin = conf_origin_of(&l->conf, ref);
	_cleanup(str) struct str path = {0}, title = {0};

	conf_value_format(&conf_keys[ref.key], conf_base(&l->conf, ref), &path);
	if (path.len == 0 || !can_everybody_read(str_text(&path)) || is_sealed_file(str_text(&path)))
		return;
	conf_ref_title(&l->conf, ref, &title);
	conf_warning(
	        l, origin->line,
	        "%s: %s: every user of this system can read the secret in this file; protect it with: chmod 600 %s",
	        origin->text, str_text(&title), str_text(&path));
}

/* A secret in a file that everybody can read is a secret no more. */
static void warn_of_readers(struct conf_loader *l)
{
	bool is_open = can_everybody_read(l->conf.path);
	struct conf_ref ref;

	for (size_t n = 0; conf_place(&l->conf, n, &ref); n++) {
		while (conf_next_key(&ref)) {
			if (is_open)
				warn_of_reader(l, ref);
			if (conf_keys[ref.key].secret_file)
				warn_of_secret_file(l, ref);
		}
	}
}

static struct conf_origins *new_all_origins(void)
{
	struct conf_origins *origins = mem_alloc(sizeof(*origins));

	for (size_t s = 0; s < CONF_SECTION_COUNT; s++)
		origins->of[s] = new_origins();
	return origins;
}

int conf_load(const char *path, struct conf *ret_conf, struct str *ret_problems)
{
	struct conf_loader l = {0};
	int r = 0;

	l.conf.path = mem_strdup(path);
	l.conf.origins = new_all_origins();
	if (path)
		r = conf_read_file(&l);
	if (r == 0) {
		conf_read_environment(&l);
		conf_set_defaults(&l);
		conf_validate(&l);
		l.conf.store.read_only = l.conf.role == CONF_READER;
		if (path)
			warn_of_readers(&l);
	}
	if (r == 0 && l.error_count > 0)
		r = -EINVAL;
	conf_take_problems(&l, ret_problems);
	if (r == 0)
		*ret_conf = l.conf;
	else
		conf_finish(&l.conf);
	return r;
}

static void finish_section(struct conf *c, struct conf_ref ref)
{
	const struct conf_list *list = conf_sections[ref.section].list;

	while (conf_next_key(&ref))
		conf_value_finish(&conf_keys[ref.key], conf_base(c, ref));
	if (list)
		free_origins(*conf_item_origins(list, conf_item(c, list, ref.item)));
}

void conf_finish(struct conf *c)
{
	struct conf_ref ref;

	for (size_t n = 0; conf_place(c, n, &ref); n++)
		finish_section(c, ref);
	for (size_t s = 0; s < CONF_SECTION_COUNT; s++) {
		if (conf_sections[s].list)
			conf_items_free(c, conf_sections[s].list);
		if (c->origins)
			free_origins(c->origins->of[s]);
	}
	free(c->origins);
	free(c->path);
	free(c->configured_mountpoint);
	*c = (struct conf){0};
}

const struct conf_job *conf_find_job(const struct conf *c, const char *name)
{
	return conf_item_find(c, conf_jobs, name);
}

const struct conf_job *conf_exports(const struct conf *c)
{
	const struct conf_job *job = conf_find_job(c, CONF_EXPORTS);

	return job && job->kind == CONF_JOB_EXPORT ? job : NULL;
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
