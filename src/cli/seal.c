// SPDX-License-Identifier: Apache-2.0
/* keepfs seal: secrets, encrypted for this host. None is ever an argument, since everybody can see those of a process. */
#include "cli.h"

#include "seal_file.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/proc.h>

#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define SYSTEMD_TIMEOUT_MS INT64_C(60000)

/* A value. */

/* Without showing what is typed. */
static int ask_for_secret(struct secret_text *ret)
{
	struct termios before, quiet;
	bool is_terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
	int r;

	if (!is_terminal)
		return secret_text_read(ret, STDIN_FILENO);
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	fputs("The secret (it is not shown), then Enter and Ctrl-D: ", stderr);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	r = secret_text_read(ret, STDIN_FILENO);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	return r;
}

/* The line end at its end is the terminal's, or that of 'echo'. */
static void cut_line_end(struct secret_text *t)
{
	if (t->len > 0 && t->data[t->len - 1] == '\n')
		t->data[--t->len] = '\0';
	if (t->len > 0 && t->data[t->len - 1] == '\r')
		t->data[--t->len] = '\0';
}

static int print_secret(const struct secret_text *t)
{
	fwrite(t->data, 1, t->len, stdout);
	return cli_flush();
}

static int unseal_value(const struct secret_text *value)
{
	_cleanup(secret_text) struct secret_text opened = {0};
	struct error err = {0};

	if (!conf_is_sealed(value->data))
		return cli_usage("seal: this is no sealed value: it does not begin as one");
	if (secret_unseal_value("the value", value->data, &opened, &err) < 0)
		return cli_fail(&err);
	return print_secret(&opened);
}

static int seal_value(const struct secret_text *value)
{
	_cleanup(str) struct str sealed = {0};
	struct error err = {0};

	if (secret_seal_value(value, &sealed, &err) < 0)
		return cli_fail(&err);
	puts(str_text(&sealed));
	return CLI_DONE;
}

static int do_value(bool unseal)
{
	_cleanup(secret_text) struct secret_text value = {0};
	int r = ask_for_secret(&value);

	if (r < 0)
		return cli_usage("seal: standard input cannot be read: %s", strerror(-r));
	cut_line_end(&value);
	if (value.len == 0)
		return cli_usage("seal: there is nothing at standard input");
	if (memchr(value.data, '\0', value.len))
		return cli_usage(
		        "seal: a value cannot hold a character 0: put it into a file, and seal that");
	return unseal ? unseal_value(&value) : seal_value(&value);
}

/* Files. */

static bool is_same_file(const char *a, const char *b)
{
	struct stat st_a, st_b;

	return a && b && stat(a, &st_a) == 0 && stat(b, &st_b) == 0 && st_a.st_dev == st_b.st_dev &&
	       st_a.st_ino == st_b.st_ino;
}

static int seal_one(const struct conf *conf, const char *path)
{
	struct error err = {0};
	int r;

	if (is_same_file(path, conf->path))
		return cli_usage(
		        "seal: %s is the configuration: seal single values for it (--value), or files that it names",
		        path);
	if (is_same_file(path, conf->host_key_file))
		return cli_usage("seal: %s is the key with which files are sealed", path);
	r = seal_file(path, &err);
	if (r < 0)
		return cli_fail(&err);
	cli_put(stdout, path);
	puts(r > 0 ? " is sealed already" : " is sealed");
	if (r == 0)
		fputs("keepfs: what it held may still be in free blocks of the disk, in snapshots and in backups of it: a secret that others "
		      "could read before is better changed\n",
		      stderr);
	return CLI_DONE;
}

static int unseal_one(const char *path)
{
	_cleanup(secret_text) struct secret_text plain = {0}, opened = {0};
	struct error err = {0};

	if (seal_read_file(path, &plain, &err) < 0)
		return cli_fail(&err);
	if (!secret_is_sealed(plain.data, plain.len))
		return cli_usage("seal: %s is not sealed", path);
	if (secret_unseal_bytes(path, plain.data, plain.len, &opened, &err) < 0)
		return cli_fail(&err);
	return print_secret(&opened);
}

/* By systemd. */

static const char *credential_name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int run_systemd_creds(const char *path, const char *credential, struct error *err)
{
	_cleanup(free) char *name = mem_printf("--name=%s", credential_name_of(path));
	const struct proc_options options = {
	        .argv = (const char *const[]){"/usr/bin/env", "systemd-creds", "encrypt", name, path,
	                                      credential, NULL},
	        .env = PROC_ENV_HELPER,
	        .timeout_ms = SYSTEMD_TIMEOUT_MS,
	        .output_to_lines = true,
	};
	_cleanup(proc) struct proc *p = NULL;
	int r = proc_start(&options, &p, err);

	if (r == 0)
		r = proc_wait(p, err);
	error_prefix(err, "systemd-creds makes no credential of %s", path);
	return r;
}

static int make_credential(const struct conf *conf, const char *path)
{
	_cleanup(free) char *credential = mem_printf("%s.cred", path), *whole = realpath(path, NULL);
	_cleanup(secret_text) struct secret_text plain = {0};
	struct error err = {0};

	if (seal_read_file(path, &plain, &err) < 0)
		return cli_fail(&err);
	/* The host's key itself may become one: what is sealed cannot, as it would have to be opened twice. */
	if (secret_is_sealed(plain.data, plain.len))
		return cli_usage("seal: %s is sealed already, for the key of this host", path);
	if (run_systemd_creds(path, credential, &err) < 0)
		return cli_fail(&err);
	printf("LoadCredentialEncrypted=%s:%s.cred\n", credential_name_of(path), whole ? whole : path);
	fprintf(stderr,
	        "keepfs: the line above belongs into the unit ('systemctl edit keepfs', below [Service]); the key in %s then says credential:%s. %s "
	        "itself is as it was: remove it when that works\n",
	        conf->path ? conf->path : "the configuration", credential_name_of(path), path);
	return CLI_DONE;
}

static int do_files(const struct cli_options *options, const struct conf *conf)
{
	int status = CLI_DONE;

	for (int i = 0; i < options->argc; i++) {
		const char *path = options->argv[i];
		int one = options->unseal         ? unseal_one(path)
		          : options->with_systemd ? make_credential(conf, path)
		                                  : seal_one(conf, path);

		status = status == CLI_DONE ? one : status;
	}
	return status;
}

int cmd_seal(const struct cli_options *options)
{
	struct conf conf = {0};
	int status;

	if (options->value ? options->argc > 0 : options->argc == 0)
		return cli_usage(
		        "seal takes files, or --value and the secret at standard input: never a secret as an argument");
	if (options->with_systemd && (options->unseal || options->value))
		return cli_usage("seal --with-systemd takes files only");
	if (options->unseal && options->argc > 1)
		return cli_usage("seal --unseal prints one file");
	status = cli_load_conf(options, &conf);
	if (status == CLI_DONE)
		status = options->value ? do_value(options->unseal) : do_files(options, &conf);
	conf_finish(&conf);
	return status;
}
