// SPDX-License-Identifier: Apache-2.0
/*
 * The server is a child of ours, by setpriv(1): as root another user is needed, and the kernel is to end the server when the thread that made
 * it is gone, however that comes about. It says itself when it takes connections.
 */
#include "scratch.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define READY_MS               60000
#define MIB                    (UINT64_C(1) << 20)
#define SETTINGS_MAX           48
#define FIRST_WITHOUT_TRIGGERS 170000 /* event_triggers, which a login sets off */

/* Its programs. */

struct server_arguments {
	char *items[2 * SETTINGS_MAX];
	size_t count;
};

static void cleanup_server_arguments(struct server_arguments *a)
{
	for (size_t i = 0; i < a->count; i++)
		free(a->items[i]);
}

/* @text: consumed. */
static void add_argument(struct server_arguments *a, char *text)
{
	a->items[a->count++] = text;
}

static void add_texts(struct server_arguments *a, const char *const *texts)
{
	for (; *texts; texts++)
		add_argument(a, mem_strdup(*texts));
}

static const char *find_setpriv(void)
{
	static const char *const places[] = {"/usr/bin/setpriv", "/bin/setpriv"};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

/* Begin with what makes the program another user's, and one that does not outlive us. */
static int begin_program(const struct pg_scratch *s, const char *name, struct server_arguments *a,
                         struct error *err)
{
	const char *setpriv = find_setpriv();

	if (!setpriv && s->uid != geteuid())
		return error_set(
		        err, ERROR_USAGE, ENOENT,
		        "a throw-away server runs as another user than root, for which setpriv (of util-linux) is needed, and that is not installed");
	if (setpriv && s->uid != geteuid()) {
		add_argument(a, mem_strdup(setpriv));
		add_argument(a, mem_printf("--reuid=%u", (unsigned)s->uid));
		add_argument(a, mem_printf("--regid=%u", (unsigned)s->gid));
		add_texts(a, (const char *const[]){"--init-groups", "--pdeathsig=QUIT", "--", NULL});
	} else if (setpriv) {
		add_texts(a, (const char *const[]){setpriv, "--pdeathsig=QUIT", "--", NULL});
	}
	add_argument(a, mem_printf("%s/%s", s->bindir, name));
	return 0;
}

static char *data_directory(const struct pg_scratch *s)
{
	return mem_printf("%s/" SCRATCH_DATA, s->place.path);
}

int scratch_initdb(struct pg_scratch *s, struct error *err)
{
	static const char *const env[] = {"LC_ALL=C", NULL};
	_cleanup(server_arguments) struct server_arguments a = {0};
	_cleanup(proc) struct proc *p = NULL;
	struct proc_options options = {
	        .env = PROC_ENV_SERVER, .extra_env = env, .cancel = &s->cancel, .output_to_lines = true};
	int r = begin_program(s, "initdb", &a, err);

	if (r < 0)
		return r;
	add_argument(&a, mem_strdup("-D"));
	add_argument(&a, data_directory(s));
	add_argument(&a, mem_strdup("-U"));
	add_argument(&a, mem_strdup(s->role));
	add_texts(&a, (const char *const[]){"-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", NULL});
	options.argv = (const char *const *)a.items;
	r = proc_start(&options, &p, err);
	if (r == 0)
		r = proc_wait(p, err);
	if (r < 0 && r != -ECANCELED)
		error_prefix(err, "a throw-away server could not be made in %s", s->place.path);
	return r;
}

static void add_setting(struct server_arguments *a, const char *name, char *value)
{
	add_argument(a, mem_strdup("-c"));
	add_argument(a, mem_printf("%s=%s", name, value));
	free(value);
}

static void add_megabytes(struct server_arguments *a, const char *name, uint64_t bytes, uint64_t least,
                          uint64_t most)
{
	uint64_t megabytes = bytes / MIB;

	megabytes = megabytes < least ? least : megabytes > most ? most : megabytes;
	add_setting(a, name, mem_printf("%lluMB", (unsigned long long)megabytes));
}

/*
 * A cluster that was brought: whatever its own configuration says is not read. It has to be able to hold what the old server held (prepared transactions), and must start nothing: no libraries, whose workers may be jobs, and no
 * subscriptions, which would connect to their publishers.
 */
static void add_settings_of_filled(const struct pg_scratch *s, struct server_arguments *a)
{
	static const char *const fixed[] = {"-c", "hot_standby=off",
	                                    "-c", "max_prepared_transactions=512",
	                                    "-c", "max_logical_replication_workers=0",
	                                    "-c", "wal_level=replica",
	                                    "-c", "max_locks_per_transaction=256",
	                                    "-c", "jit=off",
	                                    NULL};

	add_setting(a, "config_file", mem_printf("%s/" SCRATCH_CONF, s->place.path));
	add_setting(a, "hba_file", mem_printf("%s/" SCRATCH_HBA, s->place.path));
	add_setting(a, "ident_file", mem_printf("%s/" SCRATCH_IDENT, s->place.path));
	add_texts(a, fixed);
	if (s->options.version_num >= FIRST_WITHOUT_TRIGGERS)
		add_texts(a, (const char *const[]){"-c", "event_triggers=off", NULL});
}

static void add_settings(const struct pg_scratch *s, struct server_arguments *a)
{
	static const char *const fixed[] = {
	        "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c", "fsync=off", "-c",
	        "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "autovacuum=off", "-c",
	        "wal_level=minimal", "-c", "max_wal_senders=0", "-c", "archive_mode=off", "-c",
	        "checkpoint_timeout=30min",
	        /* So that it is within the budget, and needs no /dev/shm, which is small in containers. */
	        "-c", "dynamic_shared_memory_type=mmap", "-c", "max_locks_per_transaction=1024", "-c",
	        "logging_collector=off", "-c", "log_destination=stderr",
	        /* What is restored is no business of a log. */
	        "-c", "log_min_error_statement=panic", "-c", "lc_messages=C", NULL};
	uint64_t memory = s->options.memory_bytes;

	add_texts(a, fixed);
	/* Of what is given twice the last counts. */
	if (s->options.fill)
		add_settings_of_filled(s, a);
	add_setting(a, "unix_socket_directories", mem_strdup(s->sockets));
	add_setting(a, "max_connections", mem_printf("%u", s->options.connections + 8));
	add_megabytes(a, "shared_buffers", memory / 4, 16, 8192);
	add_megabytes(a, "work_mem", memory / 32, 4, 256);
	add_megabytes(a, "maintenance_work_mem", memory / 4 / (s->options.connections ?: 1), 16, 2048);
	add_megabytes(a, "max_wal_size", s->disk_bytes / 8, 64, 4096);
}

/* Of proc's thread. */
static void take_server_line(void *arg, const char *line)
{
	struct pg_scratch *s = arg;

	log_debug("throw-away server: %s", line);
	pthread_mutex_lock(&s->lock);
	s->ready |= strstr(line, "database system is ready to accept connections") != NULL;
	s->failed |= strstr(line, "FATAL:") != NULL || strstr(line, "database system is shut down") != NULL;
	pthread_cond_broadcast(&s->told);
	pthread_mutex_unlock(&s->lock);
}

static bool wait_for_server(struct pg_scratch *s)
{
	/* A recovery takes as long as it takes. */
	int64_t until_ms = s->options.fill ? INT64_MAX : clock_mono_ms() + READY_MS;
	bool ready;

	pthread_mutex_lock(&s->lock);
	while (!s->ready && !s->failed && clock_mono_ms() < until_ms && !cancel_is_set(&s->cancel))
		clock_cond_wait_ms(&s->told, &s->lock, until_ms - clock_mono_ms() < 1000 ? 100 : 1000);
	ready = s->ready;
	pthread_mutex_unlock(&s->lock);
	return ready;
}

static int fail_start(struct pg_scratch *s, struct error *err)
{
	int r;

	if (cancel_is_set(&s->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	scratch_end_processes(s->place.path);
	r = proc_wait(s->server, err);
	s->server = proc_free(s->server);
	if (r == 0)
		return error_set(err, ERROR_UNAVAILABLE, ETIMEDOUT,
		                 "a throw-away server ended, or said nothing, when it was started");
	error_prefix(err, "a throw-away server could not be started");
	return r;
}

int scratch_start(struct pg_scratch *s, struct error *err)
{
	static const char *const env[] = {"LC_ALL=C", NULL};
	_cleanup(server_arguments) struct server_arguments a = {0};
	/* Its own cancel is none of proc's: that would give clients five seconds before anything ends. */
	struct proc_options options = {.env = PROC_ENV_SERVER,
	                               .extra_env = env,
	                               .on_stderr_line = take_server_line,
	                               .arg = s,
	                               .output_to_lines = true};
	int r = begin_program(s, "postgres", &a, err);

	if (r < 0)
		return r;
	add_argument(&a, mem_strdup("-D"));
	add_argument(&a, data_directory(s));
	add_texts(&a, (const char *const[]){"-p", "5432", NULL});
	add_settings(s, &a);
	options.argv = (const char *const *)a.items;
	r = proc_start(&options, &s->server, err);
	if (r < 0)
		return r;
	return wait_for_server(s) ? 0 : fail_start(s, err);
}
