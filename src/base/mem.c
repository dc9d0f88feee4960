// SPDX-License-Identifier: Apache-2.0
/* Small allocations that do not fail: see the header for why that is sound here. */
#include <keepfs/base/mem.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *or_die(void *ptr)
{
	static const char text[] = "keepfs: out of memory\n";

	if (ptr)
		return ptr;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	abort();
}

void *mem_alloc(size_t bytes)
{
	return or_die(calloc(1, bytes ? bytes : 1));
}

void *mem_array(size_t count, size_t bytes)
{
	return or_die(calloc(count ? count : 1, bytes ? bytes : 1));
}

void *mem_resize(void *ptr, size_t count, size_t bytes)
{
	return or_die(reallocarray(ptr, count ? count : 1, bytes ? bytes : 1));
}

char *mem_strdup(const char *text)
{
	return text ? or_die(strdup(text)) : NULL;
}

char *mem_printf(const char *fmt, ...)
{
	char *text = NULL;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	return or_die(len < 0 ? NULL : text);
}

void mem_replace_string(char **slot, const char *text)
{
	char *fresh = mem_strdup(text);

	free(*slot);
	*slot = fresh;
}

void mem_free_secret(char *text)
{
	if (!text)
		return;
	explicit_bzero(text, strlen(text));
	free(text);
}
