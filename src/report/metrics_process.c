// SPDX-License-Identifier: Apache-2.0
/* What monitoring wants to know of any process: by the names that Prometheus's client libraries give it,
 * behind our own prefix, because the exporter that passes our file on has these names for itself. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define STAT_BYTES_MAX ((size_t)1 << 20) /* /proc/stat has a number for each interrupt */

struct facts { /* of /proc/self/stat, see proc(5) */
	uint64_t user_ticks, system_ticks, start_ticks;
	uint64_t virtual_bytes, resident_pages;
};

static bool read_facts(struct facts *ret)
{
	_cleanup(str) struct str text = {0};
	const char *rest;

	if (fd_read_file("/proc/self/stat", STAT_BYTES_MAX, &text) < 0)
		return false;
	rest = strrchr(str_text(&text), ')'); /* the name before it may hold anything */
	return rest && sscanf(rest,
	                      ") %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64
	                      " %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64 " %" SCNu64,
	                      &ret->user_ticks, &ret->system_ticks, &ret->start_ticks, &ret->virtual_bytes,
	                      &ret->resident_pages) == 5;
}

/* When the machine started, in seconds since the epoch; 0: not known. */
static uint64_t read_boot_time(void)
{
	_cleanup(str) struct str text = {0};
	const char *line;

	if (fd_read_file("/proc/stat", STAT_BYTES_MAX, &text) < 0)
		return 0;
	line = strstr(str_text(&text), "\nbtime ");
	return line ? strtoull(line + strlen("\nbtime "), NULL, 10) : 0;
}

static uint64_t count_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	uint64_t count = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count > 0 ? count - 1 : 0; /* our own, of the directory */
}

static int64_t ticks_to_us(uint64_t ticks)
{
	return (int64_t)ticks * US_PER_S / sysconf(_SC_CLK_TCK);
}

static void expose_time(struct spool *out, const char *name, const char *type, const char *help, int64_t us)
{
	expose_family(out, name, type, help);
	expose_seconds(out, name, NO_LABELS, us);
}

int metrics_process(const struct report_sources *from, struct spool *out)
{
	struct facts facts;
	struct rlimit limit;
	uint64_t fds = count_open_fds(), boot_s = read_boot_time();

	if (read_facts(&facts)) {
		expose_time(out, "keepfs_process_cpu_seconds_total", "counter",
		            "User and system CPU time that the daemon has used.",
		            ticks_to_us(facts.user_ticks + facts.system_ticks));
		expose_gauge(out, "keepfs_process_resident_memory_bytes", "Resident memory.",
		             facts.resident_pages * (uint64_t)sysconf(_SC_PAGESIZE));
		expose_gauge(out, "keepfs_process_virtual_memory_bytes", "Virtual memory.",
		             facts.virtual_bytes);
		if (boot_s)
			expose_time(out, "keepfs_process_start_time_seconds", "gauge",
			            "When the daemon was started, in seconds since the Unix epoch.",
			            (int64_t)boot_s * US_PER_S + ticks_to_us(facts.start_ticks));
	}
	if (fds)
		expose_gauge(out, "keepfs_process_open_fds", "Open file descriptors.", fds);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		expose_gauge(out, "keepfs_process_max_fds", "How many may be open.", limit.rlim_cur);
	return 0;
}
