// SPDX-License-Identifier: Apache-2.0
/* keepfs recovery: status/recovery, or with --json status/recovery.json; of all, or of one job. */
#include "client.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/codec/json.h>

#include <stdio.h>
#include <string.h>

static int refuse_recovery(const char *mountpoint, const char *file, int r)
{
	fprintf(stderr, "keepfs: %s/%s cannot be read: %s\n", mountpoint, file, strerrordesc_np(-r));
	return CLI_FAILED;
}

static int refuse_unknown_job(const char *name)
{
	fputs("keepfs: nothing is told of ", stderr);
	cli_put_line(stderr, name);
	fputs(": 'keepfs recovery' without a name shows all\n", stderr);
	return CLI_FAILED;
}

/* A section begins with a line that is not indented: the job, and the database where it has several. */
static bool is_section_of(const char *line, const char *name)
{
	size_t len = strlen(name);

	return strncmp(line, name, len) == 0 && (line[len] == '\0' || line[len] == ' ');
}

static int print_sections(struct str *text, const char *name)
{
	bool in_it = !name, found = !name;
	char *rest = text->data, *line;

	while (rest && (line = strsep(&rest, "\n"))) {
		if (name && *line && *line != ' ')
			in_it = is_section_of(line, name);
		found |= in_it;
		if (in_it && (*line || rest))
			puts(line);
	}
	return found ? CLI_DONE : refuse_unknown_job(name);
}

static int print_clusters(const struct str *text, const char *name)
{
	_cleanup(json) struct json *all = json_parse(str_text(text), text->len, NULL);
	_cleanup(str) struct str out = {0};
	bool found = !name;

	for (size_t i = 0; i < json_count(all); i++) {
		const struct json *one = json_item(all, i);

		if (name && !str_equal(json_get_string(one, "cluster"), name))
			continue;
		found = true;
		if (name)
			json_write(one, 2, &out);
	}
	if (!found)
		return refuse_unknown_job(name);
	if (!name)
		json_write(all, 2, &out);
	puts(str_text(&out));
	return CLI_DONE;
}

int cmd_recovery(const struct cli_options *options)
{
	const char *file = options->json ? "status/recovery.json" : "status/recovery",
	           *name = options->argc ? options->argv[0] : NULL;
	_cleanup(free) char *mountpoint = NULL;
	_cleanup(str) struct str text = {0};
	int status, r;

	if (options->argc > 1)
		return cli_usage("recovery takes one job, or none");
	status = client_find(options, &mountpoint);
	if (status != CLI_DONE)
		return status;
	r = client_read(mountpoint, file, &text);
	if (r < 0)
		return refuse_recovery(mountpoint, file, r);
	return options->json ? print_clusters(&text, name) : print_sections(&text, name);
}
