// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the tests of streams share: bytes, and a sink that keeps what it gets. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/stream.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

/* Bytes of which no stretch repeats soon. */
static inline void make_data(struct str *out, size_t len)
{
	uint32_t x = 1;
	_cleanup(free) char *bytes = mem_alloc(len + 1);

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		bytes[i] = (char)(x >> 24);
	}
	str_append_bytes(out, bytes, len);
}

/* A sink that keeps what it gets. */

struct keeper {
	struct sink sink;
	struct str *data;
	bool *finished;
	int fail; /* what write returns */
};

static inline int keeper_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct keeper *k = (struct keeper *)s;

	if (k->fail)
		return error_set(err, ERROR_INTERNAL, -k->fail, "the keeper fails");
	str_append_bytes(k->data, data, len);
	return 0;
}

static inline int keeper_finish(struct sink *s, struct error *err)
{
	*((struct keeper *)s)->finished = true;
	return 0;
}

static inline void keeper_free(struct sink *s)
{
	free(s);
}

static const struct sink_ops keeper_ops = {keeper_write, keeper_finish, keeper_free};

static inline struct sink *keeper_new(struct str *data, bool *finished, int fail)
{
	struct keeper *k = mem_alloc(sizeof(*k));

	*k = (struct keeper){.sink = {&keeper_ops}, .data = data, .finished = finished, .fail = fail};
	return &k->sink;
}
