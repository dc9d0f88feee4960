// SPDX-License-Identifier: Apache-2.0
/* Health of the file systems that keepfs writes to. */
#include "checks.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#define SPACE_LOW_BYTES ((uint64_t)64 << 20)
#define SPACE_LOW_PART  20 /* a twentieth: 5 percent */

static void check_free_space(struct checking *c, const char *name, const char *path)
{
	struct health_item *item = checking_add(c, REPORT_WARN, mem_strdup(name), path);
	struct statvfs fs;
	uint64_t avail, total;
	char free_text[16];

	if (statvfs(path, &fs) < 0) {
		item->text = mem_printf("%s: %s", path, strerror(errno));
		return;
	}
	avail = (uint64_t)fs.f_bavail * fs.f_frsize;
	total = (uint64_t)fs.f_blocks * fs.f_frsize;
	str_format_bytes(free_text, sizeof(free_text), avail);
	if (avail < SPACE_LOW_BYTES || avail < total / SPACE_LOW_PART) {
		item->text = mem_printf("only %s are free in %s", free_text, path);
		item->what_to_do = mem_strdup("make room, or backups will fail");
	} else {
		item->level = REPORT_OK;
		item->text = mem_printf("%s are free in %s", free_text, path);
	}
}

void check_space(struct checking *c)
{
	const struct conf *conf = c->from->conf;

	check_free_space(c, "space for the catalog", conf->state_dir);
	if (str_starts(conf->store.url, "dir:"))
		check_free_space(c, "space for backups", conf->store.url + strlen("dir:"));
}
