// SPDX-License-Identifier: Apache-2.0
/*
 * Which of the client programs on this host to use. pg_dump refuses a server that is newer than itself, and
 * reads older ones; the nearest version is taken, because an archive can only be read by a pg_restore that is
 * as new as the pg_dump that made it.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define ASK_VERSION_MS       60000  /* one that hangs, on a file system that is gone say, is none */
#define FIRST_OF_NEW_NUMBERS 100000 /* until 9.6 the first two numbers were the major version */

struct program {
	char path[PG_PATH_BYTES];
	char version[128];
	int major; /* 150000; 90600; 0: none */
};

struct choice {
	const char *name;
	int wanted;          /* major version of the server */
	struct program best; /* the nearest that is new enough */
	struct str found;    /* what there is, for the message */
	struct str tried;    /* real paths, each between '\n': a program that is reached twice counts once */
};

static int major_of(int version_num)
{
	return version_num >= FIRST_OF_NEW_NUMBERS ? version_num / 10000 * 10000 : version_num / 100 * 100;
}

/* "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n" */
static int parse_version(const char *said, struct program *program)
{
	static const char mark[] = "(PostgreSQL) ";
	const char *text = strstr(said, mark);
	char *rest;
	long first, second = 0;

	if (!text)
		return -EINVAL;
	text += strlen(mark);
	first = strtol(text, &rest, 10);
	if (rest == text || first < 1 || first > 999)
		return -EINVAL;
	if (*rest == '.')
		second = strtol(rest + 1, NULL, 10);
	if (second < 0 || second > 99)
		second = 99;
	program->major = major_of((int)(first * 10000 + (first < 10 ? second * 100 : 0)));
	str_copy(program->version, sizeof(program->version), text);
	program->version[strcspn(program->version, "\n")] = '\0';
	return 0;
}

/* Is it a program that was not seen yet, and no script under another name? */
static bool is_new(struct choice *choice, const char *path)
{
	_cleanup(free) char *real = realpath(path, NULL);
	_cleanup(free) char *line = NULL;
	const char *slash;

	if (!real || access(real, X_OK) < 0)
		return false;
	slash = strrchr(real, '/');
	if (!slash || strcmp(slash + 1, choice->name) != 0)
		return false;
	line = mem_printf("\n%s\n", real);
	if (strstr(str_text(&choice->tried), line))
		return false;
	str_append(&choice->tried, line);
	return true;
}

static void consider_program(struct choice *choice, const char *path)
{
	const char *const argv[] = {path, "--version", NULL};
	_cleanup(str) struct str said = {0};
	struct program program = {0};

	if (strlen(path) >= sizeof(program.path) || !is_new(choice, path))
		return;
	str_copy(program.path, sizeof(program.path), path);
	if (proc_capture(argv, ASK_VERSION_MS, &said, NULL) < 0 ||
	    parse_version(str_text(&said), &program) < 0)
		return;
	str_appendf(&choice->found, "%s%s (%s)", choice->found.len ? ", " : "", path, program.version);
	if (program.major >= choice->wanted &&
	    (choice->best.major == 0 || program.major < choice->best.major))
		choice->best = program;
}

static void consider_in(struct choice *choice, const char *directory)
{
	_cleanup(free) char *path = mem_printf("%s/%s", directory, choice->name);

	consider_program(choice, path);
}

static void consider_path_variable(struct choice *choice)
{
	_cleanup(free) char *copy = mem_strdup(getenv("PATH"));
	char *rest = copy, *directory;

	while (rest && (directory = strsep(&rest, ":"))) {
		if (directory[0] == '/')
			consider_in(choice, directory);
	}
}

static void consider_pattern(struct choice *choice, const char *pattern)
{
	glob_t found;

	if (glob(pattern, GLOB_ONLYDIR, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			consider_in(choice, found.gl_pathv[i]);
		globfree(&found);
	}
}

static int not_found(const struct choice *choice, const char *bindir, struct error *err)
{
	int major = choice->wanted / 10000, minor = choice->wanted / 100 % 100;
	bool is_server = strcmp(choice->name, "initdb") == 0;
	const char *key = is_server ? "drill_bindir" : "pg_bindir";
	char version[16];

	if (major >= 10)
		snprintf(version, sizeof(version), "%d", major);
	else
		snprintf(version, sizeof(version), "%d.%d", major, minor);
	return error_set(
	        err, ERROR_USAGE, ENOENT,
	        "no %s for a server of version %s: it must be %s or newer. Found %s%s%s%s. Install postgresql-%s%s, or name the directory of the programs: %s",
	        choice->name, version, version, choice->found.len ? "only " : "none",
	        str_text(&choice->found), bindir ? " in " : "", bindir ? key : "", is_server ? "" : "client-",
	        version, key);
}

int pg_find_program(const char *name, const char *bindir, int version_num,
                    char ret_path[static PG_PATH_BYTES], char ret_version[static 128], struct error *err)
{
	struct choice choice = {.name = name, .wanted = major_of(version_num)};
	int r = 0;

	if (bindir && bindir[0]) {
		consider_in(&choice, bindir);
	} else {
		consider_path_variable(&choice);
		consider_pattern(&choice, "/usr/lib/postgresql/*/bin");
		consider_pattern(&choice, "/usr/pgsql-*/bin");
		bindir = NULL;
	}
	if (choice.best.major == 0) {
		r = not_found(&choice, bindir, err);
	} else {
		str_copy(ret_path, PG_PATH_BYTES, choice.best.path);
		str_copy(ret_version, 128, choice.best.version);
	}
	str_finish(&choice.found);
	str_finish(&choice.tried);
	return r;
}
