// SPDX-License-Identifier: Apache-2.0
/* What an archive and a directory have, and have not, in common: for people, before anything is changed. */
#include "restore_files.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/variables.h>

#include <inttypes.h>
#include <pwd.h>
#include <unistd.h>

/* With a line each; the rest is in the numbers. A run's log has some thousand lines. */
#define NAMES_TOLD 200

char *restore_files_user(void)
{
	char buf[4096];
	struct passwd pw, *found = NULL;

	if (getpwuid_r(geteuid(), &pw, buf, sizeof(buf), &found) == 0 && found)
		return mem_strdup(pw.pw_name);
	return mem_printf("uid %lld", (long long)geteuid());
}

uint64_t restore_files_changes(const struct restore_files *f)
{
	return f->found.names[FILES_DIFFERENT].count + f->found.names[FILES_CHANGED_DIRECTORY].count;
}

/* What is as it should be, and what comes without changing anything, is of interest to who only asks. */
static const char *word_of(const struct restore_files *f, enum files_difference what)
{
	bool plan = f->wanted->plan;

	switch (what) {
	case FILES_ADDED:
		return plan ? "new" : NULL;
	case FILES_ONLY_HERE:
		return plan ? "only there, stays" : NULL;
	case FILES_DIFFERENT:
		return "differs";
	case FILES_CHANGED_DIRECTORY:
		return "directory that differs";
	case FILES_IN_THE_WAY:
		return "in the way";
	default:
		return NULL;
	}
}

void restore_files_name(void *arg, enum files_difference what, const char *path, const char *why)
{
	struct restore_files *f = arg;
	const char *word = word_of(f, what);

	if (!word || f->is_told || ++f->told[what] > NAMES_TOLD + 1)
		return;
	if (f->told[what] > NAMES_TOLD)
		make_say(f->order, "%s: more than %d, which are counted below", word, NAMES_TOLD);
	else
		make_say(f->order, "%s: %s%s%s%s", word, path, why ? " (" : "", str_or_empty(why),
		         why ? ")" : "");
}

struct variables_told {
	const struct restore_files *f;
	const char *path;
	uint64_t same;
};

/* Whoever can read the history must not read what is secret. */
static void tell_variable_of(void *arg, const char *name, enum variable_difference what)
{
	struct variables_told *t = arg;

	t->same += what == VARIABLE_EQUAL;
	if (what == VARIABLE_CHANGED)
		make_say(t->f->order, "%s: %s=… has another value there than in the backup", t->path, name);
	else if (what != VARIABLE_EQUAL)
		make_say(t->f->order, "%s: %s=… is only %s", t->path, name,
		         what == VARIABLE_ONLY_FIRST ? "there" : "in the backup");
}

void restore_files_contents(void *arg, const char *path, const struct str *there, const struct str *backup)
{
	struct restore_files *f = arg;
	struct variables_told told = {.f = f, .path = path};

	if (f->told[FILES_DIFFERENT] <= NAMES_TOLD &&
	    variables_compare(there, backup, tell_variable_of, &told))
		make_say(f->order, "%s: %" PRIu64 " variables are the same", path, told.same);
}

static void tell_changes(const struct restore_files *f)
{
	const struct files_names *names = f->found.names;
	bool over = f->wanted->overwrite;

	if (names[FILES_DIFFERENT].count > 0)
		make_say(f->order, "%" PRIu64 " files differ%s: %s", names[FILES_DIFFERENT].count,
		         over                  ? " and are replaced"
		         : f->wanted->of_whole ? " and stay as they are there"
		                               : "",
		         str_text(&names[FILES_DIFFERENT].first));
	if (names[FILES_CHANGED_DIRECTORY].count > 0)
		make_say(
		        f->order, "of %" PRIu64 " directories owner, mode or attributes differ: these %s: %s",
		        names[FILES_CHANGED_DIRECTORY].count,
		        over ? "become those of the backup" : "stay as they are (overwrite=yes changes them)",
		        str_text(&names[FILES_CHANGED_DIRECTORY].first));
	if (names[FILES_ONLY_HERE].count > 0)
		make_say(f->order, "%" PRIu64 " files or directories are only there, and stay: %s",
		         names[FILES_ONLY_HERE].count, str_text(&names[FILES_ONLY_HERE].first));
}

static void tell_foreign_owners(const struct restore_files *f)
{
	_cleanup(free) char *user = restore_files_user();

	if (f->found.foreign_owners == 0)
		return;
	make_warn(
	        f->order,
	        "keepfs runs as %s and not as root, so everything that is restored belongs to %s, without setuid, setgid and capabilities: %" PRIu64
	        " files and directories have other owners in the backup. To have them back, run keepfs restore as root without a mount",
	        user, user, f->found.foreign_owners);
}

void restore_files_tell(const struct restore_files *f)
{
	const struct files_comparison *found = &f->found;
	char size[16];

	make_say(f->order,
	         "%s %s: %" PRIu64 " files (%s) and %" PRIu64 " directories are new, %" PRIu64
	         " files are the same, %" PRIu64 " differ",
	         f->wanted->to,
	         !found->is_there  ? "is not there, and is made"
	         : found->is_empty ? "is empty"
	                           : "was held against the backup",
	         found->names[FILES_ADDED].count, str_format_bytes(size, sizeof(size), found->bytes),
	         found->new_directories, found->names[FILES_EQUAL].count,
	         found->names[FILES_DIFFERENT].count);
	tell_changes(f);
	tell_foreign_owners(f);
}
