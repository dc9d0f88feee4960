// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Files that keepfs makes, by tables: status/ (status.c), control/ (control.c) and jobs/<run>/ (jobs.c). One
 * file is one row and one function. A row is either a text, which has `generation` and one of `write`, `report`
 * and `follow`, or a command file, which has `run`; tests/unit/test_fs_tables.c holds that.
 */
#include "node.h"

#include <keepfs/base/spool.h>
#include <keepfs/base/str.h>
#include <keepfs/report/status.h>

#include <stddef.h>

struct command;

struct made_file {
	/* Says the inode number and the offset in the directory, so it is never changed, nor given to another
	 * file. Below 28; ascending in its table; of status/ and control/ together each only once. */
	unsigned number;
	const char *name;

	/* A text. write: all of it into @out; 0 or negative errno (an error, then, for whoever opens it;
	 * never a shorter text). Any thread; may wait for the local disk. */
	int (*write)(struct fs *fs, const struct node *node, struct spool *out);
	/* The same, of the room report: it is given status_sources(). */
	int (*report)(const struct report_sources *from, struct spool *out);
	/* Of a text to which lines are added, so that `tail -f` shows them. With *@position = REPORT_WHOLE (room report)
	 * all of it, as `write`; else what came behind *@position, in the order in which it came, perhaps not all of it
	 * at once. *@position is moved behind what was written. */
	int (*follow)(struct fs *fs, const struct node *node, int64_t *position, struct spool *out);
	/* A number that differs whenever the text could: the text is made anew only then. One of text.h, or
	 * the file's own. */
	uint64_t (*generation)(struct fs *fs, const struct node *node);
	/* It takes long enough that only an open makes it: stat tells the size of the last one, and 0 while there was
	 * none, so that nobody waits for `ls -l status`. */
	bool is_costly;
	/* Of `follow`: the text is only the beginning, and what is behind it was there from the start. It is made when
	 * somebody reads so far, a page at a time, and an empty page is the end. */
	bool has_pages;

	/* A command file. run: carry out what was written (c->text); 0, or negative errno with @err, which
	 * the writer gets. @answer is what can be read afterwards. It writes the audit itself. On a worker of
	 * this room: may wait for the network. */
	int (*run)(struct command *c, struct str *answer, struct error *err);
	const char *help; /* whole lines: the paragraph of control/README */
	/* It changes what the store holds, or what begins by itself: a reader ([keepfs] role) refuses it. */
	bool of_writer;
	/* What it changes can be told by nothing but the catalog, and must not wait for tomorrow's copy of that. */
	bool copied_soon;
};

struct made_files { /* of one directory */
	const struct made_file *rows;
	size_t count;
	const struct node_class *text_class;
	uint64_t first_ino; /* of number 0; 0: the one behind that of the directory */
};

extern const struct made_files status_files, control_files, run_files;

/** status_sources() - whom the texts of the room report ask, as of now; @conf: fs_conf_ref()'s. */
struct report_sources status_sources(struct fs *fs, const struct conf *conf);

/** made_file_at() - the row with @number; NULL: there is none. */
const struct made_file *made_file_at(const struct made_files *files, uint64_t number);
/** node_of_made_file() - the node of a file of @directory (which has .files), without a query. */
void node_of_made_file(const struct node *directory, const struct made_file *file, struct node *ret);

/* The slots of a class whose directories hold nothing but made files. */
int made_files_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret);
/* made_files_list_until() - those whose number is below @end; false: the page is full. */
bool made_files_list_until(const struct node *directory, off_t after, unsigned end, struct listing *l);
int made_files_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l);
