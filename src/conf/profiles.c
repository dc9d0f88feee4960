// SPDX-License-Identifier: Apache-2.0
/* AWS's shared files. They are rotated by other programs while keepfs runs, and some of them write in place: how old
 * a file is, and whether it holds a byte at all, tells whether it may be half-written. */
#include <keepfs/conf/profiles.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include "lines.h"
#include "load.h"
#include "value.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX_BYTES   ((size_t)1 << 20)
#define HALF_WRITTEN_US  (10 * US_PER_S)
#define CONFIG_PREFIX    "profile"
#define VALUE_OF_A_SHELL "credential_process" /* its quotes are the command's */

struct entry {
	char *profile;
	char *key; /* NULL: the profile begins here */
	char *value;
};

struct file {
	char *path;
	int error;
	size_t bytes;
	bool just_changed;
	char *bad_line;
	char *current; /* while it is read: the profile whose keys follow; NULL: none */
	struct entry *entries;
	size_t count;
};

struct conf_profiles {
	struct file files[CONF_PROFILES_FILES];
};

static const struct {
	const char *variable, *name;
} places[] = {
        [CONF_PROFILES_CREDENTIALS] = {"AWS_SHARED_CREDENTIALS_FILE", "credentials"},
        [CONF_PROFILES_CONFIG] = {"AWS_CONFIG_FILE", "config"},
};

const char *conf_profile_name(const struct conf_store *store, const char **ret_chosen_by)
{
	const struct {
		const char *by, *name;
	} choices[] = {
	        {"[store] profile", store->profile},
	        {"AWS_PROFILE", getenv("AWS_PROFILE")},
	        {"AWS_DEFAULT_PROFILE", getenv("AWS_DEFAULT_PROFILE")},
	        {NULL, "default"},
	};
	size_t i = 0;

	while (!*str_or_empty(choices[i].name))
		i++;
	if (ret_chosen_by)
		*ret_chosen_by = choices[i].by;
	return choices[i].name;
}

/* NULL when there is no home either. */
static char *shared_file_path(enum conf_profiles_file file)
{
	const char *env = str_or_empty(getenv(places[file].variable));
	_cleanup(free) char *home = conf_home();

	if (str_starts(env, "~/") && home)
		return mem_printf("%s%s", home, env + 1);
	if (*env)
		return mem_strdup(env);
	return home ? mem_printf("%s/.aws/%s", home, places[file].name) : NULL;
}

/* @text without white space at its ends, and without the quotes around the whole of it. */
static char *unquoted(const char *text)
{
	size_t len;

	text += strspn(text, CONF_WHITE_SPACE);
	len = strlen(text);
	while (len > 0 && strchr(CONF_WHITE_SPACE, text[len - 1]))
		len--;
	if (len >= 2 && (*text == '"' || *text == '\'') &&
	    memchr(text + 1, *text, len - 1) == text + len - 1) {
		text++;
		len -= 2;
	}
	return mem_printf("%.*s", (int)len, text);
}

/* The profile that a section is; NULL when it is none. */
static char *profile_of_section(enum conf_profiles_file file, const char *section)
{
	_cleanup(free) char *name = unquoted(section);
	const char *behind = name + strlen(CONFIG_PREFIX);

	if (file == CONF_PROFILES_CREDENTIALS || strcmp(name, "default") == 0)
		return take_ptr(&name);
	if (!str_starts(name, CONFIG_PREFIX) || !*behind || !strchr(CONF_WHITE_SPACE, *behind))
		return NULL;
	return unquoted(behind);
}

struct reading {
	struct file *file;
	enum conf_profiles_file which;
};

static struct entry *add_entry(struct file *f, const char *profile)
{
	f->entries = mem_resize(f->entries, f->count + 1, sizeof(*f->entries));
	f->entries[f->count] = (struct entry){.profile = mem_strdup(profile)};
	return &f->entries[f->count++];
}

static void on_profile(void *arg, int line, const char *section)
{
	struct reading *r = arg;

	free(r->file->current);
	r->file->current = profile_of_section(r->which, section);
	if (r->file->current)
		add_entry(r->file, r->file->current);
}

static void on_profile_pair(void *arg, int line, const char *key, const char *value)
{
	const struct reading *r = arg;
	struct entry *e;

	if (!r->file->current || !*value)
		return;
	e = add_entry(r->file, r->file->current);
	e->key = mem_strdup(key);
	for (char *p = e->key; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	e->value = strcmp(e->key, VALUE_OF_A_SHELL) == 0 ? mem_strdup(value) : unquoted(value);
}

static void note_bad_line(void *arg, int line, const char *what)
{
	const struct reading *r = arg;

	if (!r->file->bad_line)
		r->file->bad_line = mem_printf("line %d %s", line, what);
}

static const struct conf_lines_events profile_events = {
        .section = on_profile, .pair = on_profile_pair, .bad = note_bad_line, .nested = true};

static void parse_profiles(struct conf_profiles *p, enum conf_profiles_file which, const char *text,
                           size_t len)
{
	struct reading r = {&p->files[which], which};

	r.file->bytes = len;
	conf_lines_parse(text, len, &profile_events, &r);
}

static void read_profiles(struct conf_profiles *p, enum conf_profiles_file which)
{
	struct file *f = &p->files[which];
	struct str text = {0};
	struct stat st;

	f->path = shared_file_path(which);
	f->error = f->path ? fd_read_file(f->path, FILE_MAX_BYTES, &text) : -ENOENT;
	if (f->path && stat(f->path, &st) == 0)
		f->just_changed = clock_now_us() - (int64_t)st.st_mtim.tv_sec * US_PER_S < HALF_WRITTEN_US;
	if (f->error == 0)
		parse_profiles(p, which, str_text(&text), text.len);
	if (text.data)
		explicit_bzero(text.data, text.cap);
	str_finish(&text);
}

struct conf_profiles *conf_profiles_read(void)
{
	struct conf_profiles *p = mem_alloc(sizeof(*p));

	for (enum conf_profiles_file file = 0; file < CONF_PROFILES_FILES; file++)
		read_profiles(p, file);
	return p;
}

struct conf_profiles *conf_profiles_parse(const char *credentials, size_t credentials_len, const char *config,
                                          size_t config_len)
{
	struct conf_profiles *p = mem_alloc(sizeof(*p));

	for (enum conf_profiles_file file = 0; file < CONF_PROFILES_FILES; file++)
		p->files[file].path = mem_printf("~/.aws/%s", places[file].name);
	parse_profiles(p, CONF_PROFILES_CREDENTIALS, credentials, credentials_len);
	parse_profiles(p, CONF_PROFILES_CONFIG, config, config_len);
	return p;
}

static void free_profiles_file(struct file *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->entries[i].profile);
		free(f->entries[i].key);
		mem_free_secret(f->entries[i].value);
	}
	free(f->entries);
	free(f->path);
	free(f->bad_line);
	free(f->current);
}

struct conf_profiles *conf_profiles_free(struct conf_profiles *p)
{
	if (!p)
		return NULL;
	for (enum conf_profiles_file file = 0; file < CONF_PROFILES_FILES; file++)
		free_profiles_file(&p->files[file]);
	free(p);
	return NULL;
}

bool conf_profiles_has(const struct conf_profiles *p, enum conf_profiles_file file, const char *profile)
{
	const struct file *f = &p->files[file];

	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->entries[i].profile, profile) == 0)
			return true;
	return false;
}

const char *conf_profiles_get_in(const struct conf_profiles *p, enum conf_profiles_file file,
                                 const char *profile, const char *key)
{
	const struct file *f = &p->files[file];
	const char *value = NULL;

	for (size_t i = 0; i < f->count; i++) {
		const struct entry *e = &f->entries[i];

		if (e->key && strcmp(e->profile, profile) == 0 && strcmp(e->key, key) == 0)
			value = e->value;
	}
	return value && *value ? value : NULL;
}

const char *conf_profiles_get(const struct conf_profiles *p, const char *profile, const char *key)
{
	const char *value = conf_profiles_get_in(p, CONF_PROFILES_CREDENTIALS, profile, key);

	return value ? value : conf_profiles_get_in(p, CONF_PROFILES_CONFIG, profile, key);
}

char *conf_profiles_place(const struct conf_profiles *p, enum conf_profiles_file file, const char *profile)
{
	const char *path = p->files[file].path ? p->files[file].path : places[file].name;
	bool prefixed = file == CONF_PROFILES_CONFIG && strcmp(profile, "default") != 0;

	return mem_printf("%s [%s%s]", path, prefixed ? CONFIG_PREFIX " " : "", profile);
}

char *conf_profiles_place_of(const struct conf_profiles *p, const char *profile, const char *key)
{
	return conf_profiles_place(p,
	                           conf_profiles_get_in(p, CONF_PROFILES_CREDENTIALS, profile, key)
	                                   ? CONF_PROFILES_CREDENTIALS
	                                   : CONF_PROFILES_CONFIG,
	                           profile);
}

struct conf_profiles_state conf_profiles_state(const struct conf_profiles *p, enum conf_profiles_file file)
{
	const struct file *f = &p->files[file];

	return (struct conf_profiles_state){.path = f->path,
	                                    .error = f->error,
	                                    .bytes = f->bytes,
	                                    .just_changed = f->just_changed,
	                                    .bad_line = f->bad_line};
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15) + (hash >> 29);
}

uint64_t conf_profiles_stamp(void)
{
	uint64_t hash = 0;

	for (enum conf_profiles_file file = 0; file < CONF_PROFILES_FILES; file++) {
		_cleanup(free) char *path = shared_file_path(file);
		struct stat st;

		if (!path || stat(path, &st) < 0)
			continue;
		hash = mix(hash, (uint64_t)file + 1);
		hash = mix(hash, (uint64_t)st.st_ino);
		hash = mix(hash, (uint64_t)st.st_size);
		hash = mix(hash, (uint64_t)st.st_mtim.tv_sec);
		hash = mix(hash, (uint64_t)st.st_mtim.tv_nsec);
	}
	return hash;
}
