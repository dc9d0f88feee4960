// SPDX-License-Identifier: Apache-2.0
/*
 * The session with the kernel: mount options, the threads that decode requests, and the end. FUSE's own loop
 * runs on a thread of this room; main is never inside it. Ending is: unmount (lazily, so that open files
 * cannot hold it up), tell the session to exit, and signal its loop, which sleeps where only a signal reaches
 * it, until it has gone.
 */
#include "confirm.h"
#include "descents.h"
#include "fs_private.h"
#include "comparisons.h"
#include "handle.h"
#include "incoming.h"
#include "later.h"
#include "mirrored.h"
#include "based.h"
#include "mountpoint.h"
#include "notify.h"
#include "rights.h"
#include "text.h"
#include "lookers.h"
#include "tenants.h"
#include "wal_missed.h"
#include "watch.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/name.h>
#include <keepfs/inside.h>
#include <keepfs/keyring.h>
#include <keepfs/notify.h>
#include <keepfs/wal.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#define MAX_READ_BYTES        (1 << 20) /* libfuse 3.14's largest request: 256 pages */
#define READ_AHEAD_KIB        1024
#define MAX_BACKGROUND        128
#define CONGESTION_THRESHOLD  120
#define FUSE_THREADS          4
#define WORKERS               4
#define LOOKERS               4
#define LOOKERS_OF_ONE        2 /* dump: the others are there for other dumps */
#define LONG_LOOKERS          8 /* each can be in the middle of reading a table to its end */
#define LONG_LOOKERS_OF_ONE   2
#define INSIDE_READERS        8
#define BASE_READERS          8
#define BASE_READERS_OF_ONE   6
#define WAL_TAKERS            8
#define INSIDE_READERS_OF_ONE 6
#define WAKE_SIGNAL           SIGUSR1
#define NONEMPTY              "nonempty" /* the options */
#define ALLOW_OTHER           "allow_other"

static void refuse_operation(fuse_req_t req)
{
	fuse_reply_err(req, EPERM);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	refuse_operation(req);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	refuse_operation(req);
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	refuse_operation(req);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	refuse_operation(req);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                        int flags)
{
	refuse_operation(req);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	/* Must equal the mount option, or the kernel ends the session. */
	conn->max_read = MAX_READ_BYTES;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION_THRESHOLD;
	/* Always names with attributes: what lists a directory of backups mostly wants their sizes and times,
	 * too. */
	conn->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;
	/* The kernel waits for the pieces of an O_DIRECT read that it sends all at once in a way that no
	 * signal ends: whoever reads so could not be killed while the store hangs. */
	conn->want &= ~(unsigned)FUSE_CAP_ASYNC_DIO;
	/* There is nothing here that a kernel-side lock or splice from memory would make faster. */
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

static const struct fuse_lowlevel_ops operations = {
        .init = op_init,
        .lookup = op_lookup,
        .getattr = op_getattr,
        .setattr = op_setattr,
        .readlink = op_readlink,
        .mknod = op_mknod,
        .mkdir = op_mkdir,
        .unlink = op_unlink,
        .rmdir = op_rmdir,
        .symlink = op_symlink,
        .rename = op_rename,
        .link = op_link,
        .open = op_open,
        .read = op_read,
        .write = op_write,
        .flush = op_flush,
        .release = op_release,
        .opendir = op_opendir,
        .releasedir = op_releasedir,
        .readdir = op_readdir,
        .readdirplus = op_readdirplus,
        .statfs = op_statfs,
        .setxattr = op_setxattr,
        .getxattr = op_getxattr,
        .listxattr = op_listxattr,
        .create = op_create,
        .fsync = op_fsync,
        .poll = op_poll,
};

static void on_artifact_listed(void *arg, const struct manifest *m)
{
	_cleanup(free) char *directory = mem_printf("%.*s", (int)(strrchr(m->path, '/') - m->path), m->path);

	if (tree_is_pack(m->path))
		return;
	notify_directory_changed(arg, directory);
}

/* Whoever reads it from here on reads the new objects; a mount without a key shows their bytes. */
static void on_artifact_rewrapped(void *arg, const struct manifest *m)
{
	struct fs *fs = arg;

	if (fs->ctx.inside)
		inside_drop_dump(fs->ctx.inside, ino_of_artifact(m->path));
	mirrored_forget(fs, ino_of_artifact(m->path));
	kept_packs_forget(fs->kept_packs, ino_of_artifact(m->path));
	based_files_forget(fs->based, m->path);
	if (!atomic_load(&fs->ending))
		notify_rewrapped(fs, m);
	on_artifact_listed(fs, m);
}

/* Somebody had the right bytes, and yet something is wrong. */
static void on_read_elsewhere(void *arg, const struct artifact_spared *what)
{
	struct fs *fs = arg;
	struct catalog_audit entry = {.at_us = clock_now_us(), .uid = -1, .pid = -1, .command = "keepfs"};
	_cleanup(free) char *text = mem_printf("it is read from its copy in %s: %s", what->store, what->why);

	report_trouble(fs->ctx.troubles, what->path, EIO, text);
	audit(fs, &entry, "read-copy", what->path, 0, text);
}

static void on_run_changed(void *arg, int64_t run_id)
{
	struct fs *fs = arg;

	watches_notify(fs->watches, run_id);
}

static void on_run_ended(void *arg, int64_t run_id)
{
	struct fs *fs = arg;

	records_look(fs->ctx.records);
	notify_run_ended(fs->ctx.notify, run_id);
	tenants_run_ended(fs);
}

int fs_new(const struct fs_context *ctx, struct fs **ret_fs, struct error *err)
{
	struct fs *fs = mem_alloc(sizeof(*fs));

	fs->ctx = *ctx;
	fs->is_locked = !keyring_can_read(ctx->repository->keyring);
	fs->started_at_us = clock_now_us();
	pthread_mutex_init(&fs->handles_lock, NULL);
	pthread_mutex_init(&fs->forgetting, NULL);
	pthread_mutex_init(&fs->tenants_lock, NULL);
	cancel_init(&fs->thaws_cancel);
	rights_init(fs);
	fs->confirmations = confirmations_new();
	fs->texts = texts_new();
	fs->watches = watches_new();
	fs->mirrored = mirrored_states_new();
	fs->descents = descents_new();
	fs->kept_packs = kept_packs_new();
	fs->based = based_files_new();
	fs->laters = laters_new();
	fs->events =
	        (struct jobs_events){.run_changed = on_run_changed, .run_ended = on_run_ended, .arg = fs};
	fs->artifact_events = (struct artifact_events){.listed = on_artifact_listed,
	                                               .removed = on_artifact_removed,
	                                               .read_elsewhere = on_read_elsewhere,
	                                               .rewrapped = on_artifact_rewrapped,
	                                               .arg = fs};
	repository_listen(fs->ctx.repository, &fs->artifact_events);
	fs->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fs->workers = workers_new("command", WORKERS);
	fs->forgetters = workers_new("forget", 1);
	fs->lookers = lookers_new("look", LOOKERS, LOOKERS_OF_ONE);
	fs->inside_readers = lookers_new("inside", INSIDE_READERS, INSIDE_READERS_OF_ONE);
	fs->base_readers = lookers_new("base", BASE_READERS, BASE_READERS_OF_ONE);
	fs->long_lookers = lookers_new("look-long", LONG_LOOKERS, LONG_LOOKERS_OF_ONE);
	fs->diff_pairs = diff_pairs_new();
	fs->incomings = incomings_new();
	fs->wal_missed = wal_missed_new();
	fs->wal_takers = workers_new("wal-take", WAL_TAKERS);
	fs->comparisons = comparisons_new(fs);
	if (fs->ended_fd < 0 || !fs->comparisons || !fs->incomings || !fs->wal_takers || !fs->workers ||
	    !fs->forgetters || !fs->lookers || !fs->inside_readers || !fs->base_readers ||
	    !fs->long_lookers) {
		fs_free(fs);
		return error_set(err, ERROR_INTERNAL, ENOMEM, "could not start the threads of the mount");
	}
	*ret_fs = fs;
	return 0;
}

void fs_set_jobs(struct fs *fs, struct jobs *jobs)
{
	fs->jobs = jobs;
}

const struct jobs_events *fs_events(struct fs *fs)
{
	return &fs->events;
}

int fs_wait_fd(const struct fs *fs)
{
	return fs->ended_fd;
}

int fs_end(const struct fs *fs)
{
	int loop_error = atomic_load(&fs->loop_error);

	return loop_error < 0 ? loop_error : 0;
}

/* Options of fstab that are for mount(8), systemd and keepfs, not for the file system. */
static bool is_mount_only(const char *option)
{
	static const char *const names[] = {"_netdev", "noauto", "auto",  "nofail", "defaults",
	                                    "user",    "users",  "owner", "group",  NONEMPTY};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(option, names[i]) == 0)
			return true;
	}
	return str_starts(option, "x-") || str_starts(option, "comment=");
}

static bool has_mount_option(const struct fs *fs, const char *name)
{
	_cleanup(free) char *options = mem_strdup(fs->ctx.mount_options);
	char *rest = options, *option;

	while (options && (option = strsep(&rest, ","))) {
		if (strcmp(option, name) == 0)
			return true;
	}
	return false;
}

bool fs_lets_others(const struct fs *fs)
{
	return fs->ctx.conf->allow_other || has_mount_option(fs, ALLOW_OTHER);
}

static void mount_options(const struct fs *fs, struct str *out)
{
	_cleanup(free) char *extra = mem_strdup(fs->ctx.mount_options);
	char *rest = extra, *option;

	str_appendf(out, "fsname=keepfs,subtype=keepfs,default_permissions,nosuid,nodev,noexec,max_read=%d",
	            MAX_READ_BYTES);
	while (extra && (option = strsep(&rest, ","))) {
		if (*option && strcmp(option, ALLOW_OTHER) != 0 && !is_mount_only(option) &&
		    strcmp(option, "dev") != 0 && strcmp(option, "suid") != 0 && strcmp(option, "exec") != 0)
			str_appendf(out, ",%s", option);
	}
	if (fs_lets_others(fs))
		str_append(out, "," ALLOW_OTHER);
}

/* The kernel's default read-ahead of 128 KiB makes small requests; root may ask for more. Without the right
 * it stays. The kernel takes the answer to its first request, INIT, for a limit of what was set before; the one
 * for the attributes of the top waits until that is over. */
static void raise_read_ahead(const char *mountpoint)
{
	_cleanup(free) char *path = NULL;
	_cleanup(fd) int fd = -1;
	char device[MOUNT_DEVICE_BYTES], text[16];
	struct stat top;
	bool keepfs;

	if (stat(mountpoint, &top) < 0 || mountpoint_find(mountpoint, device, &keepfs) < 0 || !keepfs)
		return;
	path = mem_printf("/sys/class/bdi/%s/read_ahead_kb", device);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	snprintf(text, sizeof(text), "%d", READ_AHEAD_KIB);
	if (fd_write_all(fd, text, strlen(text)) < 0)
		log_debug("read-ahead of %s stays at the kernel's default", mountpoint);
}

static void *serve_requests(void *arg)
{
	struct fs *fs = arg;
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	uint64_t one = 1;
	sigset_t wake;

	sigemptyset(&wake);
	sigaddset(&wake, WAKE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
	fuse_loop_cfg_set_max_threads(config, FUSE_THREADS);
	atomic_store(&fs->loop_error, fuse_session_loop_mt(fs->session, config));
	fuse_loop_cfg_destroy(config);
	(void)!write(fs->ended_fd, &one, sizeof(one));
	return NULL;
}

static void wake_up(int signal_number)
{
}

/* libfuse speaks to standard error; its words become lines of the log. */
static void log_fuse(enum fuse_log_level level, const char *fmt, va_list args)
{
	_cleanup(str) struct str text = {0};

	str_vappendf(&text, fmt, args);
	while (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	log_line(level <= FUSE_LOG_ERR ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, "fuse: %s", str_text(&text));
}

int fs_mount(struct fs *fs, const char *mountpoint, struct error *err)
{
	/* Without SA_RESTART: the loop's wait is to be interrupted. */
	const struct sigaction action = {.sa_handler = wake_up};
	_cleanup(str) struct str options = {0};
	char *argv[] = {(char *)"keepfs", (char *)"-o", NULL, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	int r = mountpoint_prepare(mountpoint, has_mount_option(fs, NONEMPTY), err);

	if (r < 0)
		return r;
	fuse_set_log_func(log_fuse);
	mount_options(fs, &options);
	argv[2] = options.data;
	fs->session = fuse_session_new(&args, &operations, sizeof(operations), fs);
	fuse_opt_free_args(&args);
	if (!fs->session)
		return error_set(err, ERROR_USAGE, EINVAL, "the mount options were refused: %s",
		                 options.data);
	if (fuse_session_mount(fs->session, mountpoint) < 0)
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "could not mount on %s; as a user this needs fusermount3 (package fuse3), in a container /dev/fuse and CAP_SYS_ADMIN, with allow_other 'user_allow_other' in /etc/fuse.conf",
		        mountpoint);
	fs->mountpoint = mem_strdup(mountpoint);
	sigaction(WAKE_SIGNAL, &action, NULL);
	r = thread_start(&fs->loop, "fuse", serve_requests, fs);
	if (r < 0) {
		fuse_session_unmount(fs->session);
		return error_system(err, -r, "could not start the threads of the mount");
	}
	fs->looping = true;
	raise_read_ahead(mountpoint);
	return tenants_begin(fs, err);
}

/* Somebody unmounted it: what is mounted there now is not ours. */
static bool ended_from_outside(const struct fs *fs)
{
	struct pollfd pfd = {.fd = fuse_session_fd(fs->session)};

	return poll(&pfd, 1, 0) == 1 && pfd.revents & POLLERR;
}

/* What the kernel is just forgetting waits for a directory's lock. The rm that holds it must be answered, so
 * the loop goes on until then: whom nobody reads keeps the lock, and the forgetting thread would never
 * end. */
static void end_forgetting(struct fs *fs)
{
	atomic_store(&fs->ending, true);
	pthread_mutex_lock(&fs->forgetting);
	pthread_mutex_unlock(&fs->forgetting);
}

void fs_unmount(struct fs *fs)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

	if (!fs->looping)
		return;
	reader_cancel_all(fs->ctx.reader);
	laters_end(fs->laters);
	incomings_end(fs->incomings);
	if (fs->ctx.wal)
		wal_end(fs->ctx.wal);
	/* libfuse's own unmount closes the connection, whose number the next open() would get while commands
	 * in flight still answer to it: that is left for the end, in fs_free(). */
	if (!ended_from_outside(fs))
		mountpoint_detach(fs->mountpoint);
	end_forgetting(fs);
	fuse_session_exit(fs->session);
	/* The signal may arrive just before the loop goes to sleep, so it is sent until the loop has
	 * ended. */
	for (;;) {
		struct timespec until = clock_to_timespec(clock_now_us() + 10 * 1000);

		pthread_kill(fs->loop, WAKE_SIGNAL);
		if (pthread_timedjoin_np(fs->loop, NULL, &until) == 0)
			break;
		nanosleep(&pause, NULL);
	}
	fs->looping = false;
}

void fs_finish_commands(struct fs *fs)
{
	tenants_end(fs);
	/* They leave notes to the workers. */
	laters_end(fs->laters);
	if (fs->comparisons)
		comparisons_end(fs->comparisons);
	fs->lookers = lookers_free(fs->lookers);
	fs->inside_readers = lookers_free(fs->inside_readers);
	fs->base_readers = lookers_free(fs->base_readers);
	cancel_set(&fs->thaws_cancel);
	/* They leave what takes long to these. */
	fs->long_lookers = lookers_free(fs->long_lookers);
	fs->wal_takers = workers_free(fs->wal_takers);
	fs->workers = workers_free(fs->workers);
	/* They have nothing new to forget then. */
	fs->forgetters = workers_free(fs->forgetters);
}

struct fs *fs_free(struct fs *fs)
{
	if (!fs)
		return NULL;
	fs_unmount(fs);
	/* Commands in flight still answer: the session goes after them. */
	fs_finish_commands(fs);
	handles_free(fs);
	mirrored_states_free(fs->mirrored);
	descents_free(fs->descents);
	kept_packs_free(fs->kept_packs);
	based_files_free(fs->based);
	if (fs->session) {
		fuse_session_unmount(fs->session);
		fuse_session_destroy(fs->session);
	}
	cancel_finish(&fs->thaws_cancel);
	rights_finish(fs);
	fs->confirmations = confirmations_free(fs->confirmations);
	comparisons_free(fs->comparisons);
	diff_pairs_free(fs->diff_pairs);
	pthread_mutex_destroy(&fs->forgetting);
	pthread_mutex_destroy(&fs->tenants_lock);
	pthread_mutex_destroy(&fs->handles_lock);
	incomings_free(fs->incomings);
	wal_missed_free(fs->wal_missed);
	laters_free(fs->laters);
	watches_free(fs->watches);
	texts_free(fs->texts);
	if (fs->ended_fd >= 0)
		close(fs->ended_fd);
	free(fs->mountpoint);
	free(fs);
	return NULL;
}
