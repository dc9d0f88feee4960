// SPDX-License-Identifier: Apache-2.0
/* Would somebody be told? */
#include "check_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/notify.h>

static void add_receiver_probe(void *arg, const struct notify_answer *answer)
{
	_cleanup(free) char *name = mem_printf("notices to %s", answer->receiver);

	probe_add(arg, answer->ok, name, "%s", answer->text);
}

void probe_notices(struct probe *p, const struct conf *conf)
{
	notify_probe(conf, add_receiver_probe, p);
}
