// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Between extract.c, which knows where we are in the archive, and extract_file.c, which makes one file of it. */
#include "stage.h"
#include "unpack.h"

enum level_state {
	LEVEL_PENDING, /* not chosen: it is made when something below it is */
	LEVEL_LEFT,    /* it is there, and stays as it is */
	LEVEL_OURS,    /* it gets its attributes at its end */
};

struct unfinished { /* a directory that we are in */
	char *path;
	struct put_wanted wanted;
	enum level_state state;
};

struct first_trouble {
	int errnum;
	char path[300];
};

struct extracting {
	struct files_unpack *u;
	const struct files_unpack_options *options;
	struct files_outcome *to;
	struct stage stage;
	struct unfinished *levels; /* from the root to where we are */
	size_t depth, room;
	struct unfinished root; /* path NULL: it stays as it is */
	bool made_root;
	struct first_trouble partly, left_out;
};

/** extract_trouble() - fill @err with what is wrong at @path; returns -@errnum. EEXIST: it is there, and must not be touched. */
int extract_trouble(const struct extracting *x, const char *path, int errnum, struct error *err);
/** extract_attributes() - give @fd (of O_PATH, or any) what it is to have. What cannot be given is counted. */
int extract_attributes(struct extracting *x, int fd, const struct put_wanted *w, const char *path,
                       struct error *err);
/** extract_have_stage() - for something that goes to @path. 0 or negative errno. */
int extract_have_stage(struct extracting *x, const char *path);
/** extract_make() - @e, which is no directory, under its name. @replaces: in the place of what has it. */
int extract_make(struct extracting *x, const struct untar_entry *e, bool replaces, struct error *err);
