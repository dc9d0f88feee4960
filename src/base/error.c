// SPDX-License-Identifier: Apache-2.0
/* Errors as values: see the header. Nothing here allocates, so that an error can always be told. */
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, enum error_class class, int errnum, const char *fmt, ...)
{
	struct error fresh = {.class = class, .errnum = errnum};
	va_list args;

	if (!err)
		return -errnum;
	/* Formatted before @err is replaced: the arguments may point into its old message. */
	va_start(args, fmt);
	vsnprintf(fresh.message, sizeof(fresh.message), fmt, args);
	va_end(args);
	*err = fresh;
	return -errnum;
}

void error_prefix(struct error *err, const char *fmt, ...)
{
	char prefix[256], old[sizeof(err->message)];
	va_list args;

	if (!err || !err->message[0])
		return;
	va_start(args, fmt);
	vsnprintf(prefix, sizeof(prefix), fmt, args);
	va_end(args);
	memcpy(old, err->message, sizeof(old));
	str_copy(err->message, sizeof(err->message), prefix);
	str_copy(err->message + strlen(err->message), sizeof(err->message) - strlen(err->message), ": ");
	str_copy(err->message + strlen(err->message), sizeof(err->message) - strlen(err->message), old);
}

static enum error_class class_of_errno(int errnum)
{
	switch (errnum) {
	case ENOENT:
		return ERROR_NOT_FOUND;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERROR_DENIED;
	case EEXIST:
	case EBUSY:
		return ERROR_CONFLICT;
	case ENOSPC:
	case EDQUOT:
		return ERROR_NO_SPACE;
	case ETIMEDOUT:
		return ERROR_TIMEOUT;
	case ECANCELED:
		return ERROR_CANCELLED;
	case EINVAL:
		return ERROR_USAGE;
	default:
		return ERROR_INTERNAL;
	}
}

int error_system(struct error *err, int errnum, const char *fmt, ...)
{
	char text[sizeof(err->message)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return error_set(err, class_of_errno(errnum), errnum, "%s: %s", text, strerrordesc_np(errnum));
}

const char *error_class_name(enum error_class class)
{
	static const char *const names[] = {
	        [ERROR_NONE] = "none",         [ERROR_USAGE] = "usage",
	        [ERROR_DENIED] = "denied",     [ERROR_NOT_FOUND] = "not found",
	        [ERROR_CONFLICT] = "conflict", [ERROR_UNAVAILABLE] = "unavailable",
	        [ERROR_TIMEOUT] = "timeout",   [ERROR_CORRUPT] = "corrupt",
	        [ERROR_NO_SPACE] = "no space", [ERROR_CANCELLED] = "cancelled",
	        [ERROR_INTERNAL] = "internal",
	};

	return names[class];
}
