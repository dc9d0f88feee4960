// SPDX-License-Identifier: Apache-2.0
/* Finding and listing the rows of a directory of made files. */
#include "made_file.h"

#include "dir.h"

#include <limits.h>
#include <errno.h>
#include <string.h>

const struct made_file *made_file_at(const struct made_files *files, uint64_t number)
{
	for (size_t i = 0; i < files->count; i++) {
		if (files->rows[i].number == number)
			return &files->rows[i];
	}
	return NULL;
}

void node_of_made_file(const struct node *directory, const struct made_file *file, struct node *ret)
{
	const struct made_files *files = directory->files;
	uint64_t first = files->first_ino ? files->first_ino : directory->ino + 1;

	*ret = (struct node){
	        .ino = first + file->number,
	        .class = file->run ? &class_command : files->text_class,
	        .file = file,
	        .run = directory->run,
	};
}

int made_files_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	const struct made_files *files = directory->files;

	for (size_t i = 0; i < files->count; i++) {
		if (strcmp(files->rows[i].name, name) == 0) {
			node_of_made_file(directory, &files->rows[i], ret);
			return 0;
		}
	}
	return -ENOENT;
}

bool made_files_list_until(const struct node *directory, off_t after, unsigned end, struct listing *l)
{
	const struct made_files *files = directory->files;

	for (size_t i = 0; i < files->count; i++) {
		const struct made_file *file = &files->rows[i];
		struct node node;

		if (file->number < listing_position(after) || file->number >= end)
			continue;
		node_of_made_file(directory, file, &node);
		if (!listing_add(l, file->name, &node, OFFSET_FIXED + (off_t)file->number))
			return false;
	}
	return true;
}

int made_files_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	(void)made_files_list_until(directory, after, UINT_MAX, l);
	return 0;
}
