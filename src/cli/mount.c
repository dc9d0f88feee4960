// SPDX-License-Identifier: Apache-2.0
/*
 * keepfs mount: the daemon. In the background the parent returns only when the mount serves, so that the next
 * command of a script finds it. The main thread supervises: it waits for signals and for the mount's end, and
 * brings everything down in order: no new runs, running ones end within the grace period (the tree stays
 * readable meanwhile), then the mount goes.
 */
#include "cli.h"

#include "engine.h"
#include "log_file.h"
#include "notify.h"
#include "own_places.h"
#include "process.h"
#include "reload.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/cache.h>
#include <keepfs/catalog.h>
#include <keepfs/chain.h>
#include <keepfs/cold.h>
#include <keepfs/export/admins.h>
#include <keepfs/follow.h>
#include <keepfs/fs.h>
#include <keepfs/inbox.h>
#include <keepfs/wal.h>
#include <keepfs/wal/keep.h>
#include <keepfs/inside.h>
#include <keepfs/notify.h>
#include <keepfs/proc.h>
#include <keepfs/replica.h>
#include <keepfs/use.h>

#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define SHUTDOWN_EXTRA_MS 20000 /* beyond the grace period: cancelled runs clean up */

struct daemon {
	struct conf_live *live;
	struct engine engine; /* its conf is that of the start: for what a reload does not change */
	struct log_file *log; /* NULL: it is standard error */
	struct report_troubles *troubles;
	struct reader_metrics reader_metrics;
	struct cache *cache;
	struct reader *reader;
	struct inside *inside;
	struct export_admins *admins;
	struct inbox_arrivals *arrivals;
	struct wal *wal;
	struct fs *fs;
	struct jobs *jobs;
	struct use_scrub *scrub;
	struct follower *follower; /* of a reader */
	struct replicas *replicas;
	struct cold *cold;
	pthread_mutex_t beside_lock;
	struct replicas *told_beside; /* beside_lock: who is told of what is put beside backups */
	struct notify *notify;
	int signal_fd;
	int stopped_fd; /* jobs have ended */
};

/* Without it everything works, only slower: a cache's disk that is missing must not be the reason for a
 * missing backup. */
static void open_cache(struct daemon *d)
{
	const struct conf_read *conf = &d->engine.conf->read;
	struct error err = {0};

	if (!conf->cache_dir[0])
		return;
	if (cache_open(conf->cache_dir, conf->cache_bytes, &d->cache, &err) < 0) {
		log_warning("there is no disk cache: %s", err.message);
		report_no_cache(d->troubles, err.message);
	}
}

static int start_notices(struct daemon *d, struct error *err)
{
	const struct notify_context context = {
	        .conf = d->engine.conf,
	        .live = d->live,
	        .catalog = d->engine.catalog,
	        .troubles = d->troubles,
	};

	return notify_new(&context, &d->notify, err);
}

/* Who waits for a time by another clock than the one on the wall. */
static void on_clock_set(void *arg)
{
	struct daemon *d = arg;

	copies_look(d->engine.copies);
	checkpoints_look(d->engine.checkpoints);
	artifact_trash_changed(&d->engine.repository);
}

/* Of what the catalog does not tell. */
static void on_health_changed(void *arg)
{
	const struct daemon *d = arg;

	notify_look(d->notify);
}

/* The store of it may be slow, or away: so by a run, that somebody can see, and not before the mount serves. */
static void order_clearing(struct daemon *d)
{
	_cleanup(jobs_order) struct jobs_order order = {0};
	struct error err = {0};
	int r;

	if (!use_drill_has_left(d->engine.catalog))
		return;
	r = jobs_order_parse_work(&use_drill, "clear", &order, &err);
	if (r == 0)
		r = jobs_submit(d->jobs, &order, "keepfs", NULL, &err);
	if (r < 0)
		log_warning("what a drill has left cannot be removed: %s", err.message);
}

/* What begins by itself. */
static int start_writing(struct daemon *d, struct error *err)
{
	const struct jobs_clock clock = {on_clock_set, d};
	int r = jobs_start_timer(d->jobs, d->live, &clock, err);

	use_drill_clear(d->engine.make.conf);
	order_clearing(d);
	if (d->engine.lease)
		lease_listen(d->engine.lease, on_health_changed, d);
	return r < 0 ? r : use_scrub_new(&d->engine.make, &d->scrub, err);
}

static int start_following(struct daemon *d, struct error *err)
{
	const struct follower_options options = {.repo = &d->engine.repository,
	                                         .every_ms = d->engine.conf->follow_ms,
	                                         .changed = on_health_changed,
	                                         .arg = d};
	int r = follower_new(&options, &d->follower, err);

	use_drill_clear(d->engine.make.conf);
	if (r == 0)
		report_watch_follower(d->troubles, d->follower);
	return r;
}

/* A window moves on without anybody's doing. */
static void keep_wal(struct daemon *d, const struct conf *conf)
{
	struct artifact_time time;
	struct error err = {0};
	struct prune p;

	artifact_read_clock(&time);
	if (prune_begin(&p, &d->engine.repository, conf, &time, &err) < 0)
		log_warning("which WAL nobody needs is found out later: %s", err.message);
	else
		wal_keep_all(&p, NULL);
}

/* Once a day: locks end by themselves, and the rules may have changed while no run has looked at them. */
static void look_at_rules(void *arg)
{
	struct daemon *d = arg;
	_cleanup(conf_ref) const struct conf *conf = conf_live_ref(d->live);

	engine_tag_backups(&d->engine, conf);
	keep_wal(d, conf);
}

/* Links, checkpoints, records and copies of the catalog, by threads that outlive those of the replicas. */
static void on_put_beside(void *arg)
{
	struct daemon *d = arg;

	pthread_mutex_lock(&d->beside_lock);
	replicas_look_beside(d->told_beside);
	pthread_mutex_unlock(&d->beside_lock);
}

static void tell_beside(struct daemon *d, struct replicas *replicas)
{
	pthread_mutex_lock(&d->beside_lock);
	d->told_beside = replicas;
	pthread_mutex_unlock(&d->beside_lock);
}

/* What goes into the store beside backups, by threads of its own. */
static int start_keeping(struct daemon *d, struct error *err)
{
	struct records_context records = engine_records(&d->engine);
	struct checkpoint_context checkpoints = engine_checkpoints(&d->engine);
	struct copies_context copies = engine_copies(&d->engine);
	int r;

	records.live = copies.live = d->live;
	records.put = checkpoints.put = copies.put = on_put_beside;
	records.put_arg = checkpoints.put_arg = copies.put_arg = d;
	chain_listen(d->engine.repository.chain, on_put_beside, d);
	r = records_new(&records, &d->engine.records, err);
	if (r == 0)
		r = checkpoints_new(&checkpoints, &d->engine.checkpoints, err);
	return r < 0 ? r : copies_new(&copies, &d->engine.copies, err);
}

static int start_reading(struct daemon *d, struct error *err)
{
	const struct conf *conf = d->engine.conf;
	struct reader_options options = {
	        .store = d->engine.repository.store,
	        .pool = d->engine.pool,
	        .buffers = pool_buffers(d->engine.pool) / 2,
	        .threads = (unsigned)conf->read.connections,
	        .ahead_bytes = conf->read.ahead_bytes,
	        .metrics = &d->reader_metrics,
	};

	open_cache(d);
	options.cache = d->cache;
	return reader_new(&options, &d->reader, err);
}

static int make_tree(struct daemon *d, const char *mount_options, struct error *err)
{
	const struct fs_context context = {
	        .conf = d->engine.conf,
	        .live = d->live,
	        .repository = &d->engine.repository,
	        .reader = d->reader,
	        .cache = d->cache,
	        .inside = d->inside,
	        .wal = d->wal,
	        .make = &d->engine.make,
	        .troubles = d->troubles,
	        .records = d->engine.records,
	        .copies = d->engine.copies,
	        .notify = d->notify,
	        .store_metrics = d->engine.metrics,
	        .reader_metrics = &d->reader_metrics,
	        .mount_options = mount_options,
	};

	return fs_new(&context, &d->fs, err);
}

/* What looks after the backups that are there. */
static int start_tending(struct daemon *d, struct error *err)
{
	int r = cold_new(&d->engine.repository, d->live, &d->cold, err);

	if (r == 0)
		r = replicas_new(&d->engine.repository, d->live, false, &d->replicas, err);
	if (r == 0) {
		tell_beside(d, d->replicas);
		d->engine.repository.daily = look_at_rules;
		d->engine.repository.daily_arg = d;
		r = artifact_tidier_new(&d->engine.repository, &d->engine.tidier, err);
	}
	if (r == 0)
		r = cold_start(d->cold, err);
	if (r == 0)
		engine_tag_backups(&d->engine, d->engine.conf);
	return r;
}

static int start_wal(struct daemon *d, struct error *err)
{
	const struct wal_options options = {.conf = d->engine.conf,
	                                    .live = d->live,
	                                    .repository = &d->engine.repository,
	                                    .pool = d->engine.pool};

	int r = wal_new(&options, &d->wal, err);

	d->engine.make.wal = d->wal;
	return r;
}

static int start_daemon(struct daemon *d, const char *mountpoint, const char *mount_options,
                        struct error *err)
{
	const bool is_reader = d->engine.conf->role == CONF_READER;
	int r;

	stores_follow(d->engine.stores, d->live);
	d->troubles = report_troubles_new();
	report_watch_lease(d->troubles, d->engine.lease);
	d->admins = export_admins_new();
	d->engine.make.admins = d->admins;
	d->arrivals = inbox_arrivals_new();
	d->engine.make.arrivals = d->arrivals;
	r = start_reading(d, err);
	if (r == 0 && !is_reader)
		r = start_keeping(d, err);
	if (r == 0)
		r = start_notices(d, err);
	if (r == 0)
		r = inside_new(&(struct inside_options){.ctx = &d->engine.make, .reader = d->reader},
		               &d->inside, err);
	if (r < 0)
		return r;
	inside_tidy(d->inside);
	r = start_wal(d, err);
	if (r < 0)
		return r;
	r = make_tree(d, mount_options, err);
	if (r == 0)
		r = is_reader ? replicas_new(&d->engine.repository, d->live, true, &d->replicas, err)
		              : start_tending(d, err);
	d->engine.make.live = d->live;
	if (r == 0)
		r = jobs_new(&d->engine.make, fs_events(d->fs), &d->jobs, err);
	if (r < 0)
		return r;
	fs_set_jobs(d->fs, d->jobs);
	r = fs_mount(d->fs, mountpoint, err);
	if (r == 0)
		r = is_reader ? start_following(d, err) : start_writing(d, err);
	if (r == 0)
		wal_follow(d->wal);
	return r;
}

static void leave_at_signal(int number)
{
	_exit(CLI_FAILED);
}

/* While nobody reads them SIGTERM and SIGINT end the process, as they do any other. */
static void let_signals_end(void)
{
	signal(SIGTERM, process_is_init() ? leave_at_signal : SIG_DFL);
	if (process_is_init())
		signal(SIGINT, leave_at_signal);
}

/* A start can wait for a store that does not answer, and nothing is mounted meanwhile: to be ended then is no more than
 * a crash, which the next start settles. A reload waits until the mount serves. */
static void keep_reloads(void)
{
	sigset_t signals;

	let_signals_end();
	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	if (process_is_init())
		sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
}

/* From here on they are read by supervise(). */
static int take_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	if (process_is_init())
		sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

/* Nobody reads the signals any more: from here on a second SIGTERM ends the process. */
static void give_back_signals(void)
{
	sigset_t signals;

	let_signals_end();
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
}

/* @served: it has, so that there may be something new to copy. */
static void stop_daemon(struct daemon *d, bool served)
{
	if (d->fs)
		fs_unmount(d->fs);
	give_back_signals();
	/* Commands in flight use the jobs, jobs use the mount's events: no command may wait for a job any
	 * more, then the mount's threads end, and its memory goes last. */
	if (d->jobs) {
		jobs_stop(d->jobs, 0);
		fs_finish_commands(d->fs);
	}
	d->jobs = jobs_free(d->jobs);
	if (d->follower)
		report_watch_follower(d->troubles, NULL);
	d->follower = follower_free(d->follower);
	d->scrub = use_scrub_free(d->scrub);
	/* It tells the mount what it lists. */
	d->engine.tidier = artifact_tidier_free(d->engine.tidier);
	d->engine.repository.tidier = NULL;
	tell_beside(d, NULL);
	d->replicas = replicas_free(d->replicas);
	/* Those above tell it what is listed. */
	d->cold = cold_free(d->cold);
	d->fs = fs_free(d->fs);
	d->engine.make.wal = NULL;
	d->wal = wal_free(d->wal);
	d->engine.make.arrivals = NULL;
	d->arrivals = inbox_arrivals_free(d->arrivals);
	d->inside = inside_free(d->inside);
	if (d->engine.lease)
		lease_listen(d->engine.lease, NULL, NULL);
	d->notify = notify_free(d->notify);
	d->reader = reader_free(d->reader);
	d->cache = cache_free(d->cache);
	if (d->troubles)
		report_watch_lease(d->troubles, NULL);
	d->troubles = report_troubles_free(d->troubles);
	d->engine.make.admins = NULL;
	d->admins = export_admins_free(d->admins);
	if (served)
		engine_copy_catalog(&d->engine);
	engine_close(&d->engine);
}

static void *stop_jobs(void *arg)
{
	struct daemon *d = arg;
	_cleanup(conf_ref) const struct conf *conf = conf_live_ref(d->live);
	uint64_t one = 1;

	jobs_stop(d->jobs, conf->stop_grace_ms);
	(void)!write(d->stopped_fd, &one, sizeof(one));
	return NULL;
}

#define OTHER    0
#define TOO_LATE (-1)

static int wait_once(struct daemon *d, int other_fd, int timeout_ms)
{
	struct pollfd fds[] = {{.fd = d->signal_fd, .events = POLLIN}, {.fd = other_fd, .events = POLLIN}};
	struct signalfd_siginfo info;
	int n;

	while ((n = poll(fds, ARRAY_SIZE(fds), timeout_ms)) < 0 && errno == EINTR)
		;
	if (n == 0)
		return TOO_LATE;
	if (fds[0].revents & POLLIN && read(d->signal_fd, &info, sizeof(info)) == sizeof(info))
		return (int)info.ssi_signo;
	return OTHER;
}

/* Waits for one of the two; the signal that came, OTHER when @other_fd became readable, or TOO_LATE. */
static int wait_for_signal(struct daemon *d, int other_fd, int timeout_ms)
{
	int64_t until_ms = clock_mono_ms() + timeout_ms;
	int left_ms = timeout_ms, signal_number;

	while ((signal_number = wait_once(d, other_fd, left_ms)) == SIGCHLD) {
		proc_reap_strangers();
		if (timeout_ms >= 0)
			left_ms = until_ms > clock_mono_ms() ? (int)(until_ms - clock_mono_ms()) : 0;
	}
	return signal_number;
}

/* How long jobs may take to stop before they are taken for stuck. */
static int stop_ms(const struct conf *conf)
{
	int64_t ms = conf->stop_grace_ms + SHUTDOWN_EXTRA_MS;

	return ms < INT_MAX ? (int)ms : INT_MAX;
}

static void reload_daemon(struct daemon *d)
{
	_cleanup(free) char *reloading =
	        mem_printf("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_us());

	notify_systemd(reloading);
	log_file_reopen(d->log);
	reload_configuration(&d->engine, d->live, d->troubles, d->notify);
	notify_reloaded(d->notify);
	fs_reloaded(d->fs);
	jobs_schedules_changed(d->jobs);
	use_scrub_changed(d->scrub);
	replicas_look(d->replicas);
	cold_look(d->cold);
	wal_follow(d->wal);
	notify_systemd("READY=1");
}

/* Serves until it is asked to stop; the signal that asked, or OTHER when it was unmounted. */
static int serve_until_asked(struct daemon *d)
{
	for (;;) {
		int signal_number = wait_for_signal(d, fs_wait_fd(d->fs), -1);

		if (signal_number != SIGHUP)
			return signal_number;
		reload_daemon(d);
	}
}

/* The log can be rotated to the last. */
static int wait_for_jobs_to_stop(struct daemon *d, const struct conf *conf)
{
	for (;;) {
		int signal_number = wait_for_signal(d, d->stopped_fd, stop_ms(conf));

		if (signal_number != SIGHUP)
			return signal_number;
		log_file_reopen(d->log);
	}
}

static int supervise(struct daemon *d, const char *mountpoint)
{
	int signal_number = serve_until_asked(d), failure = signal_number == OTHER ? fs_end(d->fs) : 0;
	_cleanup(conf_ref) const struct conf *conf = conf_live_ref(d->live);
	pthread_t stopper;

	notify_systemd("STOPPING=1");
	if (failure < 0)
		log_error("%s ends: the kernel's requests can be read no more: %s", mountpoint,
		          strerrordesc_np(-failure));
	else
		log_info(signal_number ? "%s ends on signal %d: running backups have %lld s"
		                       : "%s was unmounted",
		         mountpoint, signal_number, (long long)conf->stop_grace_ms / 1000);
	if (thread_start(&stopper, "stop", stop_jobs, d) < 0)
		return CLI_FAILED;
	signal_number = wait_for_jobs_to_stop(d, conf);
	if (signal_number != OTHER) {
		/* Asked twice, or stuck: leave at once. What is unfinished is settled at the next start, as
		 * after a crash. */
		log_warning("%s: leaving at once", signal_number == TOO_LATE
		                                           ? "runs that were cancelled do not end"
		                                           : "asked again to stop");
		fs_unmount(d->fs);
		_exit(CLI_FAILED);
	}
	pthread_join(stopper, NULL);
	return failure < 0 ? CLI_FAILED : CLI_DONE;
}

#define WAITED_EXTEND_US "60000000" /* longer than between two looks */

/* The host that has the lease is told once, the service manager each time: it would give up else. */
static void tell_lease_wait(void *arg, const char *who)
{
	bool *told = arg;
	_cleanup(free) char *status =
	        mem_printf("STATUS=waits for %s%s\nEXTEND_TIMEOUT_USEC=" WAITED_EXTEND_US,
	                   who ? "the keepfs on " : "the store", str_or_empty(who));

	notify_systemd(status);
	if (who && !*told)
		log_info("the keepfs on %s writes to this store: waiting until it does not any more", who);
	*told |= who != NULL;
}

#define READING_TOLD_MS 10000

/* The service manager is told from time to time, as long as it goes on: to read the manifests of a large store takes longer than it waits. */
static void tell_reading(void *arg, uint64_t looked_at)
{
	int64_t *next_ms = arg, now_ms = clock_mono_ms();
	_cleanup(free) char *status = NULL;

	if (now_ms < *next_ms)
		return;
	*next_ms = now_ms + READING_TOLD_MS;
	status = mem_printf("STATUS=reads what the store has: %llu backups so far\n"
	                    "EXTEND_TIMEOUT_USEC=" WAITED_EXTEND_US,
	                    (unsigned long long)looked_at);
	notify_systemd(status);
}

/* *@conf is moved away. */
static int serve_mount(struct conf *conf, const struct cli_options *options, const char *mountpoint,
                       int ready_fd, struct log_file *log)
{
	bool told = false;
	int64_t reading_told_ms = 0;
	const struct engine_opening opening = {
	        .lease = {.forever = options->wait, .waiting = tell_lease_wait, .arg = &told},
	        .reading = tell_reading,
	        .reading_arg = &reading_told_ms};
	struct daemon d = {.live = conf_live_new(conf),
	                   .engine = {.lock_fd = -1},
	                   .log = log,
	                   .beside_lock = PTHREAD_MUTEX_INITIALIZER};
	_cleanup(conf_ref) const struct conf *first = conf_live_ref(d.live);
	struct error err = {0};
	int r, status;

	/* Until it serves, what it says is both for who started it and for whoever reads the log later. */
	if (log)
		log_file_begin(log);

	signal(SIGPIPE, SIG_IGN);
	keep_reloads();
	d.stopped_fd = eventfd(0, EFD_CLOEXEC);
	r = engine_open_waiting(first, &opening, &d.engine, &err);
	d.signal_fd = take_signals();
	if (r == 0)
		r = start_daemon(&d, mountpoint, options->mount_options, &err);
	if (r < 0) {
		log_error("%s", err.message);
		stop_daemon(&d, false);
		conf_live_free(d.live);
		return err.class == ERROR_USAGE ? CLI_USAGE : CLI_FAILED;
	}
	log_info("keepfs %s serves %s from %s", KEEPFS_VERSION, mountpoint, d.engine.store->name);
	notify_systemd("READY=1");
	if (log)
		log_file_alone(log);
	if (ready_fd >= 0)
		(void)!write(ready_fd, "", 1);
	status = supervise(&d, mountpoint);
	stop_daemon(&d, true);
	conf_live_free(d.live);
	close(d.signal_fd);
	close(d.stopped_fd);
	return status;
}

/* The parent: it waits for the child's word, or its end. */
static int wait_until_ready(pid_t child, int ready_fd)
{
	char byte;
	int status = 0;

	if (read(ready_fd, &byte, 1) == 1)
		return CLI_DONE;
	waitpid(child, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : CLI_FAILED;
}

static int go_to_background(struct conf *conf, const struct cli_options *options, const char *mountpoint)
{
	_cleanup(log_file) struct log_file *log = NULL;
	struct error err = {0};
	int ready[2], null_fd;
	pid_t child;

	/* A lock or a pipe of a script would be held for as long as the daemon lives. */
	process_close_inherited();
	if (log_file_open(conf->state_dir, &log, &err) < 0)
		return cli_fail(&err);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0 || pipe2(ready, O_CLOEXEC) < 0) {
		error_system(&err, errno, "the daemon could not be started");
		return cli_fail(&err);
	}
	child = fork();
	if (child < 0) {
		error_system(&err, errno, "no process could be started");
		return cli_fail(&err);
	}
	if (child > 0) {
		close(ready[1]);
		return wait_until_ready(child, ready[0]);
	}
	close(ready[0]);
	setsid();
	(void)!chdir("/");
	dup2(null_fd, STDIN_FILENO);
	dup2(null_fd, STDOUT_FILENO);
	exit(serve_mount(conf, options, mountpoint, ready[1], log));
}

/*
 * The mountpoint as the kernel's mount table has it: absolute, without links. Of one that is not there yet, only its
 * parent is.
 */
static char *canonical(const char *mountpoint)
{
	_cleanup(free) char *path = mem_strdup(mountpoint), *parent = NULL,
	                    *real = realpath(mountpoint, NULL);
	char *slash;

	if (real)
		return take_ptr(&real);
	while (strlen(path) > 1 && path[strlen(path) - 1] == '/')
		path[strlen(path) - 1] = '\0';
	slash = strrchr(path, '/');
	if (!slash) {
		parent = realpath(".", NULL);
		return mem_printf("%s/%s", parent ? parent : "", path);
	}
	*slash = '\0';
	parent = realpath(slash == path ? "/" : path, NULL);
	if (!parent)
		return mem_strdup(mountpoint);
	return mem_printf("%s/%s", strcmp(parent, "/") == 0 ? "" : parent, slash + 1);
}

int cmd_mount(const struct cli_options *options)
{
	_cleanup(conf) struct conf conf = {0};
	_cleanup(free) char *mountpoint = NULL;
	struct error err = {0};
	int r;

	if (options->argc > 1)
		return cli_usage("mount takes one mountpoint");
	r = cli_load_conf(options, &conf);
	if (r != CLI_DONE)
		return r;
	mountpoint = canonical(options->argc == 1    ? options->argv[0]
	                       : options->mountpoint ? options->mountpoint
	                                             : conf.mountpoint);
	if (own_places_check(&conf, mountpoint, &err) < 0)
		return cli_fail(&err);
	conf_serve_at(&conf, mountpoint);
	if (options->foreground)
		return serve_mount(&conf, options, mountpoint, -1, NULL);
	return go_to_background(&conf, options, mountpoint);
}
