// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What happened to files, counted, and told in a bounded number of lines. */
#include <keepfs/base/str.h>
#include <keepfs/files.h>

enum trouble_kind { TROUBLE_CHANGED, TROUBLE_VANISHED, TROUBLE_UNREADABLE, TROUBLE_SOCKET, TROUBLE_MOUNT };
#define TROUBLE_KINDS (TROUBLE_MOUNT + 1)

struct troubles {
	const struct files_source *source;
	uint64_t counts[TROUBLE_KINDS];
	int first_errnum; /* of the first that is unreadable */
	char first_path[512];
};

/** troubles_note() - one more; @errnum: why it is unreadable, positive. */
void troubles_note(struct troubles *t, enum trouble_kind kind, const char *path, int errnum);
/** troubles_end() - tell how many were not told. */
void troubles_end(const struct troubles *t);
/** troubles_error() - the error that there are unreadable ones; fills @err. */
int troubles_error(const struct troubles *t, struct error *err);
/** path_printable() - a path for people: what is not printable UTF-8 as \ooo, cut to @bytes with "..."; "" is ".". */
void path_printable(const char *path, char *buf, size_t bytes);
