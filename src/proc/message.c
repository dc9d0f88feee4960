/* The end of a child, told to a person on one line: the last lines of what it said are joined by "; ". */
#include "message.h"

#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#define QUOTED_BYTES ((size_t)1000)
#define QUOTED_LINES 8

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Where the last QUOTED_LINES lines, at most QUOTED_BYTES, of @text[0..len) begin. */
static const char *last_lines(const char *text, size_t len)
{
	const char *from = text + len;
	const char *best = NULL;
	int lines = 0;

	while (from > text && (size_t)(text + len - from) < QUOTED_BYTES && lines < QUOTED_LINES) {
		from--;
		if (from == text || from[-1] == '\n') {
			best = from;
			lines++;
		}
	}
	if (best)
		return best;
	/* A line that is cut begins with a whole character of UTF-8. */
	while (from < text + len && ((unsigned char)*from & 0xc0) == 0x80)
		from++;
	return from;
}

static void quote_end(struct str *out, const char *text)
{
	size_t len = strlen(text);
	const char *from;

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
		len--;
	from = last_lines(text, len);
	for (const char *p = from; p < text + len; p++) {
		if (*p == '\n')
			str_append(out, "; ");
		else if (*p != '\t' || p == from || p[-1] != '\n')
			str_append_char(out, *p == '\r' || *p == '\t' ? ' ' : *p);
	}
}

void message_of_end(const char *program, int wait_status, const char *stderr_text, struct error *err)
{
	_cleanup(str) struct str words = {0};
	const char *name = base_name(program);

	quote_end(&words, stderr_text);
	if (WIFSIGNALED(wait_status)) {
		int number = WTERMSIG(wait_status);
		const char *text = sigdescr_np(number);

		error_set(err, ERROR_INTERNAL, EIO, "%s was killed by signal %d (%s)%s%s", name, number,
		          text ? text : "unknown", words.len ? ": " : "", str_text(&words));
		return;
	}
	error_set(err, ERROR_INTERNAL, EIO, "%s ended with exit status %d%s%s", name,
	          WEXITSTATUS(wait_status), words.len ? ": " : " and said nothing", str_text(&words));
}
