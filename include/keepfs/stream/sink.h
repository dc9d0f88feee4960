// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Sinks: where bytes go. A stage is a sink that holds the next one, owns it, and passes on what it makes of
 * the bytes; the last one of a chain keeps them. One thread uses a chain.
 */
#include <keepfs/base/error.h>
#include <stddef.h>

struct sink;
struct sink_copy;

struct sink_ops {
	int (*write)(struct sink *, const void *data, size_t len,
	             struct error *); /* @data is borrowed for the call */
	/* For stages; stream_pump() calls none of these. */
	int (*finish)(struct sink *,
	              struct error *); /* end of data: flush everything; success means: taken over whole */
	void (*free)(struct sink *);   /* before a successful finish: drop everything that was written */
	/* The bytes that come before all that was written, and are known last: all of them, in order, in any number
	 * of calls after the last write and before finish. Only of a chain that was made with a size for them. */
	int (*head)(struct sink *, const void *data, size_t len, struct error *);
	/* The next bytes never pass here: the store copies them by itself, and has done so on return. NULL: a stage that needs the bytes. */
	int (*copy)(struct sink *, const struct sink_copy *, struct error *);
};

struct store_range;
/** struct sink_copy - bytes that the store copies by itself. All borrowed. */
struct sink_copy {
	const struct store_range *from;
	/* NULL, or called before each piece that the store is asked for, on the caller's thread; what it returns that is negative ends the copying. */
	int (*pace)(void *arg, uint64_t bytes, struct error *err);
	void *arg;
};

/** struct sink - a member of what its operations work on */
struct sink {
	const struct sink_ops *ops;
};

int sink_write(struct sink *s, const void *data, size_t len, struct error *err);
int sink_head(struct sink *s, const void *data, size_t len, struct error *err);
int sink_finish(struct sink *s, struct error *err);
/** sink_copy() - -ENOTSUP: the chain needs the bytes, or the store does not copy. */
int sink_copy(struct sink *s, const struct sink_copy *from, struct error *err);
/** sink_free() - frees the stages behind it too. NULL allowed; returns NULL. */
struct sink *sink_free(struct sink *s);
