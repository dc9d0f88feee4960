// SPDX-License-Identifier: Apache-2.0
#include "troubles.h"

#include <keepfs/base/str.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define TOLD_OF_A_KIND 20

static const struct {
	const char *one, *others; /* the rest of the line behind a name, and behind a number */
} texts[TROUBLE_KINDS] = {
        [TROUBLE_CHANGED] = {"changed while it was read: the archive may hold a mix of old and new",
                             "further files changed while they were read"},
        [TROUBLE_VANISHED] = {"vanished before it could be read",
                              "further files vanished before they could be read"},
        [TROUBLE_UNREADABLE] = {"cannot be read", "further files cannot be read"},
        [TROUBLE_SOCKET] = {"is a socket, which an archive cannot hold: left out",
                            "further sockets were left out"},
        [TROUBLE_MOUNT] = {"something else is mounted here: its content is left out",
                           "further names are of another mount and were left out"},
};

static void append_printable(struct str *out, const char *path)
{
	while (*path) {
		unsigned char c = (unsigned char)*path;
		size_t n = str_utf8_char(path);

		if (n > 1 || (c >= 0x20 && c < 0x7f && c != '\\')) {
			str_append_bytes(out, path, n);
			path += n;
		} else {
			str_appendf(out, "\\%03o", c);
			path++;
		}
	}
}

void path_printable(const char *path, char *buf, size_t bytes)
{
	_cleanup(str) struct str text = {0};

	append_printable(&text, *path ? path : ".");
	str_cut(buf, bytes, str_text(&text));
}

static void tell_trouble(const struct troubles *t, enum trouble_kind kind, const char *path, int errnum)
{
	_cleanup(str) struct str line = {0};
	char name[sizeof(t->first_path)];

	if (!t->source->say || t->counts[kind] > TOLD_OF_A_KIND)
		return;
	path_printable(path, name, sizeof(name));
	str_appendf(&line, "%s: %s", name, texts[kind].one);
	if (errnum)
		str_appendf(&line, ": %s", strerror(errnum));
	t->source->say(t->source->arg, str_text(&line));
}

void troubles_note(struct troubles *t, enum trouble_kind kind, const char *path, int errnum)
{
	t->counts[kind]++;
	if (kind == TROUBLE_UNREADABLE && t->counts[kind] == 1) {
		path_printable(path, t->first_path, sizeof(t->first_path));
		t->first_errnum = errnum;
	}
	tell_trouble(t, kind, path, errnum);
}

void troubles_end(const struct troubles *t)
{
	for (size_t kind = 0; kind < TROUBLE_KINDS && t->source->say; kind++) {
		_cleanup(str) struct str line = {0};

		if (t->counts[kind] <= TOLD_OF_A_KIND)
			continue;
		str_appendf(&line, "and %" PRIu64 " %s", t->counts[kind] - TOLD_OF_A_KIND,
		            texts[kind].others);
		t->source->say(t->source->arg, str_text(&line));
	}
}

int troubles_error(const struct troubles *t, struct error *err)
{
	uint64_t others = t->counts[TROUBLE_UNREADABLE] - 1;
	char more[64] = "";

	if (others > 0)
		snprintf(more, sizeof(more), " (and %" PRIu64 " more)", others);
	return error_set(
	        err, t->first_errnum == EACCES || t->first_errnum == EPERM ? ERROR_DENIED : ERROR_UNAVAILABLE,
	        t->first_errnum,
	        "%.200s%s%.200s: cannot read \"%s\"%s: %s. Give keepfs the right to read, exclude it, or set skip_unreadable = yes to back up the rest",
	        t->source->root, t->source->below ? "/" : "", str_or_empty(t->source->below), t->first_path,
	        more, strerror(t->first_errnum));
}
