// SPDX-License-Identifier: Apache-2.0
#pragma once
/** One tenant brought back: what its words mean, and the file that is brought back. */
#include <keepfs/exported.h>
#include <keepfs/make.h>

enum restore_tenant_mode {
	RESTORE_TENANT_DIFF,    /* shown only */
	RESTORE_TENANT_REPLACE, /* the living tenant becomes what the file has */
	RESTORE_TENANT_BESIDE,  /* another tenant, of a new name */
};

struct restore_tenant_words { /* borrowed from the line */
	const char *tenant, *from, *into, *id;
	enum restore_tenant_mode mode;
	bool is_export; /* @from is one; else a dump, or a directory of dumps */
};
/** restore_tenant_words() - -EINVAL: @err says how they are written, or that the name was not typed. Pure. */
int restore_tenant_words(const struct command_line *line, struct restore_tenant_words *ret,
                         struct error *err);

/** struct tenant_file - an export in a file that nobody else can open any more */
struct tenant_file {
	int fd;     /* -1: none */
	char *name; /* heap, for people */
	struct exported *exported;
};
/** tenant_file_open() - of an export, or out of a dump with all values that are redacted elsewhere; read whole once. @f is for tenant_file_close() in any case. */
int tenant_file_open(struct tenant_file *f, const struct make_context *ctx, const struct make_order *order,
                     const struct restore_tenant_words *words, struct error *err);
void tenant_file_close(struct tenant_file *f);
/** tenant_file_clear() - after a crash: what was left in @state_dir. */
void tenant_file_clear(const char *state_dir, const char *name);
