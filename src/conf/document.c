// SPDX-License-Identifier: Apache-2.0
/* The table for people: the commented file of `keepfs init`, the OPTIONS part of keepfs.conf(5) in scdoc's
 * format. */
#include "value.h"

#include <string.h>

#define WIDTH 100

/* "Default: …", in words. */
static void append_default(const struct conf_key *k, struct str *out)
{
	if (k->required)
		str_append(out, "none, this key has to be set");
	else if (k->computed)
		str_append(out, k->computed);
	else
		str_append(out, *k->fallback ? k->fallback : "empty");
}

/* @text as lines of at most WIDTH columns, if its words allow, each after "# ". */
static void append_comment(struct str *out, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, " ");

		/* As many more words as there is room for. */
		while (text[len] && len + 1 + strcspn(text + len + 1, " ") <= WIDTH)
			len += 1 + strcspn(text + len + 1, " ");
		str_append(out, "# ");
		str_append_bytes(out, text, len);
		str_append_char(out, '\n');
		text += len;
		text += strspn(text, " ");
	}
}

/* The first section that has the key: there it is explained. */
static enum conf_section explained_in(const struct conf_key *k)
{
	enum conf_section s = 0;

	while (!conf_key_applies(k, s))
		s++;
	return s;
}

static void append_explanation(struct str *out, const struct conf_key *k)
{
	_cleanup(str) struct str facts = {0};

	str_append_char(out, '\n');
	append_comment(out, k->help);
	str_append(&facts, "Default: ");
	append_default(k, &facts);
	str_append(&facts, ". Allowed: ");
	conf_value_allowed(k, &facts);
	str_append_char(&facts, '.');
	append_comment(out, str_text(&facts));
}

static void append_template_key(struct str *out, const struct conf_key *k, const char *value)
{
	if (value)
		str_appendf(out, "%s = %s\n", k->name, value);
	else
		str_appendf(out, "#%s = %s\n", k->name, k->example ? k->example : k->fallback);
}

/* "KEEPFS_<KEY> for [keepfs], KEEPFS_STORE_<KEY>, …, KEEPFS_BACKUP_<NAME>_<KEY>" */
static void append_variables(struct str *out)
{
	for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++) {
		str_append(out, s > 0 ? ", " : "");
		conf_variable_shape(s, out);
		if (!*conf_sections[s].env)
			str_appendf(out, " for %s", conf_sections[s].header);
	}
}

static void append_template_head(struct str *out)
{
	_cleanup(str) struct str text = {0};

	str_append(
	        &text,
	        "The configuration of keepfs. All keys are here, commented out, with their defaults or an "
	        "example: remove the '#' and change the value. A value stands on one line; a '#' or ';' "
	        "after a space begins a comment, unless it stands in quotes. Sizes are powers of 1024 (64M, 2G), "
	        "durations have a unit (500ms, 30s, 5m, 2h, 1d). Any key can be set from the environment, which wins: ");
	append_variables(&text);
	str_append(&text, ". 'keepfs check' tries everything out. More: keepfs.conf(5).");
	append_comment(out, str_text(&text));
}

/* What `keepfs init` was told. */
struct told {
	const char *state_dir, *mountpoint, *url;
};

static const char *told_value(const struct told *told, const struct conf_key *k)
{
	if (strcmp(k->name, "state_dir") == 0)
		return told->state_dir;
	if (strcmp(k->name, "mountpoint") == 0)
		return told->mountpoint;
	return k->set == CONF_KEYS_MAIN_STORE && strcmp(k->name, "url") == 0 ? told->url : NULL;
}

/* Keys that another section has, too, are explained there, and shown once more without their explanation. */
static void append_shared_keys(struct str *out, enum conf_section section)
{
	struct conf_ref ref = {.section = section, .key = -1};
	bool first = true;

	while (conf_next_key(&ref)) {
		const struct conf_key *k = &conf_keys[ref.key];
		enum conf_section other = explained_in(k);

		if (other == section)
			continue;
		if (first)
			str_appendf(out, "\n# As in %s:\n", conf_sections[other].header);
		first = false;
		/* Their examples may contradict what only this section has. */
		str_appendf(out, "#%s = %s\n", k->name,
		            k->fallback && *k->fallback ? k->fallback : k->example);
	}
}

static void append_template_section(struct str *out, enum conf_section section, const struct told *told)
{
	const struct conf_section_info *info = &conf_sections[section];
	struct conf_ref ref = {.section = section, .key = -1};

	str_append_char(out, '\n');
	append_comment(out, info->help);
	str_appendf(out, "%s%s\n", info->is_extra ? "#" : "", info->example ? info->example : info->header);
	while (conf_next_key(&ref)) {
		const struct conf_key *k = &conf_keys[ref.key];

		if (explained_in(k) != section)
			continue;
		append_explanation(out, k);
		append_template_key(out, k, told_value(told, k));
	}
	append_shared_keys(out, section);
}

void conf_write_template(struct str *out, const char *state_dir, const char *mountpoint, const char *url)
{
	const struct told told = {state_dir, mountpoint, url};

	append_template_head(out);
	for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++)
		append_template_section(out, s, &told);
}

/* Text without a meaning to scdoc. */
static void append_scdoc(struct str *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("\\_*+", *text))
			str_append_char(out, '\\');
		str_append_char(out, *text);
	}
}

static void append_man_key(struct str *out, enum conf_section section, const struct conf_key *k)
{
	_cleanup(str) struct str fallback = {0}, allowed = {0}, env = {0};

	append_default(k, &fallback);
	conf_value_allowed(k, &allowed);
	conf_key_env(section, k, "<NAME>", &env);
	str_append(out, "\n*");
	append_scdoc(out, k->name);
	str_append(out, "*\n\t");
	append_scdoc(out, k->help);
	str_append(out, "\n\n\tDefault: ");
	append_scdoc(out, str_text(&fallback));
	str_append(out, ".++\nAllowed: ");
	append_scdoc(out, str_text(&allowed));
	str_append(out, ".++\nEnvironment: ");
	append_scdoc(out, str_text(&env));
	for (size_t i = 0; i < ARRAY_SIZE(k->also) && k->also[i]; i++) {
		str_append(out, i == 0 ? ", then " : ", ");
		append_scdoc(out, k->also[i]);
	}
	str_append(out, ".");
	if (k->reload)
		str_append(out, "++\nCan be reloaded: see RELOADING.");
	str_append(out, "\n");
}

/* "As in [backup NAME]: *compression*, …" */
static void append_man_shared_keys(struct str *out, enum conf_section section)
{
	struct conf_ref ref = {.section = section, .key = -1};
	bool first = true;

	while (conf_next_key(&ref)) {
		const struct conf_key *k = &conf_keys[ref.key];
		enum conf_section other = explained_in(k);

		if (other == section)
			continue;
		if (first)
			str_appendf(out, "\nAs in %s, with variables that begin with KEEPFS\\_",
			            conf_sections[other].header);
		if (first)
			append_scdoc(out, conf_sections[section].env);
		str_append(out, !first ? ", *" : conf_section_is_named(section) ? "<NAME>\\_: *" : ": *");
		first = false;
		append_scdoc(out, k->name);
		str_append_char(out, '*');
	}
	if (!first)
		str_append(out, ".\n");
}

static void append_man_section(struct str *out, enum conf_section section)
{
	struct conf_ref ref = {.section = section, .key = -1};

	str_appendf(out, "\n## %s\n\n", conf_sections[section].header);
	append_scdoc(out, conf_sections[section].help);
	str_append_char(out, '\n');
	while (conf_next_key(&ref))
		if (explained_in(&conf_keys[ref.key]) == section)
			append_man_key(out, section, &conf_keys[ref.key]);
	append_man_shared_keys(out, section);
}

void conf_write_man(struct str *out)
{
	str_append(out, "# OPTIONS\n");
	for (enum conf_section s = 0; s < CONF_SECTION_COUNT; s++)
		append_man_section(out, s);
}
