// SPDX-License-Identifier: Apache-2.0
/* The configuration in force: what a daemon really uses, each value with its source, nothing secret. */
#include "load.h"

#include "value.h"

#include <string.h>

static void append_key(const struct conf *c, struct conf_ref ref, struct str *out)
{
	const struct conf_key *k = &conf_keys[ref.key];
	const struct conf_origin *origin = conf_origin_of(c, ref);
	_cleanup(str) struct str value = {0};

	if (ref.section == CONF_SECTION_CLASS && !conf_key_is_given(c, ref)) {
		str_appendf(out, "# %s: as the job says\n", k->name);
		return;
	}
	conf_value_format(k, conf_base(c, ref), &value);
	str_appendf(out, "%s = ", k->name);
	conf_value_show(k, str_text(&value), out);
	if (origin)
		str_appendf(out, "  # %s", origin->text);
	str_append_char(out, '\n');
	if (value.data)
		explicit_bzero(value.data, value.cap);
}

void conf_write_effective(const struct conf *c, struct str *out)
{
	struct conf_ref ref;

	str_appendf(out, "# The configuration in force; file: %s\n", c->path ? c->path : "none");
	for (size_t n = 0; conf_place(c, n, &ref); n++) {
		str_append_char(out, '\n');
		conf_place_title(c, ref, out);
		str_append_char(out, '\n');
		while (conf_next_key(&ref))
			append_key(c, ref, out);
	}
}
