// SPDX-License-Identifier: Apache-2.0
/* keepfs.conf, line by line: which section, which key, and what cannot be either. */
#include "load.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include "lines.h"
#include "value.h"

#include <string.h>

#define FILE_MAX_BYTES ((size_t)1 << 20)

static void on_bad(void *arg, int line, const char *what)
{
	struct conf_loader *l = arg;

	conf_problem(l, line, "%s:%d: the line %s", l->conf.path, line, what);
}

static void begin_job(struct conf_loader *l, int line, const char *name)
{
	const char *wrong = conf_job_name_wrong(name);
	const struct conf_backup *same = conf_find_backup(&l->conf, name);

	l->section = CONF_SECTION_BACKUP;
	if (same) {
		conf_problem(l, line, "%s:%d: [backup %s]: a job of this name begins on line %d already",
		             l->conf.path, line, name, same->line);
		l->skip = true;
		return;
	}
	if (wrong)
		conf_problem(
		        l, line,
		        "%s:%d: [backup %s]: the name %s; allowed: 1 to 200 of A-Z a-z 0-9 . _ -, not beginning with '.' or '-', and not 'now'",
		        l->conf.path, line, name, wrong);
	/* Also after a wrong name, so that the section's values are looked at, too. */
	l->job = conf_add_job(l, name, line);
}

static void begin_single(struct conf_loader *l, int line, enum conf_section section)
{
	l->section = section;
	if (l->lines[section] == 0) {
		l->lines[section] = line;
		return;
	}
	conf_problem(l, line, "%s:%d: %s: this section begins on line %d already: put its keys there",
	             l->conf.path, line, conf_sections[section].header, l->lines[section]);
}

static void unknown_section(struct conf_loader *l, int line, const char *name)
{
	static const char *const names[] = {"keepfs", "store", "backup"};
	_cleanup(free) char *first = mem_printf("%.*s", (int)strcspn(name, " \t"), name);
	const char *nearest = conf_nearest(first, names, ARRAY_SIZE(names));
	int index = 0;

	l->skip = true;
	while (nearest && names[index] != nearest)
		index++;
	if (nearest)
		conf_problem(l, line, "%s:%d: [%s]: no such section; did you mean %s?", l->conf.path, line,
		             name, conf_sections[index].header);
	else
		conf_problem(
		        l, line,
		        "%s:%d: [%s]: no such section; allowed: [keepfs], [store], [read], [backup NAME]",
		        l->conf.path, line, name);
}

static void on_section(void *arg, int line, const char *name)
{
	struct conf_loader *l = arg;

	l->in_section = true;
	l->skip = *name == '\0';
	if (l->skip)
		return;
	if (strcmp(name, "keepfs") == 0) {
		begin_single(l, line, CONF_SECTION_KEEPFS);
	} else if (strcmp(name, "store") == 0) {
		begin_single(l, line, CONF_SECTION_STORE);
	} else if (strcmp(name, "read") == 0) {
		begin_single(l, line, CONF_SECTION_READ);
	} else if (str_starts(name, "backup ") || str_starts(name, "backup\t") ||
	           strcmp(name, "backup") == 0) {
		name += strlen("backup");
		begin_job(l, line, name + strspn(name, " \t"));
	} else {
		unknown_section(l, line, name);
	}
}

static void unknown_key(struct conf_loader *l, int line, const char *name)
{
	const char *nearest = conf_nearest_key(l->section, name);
	bool is_job = l->section == CONF_SECTION_BACKUP;
	_cleanup(str) struct str hint = {0};

	for (int s = 0; s < CONF_SECTION_COUNT; s++)
		if (hint.len == 0 && conf_key_find(s, name) >= 0)
			str_appendf(&hint, "it belongs into %s", conf_sections[s].header);
	if (hint.len == 0 && nearest)
		str_appendf(&hint, "did you mean %s?", nearest);
	if (hint.len == 0) {
		str_append(&hint, "allowed:");
		for (size_t i = 0; i < conf_key_count; i++)
			if (conf_keys[i].section == l->section)
				str_appendf(&hint, " %s", conf_keys[i].name);
	}
	/* The value is not shown: it might be a secret under a mistyped name. */
	conf_problem(l, line, "%s:%d: [%s%s%s] %s: no such key; %s", l->conf.path, line,
	             conf_sections[l->section].name, is_job ? " " : "",
	             is_job ? l->conf.backups[l->job].name : "", name, str_text(&hint));
}

static void on_pair(void *arg, int line, const char *name, const char *value)
{
	struct conf_loader *l = arg;
	_cleanup(free) char *origin_text = mem_printf("%s:%d", l->conf.path, line);
	_cleanup(str) struct str title = {0};
	const struct conf_origin *first;
	int key;

	if (!l->in_section)
		conf_problem(l, line, "%s: %s: stands before the first [section]", origin_text, name);
	if (!l->in_section || l->skip)
		return;
	key = conf_key_find(l->section, name);
	if (key < 0) {
		unknown_key(l, line, name);
		return;
	}
	first = conf_origin_of(&l->conf, key, l->job);
	if (first->line == 0) {
		conf_set(l, key, l->job, value, origin_text, line, true);
		return;
	}
	conf_key_title(&l->conf, key, l->job, &title);
	str_append(&title, " = ");
	conf_value_show(&conf_keys[key], value, &title);
	conf_problem(l, line, "%s: %s: is set twice; the first time on line %d", origin_text,
	             str_text(&title), first->line);
}

static const struct conf_lines_events file_events = {on_section, on_pair, on_bad};

int conf_read_file(struct conf_loader *l)
{
	struct str text = {0};
	int r = fd_read_file(l->conf.path, FILE_MAX_BYTES, &text);

	if (r == 0)
		conf_lines_parse(str_text(&text), text.len, &file_events, l);
	else
		conf_problem(l, 0, "%s: cannot be read: %s", l->conf.path, strerror(-r));
	if (text.data)
		explicit_bzero(text.data, text.cap);
	str_finish(&text);
	return r;
}
