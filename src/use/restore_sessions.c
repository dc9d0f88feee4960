// SPDX-License-Identifier: Apache-2.0
/* Who is connected to the database that a restore would replace: whoever decides that should know whom it is taken from. */
#include "restore_target.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

static void append_session(struct str *out, const struct pg_database_session *s)
{
	str_append(out, *s->user ? s->user : "a process of the server");
	str_append(out, " (");
	if (*s->application)
		str_appendf(out, "%s, ", s->application);
	str_appendf(out, "%s%s, since %s)", str_equal(s->address, "local") || !*s->address ? "" : "from ",
	            *s->address ? s->address : "from where is not known", *s->since ? s->since : "?");
}

static ssize_t find_sessions(const struct restore_target *t, struct pg_database_session *ret, size_t max)
{
	const struct pg_server_place place = {.server = t->server, .cancel = t->order->cancel};

	return t->look.sessions > 0 ? pg_database_sessions(&place, t->database, ret, max, NULL) : 0;
}

void restore_append_sessions(const struct restore_target *t, size_t max, struct str *out)
{
	_cleanup(free) struct pg_database_session *found = mem_array(max, sizeof(*found));
	ssize_t count = find_sessions(t, found, max);

	for (ssize_t i = 0; i < count; i++) {
		str_append(out, i > 0 ? ", " : "");
		append_session(out, &found[i]);
	}
	if (count > 0 && (size_t)count < t->look.sessions)
		str_appendf(out, " and %zu more", t->look.sessions - (size_t)count);
}

void restore_tell_sessions(const struct restore_target *t, size_t max)
{
	_cleanup(free) struct pg_database_session *found = mem_array(max, sizeof(*found));
	ssize_t count = find_sessions(t, found, max);

	for (ssize_t i = 0; i < count; i++) {
		_cleanup(str) struct str line = {0};

		append_session(&line, &found[i]);
		make_say(t->order, "connected to %s: %s", t->database, str_text(&line));
	}
	if (count > 0 && (size_t)count < t->look.sessions)
		make_say(t->order, "connected to %s: %zu more", t->database,
		         t->look.sessions - (size_t)count);
}
