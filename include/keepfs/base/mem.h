// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Small allocations. They never return NULL: when the system has no memory for a few bytes the process ends
 * with a message, as after a kill -9, which keepfs is built to survive. Large memory (buffers) comes from
 * base/pool.h, which reports failure.
 */
#include <stddef.h>

/** mem_alloc() - zeroed memory, freed with free(). */
void *mem_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *mem_array(size_t count, size_t bytes) __attribute__((malloc, returns_nonnull));
void *mem_resize(void *ptr, size_t count, size_t bytes) __attribute__((returns_nonnull));
/** mem_strdup() - a copy of @text; NULL gives NULL. */
char *mem_strdup(const char *text);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** mem_replace_string() - free *@slot and put a copy of @text there. */
void mem_replace_string(char **slot, const char *text);
/** mem_free_secret() - wipe a string with explicit_bzero(), then free it; NULL is allowed. */
void mem_free_secret(char *text);
