// SPDX-License-Identifier: Apache-2.0
/* What `keepfs init --quick` writes: the file, and the lines to go on with, which can be pasted into a shell as they are. */
#include "quick.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/conf.h>
#include <keepfs/pg.h>

#include <string.h>
#include <unistd.h>

/* The file. */

static void append_setting(struct str *out, const char *key, const char *value)
{
	str_appendf(out, "%s = ", key);
	/* In a value of one line there is nothing that others could have meant for a terminal. */
	str_append_line(out, value);
	str_append_char(out, '\n');
}

static void append_variable(struct str *out, const char *key, const char *const *variables)
{
	for (; *variables; variables++) {
		const char *value = getenv(*variables);

		if (!value || !*value)
			continue;
		append_setting(out, key, value);
		return;
	}
}

/* A server of one's own host is the one case where nobody can listen. */
static bool is_loopback_http(const char *endpoint)
{
	static const char *const hosts[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};

	for (size_t i = 0; endpoint && i < ARRAY_SIZE(hosts); i++) {
		const char *behind = str_starts(endpoint, hosts[i]) ? endpoint + strlen(hosts[i]) : NULL;

		if (behind && strchr(":/", *behind))
			return true;
	}
	return false;
}

/* A daemon that is started elsewhere has another environment: what is not secret moves into the file. */
static void append_s3(struct str *out)
{
	static const char *const endpoints[] = {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", NULL};
	static const char *const regions[] = {"AWS_REGION", "AWS_DEFAULT_REGION", NULL};
	static const char *const profiles[] = {"AWS_PROFILE", "AWS_DEFAULT_PROFILE", NULL};
	static const char *const authorities[] = {"AWS_CA_BUNDLE", NULL};
	const char *endpoint = getenv(endpoints[0]);

	append_variable(out, "endpoint", endpoints);
	append_variable(out, "region", regions);
	append_variable(out, "profile", profiles);
	append_variable(out, "ca_file", authorities);
	if (is_loopback_http(endpoint && *endpoint ? endpoint : getenv(endpoints[1])))
		str_append(out, "allow_http = yes     # the server is on this host\n");
	str_append(
	        out,
	        getenv("AWS_ACCESS_KEY_ID")
	                ? "# The credentials came from the environment (AWS_ACCESS_KEY_ID). A daemon that is started elsewhere\n"
	                  "# does not have it: put them into ~/.aws/credentials, or here as access_key and secret_key.\n"
	                : "# The credentials are looked for as 'aws' does: ~/.aws/credentials, the container's, the instance's.\n");
}

static void append_store(const struct quick *q, struct str *out)
{
	str_append(out, "\n[store]\n");
	if (str_starts(q->url, "s3://")) {
		append_setting(out, "url", q->url);
		append_s3(out);
		return;
	}
	str_append(
	        out,
	        "# A directory of this host is lost together with the host: use another disk, or s3://BUCKET/PREFIX.\n");
	append_setting(out, "url", q->url);
}

static void append_others(const struct quick *q, struct str *out)
{
	_cleanup(str) struct str names = {0};

	for (size_t i = 0; q->server && i < q->server->database_count; i++) {
		const char *name = q->server->databases[i].name;

		if (str_equal(name, q->database))
			continue;
		str_append(&names, names.len ? ", " : "");
		str_append_line(&names, name);
	}
	if (names.len)
		str_appendf(
		        out,
		        "# The server has more databases: %s.\n"
		        "# databases = NAME, NAME backs up those that it names, each into a directory of its own.\n",
		        str_text(&names));
}

static void append_quick_job(const struct quick *q, struct str *out)
{
	str_append(out, "\n[backup " QUICK_JOB "]\n");
	if (q->server) {
		str_append(out, "# Found at ");
		str_append_line(out, q->server->place);
		if (q->server->version) {
			str_append(out, ": PostgreSQL ");
			str_append_line(out, q->server->version);
		}
		str_append(out, ". A password belongs into ~/.pgpass.\n");
	}
	append_setting(out, "database", q->conninfo);
	append_others(q, out);
	str_append(out,
	           "# Each night, as long as 'keepfs mount' runs. What none of the rules keeps is deleted.\n"
	           "schedule = daily-2am\nkeep_daily = 7\nkeep_weekly = 4\nkeep_monthly = 12\n");
}

void quick_write_conf(const struct quick *q, struct str *out)
{
	char now[CLOCK_ISO_BYTES];

	str_appendf(
	        out,
	        "# The configuration of keepfs, by 'keepfs init --quick', %s. All other keys have their defaults:\n"
	        "# keepfs.conf(5) explains them, and 'keepfs init -c FILE' writes a file with every one.\n"
	        "\n[keepfs]\n",
	        clock_format_iso(clock_now_us(), now));
	append_setting(out, "mountpoint", q->mountpoint);
	str_append(out, "# The catalog: an index of the backups, and the history.\n");
	append_setting(out, "state_dir", q->state_dir);
	append_store(q, out);
	append_quick_job(q, out);
}

/* The lines to go on with. */

char *quick_option(const struct quick *q)
{
	_cleanup(free) char *found = conf_find_path(NULL);
	struct str option = {0};

	if (!str_equal(found, q->path)) {
		str_append(&option, " -c ");
		str_append_shell_word(&option, q->path);
	}
	return str_take(&option);
}

/* "  WORDS PATH REST": @path quoted. */
static void append_command(struct str *out, const char *words, const char *path, const char *rest)
{
	str_appendf(out, "  %s", words);
	str_append_shell_word(out, path);
	str_appendf(out, "%s\n", rest);
}

static void append_crontab(const char *command, const char *option, struct str *out)
{
	_cleanup(free) char *line = mem_printf("%s%s", command, option);

	str_append(out, "  (crontab -l; echo ");
	str_append_shell_word(out, line);
	str_append(out, ") | crontab -\n");
}

/* A database beside the one that was backed up, so that nobody loses anything by trying it. */
static void append_restore(const struct quick *q, const char *file, struct str *out)
{
	_cleanup(free) char *name = mem_printf("%s_restored", q->database);
	_cleanup(free) char *any = pg_conninfo_with_database(q->conninfo, "postgres");
	_cleanup(free) char *target = pg_conninfo_with_database(q->conninfo, name);

	str_append(out, "  createdb --maintenance-db=");
	str_append_shell_word(out, any);
	str_append_char(out, ' ');
	str_append_shell_word(out, name);
	str_append(out, " && pg_restore -j4 -d ");
	str_append_shell_word(out, target);
	str_append_char(out, ' ');
	str_append_shell_word(out, file);
	str_append_char(out, '\n');
}

static void append_mounted(const struct quick *q, const char *option, struct str *out)
{
	_cleanup(free) char *directory = mem_printf("%s/backups/" QUICK_JOB, q->mountpoint);
	_cleanup(free) char *file = mem_printf("%s/%s", q->mountpoint, q->artifact);

	str_appendf(out, "  keepfs mount%s\n", option);
	append_command(out, "ls -l ", directory, "");
	append_command(out, "cp ", file, " .");
	append_restore(q, file, out);
}

/* The same from the store, which holds the same files under the same names. */
static void append_stored(const struct quick *q, struct str *out)
{
	bool is_directory = str_starts(q->url, "dir:");
	const char *top = is_directory ? q->url + strlen("dir:") : q->url;
	const char *name = strrchr(q->artifact, '/') + 1;
	_cleanup(free) char *directory = mem_printf("%s/backups/" QUICK_JOB "/", top);
	_cleanup(free) char *file = mem_printf("%s/%s", top, q->artifact);

	append_command(out, is_directory ? "ls -l " : "aws s3 ls ", directory, "");
	append_command(out, is_directory ? "cp " : "aws s3 cp ", file, " .");
	append_restore(q, is_directory ? file : name, out);
}

/* Scheduled backups are made by what is mounted: so it is to be at each boot. */
static void append_boot(const struct quick *q, const char *option, struct str *out)
{
	_cleanup(free) char *line =
	        mem_printf("%s %s fuse.keepfs _netdev,nofail 0 0", q->path, q->mountpoint);

	if (geteuid() == 0 && *q->path == '/' && !strpbrk(line, "'\\\t\n") && !strpbrk(q->path, " ") &&
	    !strpbrk(q->mountpoint, " "))
		str_appendf(out, "  echo '%s' >>/etc/fstab\n", line);
	else
		append_crontab("@reboot keepfs mount", option, out);
}

void quick_write_next(const struct quick *q, struct str *out)
{
	_cleanup(free) char *option = quick_option(q);

	str_append(
	        out,
	        "\nNext: look at it, copy it, try to restore it into a database of its own, have one made each night.\n");
	if (q->no_fuse) {
		append_stored(q, out);
		append_crontab("0 2 * * * keepfs run " QUICK_JOB, option, out);
	} else {
		append_mounted(q, option, out);
		append_boot(q, option, out);
	}
}
