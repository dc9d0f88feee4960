// SPDX-License-Identifier: Apache-2.0
/* Small formats. */
#include "line.h"

#include <keepfs/base/clock.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void line_json(struct spool *out, struct json *j)
{
	_cleanup(json) struct json *owned = j;
	_cleanup(str) struct str line = {0};

	json_write(owned, 0, &line);
	str_append_char(&line, '\n');
	spool_append(out, str_text(&line), line.len);
}

const char *line_time(int64_t at_us, const char *none, char buf[static 32])
{
	if (at_us)
		clock_format_iso(at_us, buf);
	else
		str_copy(buf, 32, none);
	return buf;
}

const char *line_age(int64_t us, char buf[static 32])
{
	int64_t s = us > 0 ? us / US_PER_S : 0;

	if (s < 120)
		snprintf(buf, 32, "%" PRId64 " s", s);
	else if (s < 7200)
		snprintf(buf, 32, "%" PRId64 " min", s / 60);
	else if (s < 48 * 3600)
		snprintf(buf, 32, "%" PRId64 " h", s / 3600);
	else
		snprintf(buf, 32, "%" PRId64 " days", s / 86400);
	return buf;
}
