// SPDX-License-Identifier: Apache-2.0
/*
 * A server on what was restored, by pg_ctl of its own major version, as whoever owns the directory. What it is doing stands in its control file, and, while it may be asked, it says itself; nothing would tell of it, so it is looked at
 * several times a second.
 */
#include "restore_cluster.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/pg_control.h>
#include <keepfs/pg.h>
#include <keepfs/pg/recovering.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS        300
#define ASK_MS         5000
#define UNANSWERED_MAX 20
#define APPEAR_MS      60000 /* until it has written its number */
#define START_MS       60000
#define SETSID         "/usr/bin/setsid"
#define LOG_NAME       "keepfs-start.log"
#define LOG_SHOWN      1024
#define PID_LINES      8
#define ARGUMENTS      24

struct starting {
	const struct restore_start *s;
	char bindir[PG_PATH_BYTES];
	char *log;        /* path */
	int64_t until_ms; /* until then it need not be there yet */
	bool is_seen, is_unknown;
	bool takes_questions; /* it says so */
	unsigned unanswered;  /* questions */
	char state[128];      /* what it said of itself the last time */
};

static int find_pg_ctl(struct starting *g, struct error *err)
{
	_cleanup(free) char *real = NULL;
	char version[128];
	int wanted = g->s->version_num / 10000;
	int r = pg_find_program("pg_ctl", g->s->bindir, g->s->version_num, g->bindir, version, err);

	if (r == 0 && strtol(version, NULL, 10) != wanted)
		r = error_set(
		        err, ERROR_USAGE, ENOENT,
		        "no server of PostgreSQL %d was found on this host (the nearest is %s, %s): install postgresql-%d, or leave start=yes out",
		        wanted, g->bindir, version, wanted);
	if (r < 0)
		return r;
	/* Where a link leads to the others are, too. */
	real = realpath(g->bindir, NULL);
	if (real)
		str_copy(g->bindir, sizeof(g->bindir), real);
	*strrchr(g->bindir, '/') = '\0';
	return 0;
}

int restore_start_check(const struct restore_start *s, struct error *err)
{
	struct starting g = {.s = s};

	return find_pg_ctl(&g, err);
}

/* A program as the owner of the directory. */
struct owner_arguments {
	const char *items[ARGUMENTS];
	size_t count;
	char uid[32], gid[32];
};

static void add_owner_argument(struct owner_arguments *a, const char *text)
{
	a->items[a->count++] = text;
}

static void begin_as_owner(const struct restore_start *s, struct owner_arguments *a)
{
	if (geteuid() != 0 || s->uid == 0)
		return;
	snprintf(a->uid, sizeof(a->uid), "--reuid=%u", (unsigned)s->uid);
	snprintf(a->gid, sizeof(a->gid), "--regid=%u", (unsigned)s->gid);
	add_owner_argument(a, access("/usr/bin/setpriv", X_OK) == 0 ? "/usr/bin/setpriv" : "/bin/setpriv");
	add_owner_argument(a, a->uid);
	add_owner_argument(a, a->gid);
	add_owner_argument(a, "--init-groups");
	add_owner_argument(a, "--");
}

static void say_server_line(void *arg, const char *line)
{
	make_say(((const struct starting *)arg)->s->order, "pg_ctl: %s", line);
}

/* Of Debian's the data directory is another one. pg_ctl gives what stands behind -o to a shell. */
static char *options_of_server(const struct restore_start *s)
{
	_cleanup(free) char *config = NULL, *data = NULL;
	_cleanup(str) struct str text = {0};

	if (!s->config)
		return NULL;
	config = mem_printf("config_file=%s", s->config);
	data = mem_printf("data_directory=%s", s->directory);
	str_append(&text, "-c ");
	str_append_shell_word(&text, config);
	str_append(&text, " -c ");
	str_append_shell_word(&text, data);
	return str_take(&text);
}

static int order_start(struct starting *g, struct error *err)
{
	_cleanup(free) char *pg_ctl = mem_printf("%s/pg_ctl", g->bindir), *own = options_of_server(g->s);
	_cleanup(proc) struct proc *p = NULL;
	struct owner_arguments a = {0};
	const struct proc_options options = {.argv = a.items,
	                                     .env = PROC_ENV_SERVER,
	                                     .on_stderr_line = say_server_line,
	                                     .arg = g,
	                                     .timeout_ms = START_MS,
	                                     .output_to_lines = true};
	int r;

	/* What is left of a child's group when that has ended is killed: pg_ctl may end before the server has a group of its own. */
	if (access(SETSID, X_OK) == 0) {
		add_owner_argument(&a, SETSID);
		add_owner_argument(&a, "--wait");
	}
	begin_as_owner(g->s, &a);
	add_owner_argument(&a, pg_ctl);
	add_owner_argument(&a, "start");
	add_owner_argument(&a, "-W"); /* a long recovery is no failure */
	add_owner_argument(&a, "-s");
	add_owner_argument(&a, "-D");
	add_owner_argument(&a, g->s->directory);
	add_owner_argument(&a, "-l");
	add_owner_argument(&a, g->log);
	if (own) {
		add_owner_argument(&a, "-o");
		add_owner_argument(&a, own);
	}
	r = proc_start(&options, &p, err);
	return r < 0 ? r : proc_wait(p, err);
}

/* What it is doing. */

static int read_control(const struct starting *g, struct pg_control *ret, struct error *err)
{
	_cleanup(free) char *path = mem_printf("%s/" PG_CONTROL_NAME, g->s->directory);
	_cleanup(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char head[PG_CONTROL_HEAD_BYTES];

	if (fd < 0 || fd_pread_full(fd, head, sizeof(head), 0) < 0)
		return error_system(err, errno ? errno : EIO, "%s cannot be read", path);
	return pg_control_decode(head, sizeof(head), ret, err);
}

/* Lines of postmaster.pid: number, directory, time, port, directory of the socket, address, shared memory, status. *@ret_pid: 0: there is none. */
static void read_postmaster(struct starting *g, long *ret_pid, char **ret_port, char **ret_sockets)
{
	_cleanup(free) char *path = mem_printf("%s/postmaster.pid", g->s->directory);
	_cleanup(str) struct str text = {0};
	char *lines[PID_LINES] = {0}, *rest;

	*ret_pid = 0;
	if (fd_read_file(path, 4096, &text) < 0)
		return;
	rest = (char *)str_text(&text);
	for (size_t i = 0; rest && i < PID_LINES; i++)
		lines[i] = strsep(&rest, "\n");
	*ret_pid = lines[0] ? strtol(lines[0], NULL, 10) : 0;
	*ret_port = mem_strdup(lines[3]);
	*ret_sockets = mem_strdup(lines[4]);
	g->takes_questions = lines[7] && str_starts(lines[7], "ready");
}

static bool is_postmaster_alive(long pid)
{
	return pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

/* "t|t|2026-11-20 10:00:00+00": it recovers, has paused, and has replayed up to there. false: it does not let us ask. */
static bool ask_how_far(struct starting *g, const char *port, const char *sockets)
{
	static const char *const env[] = {"PGCONNECT_TIMEOUT=3", "PGAPPNAME=keepfs", NULL};
	_cleanup(free) char *psql = mem_printf("%s/psql", g->bindir);
	_cleanup(proc) struct proc *p = NULL;
	struct owner_arguments a = {0};
	const struct proc_options options = {
	        .argv = a.items, .env = PROC_ENV_SERVER, .extra_env = env, .timeout_ms = ASK_MS};
	char said[sizeof(g->state)];
	ssize_t n;
	size_t len = 0;

	if (!port || !sockets || !*sockets || access(psql, X_OK) < 0)
		return false;
	begin_as_owner(g->s, &a);
	for (size_t i = 0; i < 11; i++) {
		const char *const words[] = {psql, "-XAtqw",   "-h", sockets,    "-p", port,
		                             "-d", "postgres", "-U", "postgres", "-c"};

		add_owner_argument(&a, words[i]);
	}
	add_owner_argument(&a, pg_recovering_question());
	if (proc_start(&options, &p, NULL) < 0)
		return false;
	while (len + 1 < sizeof(said) && (n = read(proc_stdout(p), said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	said[strcspn(said, "\n")] = '\0';
	if (proc_wait(p, NULL) < 0 || !said[0])
		return false;
	str_copy(g->state, sizeof(g->state), said);
	return true;
}

static void append_log_end(const struct starting *g, struct str *out)
{
	_cleanup(str) struct str text = {0};
	const char *from;

	if (fd_read_file(g->log, (size_t)16 << 20, &text) < 0 || text.len == 0)
		return;
	from = text.len > LOG_SHOWN ? str_text(&text) + text.len - LOG_SHOWN : str_text(&text);
	str_append_visible(out, from);
}

/* It may have come and gone between two looks. */
static bool has_shut_down(const struct starting *g, const struct pg_control *control)
{
	return control->state == PG_CONTROL_SHUTDOWNED_IN_RECOVERY && str_equal(g->s->action, "shutdown");
}

static int tell_ended(const struct starting *g, const struct pg_control *control, struct error *err)
{
	_cleanup(str) struct str end = {0};

	if (has_shut_down(g, control))
		return 0;
	append_log_end(g, &end);
	return error_set(
	        err, ERROR_UNAVAILABLE, EIO,
	        "the server ended before its recovery had reached the target; what was restored is whole, and can be started again. Its log (%s, or where its configuration has it) says: %s",
	        g->log, end.len > 0 ? str_text(&end) : "nothing");
}

/* Of a server that lets nobody ask it cannot be known. */
static int look_whether_paused(struct starting *g, const char *port, const char *sockets)
{
	if (ask_how_far(g, port, sockets))
		return pg_recovering_has_paused(g->state);
	if (!g->takes_questions || ++g->unanswered < UNANSWERED_MAX)
		return 0;
	make_warn(
	        g->s->order,
	        "the server recovers, and lets nobody ask whether it has paused: the role postgres may not connect over its socket");
	g->is_unknown = true;
	return 1;
}

/* 1: the recovery is where it was to end; 0: it goes on. */
static int look_at_server(struct starting *g, struct error *err)
{
	_cleanup(free) char *port = NULL, *sockets = NULL;
	struct pg_control control;
	long pid;
	int r;

	read_postmaster(g, &pid, &port, &sockets);
	r = read_control(g, &control, err);
	if (r < 0)
		return r;
	g->is_seen |= is_postmaster_alive(pid);
	if (!g->is_seen && clock_mono_ms() < g->until_ms && !has_shut_down(g, &control))
		return 0;
	if (!is_postmaster_alive(pid)) {
		r = tell_ended(g, &control, err);
		return r < 0 ? r : 1;
	}
	if (control.state == PG_CONTROL_IN_PRODUCTION) {
		(void)ask_how_far(g, port, sockets);
		return 1;
	}
	return str_equal(g->s->action, "pause") ? look_whether_paused(g, port, sockets) : 0;
}

static int wait_for_target(struct starting *g, struct error *err)
{
	int r;

	while ((r = look_at_server(g, err)) == 0)
		if (cancel_sleep_ms(g->s->order->cancel, LOOK_MS))
			return error_set(
			        err, ERROR_CANCELLED, ECANCELED,
			        "cancelled: the server goes on with its recovery (pg_ctl -D %s stop ends it)",
			        g->s->directory);
	return r < 0 ? r : 0;
}

static void tell_reached(const struct starting *g, int64_t took_ms)
{
	const char *replayed = pg_recovering_replayed(g->state);

	make_say(g->s->order, "the recovery has reached its target after %.1f s, and the server %s%s%s",
	         (double)took_ms / 1000,
	         str_equal(g->s->action, "promote") ? "takes writes"
	         : str_equal(g->s->action, "pause")
	                 ? "has paused (pg_wal_replay_resume() has it go on, and take writes)"
	                 : "has shut down",
	         replayed ? "; the last transaction that was replayed is of " : "", str_or_empty(replayed));
}

int restore_start_run(const struct restore_start *s, struct error *err)
{
	struct starting g = {.s = s, .log = mem_printf("%s/" LOG_NAME, s->directory)};
	int64_t began_ms = clock_mono_ms();
	int r = find_pg_ctl(&g, err);

	if (r == 0)
		r = order_start(&g, err);
	g.until_ms = clock_mono_ms() + APPEAR_MS;
	if (r == 0)
		r = wait_for_target(&g, err);
	if (r == 0 && !g.is_unknown)
		tell_reached(&g, clock_mono_ms() - began_ms);
	free(g.log);
	return r;
}

char *restore_start_command(const struct restore_start *s)
{
	struct starting g = {.s = s};
	struct error ignored = {0};
	bool is_found = find_pg_ctl(&g, &ignored) == 0;
	_cleanup(free) char *own = options_of_server(s);
	_cleanup(str) struct str quoted = {0};

	if (own)
		str_append_shell_word(&quoted, own);
	return mem_printf("%s%spg_ctl -D %s -l %s/" LOG_NAME "%s%s start", is_found ? g.bindir : "",
	                  is_found ? "/" : "", s->directory, s->directory, own ? " -o " : "",
	                  str_text(&quoted));
}
