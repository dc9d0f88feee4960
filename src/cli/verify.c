// SPDX-License-Identifier: Apache-2.0
/* keepfs verify: by the mount where there is one, else in this process; with --key a store by its signatures, without either. */
#include "prove.h"
#include "work.h"

#include <keepfs/use.h>

int cmd_verify(const struct cli_options *options)
{
	static const struct work work = {.kind = &use_verify, .file = "control/verify"};

	if (options->key_file_count > 0)
		return prove_store(options);
	if (options->checkpoint || options->expect_sequence || options->objects || options->copy ||
	    options->store_url)
		return cli_usage(
		        "verify: --store, --copy, --checkpoint, --expect-sequence and --objects go with --key, which proves a store by its signatures");
	if (options->argc == 0)
		return cli_usage("verify takes backups, jobs, or: all");
	return work_to_end(options, &work);
}
