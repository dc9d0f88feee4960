// SPDX-License-Identifier: Apache-2.0
#include <keepfs/inside/backup.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int take_listed_line(const char *line, const struct backup_blobs *blobs, struct error *err)
{
	char *name;
	unsigned long oid = strtoul(line, &name, 10);

	if (line[0] < '0' || line[0] > '9' || *name != ' ' || oid > UINT32_MAX)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "'%.40s' names no large object", line);
	return blobs->each(blobs->arg, (uint32_t)oid, name + 1, err);
}

int backup_each_blob(const struct spool *list, const struct backup_blobs *blobs, struct error *err)
{
	char line[NAME_MAX_BYTES];
	uint64_t at = 0;
	ssize_t n = 0;
	int r = 0;

	while (r == 0 && (n = spool_read(list, line, sizeof(line) - 1, at)) > 0) {
		char *end = memchr(line, '\n', (size_t)n);

		if (!end)
			return error_set(err, ERROR_CORRUPT, EBADMSG, "a list of large objects is cut off");
		*end = '\0';
		at += (uint64_t)(end - line) + 1;
		r = take_listed_line(line, blobs, err);
	}
	if (r == 0 && n < 0)
		return error_system(err, (int)-n,
		                    "a list of large objects, kept in state_dir meanwhile, cannot be read");
	return r;
}
