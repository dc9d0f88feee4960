// SPDX-License-Identifier: Apache-2.0
/* keepfs.conf, line by line: which section, which key, and what cannot be either. */
#include "load.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include "lines.h"
#include "value.h"

#include <string.h>

#define FILE_MAX_BYTES ((size_t)1 << 20)

static void on_bad_line(void *arg, int line, const char *what)
{
	struct conf_loader *l = arg;

	conf_problem(l, line, "%s:%d: the line %s", l->conf.path, line, what);
}

/* A name that is taken, by a section of any kind that shares the list. */
static void name_is_taken(struct conf_loader *l, int line, enum conf_section section, const char *name,
                          const void *same)
{
	const struct conf_list *list = conf_sections[section].list;
	enum conf_section other = conf_item_section(list, same);
	int first = conf_item_line(list, same);
	_cleanup(str) struct str title = {0}, other_title = {0};

	conf_section_title(section, name, &title);
	conf_section_title(other, name, &other_title);
	if (other == section)
		conf_problem(l, line, "%s:%d: %s: a %s of this name begins on line %d already", l->conf.path,
		             line, str_text(&title), list->item, first);
	else if (conf_sections[section].only || conf_sections[other].only)
		conf_problem(
		        l, line,
		        "%s:%d: %s: %s begins on line %d already, and %s makes a %s named %s: give the other %s another name",
		        l->conf.path, line, str_text(&title), str_text(&other_title), first,
		        conf_sections[conf_sections[section].only ? section : other].header, list->item, name,
		        list->item);
	else
		conf_problem(
		        l, line,
		        "%s:%d: %s: %s begins on line %d already, and no two %ss of any kind may have the same name: give one of them another",
		        l->conf.path, line, str_text(&title), str_text(&other_title), first, list->item);
}

static void begin_named(struct conf_loader *l, int line, enum conf_section section, const char *name)
{
	const struct conf_list *list = conf_sections[section].list;
	const char *wrong = list->name_wrong(name);
	const void *same = conf_item_find(&l->conf, list, name);

	if (same) {
		name_is_taken(l, line, section, name, same);
		l->skip = true;
		return;
	}
	if (wrong)
		conf_problem(l, line, "%s:%d: [%s %s]: the name %s; allowed: %s", l->conf.path, line,
		             conf_sections[section].name, name, wrong, list->name_allowed);
	/* Also after a wrong name, so that the section's values are looked at, too. */
	l->at = (struct conf_ref){.section = section, .item = conf_add_section(l, section, name, line)};
}

static void begin_twice(struct conf_loader *l, int line, enum conf_section section)
{
	conf_problem(l, line, "%s:%d: %s: this section begins on line %d already: put its keys there",
	             l->conf.path, line, conf_sections[section].header, l->lines[section]);
}

static void begin_single(struct conf_loader *l, int line, enum conf_section section)
{
	l->at = (struct conf_ref){.section = section};
	if (l->lines[section] > 0)
		begin_twice(l, line, section);
	else
		l->lines[section] = line;
}

/* The item of a section that is there once: its name is not in the file. */
static void begin_only(struct conf_loader *l, int line, enum conf_section section, const char *text)
{
	const struct conf_section_info *info = &conf_sections[section];

	if (*text)
		conf_problem(l, line, "%s:%d: [%s %s]: this section has no name; allowed: %s", l->conf.path,
		             line, info->name, text, info->header);
	if (l->lines[section] > 0) {
		l->at = (struct conf_ref){.section = section, .item = l->only[section]};
		begin_twice(l, line, section);
		return;
	}
	begin_named(l, line, section, info->only);
	if (l->skip)
		return;
	l->lines[section] = line;
	l->only[section] = l->at.item;
}

static void list_sections(struct str *out)
{
	for (size_t s = 0; s < CONF_SECTION_COUNT; s++)
		str_appendf(out, "%s%s", s > 0 ? ", " : "", conf_sections[s].header);
}

/* Of two of one name, [store] and [store NAME], the one that was meant. */
static int nearest_section(const char *word, bool has_name)
{
	const char *names[CONF_SECTION_COUNT], *nearest;

	for (size_t s = 0; s < CONF_SECTION_COUNT; s++)
		names[s] = conf_sections[s].name;
	nearest = conf_nearest(word, names, CONF_SECTION_COUNT);
	for (int s = 0; nearest && s < CONF_SECTION_COUNT; s++)
		if (str_equal(names[s], nearest) && has_name == conf_section_is_named((enum conf_section)s))
			return s;
	for (int s = 0; nearest && s < CONF_SECTION_COUNT; s++)
		if (str_equal(names[s], nearest))
			return s;
	return -1;
}

static void unknown_section(struct conf_loader *l, int line, const char *text)
{
	size_t len = strcspn(text, " \t");
	_cleanup(free) char *word = mem_printf("%.*s", (int)len, text);
	const char *name = text + len + strspn(text + len, " \t");
	_cleanup(str) struct str hint = {0};
	int nearest = nearest_section(word, *name != '\0');

	l->skip = true;
	if (nearest < 0) {
		str_append(&hint, "allowed: ");
		list_sections(&hint);
	} else if (conf_section_is_named((enum conf_section)nearest) && *name) {
		str_appendf(&hint, "did you mean [%s %s]?", conf_sections[nearest].name, name);
	} else {
		str_appendf(&hint, "did you mean %s?", conf_sections[nearest].header);
	}
	conf_problem(l, line, "%s:%d: [%s]: no such section; %s", l->conf.path, line, text, str_text(&hint));
}

/* What stands behind a section's own name in @text; NULL when @text is another section. */
static const char *behind_name(enum conf_section section, const char *text)
{
	size_t len = strlen(conf_sections[section].name);

	if (strncmp(text, conf_sections[section].name, len) != 0 || !strchr(" \t", text[len]))
		return NULL;
	text += len;
	return text + strspn(text, " \t");
}

static void on_section(void *arg, int line, const char *text)
{
	struct conf_loader *l = arg;

	l->in_section = true;
	l->skip = *text == '\0';
	if (l->skip)
		return;
	for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++) {
		const char *name = behind_name(s, text);

		if (name && conf_section_is_named(s)) {
			begin_named(l, line, s, name);
			return;
		}
		if (name && conf_sections[s].only) {
			begin_only(l, line, s, name);
			return;
		}
		if (strcmp(text, conf_sections[s].name) == 0) {
			begin_single(l, line, s);
			return;
		}
	}
	unknown_section(l, line, text);
}

/* "it belongs into [backup NAME]"; nothing when no section has such a key. */
static void tell_owners(const char *name, struct str *hint)
{
	for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++)
		if (conf_key_find(s, name) >= 0)
			str_appendf(hint, "%s%s", hint->len == 0 ? "it belongs into " : " or ",
			            conf_sections[s].header);
}

static void unknown_key(struct conf_loader *l, int line, const char *name)
{
	const char *nearest = conf_nearest_key(l->at.section, name);
	struct conf_ref ref = {.section = l->at.section, .key = -1};
	_cleanup(str) struct str title = {0}, hint = {0};

	conf_place_title(&l->conf, l->at, &title);
	tell_owners(name, &hint);
	if (hint.len == 0 && nearest)
		str_appendf(&hint, "did you mean %s?", nearest);
	if (hint.len == 0) {
		str_append(&hint, "allowed:");
		while (conf_next_key(&ref))
			str_appendf(&hint, " %s", conf_keys[ref.key].name);
	}
	/* The value is not shown: it might be a secret under a mistyped name. */
	conf_problem(l, line, "%s:%d: %s %s: no such key; %s", l->conf.path, line, str_text(&title), name,
	             str_text(&hint));
}

static void on_key(void *arg, int line, const char *name, const char *value)
{
	struct conf_loader *l = arg;
	_cleanup(free) char *origin_text = mem_printf("%s:%d", l->conf.path, line);
	_cleanup(str) struct str title = {0};
	const struct conf_origin *first;
	struct conf_ref ref = l->at;

	if (!l->in_section)
		conf_problem(l, line, "%s: %s: stands before the first [section]", origin_text, name);
	if (!l->in_section || l->skip)
		return;
	ref.key = conf_key_find(ref.section, name);
	if (ref.key < 0) {
		unknown_key(l, line, name);
		return;
	}
	first = conf_origin_of(&l->conf, ref);
	if (first->line == 0) {
		conf_set(l, ref, value, origin_text, line, true);
		return;
	}
	conf_ref_title(&l->conf, ref, &title);
	str_append(&title, " = ");
	conf_value_show(&conf_keys[ref.key], value, &title);
	conf_problem(l, line, "%s: %s: is set twice; the first time on line %d", origin_text,
	             str_text(&title), first->line);
}

static const struct conf_lines_events file_events = {on_section, on_key, on_bad_line};

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
