// SPDX-License-Identifier: Apache-2.0
/* The end of a child, told to a person on one line: the last lines of what it said are joined by "; ". */
#include "message.h"

#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#define QUOTED_BYTES ((size_t)1000)
#define LINE_BYTES                                                                                           \
	((size_t)330) /* of a line that is longer, a statement with thousands of names, its begin */
#define QUOTED_LINES    8
#define STATEMENT_BYTES ((size_t)80) /* of a statement that failed: the reason stands before it */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static size_t quoted_len(size_t line_len)
{
	return line_len < LINE_BYTES ? line_len : LINE_BYTES;
}

/* Where the last QUOTED_LINES lines of @text[0..len) begin, or fewer: as many as QUOTED_BYTES hold. */
static const char *last_lines(const char *text, size_t len)
{
	const char *best = text + len, *end = text + len;
	size_t bytes = 0;

	for (int lines = 0; lines < QUOTED_LINES && end > text; lines++) {
		const char *from = end;

		while (from > text && from[-1] != '\n')
			from--;
		bytes += quoted_len((size_t)(end - from)) + 2;
		if (bytes > QUOTED_BYTES)
			break;
		best = from;
		end = from > text ? from - 1 : text;
	}
	return best;
}

static void quote_line(struct str *out, const char *line, size_t len)
{
	size_t quoted = quoted_len(len);

	while (len > 0 && line[0] == '\t') {
		line++;
		len--;
	}
	/* What is cut ends with a whole character of UTF-8. */
	while (quoted < len && quoted > 0 && ((unsigned char)line[quoted] & 0xc0) == 0x80)
		quoted--;
	for (size_t i = 0; i < quoted && i < len; i++)
		str_append_char(out, line[i] == '\r' || line[i] == '\t' ? ' ' : line[i]);
	if (quoted < len)
		str_append(out, "…");
}

static void quote_end(struct str *out, const char *text)
{
	size_t len = strlen(text);
	const char *end, *next;

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
		len--;
	end = text + len;
	for (const char *p = last_lines(text, len); p < end; p = next + 1) {
		next = memchr(p, '\n', (size_t)(end - p));
		if (!next)
			next = end;
		quote_line(out, p, (size_t)(next - p));
		if (next < end)
			str_append(out, "; ");
	}
}

/* Where the statement begins that pg_dump shows in a line; NULL in all other lines. */
static const char *statement_in(const char *line, size_t len)
{
	static const char *const words[] = {"Query was: ", "Command was: "};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		const char *at = memmem(line, len, words[i], strlen(words[i]));

		if (at)
			return at + strlen(words[i]);
	}
	return NULL;
}

static bool is_said_by(const char *name, const char *line)
{
	return str_starts(line, name) && str_starts(line + strlen(name), ": ");
}

/* pg_dump shows the whole statement that failed, over as many lines as it has, behind the reason: which the last lines
 * would not hold any more. Of a statement its begin is kept. */
static void shorten_statements(const char *name, const char *text, struct str *out)
{
	bool in_statement = false;
	size_t len;

	for (const char *line = text; *line; line += len + (line[len] == '\n')) {
		const char *statement;

		len = strcspn(line, "\n");
		in_statement = in_statement && !is_said_by(name, line);
		if (in_statement)
			continue;
		statement = statement_in(line, len);
		in_statement = statement != NULL;
		if (statement && (size_t)(line + len - statement) > STATEMENT_BYTES) {
			size_t cut = STATEMENT_BYTES;

			while (cut > 0 && ((unsigned char)statement[cut] & 0xc0) == 0x80)
				cut--;
			str_append_bytes(out, line, (size_t)(statement - line) + cut);
			str_append(out, "…\n");
		} else {
			str_append_bytes(out, line, len);
			str_append(out, "\n");
		}
	}
}

void message_of_end(const char *program, int wait_status, const char *stderr_text, struct error *err)
{
	_cleanup(str) struct str words = {0}, said = {0};
	const char *name = base_name(program);

	shorten_statements(name, stderr_text, &said);
	quote_end(&words, str_text(&said));
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
