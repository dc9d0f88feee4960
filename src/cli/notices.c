// SPDX-License-Identifier: Apache-2.0
/* keepfs notify --test: does anybody hear us? Without a mount. */
#include "cli.h"

#include <keepfs/codec/json.h>
#include <keepfs/notify.h>

#include <errno.h>

struct answers {
	struct json *list; /* NULL: a line is printed for each */
	unsigned failed;
};

static void print_receiver(void *arg, const struct notify_answer *answer)
{
	struct answers *a = arg;
	struct json *item;

	a->failed += !answer->ok;
	if (!a->list) {
		fputs(answer->ok ? "ok   " : "FAIL ", stdout);
		cli_put_line(stdout, answer->receiver);
		fputs(": ", stdout);
		cli_put_line(stdout, answer->text);
		fputc('\n', stdout);
		cli_flush();
		return;
	}
	item = json_object_new();
	json_set_string(item, "receiver", answer->receiver);
	json_set_bool(item, "ok", answer->ok);
	json_set_string(item, "detail", answer->text);
	json_append(a->list, item);
}

static void print_answers_json(struct json *list, bool ok)
{
	_cleanup(json) struct json *object = json_object_new();
	_cleanup(str) struct str out = {0};

	json_set_bool(object, "ok", ok);
	json_set(object, "receivers", list);
	json_write(object, 2, &out);
	puts(str_text(&out));
}

int cmd_notify(const struct cli_options *options)
{
	_cleanup(conf) struct conf conf = {0};
	struct answers answers = {0};
	struct error err = {0};
	int r;

	if (!options->test)
		return cli_usage("notify needs --test: notices are sent by the mount, and by 'keepfs run'");
	if (options->argc > 1)
		return cli_usage("notify --test takes one name");
	r = cli_load_conf(options, &conf);
	if (r != CLI_DONE)
		return r;
	if (options->json)
		answers.list = json_array_new();
	r = notify_test(&conf, options->argc == 1 ? options->argv[0] : NULL, print_receiver, &answers, &err);
	if (options->json)
		print_answers_json(answers.list, r > 0 && answers.failed == 0);
	if (r < 0)
		return cli_fail(&err);
	if (r == 0)
		fputs("keepfs: nobody is told of anything: add a section [mail], [webhook NAME] or [command NAME] to the configuration "
		      "(a [heartbeat NAME] is tested when it is named)\n",
		      stderr);
	return r > 0 && answers.failed == 0 ? CLI_DONE : CLI_FAILED;
}
