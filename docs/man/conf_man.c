// SPDX-License-Identifier: Apache-2.0
/* Build-time: keepfs.conf(5) in scdoc's format, from its frame (argv[1]) and the table of keys. The frame has
 * one line "@OPTIONS@", which is replaced by what the table says. */
#include <keepfs/base/fd.h>
#include <keepfs/conf.h>

#include <stdio.h>
#include <string.h>

#define MARK            "@OPTIONS@\n"
#define FRAME_MAX_BYTES ((size_t)1 << 20)

int main(int argc, char **argv)
{
	_cleanup(str) struct str frame = {0}, options = {0};
	const char *mark;

	if (argc != 2 || fd_read_file(argv[1], FRAME_MAX_BYTES, &frame) < 0) {
		fputs("usage: conf_man FRAME\n", stderr);
		return 2;
	}
	mark = strstr(str_text(&frame), MARK);
	if (!mark) {
		fprintf(stderr, "%s has no line %s", argv[1], MARK);
		return 1;
	}
	conf_write_man(&options);
	fwrite(str_text(&frame), 1, (size_t)(mark - str_text(&frame)), stdout);
	fputs(str_text(&options), stdout);
	fputs(mark + strlen(MARK), stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}
