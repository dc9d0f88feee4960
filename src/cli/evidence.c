// SPDX-License-Identifier: Apache-2.0
/* keepfs evidence: what auditors ask for, of a quarter, as a tar. A mount may be at work beside. */
#include "cli.h"
#include "looking.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/evidence.h>
#include <keepfs/keyring/signing.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OUT_PIECE_BYTES 65536

static int gather_evidence(const struct looking *l, const struct quarter *q, struct spool *out,
                           struct error *err)
{
	_cleanup(signing) struct signing *signing = NULL;
	const struct report_sources from = {
	        .catalog = l->catalog, .conf = &l->conf, .now_us = clock_now_us(), .store = l->store};
	struct evidence_context ctx = {.from = &from, .store = l->store, .keyring = l->keyring};
	int r = signing_new(&l->conf, &signing, err);

	ctx.signing = signing;
	return r < 0 ? r : evidence_write(&ctx, q, out, err);
}

static int copy_evidence(const struct spool *content, int fd, const char *where, struct error *err)
{
	_cleanup(free) char *buf = mem_alloc(OUT_PIECE_BYTES);
	uint64_t at = 0;
	ssize_t n;

	while ((n = spool_read(content, buf, OUT_PIECE_BYTES, at)) > 0) {
		int r = fd_write_all(fd, buf, (size_t)n);

		if (r < 0)
			return error_system(err, -r, "%s cannot be written", where);
		at += (uint64_t)n;
	}
	return n < 0 ? error_system(err, (int)-n, "what was gathered cannot be read again") : 0;
}

/* A file of its own, which appears when it is whole. */
static int save_evidence(const struct spool *content, const char *path, struct error *err)
{
	_cleanup(free) char *unfinished = mem_printf("%s.unfinished", path);
	_cleanup(fd) int fd = open(unfinished, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return error_system(err, errno, "%s cannot be made", unfinished);
	r = copy_evidence(content, fd, unfinished, err);
	if (r == 0 && fsync(fd) < 0)
		r = error_system(err, errno, "%s cannot be written", unfinished);
	if (r == 0 && link(unfinished, path) < 0)
		r = error_system(err, errno, "%s cannot be made", path);
	unlink(unfinished);
	return r;
}

/* As in the mount: who asked for it. Before it is handed out: what nobody could note is not. */
static int audit_evidence(const struct looking *l, const struct quarter *q, struct error *err)
{
	struct catalog_audit entry = {.at_us = clock_now_us(), .uid = getuid(), .pid = getpid()};
	char name[QUARTER_NAME_BYTES];
	int r;

	str_copy(entry.command, sizeof(entry.command), "keepfs");
	str_copy(entry.action, sizeof(entry.action), "evidence");
	str_copy(entry.result, sizeof(entry.result), "ok");
	snprintf(entry.object, sizeof(entry.object), "status/evidence/%s.tar", quarter_name(q, name));
	r = catalog_add_audit(l->catalog, &entry, err);
	if (r < 0)
		error_prefix(err, "that evidence was asked for could not be written to the audit");
	return r;
}

int cmd_evidence(const struct cli_options *options)
{
	struct looking looking = {0};
	struct quarter quarter;
	struct error err = {0};
	int status;

	if (options->argc < 1 || options->argc > 2 || !quarter_parse(options->argv[0], &quarter))
		return cli_usage(
		        "evidence takes a quarter, such as 2026-Q4, and the name of a new file or nothing");
	if (options->argc == 1 && isatty(STDOUT_FILENO))
		return cli_usage(
		        "evidence writes a tar: name a file, or send it into one (keepfs evidence %s > evidence.tar)",
		        options->argv[0]);
	status = looking_open(options, 2, &looking);
	if (status == CLI_DONE) {
		_cleanup(spool) struct spool *out = spool_new(looking.conf.state_dir);
		int r = gather_evidence(&looking, &quarter, out, &err);

		if (r == 0)
			r = audit_evidence(&looking, &quarter, &err);
		if (r == 0)
			r = options->argc == 2 ? save_evidence(out, options->argv[1], &err)
			                       : copy_evidence(out, STDOUT_FILENO, "standard output", &err);
		if (r < 0)
			status = cli_fail(&err);
	}
	looking_close(&looking);
	return status;
}
