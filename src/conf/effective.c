// SPDX-License-Identifier: Apache-2.0
/* The configuration in force: what a daemon really uses, each value with its source, nothing secret. */
#include "load.h"

#include "value.h"

#include <string.h>

static void append_key(const struct conf *c, int key, size_t job, struct str *out)
{
	const struct conf_key *k = &conf_keys[key];
	/* conf_section_base() is for writers as well: nothing is written here. */
	const void *base = conf_section_base((struct conf *)c, k->section, job);
	_cleanup(str) struct str value = {0};

	conf_value_format(k, base, &value);
	str_appendf(out, "%s = ", k->name);
	conf_value_show(k, str_text(&value), out);
	if (c->origins)
		str_appendf(out, "  # %s", conf_origin_of((struct conf *)c, key, job)->text);
	str_append_char(out, '\n');
	if (value.data)
		explicit_bzero(value.data, value.cap);
}

static void append_section(const struct conf *c, enum conf_section section, size_t job, struct str *out)
{
	for (int key = 0; key < (int)conf_key_count; key++)
		if (conf_keys[key].section == section)
			append_key(c, key, job, out);
}

void conf_write_effective(const struct conf *c, struct str *out)
{
	str_appendf(out, "# The configuration in force; file: %s\n", c->path ? c->path : "none");
	str_append(out, "\n[keepfs]\n");
	append_section(c, CONF_SECTION_KEEPFS, 0, out);
	str_append(out, "\n[store]\n");
	append_section(c, CONF_SECTION_STORE, 0, out);
	str_append(out, "\n[read]\n");
	append_section(c, CONF_SECTION_READ, 0, out);
	for (size_t job = 0; job < c->backup_count; job++) {
		str_appendf(out, "\n[backup %s]\n", c->backups[job].name);
		append_section(c, CONF_SECTION_BACKUP, job, out);
	}
}
