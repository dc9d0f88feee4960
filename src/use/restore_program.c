// SPDX-License-Identifier: Apache-2.0
#include "restore_program.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define ARGUMENTS_MAX     24
#define CAPTURE_MAX_BYTES ((size_t)4 << 20)

struct hearing { /* of one run of it, on proc's thread until proc_wait() */
	struct restore_program *program;
	struct restore_listener listener;
	struct cancel stop; /* ours: set by the caller's, and by an error that ends it */
	struct cancel_hook outer_hook;
	bool stopped;
	bool counts_twice; /* what several processes of it ignored */
};

static void say_line(const struct restore_program *p, const char *line)
{
	if (p->options->say)
		p->options->say(p->options->arg, line);
}

static void note_error(struct hearing *h, const char *text)
{
	struct restore_program *p = h->program;

	if (p->errors++ == 0)
		error_set(&p->first, ERROR_CONFLICT, EIO, "%s", text);
	if (p->options->keep_going)
		return;
	h->stopped = true;
	cancel_set(&h->stop);
}

static void hear(void *arg, const char *line)
{
	struct hearing *h = arg;
	_cleanup(str) struct str text = {0};
	_cleanup(free) char *said = NULL;
	enum restore_said what = restore_listen(&h->listener, line, &text);

	if (what == RESTORE_SAID_NOTHING)
		return;
	said = mem_printf("%s: %s", what == RESTORE_SAID_HARMLESS ? "harmless" : "error", str_text(&text));
	say_line(h->program, said);
	if (what == RESTORE_SAID_HARMLESS)
		h->program->harmless++;
	else
		note_error(h, str_text(&text));
}

static void stop_program(void *arg)
{
	cancel_set(&((struct hearing *)arg)->stop);
}

static void begin_hearing(struct hearing *h, struct restore_program *p)
{
	*h = (struct hearing){.program = p,
	                      .listener.no_owner = p->options->no_owner || p->options->no_privileges,
	                      .listener.every_line = p->options->keep_going};
	cancel_init(&h->stop);
	h->outer_hook = (struct cancel_hook){.wake = stop_program, .arg = h};
	cancel_add_hook(p->options->cancel, &h->outer_hook);
}

static void end_hearing(struct hearing *h)
{
	cancel_remove_hook(h->program->options->cancel, &h->outer_hook);
	cancel_finish(&h->stop);
	restore_listener_finish(&h->listener);
}

/* Its exit status says less than its words: 1 also when all that it ignored was harmless. */
static int judge_end(struct hearing *h, uint64_t harmless_before, uint64_t errors_before, int r,
                     struct error *err)
{
	struct restore_program *p = h->program;
	uint64_t found = p->harmless - harmless_before + p->errors - errors_before;
	uint64_t ignored_most = h->counts_twice ? 2 * found : found;

	if (cancel_is_set(p->options->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (p->errors > errors_before && !p->options->keep_going) {
		if (err)
			*err = p->first;
		return -EIO;
	}
	/* It went on to its end, and all that it counts was judged. */
	if (r < 0 && found > 0 &&
	    ((h->listener.ignored > 0 && h->listener.ignored <= ignored_most) || str_ends(p->path, "/psql")))
		return 0;
	return r;
}

static bool has_several_processes(const char *const *arguments)
{
	for (; *arguments; arguments++)
		if (str_equal(*arguments, "-j"))
			return !str_equal(arguments[1], "1");
	return false;
}

static void fill_argv(const struct restore_program *p, const char *const *arguments, const char **argv)
{
	size_t n = 0;

	argv[n++] = p->path;
	argv[n++] = "--no-password";
	argv[n++] = "-d";
	argv[n++] = p->conninfo;
	while (*arguments && n + 1 < ARGUMENTS_MAX)
		argv[n++] = *arguments++;
	argv[n] = NULL;
}

/* What it says of the end of its input comes first: why it does not read on is told by its own words. */
static int run_fed(struct proc *proc, int (*feed)(void *arg, struct proc *proc, struct error *err), void *arg,
                   struct error *err)
{
	struct error why = {0};
	int fed = feed ? feed(arg, proc, &why) : 0, r;

	/* It must not take what it has for all. */
	if (fed < 0 && fed != -EPIPE) {
		if (err)
			*err = why;
		return fed;
	}
	proc_end_input(proc);
	r = proc_wait(proc, err);
	if (r == 0 && fed < 0) {
		if (err)
			*err = why;
		return fed;
	}
	return r;
}

int restore_program_feed(struct restore_program *p, const char *const *arguments,
                         int (*feed)(void *arg, struct proc *proc, struct error *err), void *arg,
                         struct error *err)
{
	const char *argv[ARGUMENTS_MAX];
	const char *const env[] = {"LC_ALL=C", p->env, NULL};
	struct hearing h;
	const struct proc_options options = {
	        .argv = argv,
	        .env = PROC_ENV_POSTGRES,
	        .extra_env = env,
	        .on_stderr_line = hear,
	        .arg = &h,
	        .cancel = &h.stop,
	        .input_pipe = feed != NULL,
	        .output_to_lines = true,
	};
	uint64_t harmless = p->harmless, errors = p->errors;
	struct proc *proc = NULL;
	struct error why = {0};
	int r;

	fill_argv(p, arguments, argv);
	begin_hearing(&h, p);
	h.counts_twice = has_several_processes(arguments);
	r = proc_start(&options, &proc, &why);
	if (r == 0)
		r = run_fed(proc, feed, arg, &why);
	proc_free(proc);
	hear(&h, NULL);
	r = judge_end(&h, harmless, errors, r, &why);
	end_hearing(&h);
	if (r < 0 && err)
		*err = why;
	return r;
}

int restore_program_run(struct restore_program *p, const char *const *arguments, struct error *err)
{
	return restore_program_feed(p, arguments, NULL, NULL, err);
}

static int read_all_output(struct proc *proc, struct str *out, struct error *err)
{
	char piece[16384];
	ssize_t n;

	while ((n = read(proc_stdout(proc), piece, sizeof(piece))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_system(err, errno, "what pg_restore writes cannot be read");
		if (out->len + (size_t)n > CAPTURE_MAX_BYTES)
			return error_set(err, ERROR_USAGE, EFBIG,
			                 "pg_restore writes too much of the database itself");
		str_append_bytes(out, piece, (size_t)n);
	}
	return 0;
}

int restore_program_capture(struct restore_program *p, const char *const *arguments, struct str *out,
                            struct error *err)
{
	const char *argv[ARGUMENTS_MAX] = {p->path};
	const char *const env[] = {"LC_ALL=C", NULL};
	const struct proc_options options = {
	        .argv = argv, .env = PROC_ENV_POSTGRES, .extra_env = env, .cancel = p->options->cancel};
	_cleanup(proc) struct proc *proc = NULL;
	int r;

	for (size_t i = 0; arguments[i] && i + 2 < ARGUMENTS_MAX; i++)
		argv[i + 1] = arguments[i];
	r = proc_start(&options, &proc, err);
	if (r == 0)
		r = read_all_output(proc, out, err);
	return r < 0 ? r : proc_wait(proc, err);
}

/* Finding it. */

/* Whether one of the server's version or newer is there, or only one that reads the archive: older ones work, too. */
static int find_for(struct restore_program *p, const char *name, int archive, struct error *err)
{
	char version[128];
	int newest = archive > p->server.version_num ? archive : p->server.version_num;
	int r = pg_find_program(name, p->bindir, newest, p->path, version, err);

	if (r == -ENOENT && archive < newest)
		r = pg_find_program(name, p->bindir, archive > 0 ? archive : 100000, p->path, version, err);
	if (r == 0)
		p->major = (int)strtol(version, NULL, 10);
	return r;
}

static int version_number(const char *text)
{
	return text ? (int)strtol(text, NULL, 10) * 10000 : 0;
}

/* Settings must stay for as long as a session lasts. */
static int check_session_lasts(const struct restore_program *p, struct error *err)
{
	if (p->server.pooler != PG_POOLER_OF_TRANSACTIONS)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "the connection goes through a pooler that hands each transaction to another session: restore over a direct connection, server=…");
}

int restore_program_find(struct restore_program *p, const char *name, const char *tool_version,
                         const char *database, struct error *err)
{
	int r = pg_learn(p->options->server, database, p->options->cancel, &p->server, err);

	/* Some have dropped it. */
	if (r == -ENOENT && str_equal(database, "postgres"))
		r = pg_learn(p->options->server, "template1", p->options->cancel, &p->server, err);
	if (r == 0)
		r = check_session_lasts(p, err);
	return r < 0 ? r : find_for(p, name, version_number(tool_version), err);
}

/* The dump may have made its database one that is only read, for everybody. */
int restore_program_connect(struct restore_program *p, const char *database, struct error *err)
{
	static const char writes[] = "-c default_transaction_read_only=off";
	_cleanup(free) char *options = p->server.options[0] ? mem_printf("%s %s", p->server.options, writes)
	                                                    : mem_strdup(p->server.pooler ? "" : writes);

	free(take_ptr(&p->conninfo));
	mem_free_secret(take_ptr(&p->env));
	return pg_child_conninfo(p->options->server, database, options, &p->conninfo, &p->env, err);
}

void restore_program_finish(struct restore_program *p)
{
	free(p->conninfo);
	mem_free_secret(p->env);
}
