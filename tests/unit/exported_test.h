// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Exports as files in memory, for the tests of the room `exported`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/base/str.h>
#include <keepfs/exported.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static inline int file_with(const void *bytes, size_t len)
{
	int fd = memfd_create("exported", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	return fd;
}

static inline struct exported_source source_of(int fd, const char *name)
{
	return (struct exported_source){.path = name, .fd = fd};
}

static inline struct exported *must_open(int fd, const char *name)
{
	const struct exported_source source = source_of(fd, name);
	struct exported *e = NULL;
	struct error err = {0};
	int r = exported_open(&source, NULL, &e, &err);

	if (r < 0)
		print_message("%s\n", err.message);
	assert_int_equal(r, 0);
	return e;
}

/* It is refused, with a message that has @part in it. */
static inline void must_refuse_file(const void *bytes, size_t len, int errnum, const char *part)
{
	int fd = file_with(bytes, len);
	const struct exported_source source = source_of(fd, "x.json");
	struct exported *e = NULL;
	struct error err = {0};
	int r = exported_open(&source, NULL, &e, &err);

	if (r != -errnum || !strstr(err.message, part))
		print_message("%d: %s\n(looked for: %s)\n", r, err.message, part);
	assert_int_equal(r, -errnum);
	assert_non_null(strstr(err.message, part));
	assert_null(e);
	close(fd);
}

static inline void must_refuse(const char *text, const char *part)
{
	must_refuse_file(text, strlen(text), EBADMSG, part);
}

/* The rows of a table as text: "1|abc|NULL" and a line end for each; JSON that is the server's has "json:" before it. */
static inline char *rows_text(struct exported *e, size_t table)
{
	const struct exported_table *t = &exported_head(e)->tables[table];
	struct str out = {0};
	const struct exported_value *values;
	struct error err = {0};
	int r = exported_table_begin(e, table, &err);

	assert_int_equal(r, 0);
	while ((r = exported_row(e, &values, &err)) > 0) {
		for (size_t i = 0; i < t->column_count; i++) {
			str_append(&out, i > 0 ? "|" : "");
			str_append(&out, values[i].is_null ? "NULL" : values[i].is_json ? "json:" : "");
			str_append_bytes(&out, values[i].text, values[i].len);
			assert_int_equal(values[i].text[values[i].len], '\0');
		}
		str_append_char(&out, '\n');
	}
	if (r < 0)
		print_message("%s\n", err.message);
	assert_int_equal(r, 0);
	return str_take(&out);
}

#define HEAD                                                                                                 \
	"{\"format\":\"keepfs-export\",\"version\":1,\n"                                                     \
	"\"readme\":[\"The data of Acme.\"],\n"                                                              \
	"\"tenant\":{\"id\":\"17\",\"slug\":\"acme\",\"name\":\"Acme\"},\n"                                  \
	"\"source\":{\"job\":\"exports\",\"database\":\"shop\",\"server_version\":\"15.4\","                 \
	"\"tenancy\":\"column\",\"taken_at\":\"2026-11-20T02:00:00.000000Z\",\"keepfs\":\"0.1.0\"},\n"       \
	"\"redacted\":[{\"schema\":\"public\",\"table\":\"users\",\"column\":\"payload\","                   \
	"\"path\":[\"a\",\"*\"],\"how\":\"mask\",\"why\":\"rule x\"}],\n"                                    \
	"\"left_out\":[{\"schema\":\"public\",\"table\":\"audit\",\"why\":\"excluded\"}],\n"
#define TABLE(name, columns)                                                                                 \
	"{\"schema\":\"public\",\"table\":\"" name "\",\"columns\":[" columns                                \
	"],\"primary_key\":[],\"foreign_keys\":[],\"found_by\":\"x\""
#define COLUMN(name, type) "{\"name\":\"" name "\",\"type\":\"" type "\",\"nullable\":true}"
