// SPDX-License-Identifier: Apache-2.0
#include "client.h"

#include "progress.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_MAX_BYTES ((size_t)64 << 20)

static char *named_mountpoint(const struct cli_options *options, int *ret_status)
{
	_cleanup(conf) struct conf conf = {0};
	const char *environment = getenv("KEEPFS_MOUNT");

	*ret_status = CLI_DONE;
	if (options->mountpoint)
		return mem_strdup(options->mountpoint);
	if (environment && *environment)
		return mem_strdup(environment);
	*ret_status = cli_load_conf(options, &conf);
	return *ret_status == CLI_DONE ? mem_strdup(conf.mountpoint) : NULL;
}

int client_find(const struct cli_options *options, char **ret_mountpoint)
{
	int status;
	_cleanup(free) char *mountpoint = named_mountpoint(options, &status);
	_cleanup(free) char *probe = NULL;
	struct statx st;

	if (!mountpoint)
		return status;
	probe = mem_printf("%s/control/README", mountpoint);
	/* Asked for anew: what the kernel remembers of a mount outlives its daemon. */
	if (statx(AT_FDCWD, probe, AT_STATX_FORCE_SYNC, STATX_TYPE, &st) < 0) {
		if (errno == EACCES || errno == EPERM)
			fprintf(stderr,
			        "keepfs: %s is not open to this user: be its owner, or mount with allow_other\n",
			        mountpoint);
		else if (errno == ENOTCONN)
			fprintf(stderr,
			        "keepfs: the daemon of %s has gone: start it again with 'keepfs mount'\n",
			        mountpoint);
		else
			fprintf(stderr,
			        "keepfs: no keepfs is mounted on %s: start it with 'keepfs mount', or name another with -m\n",
			        mountpoint);
		return CLI_UNREACHABLE;
	}
	*ret_mountpoint = take_ptr(&mountpoint);
	return CLI_DONE;
}

int client_read(const char *mountpoint, const char *path, struct str *out)
{
	_cleanup(free) char *full = mem_printf("%s/%s", mountpoint, path);

	return fd_read_file(full, TEXT_MAX_BYTES, out);
}

static void read_command_answer(int fd, struct str *answer)
{
	char piece[4096];
	ssize_t n;

	while ((n = pread(fd, piece, sizeof(piece), (off_t)answer->len)) > 0)
		str_append_bytes(answer, piece, (size_t)n);
}

int client_command(const char *mountpoint, const char *path, const char *command, struct str *answer)
{
	_cleanup(free) char *full = mem_printf("%s/%s", mountpoint, path);
	_cleanup(fd) int fd = open(full, O_RDWR | O_CLOEXEC);
	ssize_t n;
	int r = 0;

	if (fd < 0)
		return -errno;
	n = write(fd, command, strlen(command));
	if (n < 0)
		r = -errno;
	read_command_answer(fd, answer);
	return r;
}

int client_refused(int r, const struct str *answer)
{
	const char *why = answer->len ? str_text(answer) : strerrordesc_np(-r);

	fprintf(stderr, "keepfs: %s%s", why, str_ends(why, "\n") ? "" : "\n");
	return r == -EINVAL ? CLI_USAGE : CLI_FAILED;
}

/* The value of @key in a line of key=value pairs; "" when absent. */
static const char *field(const char *line, const char *key, char *buf, size_t size)
{
	size_t len = strlen(key);

	for (const char *p = line; *p; p += strcspn(p, " \n"), p += strspn(p, " \n")) {
		if (strncmp(p, key, len) == 0 && p[len] == '=') {
			snprintf(buf, size, "%.*s", (int)strcspn(p + len + 1, " \n"), p + len + 1);
			return buf;
		}
	}
	return "";
}

static int64_t number_field(const char *line, const char *key)
{
	char buf[32];

	return strtoll(field(line, key, buf, sizeof(buf)), NULL, 10);
}

/* "%20" is a space again. */
static void read_word(const char *word, char *ret, size_t size)
{
	size_t n = 0;

	for (; *word && n + 1 < size; word++) {
		bool is_code = word[0] == '%' && isxdigit((unsigned char)word[1]) &&
		               isxdigit((unsigned char)word[2]);
		char code[3] = {is_code ? word[1] : '0', is_code ? word[2] : '0', '\0'};

		ret[n++] = is_code ? (char)strtol(code, NULL, 16) : *word;
		word += is_code ? 2 : 0;
	}
	ret[n] = '\0';
}

static void parse_progress(const char *line, char state[static 16], struct report_progress *ret)
{
	char buf[1024], phase[32] = "";

	str_copy(state, 16, field(line, "state", buf, sizeof(buf)));
	*ret = (struct report_progress){
	        .read_bytes = (uint64_t)number_field(line, "read_bytes"),
	        .sent_bytes = (uint64_t)number_field(line, "sent_bytes"),
	        .verified_bytes = (uint64_t)number_field(line, "verified_bytes"),
	        .verifying = strcmp(field(line, "phase", phase, sizeof(phase)), "verifying") == 0,
	        .reads = *phase && strcmp(phase, "verifying") != 0 && strcmp(phase, "dumping") != 0,
	        .expected_bytes = (uint64_t)number_field(line, "expected_bytes"),
	        .elapsed_ms = number_field(line, "elapsed_ms"),
	        .rate_bytes_per_s = (uint64_t)number_field(line, "rate_bytes_per_s"),
	        .eta_s = *field(line, "eta_s", buf, sizeof(buf)) ? number_field(line, "eta_s") : -1,
	        .targets_done = (uint64_t)number_field(line, "targets_done"),
	};
	str_copy(ret->target, sizeof(ret->target), field(line, "database", buf, 256));
	read_word(field(line, "waits_for", buf, sizeof(buf)), ret->waits_for, sizeof(ret->waits_for));
}

/* One look at a run, then wait until it has changed. @ret_ended: its state is final. */
static int look(const char *path, int64_t run_id, struct progress *progress, enum client_show show,
                bool *ret_ended)
{
	_cleanup(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup(str) struct str line = {0};
	struct report_progress figures;
	struct pollfd pfd = {.events = POLLIN | POLLPRI};
	char state[16];

	if (fd < 0)
		return -errno;
	read_command_answer(fd, &line);
	parse_progress(str_text(&line), state, &figures);
	if (!state[0])
		return -EIO;
	if (show == CLIENT_SHOW_ALL || show == CLIENT_SHOW_STATES ||
	    (show == CLIENT_SHOW_BRIEF && progress->terminal))
		progress_show(progress, run_id, state, &figures);
	*ret_ended = strcmp(state, run_state_name(RUN_PENDING)) != 0 &&
	             strcmp(state, run_state_name(RUN_RUNNING)) != 0;
	if (*ret_ended)
		return 0;
	pfd.fd = fd;
	while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
		;
	return 0;
}

/* What follows @key and a space at the start of the first such line; NULL when there is none. */
static const char *status_value(const char *status, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = status; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (strncmp(line, key, len) == 0 && line[len] == ' ')
			return line + len + 1;
	}
	return NULL;
}

/* "run 17 completed: 73.0 MiB in 11 s, backups/full/….dump" */
static void print_success(const char *status, int64_t run_id)
{
	const char *bytes = status_value(status, "size_bytes"), *seconds = status_value(status, "seconds");
	const char *targets = status_value(status, "targets"), *target = status_value(status, "target");
	unsigned long long count = targets ? strtoull(targets, NULL, 10) : 0;
	char size[16];

	str_format_bytes(size, sizeof(size), bytes ? strtoull(bytes, NULL, 10) : 0);
	printf("run %lld completed: %s in %.0f s", (long long)run_id, size,
	       seconds ? strtod(seconds, NULL) : 0);
	if (count > 1 || !target) {
		printf(", %llu backups\n", count);
		return;
	}
	/* STATE BYTES PATH DATABASE */
	for (int i = 0; i < 2; i++) {
		target += strcspn(target, " \n");
		target += *target == ' ';
	}
	printf(", %.*s\n", (int)strcspn(target, " \n"), target);
}

/* On standard error, where cron's mail looks. */
static void print_warning(const char *status, int64_t run_id)
{
	const char *warning = status_value(status, "warning");

	if (warning && strcspn(warning, "\n") > 0 && !str_starts(warning, "-\n"))
		fprintf(stderr, "keepfs: run %lld completed with a warning: %.*s\n", (long long)run_id,
		        (int)strcspn(warning, "\n"), warning);
}

int client_watch(const char *mountpoint, int64_t run_id, enum client_show show)
{
	_cleanup(free) char *path = mem_printf("%s/jobs/%lld/progress", mountpoint, (long long)run_id);
	_cleanup(free) char *status_path = mem_printf("jobs/%lld/status", (long long)run_id);
	_cleanup(str) struct str status = {0};
	struct progress progress;
	bool ended = false, completed;
	int r = 0;

	progress_init(&progress);
	while (r == 0 && !ended)
		r = look(path, run_id, &progress, show, &ended);
	progress_end(&progress);
	if (r == -ENOENT) {
		fprintf(stderr, "keepfs: there is no run %lld\n", (long long)run_id);
		return CLI_USAGE;
	}
	if (r == 0)
		r = client_read(mountpoint, status_path, &status);
	if (r < 0) {
		fprintf(stderr, "keepfs: the mount on %s does not answer any more: %s\n", mountpoint,
		        strerrordesc_np(-r));
		return CLI_UNREACHABLE;
	}
	/* The line itself: a note, or what a server said, may hold the same words. */
	completed = str_starts(str_or_empty(status_value(str_text(&status), "state")), "completed\n");
	if (show == CLIENT_SHOW_BRIEF && completed) {
		print_success(str_text(&status), run_id);
		print_warning(str_text(&status), run_id);
	} else if (show == CLIENT_SHOW_ALL || (show != CLIENT_SHOW_NOTHING && !completed)) {
		fputs(str_text(&status), show == CLIENT_SHOW_ALL ? stdout : stderr);
	}
	return completed ? CLI_DONE : CLI_FAILED;
}

int client_print_run_json(const char *mountpoint, int64_t run_id)
{
	_cleanup(str) struct str history = {0};
	char start[48];
	char *rest, *line;
	int r = client_read(mountpoint, "status/history.jsonl", &history);

	if (r < 0) {
		fprintf(stderr, "keepfs: the history cannot be read: %s\n", strerrordesc_np(-r));
		return CLI_FAILED;
	}
	snprintf(start, sizeof(start), "{\"run\":%lld,", (long long)run_id);
	for (rest = history.data; rest && (line = strsep(&rest, "\n"));) {
		if (!str_starts(line, start))
			continue;
		puts(line);
		return CLI_DONE;
	}
	fprintf(stderr, "keepfs: the history has no run %lld any more: see records/history/ in the store\n",
	        (long long)run_id);
	return CLI_FAILED;
}

const char *client_within_mount(const char *mountpoint, const char *word)
{
	size_t len = strlen(mountpoint);

	return strncmp(word, mountpoint, len) == 0 && word[len] == '/' ? word + len + 1 : word;
}
