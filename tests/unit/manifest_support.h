// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the tests of manifests share. */
#include <stdio.h>
#include <string.h>

#include <keepfs/base/str.h>
#include <keepfs/codec/manifest.h>

#define SOURCE "manifests/backups/full/20261120T020000Z.dump.json"

static inline void read_text(const char *path, struct str *ret)
{
	FILE *f = fopen(path, "r");
	char buf[4096];
	size_t n;

	if (!f)
		fail_msg("cannot open %s", path);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		str_append_bytes(ret, buf, n);
	fclose(f);
}

/* @text with its first @from replaced by @to is refused with a message that holds @word. */
static inline void assert_refused(const char *text, const char *from, const char *to, int errnum,
                                  const char *word)
{
	_cleanup(manifest) struct manifest back = {0};
	_cleanup(str) struct str changed = {0};
	struct error err = {0};
	const char *at = strstr(text, from);

	if (!at)
		fail_msg("there is no %s", from);
	str_append_bytes(&changed, text, (size_t)(at - text));
	str_append(&changed, to);
	str_append(&changed, at + strlen(from));
	if (manifest_decode(SOURCE, str_text(&changed), changed.len, &back, &err) != -errnum)
		fail_msg("with '%s' for '%s': %s", to, from, err.message);
	assert_non_null(strstr(err.message, SOURCE));
	if (!strstr(err.message, word))
		fail_msg("no '%s' in: %s", word, err.message);
	assert_null(back.path);
}
