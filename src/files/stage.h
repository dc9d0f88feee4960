// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Where files are made until they are whole: a directory that nobody else may look into, on the file system of the place where they go. */
#include <sys/types.h>

#define STAGED "f" /* the name of the one file in it */

struct stage {            /* start with {.fd = -1, .at = -1} */
	const char *name; /* borrowed */
	int fd;           /* of O_PATH; -1: there is none now */
	int at;           /* the directory that it is in */
	dev_t device;
};

/** stage_open() - have one on the file system of the directory @wanted: that which there is, or a new one in @root where that will do, or in
 * @wanted itself. Both are of O_PATH. 0 or negative errno. */
int stage_open(struct stage *s, int root, int wanted);
/** stage_close() - with what is in it. */
void stage_close(struct stage *s);
