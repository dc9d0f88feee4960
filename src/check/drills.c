// SPDX-License-Identifier: Apache-2.0
/* Could a throw-away server be made, where drills are to begin by themselves? */
#include "check_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>
#include <keepfs/policy/schedule.h>

#include <pwd.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static bool has_databases(const struct conf *conf, const struct conf_job *job)
{
	if (job->kind == CONF_JOB_DUMP)
		return true;
	for (size_t i = 0; i < conf->job_count; i++)
		if (conf->jobs[i].kind == CONF_JOB_DUMP && conf_bundle_has_part(job, conf->jobs[i].name))
			return true;
	return false;
}

static bool needs_server(const struct conf *conf, const struct conf_job *job)
{
	struct schedule schedule;

	return has_databases(conf, job) && job->drill && schedule_parse(job->drill, &schedule, NULL) == 0 &&
	       !schedule_is_off(&schedule) && !(job->drill_server && *job->drill_server);
}

static bool has_user(const char *name)
{
	struct passwd entry, *found = NULL;
	char buf[4096];

	return geteuid() != 0 ||
	       (getpwnam_r(name, &entry, buf, sizeof(buf), &found) == 0 && found && found->pw_uid != 0);
}

/* Of the directory, or of what of its path is there already. */
static uint64_t free_bytes(char *path)
{
	struct statvfs fs;
	char *slash;

	while (statvfs(path, &fs) < 0) {
		slash = strrchr(path, '/');
		if (!slash || slash == path)
			return 0;
		*slash = '\0';
	}
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

static void probe_server(struct probe *p, const struct conf *conf)
{
	_cleanup(free) char *directory = conf_drill_dir(conf), *existing = mem_strdup(directory);
	char path[PG_PATH_BYTES], version[128], room[16];
	struct error err = {0};

	/* Which version is needed, the backup says: that there is one at all is what can be known now. */
	if (pg_find_program("initdb", conf->drill_bindir, 100000, path, version, &err) < 0) {
		probe_add_failure(p, "drill", NULL, "%s; or name another server: drill_server", err.message);
		return;
	}
	if (!has_user(conf->drill_user)) {
		probe_add_failure(
		        p, "drill", NULL,
		        "keepfs runs as root, as whom PostgreSQL does not run, and there is no other user %.60s: name one, [keepfs] drill_user",
		        conf->drill_user);
		return;
	}
	probe_add(p, true, "drill", "%s (%s) makes throw-away servers in %s, where %s are free%s", path,
	          version, directory, str_format_bytes(room, sizeof(room), free_bytes(existing)),
	          conf_drill_user_is_trusted(conf)
	                  ? "; but as postgres (drill_user), who owns the clusters of this host: name another"
	                  : "");
}

void probe_drills(struct probe *p, const struct conf *conf)
{
	for (size_t i = 0; i < conf->job_count; i++) {
		if (needs_server(conf, &conf->jobs[i])) {
			probe_server(p, conf);
			return;
		}
	}
}
