// SPDX-License-Identifier: Apache-2.0
#include "reload.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/notify.h>
#include <keepfs/report/troubles.h>

#include <string.h>

/* A line of the log for each of @lines, which are not needed any more. */
static void log_lines(enum log_level level, const char *prefix, struct str *lines)
{
	char *rest = NULL;

	if (lines->len == 0)
		return;
	for (char *line = strtok_r(lines->data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		log_line(level, "%s%s", prefix, line);
}

static char *without_last_line_end(const struct str *text)
{
	return mem_printf("%.*s", (int)(text->len > 0 ? text->len - 1 : 0), str_text(text));
}

static void tell_refusal(struct str *problems, struct report_troubles *troubles)
{
	_cleanup(free) char *lines = without_last_line_end(problems);
	_cleanup(free) char *why = mem_printf("it was read again and not put in force: %s", lines);

	report_conf_trouble(troubles, why, "mend the file, try it with 'keepfs check', and reload");
	log_error("the configuration is wrong: that of before stays in force");
	log_lines(LOG_LEVEL_ERROR, "", problems);
}

static void tell_success(struct conf_changes *changes, struct str *warnings, struct report_troubles *troubles)
{
	_cleanup(free) char *lines = without_last_line_end(&changes->need_restart);
	_cleanup(free) char *why = mem_printf("it has changed where that needs a restart: %s", lines);

	report_conf_trouble(troubles, *lines ? why : NULL, "restart keepfs, or change it back and reload");
	log_info("the configuration was read again%s",
	         changes->taken.len + changes->need_restart.len > 0 ? "" : ": nothing has changed");
	log_lines(LOG_LEVEL_WARNING, "", warnings);
	log_lines(LOG_LEVEL_INFO, "in force: ", &changes->taken);
	log_lines(LOG_LEVEL_WARNING, "needs a restart: ", &changes->need_restart);
}

/* A mistake in what is kept costs backups: others hear of it before it does. */
static void tell_policy(struct notify *notify, const struct str *lines)
{
	_cleanup(free) char *text = without_last_line_end(lines);
	const struct notify_event event = {
	        .event = EVENT_POLICY_CHANGED,
	        .level = REPORT_WARN,
	        .title = "when backups are made, or which stay, was changed",
	        .text = text,
	        .what_to_do = "look at status/retention and status/schedule for what that means",
	};

	if (notify && lines->len > 0)
		notify_tell(notify, &event);
}

void reload_configuration(struct engine *engine, struct conf_live *live, struct report_troubles *troubles,
                          struct notify *notify)
{
	_cleanup(conf_ref) const struct conf *running = conf_live_ref(live);
	_cleanup(conf_changes) struct conf_changes changes = {0};
	_cleanup(str) struct str problems = {0};
	struct error err = {0};
	struct conf next;
	int r = conf_reload(running, &next, &changes, &problems);

	if (r == 0) {
		r = engine_read_keys(engine, &next, &err);
		if (r == 0)
			r = engine_add_directories(engine, &next, &err);
		if (r < 0) {
			conf_finish(&next);
			str_appendf(&problems, "%s\n", err.message);
		}
	}
	if (r < 0) {
		tell_refusal(&problems, troubles);
		return;
	}
	log_set_level((enum log_level)next.log_level);
	engine_read_identities(engine, &next, &problems);
	conf_live_replace(live, &next);
	tell_policy(notify, &changes.policy);
	tell_success(&changes, &problems, troubles);
}
