// SPDX-License-Identifier: Apache-2.0
/* A throw-away server on a cluster that the caller brings: it reads a configuration of ours, and whoever gets at its socket, which nobody but its user does, is let in. */
#include "scratch.h"

#include "session.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LOGIN_MS 30000

static int write_owned(int dir_fd, const char *name, const char *text, uid_t uid, gid_t gid)
{
	_cleanup(fd) int fd = -1;
	int r;

	if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, text, strlen(text));
	return r < 0 ? r : fchown(fd, uid, gid) < 0 ? -errno : 0;
}

int pg_scratch_put(const struct pg_scratch_filling *f, const char *name, const char *text, struct error *err)
{
	_cleanup(fd) int dir_fd = open(f->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int r = dir_fd < 0 ? -errno : write_owned(dir_fd, name, text, f->uid, f->gid);

	return r < 0 ? error_system(err, -r, "%s/%s cannot be written", f->place, name) : 0;
}

int scratch_fill(struct pg_scratch *s, struct error *err)
{
	_cleanup(free) char *data = mem_printf("%s/" SCRATCH_DATA, s->place.path);
	const struct pg_scratch_filling f = {.place = s->place.path,
	                                     .data = data,
	                                     .uid = s->uid,
	                                     .gid = s->gid,
	                                     .room_bytes = s->disk_bytes,
	                                     .cancel = &s->cancel};
	int r = pg_scratch_put(&f, SCRATCH_CONF,
	                       "# A drill's server has all its settings from its command line.\n", err);

	if (r == 0)
		r = pg_scratch_put(&f, SCRATCH_HBA, "local all all trust\n", err);
	if (r == 0)
		r = pg_scratch_put(&f, SCRATCH_IDENT, "", err);
	return r < 0 ? r : s->options.fill(s->options.fill_arg, &f, err);
}

/* Any role may see who is a superuser. */
static int ask_for_superuser(struct pg_scratch *s, const char *candidate, char **ret, struct error *err)
{
	static const char sql[] =
	        "SELECT rolname FROM pg_catalog.pg_roles WHERE rolsuper AND rolcanlogin ORDER BY oid LIMIT 1";
	_cleanup(pg_session) struct pg_session *session = NULL;
	int r;

	mem_replace_string(&s->role, candidate);
	scratch_name_connection(s);
	r = pg_session_open(s->conninfo, NULL, "keepfs drill", &s->cancel, &session, err);
	if (r < 0)
		return r;
	session->limit_ms = LOGIN_MS;
	return pg_session_value(session, sql, ret, err);
}

int pg_scratch_take_role(struct pg_scratch *s, const char *const *candidates, size_t count, struct error *err)
{
	_cleanup(free) char *found = NULL;
	struct error last = {0};
	int r = -ENOENT;

	for (size_t i = 0; !found && i < count; i++)
		if (candidates[i] && *candidates[i])
			r = ask_for_superuser(s, candidates[i], &found, &last);
	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (!found)
		return error_set(
		        err, ERROR_DENIED, ENOENT,
		        "the restored server has no superuser who may log in, as far as could be found out: neither the role postgres nor that of database of the section is let in (%.300s)",
		        r < 0 ? last.message : "each says that there is none");
	mem_replace_string(&s->role, found);
	scratch_name_connection(s);
	return 0;
}
