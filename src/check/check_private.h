// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the files of this room share. One probe is the work of one thread: there is no lock. */
#include <keepfs/check.h>

struct probe {
	struct check_result *ret;
	int64_t at_us;
	/* What did not fit into ret: told in its last item. */
	size_t others, others_failed;
	char others_text[700];
};

/* probe_add() - one finding: "ok" facts, or what is wrong and what to do. */
void probe_add(struct probe *p, bool ok, const char *name, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

void probe_store(struct probe *p, struct store *store, const struct error *store_err);
void probe_catalog(struct probe *p, const struct conf *conf);
void probe_fuse(struct probe *p, const struct conf *conf);
/** fuse_device_advice() - what to do when opening /dev/fuse failed with @errnum: static. */
const char *fuse_device_advice(int errnum);
