// SPDX-License-Identifier: Apache-2.0
/* The program. Everything it can do is in the library. */
#include "cli.h"

#include "process.h"

int main(int argc, char **argv)
{
	process_prepare();
	return cli_run(argc, argv);
}
