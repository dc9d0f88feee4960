// SPDX-License-Identifier: Apache-2.0
/* How long a restore will probably take, and how long it took. */
#include "pace.h"
#include "restore_target.h"

#include <keepfs/base/str.h>

bool restore_is_partial(const struct restore_order *w)
{
	/* Extensions have rows, too. */
	return w->content != RESTORE_ALL || w->schemas || w->tables || w->no_extensions;
}

void restore_expect(const struct restore_target *t, struct restore_expectation *ret)
{
	_cleanup(pace) struct pace check, restore;

	pace_find(t->backup, pace_of_check(t->wanted->level), &check);
	pace_find(t->backup, PACE_RESTORED, &restore);
	*ret = (struct restore_expectation){
	        .check_us = check.expected_us,
	        .restore_us = restore_is_partial(t->wanted) ? 0 : restore.expected_us,
	};
}

static void tell_time_of(const struct restore_target *t, const char *what, const struct pace *pace)
{
	_cleanup(str) struct str text = {0};

	if (pace->expected_us > 0)
		pace_append_ground(pace, &text);
	if (pace->expected_us > 0)
		make_say(t->order, "%s takes probably %s", what, str_text(&text));
	else
		make_say(
		        t->order,
		        "how long %s takes is not known: it was never done before (a drill tells: keepfs drill %s)",
		        what, t->backup->m.job);
}

void restore_tell_time(const struct restore_target *t)
{
	_cleanup(pace) struct pace check, restore;

	pace_find(t->backup, pace_of_check(t->wanted->level), &check);
	pace_find(t->backup, PACE_RESTORED, &restore);
	tell_time_of(t, "reading and checking it", &check);
	tell_time_of(t,
	             restore_is_partial(t->wanted) ? "restoring not a part, but all of it" : "restoring it",
	             &restore);
}

void restore_note_pace(const struct restore_target *t, int64_t took_us)
{
	const struct pg_server_place place = {.server = t->server, .cancel = t->order->cancel};
	struct pg_database_look look = {0};

	if (restore_is_partial(t->wanted) || pg_database_look(&place, t->made, &look, NULL) < 0)
		return;
	pace_note(t->backup, PACE_RESTORED, took_us, look.bytes);
}
