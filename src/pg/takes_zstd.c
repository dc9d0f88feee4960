// SPDX-License-Identifier: Apache-2.0
/*
 * Whether a pg_restore was built with zstd. No option of it tells; but it warns when it opens an archive that
 * it could not decompress, even one that holds nothing. Such an archive is given to it here.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* WriteHead() of pg_backup_archiver.c: version 1.15 was the first with zstd, and newer programs read it. An
 * int is a sign and four bytes, the low one first; a text is its length and its bytes. */
static const uint8_t empty_archive[] = {
        'P', 'G', 'D', 'M', 'P', /* magic */
        1,   15,  0,             /* version */
        4,   8,                  /* bytes of an int, of an offset */
        1,                       /* custom format */
        3,                       /* zstd */
        0,   0,   0,   0,   0,   /* seconds */
        0,   0,   0,   0,   0,   /* minutes */
        0,   0,   0,   0,   0,   /* hours */
        0,   1,   0,   0,   0,   /* day */
        0,   0,   0,   0,   0,   /* month */
        0,   100, 0,   0,   0,   /* year, since 1900 */
        0,   0,   0,   0,   0,   /* no summer time */
        0,   0,   0,   0,   0,   /* database: "" */
        0,   0,   0,   0,   0,   /* server's version: "" */
        0,   0,   0,   0,   0,   /* pg_dump's version: "" */
        0,   0,   0,   0,   0,   /* entries: none */
};

struct archive_file {
	char path[PG_PATH_BYTES]; /* "": not made */
};

static inline void cleanup_archive_file(struct archive_file *file)
{
	if (file->path[0])
		unlink(file->path);
}

static int write_archive(struct archive_file *file, struct error *err)
{
	const char *directory = getenv("TMPDIR");
	_cleanup(free) char *path =
	        mem_printf("%s/keepfs-zstd-XXXXXX", directory && directory[0] ? directory : "/tmp");
	_cleanup(fd) int fd = -1;
	int r;

	if (strlen(path) >= sizeof(file->path))
		return error_system(err, ENAMETOOLONG, "making a file in %s", directory);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return error_system(err, errno, "making %s", path);
	str_copy(file->path, sizeof(file->path), path);
	r = fd_write_all(fd, empty_archive, sizeof(empty_archive));
	return r < 0 ? error_system(err, -r, "writing %s", path) : 0;
}

static int judge_program(struct proc *p, struct error *err)
{
	struct error own = {0};
	int r = proc_wait(p, &own);

	if (strstr(proc_stderr(p), "unsupported version")) /* older than 16 */
		return 0;
	if (r < 0) {
		if (err)
			*err = own;
		return r;
	}
	return strstr(proc_stderr(p), "does not support compression") == NULL;
}

int pg_program_takes_zstd(const char *pg_restore, struct cancel *cancel, struct error *err)
{
	_cleanup(archive_file) struct archive_file file = {0};
	_cleanup(proc) struct proc *p = NULL;
	int r = write_archive(&file, err);
	const char *const argv[] = {pg_restore, "--list", file.path, NULL};
	const char *const env[] = {"LC_ALL=C", NULL};
	const struct proc_options options = {.argv = argv, .extra_env = env, .cancel = cancel};

	/* Its list of an empty archive is less than a pipe holds. */
	if (r == 0)
		r = proc_start(&options, &p, err);
	return r < 0 ? r : judge_program(p, err);
}
