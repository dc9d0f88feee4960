// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/wal_history.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/wal_name.h>

#define BLANKS " \t\r"

void wal_history_finish(struct wal_history *h)
{
	for (size_t i = 0; i < h->count; i++)
		free(h->ancestors[i].reason);
	free(h->ancestors);
	*h = (struct wal_history){0};
}

/* The next word of a line, in place; NULL: there is none. */
static char *take_history_word(char **at)
{
	char *word = *at + strspn(*at, BLANKS), *end = word + strcspn(word, BLANKS);

	if (*word == '\0')
		return NULL;
	*at = *end ? end + 1 : end;
	*end = '\0';
	return word;
}

static bool parse_timeline(const char *text, uint32_t *ret)
{
	uint64_t number = 0;

	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		number = number * 10 + (uint64_t)(*text - '0');
		if (number > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)number;
	return number > 0;
}

/* Why a line cannot follow those before it; NULL: it can. */
static const char *why_out_of_order(const struct wal_history *h, const struct wal_ancestor *next)
{
	const struct wal_ancestor *last = h->count > 0 ? &h->ancestors[h->count - 1] : NULL;

	if (next->timeline >= h->timeline)
		return "a timeline cannot come from one of its own or a higher number";
	if (last && next->timeline <= last->timeline)
		return "numbers of timelines have to grow";
	if (last && next->left_at < last->left_at)
		return "places cannot go back";
	return NULL;
}

/* Why @line is none; NULL: it is one, and was added. */
static const char *add_line(struct wal_history *h, char *line)
{
	char *at = line, *timeline = take_history_word(&at), *lsn;
	struct wal_ancestor next = {0};
	const char *why;

	if (!timeline || *timeline == '#')
		return NULL;
	lsn = take_history_word(&at);
	if (!parse_timeline(timeline, &next.timeline))
		return "a number of a timeline was expected";
	if (!lsn || wal_lsn_parse(lsn, &next.left_at) < 0)
		return "a place such as 0/19018048 was expected behind the number";
	why = why_out_of_order(h, &next);
	if (why)
		return why;
	at += strspn(at, BLANKS);
	next.reason = mem_strdup(at);
	h->ancestors = mem_resize(h->ancestors, h->count + 1, sizeof(*h->ancestors));
	h->ancestors[h->count++] = next;
	return NULL;
}

static int parse_lines(char *text, size_t len, struct wal_history *h, struct error *err)
{
	char *past = text + len;
	size_t number = 1;

	for (char *line = text, *end; line; line = end, number++) {
		const char *why;

		end = memchr(line, '\n', (size_t)(past - line));
		if (end)
			*end++ = '\0';
		why = add_line(h, line);
		if (why)
			return error_set(err, ERROR_CORRUPT, EBADMSG, "%08" PRIX32 ".history, line %zu: %s",
			                 h->timeline, number, why);
	}
	return 0;
}

int wal_history_parse(uint32_t timeline, const char *text, size_t len, struct wal_history *ret,
                      struct error *err)
{
	_cleanup(wal_history) struct wal_history h = {.timeline = timeline};
	_cleanup(str) struct str copy = {0};
	int r;

	if (len > WAL_HISTORY_MAX_BYTES)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "%08" PRIX32 ".history has more than %zu bytes",
		                 timeline, WAL_HISTORY_MAX_BYTES);
	if (memchr(text, '\0', len))
		return error_set(err, ERROR_CORRUPT, EBADMSG, "%08" PRIX32 ".history is no text", timeline);
	str_append_bytes(&copy, text, len);
	str_append(&copy, "");
	r = parse_lines(copy.data, len, &h, err);
	if (r < 0)
		return r;
	wal_history_finish(ret);
	*ret = h;
	h = (struct wal_history){0};
	return 0;
}

uint32_t wal_history_timeline_at(const struct wal_history *h, uint64_t lsn)
{
	for (size_t i = 0; i < h->count; i++)
		if (lsn < h->ancestors[i].left_at)
			return h->ancestors[i].timeline;
	return h->timeline;
}

bool wal_history_leads_from(const struct wal_history *h, uint32_t timeline, uint64_t lsn)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->ancestors[i].timeline == timeline)
			return lsn <= h->ancestors[i].left_at;
	return timeline == h->timeline;
}
