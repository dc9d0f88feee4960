// SPDX-License-Identifier: Apache-2.0
/* Words that notices have in common. */
#include "notify_private.h"

#include <keepfs/base/clock.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

const char *host_name(char buf[static 256])
{
	if (gethostname(buf, 256) < 0 || !*buf)
		str_copy(buf, 256, "localhost");
	buf[255] = '\0';
	return buf;
}

const char *tell_time(int64_t at_us, char buf[static 32])
{
	time_t at = (time_t)(at_us / US_PER_S);
	struct tm parts;

	*buf = '\0';
	if (at_us && gmtime_r(&at, &parts))
		strftime(buf, 32, "%Y-%m-%d %H:%M UTC", &parts);
	return buf;
}
