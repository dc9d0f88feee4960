// SPDX-License-Identifier: Apache-2.0
/* What a restore is about to do, for whoever has to decide whether it shall. */
#include "restore_target.h"

#include "pace.h"

#include <keepfs/base/str.h>

#include <sys/statvfs.h>

#define SESSIONS_PLANNED 50

/* What is known of the room: the server's own disk, when it is this host's. */
static void tell_room(const struct restore_target *t)
{
	uint64_t bytes = t->look.exists ? t->look.bytes : pace_database_bytes(t->backup);
	uint64_t needed = bytes / 10 * 13;
	struct statvfs st;
	char wanted[16], there[16];

	/* In the place of what is there nothing more is needed. */
	if (needed == 0 || !restore_target_is_beside(t) || !t->look.is_here || !t->look.directory[0] ||
	    statvfs(t->look.directory, &st) < 0)
		return;
	if ((uint64_t)st.f_bavail * st.f_frsize < needed)
		make_warn(
		        t->order, "the server's disk has %s left, and the new database may take %s%s",
		        str_format_bytes(there, sizeof(there), (uint64_t)st.f_bavail * st.f_frsize),
		        str_format_bytes(wanted, sizeof(wanted), needed),
		        t->look.exists
		                ? ": with swap=no clean=yes it is restored in the place of the old one, which is gone from the first moment on"
		                : "");
}

void restore_target_tell(const struct restore_target *t)
{
	char size[16];

	make_say(t->order, "%s (%s) is read, checked, and restored to %s", t->backup->path,
	         str_format_bytes(size, sizeof(size), t->backup->m.size_bytes), t->shown_server);
	if (!t->look.exists)
		make_say(
		        t->order,
		        "there is no database %s: it is made as %s, and gets its name when it is filled and checked",
		        t->database, t->made);
	else if (restore_target_is_beside(t))
		make_say(
		        t->order,
		        "%s (%s) stays as it is until %s beside it is filled and checked; then its %u sessions are ended and both get their new names at once: the old one becomes %s, and stays until somebody drops it",
		        t->database, str_format_bytes(size, sizeof(size), t->look.bytes), t->made,
		        t->look.sessions, t->before);
	else
		make_say(t->order, "%s (%s) itself is changed%s", t->database,
		         str_format_bytes(size, sizeof(size), t->look.bytes),
		         t->wanted->clean ? ": what is restored is dropped first" : "");
	restore_tell_sessions(t, SESSIONS_PLANNED);
	tell_room(t);
	restore_tell_time(t);
}
