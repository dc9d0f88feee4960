// SPDX-License-Identifier: Apache-2.0
/* The program. Everything it can do is in the library. */
#include "cli.h"

#include <stdio.h>
#include <unistd.h>

#include "process.h"

/* What does not fit into the buffer is written at once, and nobody asks then why it could not be: so that all but large outputs are written by cli_flush(), which tells it. */
static void enlarge_output(void)
{
	static char buffer[64 << 10];

	if (!isatty(STDOUT_FILENO))
		setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
}

int main(int argc, char **argv)
{
	process_prepare();
	enlarge_output();
	return cli_run(argc, argv);
}
