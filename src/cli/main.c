// SPDX-License-Identifier: Apache-2.0
/* The program. Everything it can do is in the library. */
#include "cli.h"

int main(int argc, char **argv)
{
	return cli_run(argc, argv);
}
