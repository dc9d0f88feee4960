// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The way back: an archive that files_write_tar() has made is held against a directory (files_compare_begin()), and then unpacked into it
 * (files_extract_begin()). In both cases its bytes are given with files_unpack_write(), as they come, and files_unpack_finish() waits for
 * the rest; a thread of its own takes them, 2 MiB behind at most.
 *
 * Nothing is written that would lie outside of the directory: no path of the archive may be absolute or have "..", no link is followed on the
 * way to a file, neither one of the archive nor one that is there, and every directory of the archive has to come before what is in it.
 *
 * A file is made whole in a directory of its own, the stage (0700, in the directory that is unpacked into), and gets its name in one step:
 * there is never a part of one. What the archive does not have is never removed. Directories get their attributes when all
 * that is in them is there.
 *
 * Memory: the 2 MiB, what is known of each entry (1 bit), a filter of at most 32 MiB for telling what else is in the directory, and
 * the directories from the root to the entry.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stdint.h>

/** FILES_STAGE_PREFIX - what the name of every stage begins with. */
#define FILES_STAGE_PREFIX ".keepfs-restore-"

/** FILES_TEXT_BYTES - of larger files nobody is given the contents. */
#define FILES_TEXT_BYTES ((size_t)64 << 10)

/** enum files_difference - what a name is, when an archive is held against a directory */
enum files_difference {
	/* Of all but directories. Equal: in kind, content, owner (as root), mode, time of change, attributes, ACLs. */
	FILES_ADDED, /* the directory has it not */
	FILES_EQUAL, /* it is there as in the archive */
	FILES_DIFFERENT, /* it is there, and something of it is otherwise; a file, too, where the archive has a directory */
	/* A directory whose owner, mode or attributes are others; they stay so without overwrite. */
	FILES_CHANGED_DIRECTORY,
	/* In the directory, of what is chosen, and not in the archive; of a whole directory its name alone. It stays. */
	FILES_ONLY_HERE,
	/* A directory where the archive has something else; and what is no directory above what is chosen: never replaced. */
	FILES_IN_THE_WAY,
};
#define FILES_DIFFERENCES (FILES_IN_THE_WAY + 1)

struct files_unpack_options { /* all borrowed, up to the end */
	/* Absolute; a link to a directory is followed. It may not be there: then it is made. */
	const char *directory;
	/* What is named so, and what is below that, alone: keepfs/files/tree_path.h. NULL-terminated; NULL: all. */
	char *const *paths;
	const char *stage; /* name of the stage: FILES_STAGE_PREFIX and something that nobody else has */
	bool overwrite;    /* what differs is replaced */
	bool keep;         /* what differs stays as it is there; without both it is an error */
	/* Owners by their numbers, not by their names; as root only, since nobody else may give files away. */
	bool by_number;
	uint64_t entries; /* about how many the archive has; 0: unknown */
	struct cancel *cancel;
	/* One line without "\n" for each kind of trouble that somebody should know of; the thread of the unpacking. NULL. */
	void (*warn)(void *arg, const char *line);
	/* Each name as it is found, printable whatever it holds; @why: what is otherwise ("size"), or NULL. That thread. NULL. */
	void (*found)(void *arg, enum files_difference what, const char *path, const char *why);
	/* Of a comparison, after found(): both contents of a file that has others, where neither has more than FILES_TEXT_BYTES. They are wiped when it returns. That thread. NULL. */
	void (*contents)(void *arg, const char *path, const struct str *there, const struct str *backup);
	void *arg;
};

/** struct files_names - how many there are, and the first of them, for people */
struct files_names {
	uint64_t count;
	struct str first; /* "a/b, c (size)", printable; "" when there are none */
};

struct files_comparison { /* start with {0}; files_comparison_finish() */
	bool is_there;    /* the directory */
	bool is_empty;    /* ... and nothing in it, or it is not there */
	struct files_names names[FILES_DIFFERENCES];
	uint64_t new_directories;
	uint64_t
	        foreign_owners; /* files and directories that would belong to somebody else, were we root; 0 as root */
	uint64_t bytes;        /* content of what would be written */
	uint64_t needed_bytes; /* on the disk, more than is taken now, about */
	uint64_t needed_files; /* that are new there */
	/* For the extraction: entries (by their number) that need not be written. */
	uint8_t *is_equal;
	size_t is_equal_bytes;
};
void files_comparison_finish(struct files_comparison *c);
static inline void cleanup_files_comparison(struct files_comparison *c)
{
	files_comparison_finish(c);
}

struct files_outcome {
	uint64_t files, directories; /* made: files of all kinds, hard links, too */
	uint64_t replaced;           /* ... of which something was there */
	uint64_t bytes;              /* of content */
	uint64_t left_out;           /* that could not be made with the rights of this process: devices */
	uint64_t partly;             /* whose owner or attributes could not all be set */
};

struct files_unpack;
/**
 * files_compare_begin() - hold an archive against the directory; writes nothing
 * @ret_result: filled until files_unpack_finish()
 */
int files_compare_begin(const struct files_unpack_options *options, struct files_comparison *ret_result,
                        struct files_unpack **ret, struct error *err);
/**
 * files_extract_begin() - unpack it. What is equal is left; what differs is replaced with overwrite, and is else an error, as is what has
 * come since @known was found out.
 * @known:      of the same archive, directory and paths; borrowed to the end
 * @ret_result: counts, also after a failure
 */
int files_extract_begin(const struct files_unpack_options *options, const struct files_comparison *known,
                        struct files_outcome *ret_result, struct files_unpack **ret, struct error *err);
/** files_unpack_write() - the next bytes. Return: 0; of an extraction also why it has failed. A comparison tells that at its end: the bytes
 * are dropped until then. */
int files_unpack_write(struct files_unpack *u, const void *data, size_t len, struct error *err);
/**
 * files_unpack_finish() - that was all: wait, and say how it ended
 * Return: 0: all is there, and on the disk; -EBADMSG (ERROR_CORRUPT): it is no archive; -EPERM (ERROR_DENIED): it has what keepfs puts into
 * none; ERROR_NO_SPACE; -EEXIST (ERROR_CONFLICT): there is something; -ENOENT (ERROR_USAGE): it has none of a chosen path; -ECANCELED;
 * what the system said. The stage is gone but where that could not be.
 */
int files_unpack_finish(struct files_unpack *u, struct error *err);
/** files_unpack_free() - gives up what is not finished. NULL allowed; returns NULL. */
struct files_unpack *files_unpack_free(struct files_unpack *u);
DEFINE_CLEANUP(files_unpack, struct files_unpack *, files_unpack_free)

/** files_stage_clear() - remove the stage @stage of @directory, which nobody uses any more. 0 when there is none. */
int files_stage_clear(const char *directory, const char *stage);
