// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Ownership by scope: a local that owns something carries one of these attributes, and gives it away with
 * take_ptr() or take_fd(). Whatever was not given away is released when the scope ends, on every path.
 */
#include <stdlib.h>
#include <unistd.h>

/** DEFINE_CLEANUP() - make `cleanup_<name>` usable with _cleanup(name): calls @func on a non-NULL pointer. */
#define DEFINE_CLEANUP(name, type, func)                                                                     \
	static inline void cleanup_##name(type *p)                                                           \
	{                                                                                                    \
		if (*p)                                                                                      \
			func(*p);                                                                            \
	}

/** _cleanup() - release a local at the end of its scope with cleanup_<name>(). */
#define _cleanup(name) __attribute__((cleanup(cleanup_##name)))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/** take_ptr() - the pointer's value; the variable is NULL afterwards, so its cleanup does nothing. */
#define take_ptr(p)                                                                                          \
	({                                                                                                   \
		__auto_type take_tmp_ = *(p);                                                                \
		*(p) = NULL;                                                                                 \
		take_tmp_;                                                                                   \
	})

/** take_fd() - the descriptor; the variable is -1 afterwards. */
static inline int take_fd(int *fd)
{
	int value = *fd;

	*fd = -1;
	return value;
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
