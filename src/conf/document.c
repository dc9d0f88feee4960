// SPDX-License-Identifier: Apache-2.0
/* The table for people: the commented file of `keepfs init`, the OPTIONS part of keepfs.conf(5) in scdoc's
 * format. */
#include "value.h"

#include <string.h>

#define WIDTH 100

/* "Default: …", in words. */
static void append_default(const struct conf_key *k, struct str *out)
{
	if (k->computed)
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

static void append_template_key(struct str *out, const struct conf_key *k, const char *value)
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
	if (value)
		str_appendf(out, "%s = %s\n", k->name, value);
	else
		str_appendf(out, "#%s = %s\n", k->name, k->example ? k->example : k->fallback);
}

void conf_write_template(struct str *out, const char *state_dir, const char *mountpoint, const char *url)
{
	append_comment(
	        out,
	        "The configuration of keepfs. All keys are here, commented out, with their defaults or an "
	        "example: remove the '#' and change the value. A value stands on one line; a '#' or ';' "
	        "after a space begins a comment. Sizes are powers of 1024 (64M, 2G), durations have a unit "
	        "(500ms, 30s, 5m, 2h, 1d). Any key can be set from the environment, which wins: "
	        "KEEPFS_<KEY> for [keepfs], KEEPFS_STORE_<KEY>, KEEPFS_READ_<KEY>, "
	        "KEEPFS_BACKUP_<NAME>_<KEY>. 'keepfs check' "
	        "tries everything out. More: keepfs.conf(5).");
	for (int s = 0; s < CONF_SECTION_COUNT; s++) {
		str_append_char(out, '\n');
		append_comment(out, conf_sections[s].help);
		str_appendf(out, "%s\n",
		            s == CONF_SECTION_BACKUP ? "[backup full]" : conf_sections[s].header);
		for (size_t i = 0; i < conf_key_count; i++) {
			const struct conf_key *k = &conf_keys[i];

			if (k->section != (enum conf_section)s)
				continue;
			append_template_key(out, k,
			                    strcmp(k->name, "state_dir") == 0    ? state_dir
			                    : strcmp(k->name, "mountpoint") == 0 ? mountpoint
			                    : strcmp(k->name, "url") == 0        ? url
			                                                         : NULL);
		}
	}
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

static void append_man_key(struct str *out, const struct conf_key *k)
{
	_cleanup(str) struct str fallback = {0}, allowed = {0}, env = {0};

	append_default(k, &fallback);
	conf_value_allowed(k, &allowed);
	conf_key_env(k, "<NAME>", &env);
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
	str_append(out, ".\n");
}

void conf_write_man(struct str *out)
{
	str_append(out, "# OPTIONS\n");
	for (int s = 0; s < CONF_SECTION_COUNT; s++) {
		str_appendf(out, "\n## %s\n\n", conf_sections[s].header);
		append_scdoc(out, conf_sections[s].help);
		str_append_char(out, '\n');
		for (size_t i = 0; i < conf_key_count; i++)
			if (conf_keys[i].section == (enum conf_section)s)
				append_man_key(out, &conf_keys[i]);
	}
}
