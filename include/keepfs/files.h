// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Directories as archives: what is below a directory goes as a tar into a sink, with everything that GNU tar and rsync can bring
 * back: owners, modes, times to the nanosecond, ACLs and extended attributes, hard links, holes, names of any bytes and any
 * length. Memory is bounded by one buffer of 1 MiB, the names of one directory per level (100,000 at a time), and the files that
 * have further hard links. No temporary file, and the process' working directory stays as it is.
 *
 * `tar --acls --xattrs --xattrs-include='*' -xpf FILE` (GNU tar 1.27 or newer) brings everything back.
 *
 * The daemon reads what belongs to others, so nothing is trusted twice: each name is opened once, without following a link, and
 * what it is is asked of what was opened. /proc has to be mounted, since only it reopens what was opened that way.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/make.h>
#include <keepfs/stream.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/** struct files_source - which directory, and what of it; everything is borrowed */
struct files_source {
	const char *root;  /* absolute; may itself be a link to a directory */
	const char *below; /* a directory below it, reached without following a link; NULL: the root itself */
	char *const *exclude; /* patterns (keepfs/files/exclude.h), ended by NULL; NULL: none */
	bool cross_mounts;    /* false: a directory where something else is mounted is archived empty */
	int64_t now_us; /* for files_subdirectories(): a time of change that is later was set by somebody */
	struct cancel *cancel;
	/* One line without "\n" for each trouble that a person should know of, at most 20 of a kind, then how many there are more;
	 * names in it are printable, whatever they hold. NULL: nobody asks. */
	void (*say)(void *arg, const char *line);
	void *arg; /* for all functions here */
};

struct files_options {
	struct files_source source;
	const char *
	        prefix; /* in front of all names in the archive: "PREFIX/a"; NULL: "./a", as of `tar -C root -c .` */
	bool skip_unreadable;                 /* false: a file that cannot be read is an error */
	struct sink *sink;                    /* is not finished here */
	atomic_uint_least64_t *written_bytes; /* a live count of the archive's bytes; NULL */
	/* called after each piece of at most 1 MiB; waits to keep to a rate, or ends it with an error; NULL */
	int (*pace)(void *arg, uint64_t bytes, struct error *err);
};

struct files_facts {
	/* What is in the archive: together they are its entries. */
	uint64_t files, directories, symlinks, hard_links, specials; /* specials: fifos and devices */
	uint64_t content_bytes; /* of the files, holes counted, hard links not */
	uint64_t archive_bytes;
	/* What is not as one might think. */
	uint64_t changed;    /* files that were written to while they were read */
	uint64_t vanished;   /* names that were gone, or something else, before they could be read */
	uint64_t unreadable; /* files and directories, with skip_unreadable */
	uint64_t sockets, other_mounts, excluded; /* left out */
};

/**
 * files_write_tar() - write the archive, to its two blocks of zeros and a multiple of 10240 bytes
 *
 * One thread, blocks for as long as reading and the sink take; -ECANCELED within a second of a cancel, unless a file system or
 * the sink does not answer. Names of a directory come in the order of their bytes.
 *
 * Files that change or vanish meanwhile are told and counted, and end nothing: a file has the size that it had when it was
 * opened, in zeros when it became shorter. What cannot be read (the rights, a broken disk) is an error, unless skip_unreadable:
 * its text names the first and the number of all that were found, for which the rest is gone through but not read any more. Where reading
 * fails within a file zeros stand for the rest of it.
 *
 * Return: 0 with @ret filled; negative errno, and what is in the sink is of no use.
 */
int files_write_tar(const struct files_options *options, struct files_facts *ret, struct error *err);

/** struct files_subdirectory - one that matched */
struct files_subdirectory {
	const char *path; /* relative to the root; borrowed for the call */
	/* When anything in it changed last: the newest time of change of itself and all below it (ctime, which nobody can set, and
	 * mtime unless it is in the future). What is excluded or mounted is not looked at. */
	int64_t changed_at_us;
	/* Why it cannot be judged: something in it, or what should hold such ones, could not be looked at, or another file
	 * system is mounted there and cross_mounts is false. NULL: nothing is wrong. */
	const char *problem;
};

/**
 * files_subdirectories() - all subdirectories of @source whose path matches @pattern, in the order of their names
 * @pattern: one pattern for each level, "*" or "projects/2*": not in the sense of exclude, it always begins at the root; slashes
 *           at its ends are allowed, `**` is not
 * @row:     negative ends it with that error
 *
 * Reads no file, but the attributes of all in them. Links are not followed, and are no subdirectories.
 */
int files_subdirectories(const struct files_source *source, const char *pattern,
                         int (*row)(void *arg, const struct files_subdirectory *d, struct error *err),
                         struct error *err);

/** files_kind - the kind of jobs that archive directories, [files NAME]. */
extern const struct make_kind files_kind;
