// SPDX-License-Identifier: Apache-2.0
/*
 * The longest common subsequence by the table of its lengths (Wagner and Fischer), between the equal lines at both ends. Lines are compared by their bytes.
 */
#include <keepfs/codec/line_diff.h>

#include <keepfs/base/mem.h>

#include <stdint.h>
#include <string.h>

#define AROUND     3
#define MOST_CELLS ((size_t)4 << 20) /* of the table: 8 MiB */
#define MOST_LINES ((size_t)UINT16_MAX)

struct text_line {
	const char *at;
	size_t len;
};

struct text_lines {
	struct text_line *items;
	size_t count;
};

struct line_script { /* what becomes of each line, in order */
	char *marks; /* ' ', '-' or '+' */
	const struct text_line **lines;
	size_t count;
};

static void split_text_lines(const char *text, size_t len, struct text_lines *ret)
{
	size_t cap = 0;

	*ret = (struct text_lines){0};
	while (len > 0) {
		const char *feed = memchr(text, '\n', len);
		size_t bytes = feed ? (size_t)(feed - text) : len;

		if (ret->count == cap) {
			cap = cap ? cap * 2 : 64;
			ret->items = mem_resize(ret->items, cap, sizeof(*ret->items));
		}
		ret->items[ret->count++] = (struct text_line){.at = text, .len = bytes};
		text += bytes + (feed ? 1 : 0);
		len -= bytes + (feed ? 1 : 0);
	}
}

static bool same_line(const struct text_line *x, const struct text_line *y)
{
	return x->len == y->len && memcmp(x->at, y->at, x->len) == 0;
}

static void put_script_lines(struct line_script *s, char mark, const struct text_line *lines, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		s->marks[s->count] = mark;
		s->lines[s->count++] = &lines[i];
	}
}

/* lengths[i * (n + 1) + k]: of the longest common subsequence of a[i…] and b[k…]. */
static void fill_lengths(const struct text_line *a, size_t m, const struct text_line *b, size_t n,
                         uint16_t *lengths)
{
	for (size_t i = m; i-- > 0;) {
		const uint16_t *below = lengths + (i + 1) * (n + 1);
		uint16_t *row = lengths + i * (n + 1);

		for (size_t k = n; k-- > 0;) {
			if (same_line(&a[i], &b[k]))
				row[k] = (uint16_t)(below[k + 1] + 1);
			else
				row[k] = below[k] > row[k + 1] ? below[k] : row[k + 1];
		}
	}
}

static void walk_lengths(const struct text_line *a, size_t m, const struct text_line *b, size_t n,
                         const uint16_t *lengths, struct line_script *s)
{
	size_t i = 0, k = 0;

	while (i < m && k < n) {
		if (same_line(&a[i], &b[k])) {
			put_script_lines(s, ' ', &a[i++], 1);
			k++;
		} else if (lengths[(i + 1) * (n + 1) + k] >= lengths[i * (n + 1) + k + 1]) {
			put_script_lines(s, '-', &a[i++], 1);
		} else {
			put_script_lines(s, '+', &b[k++], 1);
		}
	}
	put_script_lines(s, '-', a + i, m - i);
	put_script_lines(s, '+', b + k, n - k);
}

static void compare_middle(const struct text_line *a, size_t m, const struct text_line *b, size_t n,
                           struct line_script *s)
{
	_cleanup(free) uint16_t *lengths = NULL;

	if (m == 0 || n == 0 || m > MOST_LINES || n > MOST_LINES || (m + 1) * (n + 1) > MOST_CELLS) {
		put_script_lines(s, '-', a, m);
		put_script_lines(s, '+', b, n);
		return;
	}
	lengths = mem_array((m + 1) * (n + 1), sizeof(*lengths));
	fill_lengths(a, m, b, n, lengths);
	walk_lengths(a, m, b, n, lengths, s);
}

static void compare_lines_of(const struct text_lines *a, const struct text_lines *b, struct line_script *s)
{
	size_t least = a->count < b->count ? a->count : b->count, begin = 0, end = 0;

	while (begin < least && same_line(&a->items[begin], &b->items[begin]))
		begin++;
	while (end < least - begin && same_line(&a->items[a->count - 1 - end], &b->items[b->count - 1 - end]))
		end++;
	put_script_lines(s, ' ', a->items, begin);
	compare_middle(a->items + begin, a->count - begin - end, b->items + begin, b->count - begin - end, s);
	put_script_lines(s, ' ', a->items + a->count - end, end);
}

/* Is there a change within so many lines? */
static bool is_near_change(const struct line_script *s, size_t at)
{
	size_t first = at > AROUND ? at - AROUND : 0, last = at + AROUND;

	for (size_t i = first; i <= last && i < s->count; i++)
		if (s->marks[i] != ' ')
			return true;
	return false;
}

static void append_script(const struct line_script *s, struct str *out)
{
	bool left_out = false;

	for (size_t i = 0; i < s->count; i++) {
		if (!is_near_change(s, i)) {
			left_out = true;
			continue;
		}
		if (left_out)
			str_append(out, " ...\n");
		left_out = false;
		str_append_char(out, s->marks[i]);
		str_append_bytes(out, s->lines[i]->at, s->lines[i]->len);
		str_append_char(out, '\n');
	}
	if (left_out)
		str_append(out, " ...\n");
}

void line_diff_append(const char *a, size_t a_len, const char *b, size_t b_len, struct str *out)
{
	struct text_lines x, y;
	struct line_script script = {0};

	if (a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0))
		return;
	split_text_lines(a, a_len, &x);
	split_text_lines(b, b_len, &y);
	script.marks = mem_array(x.count + y.count + 1, 1);
	script.lines = mem_array(x.count + y.count + 1, sizeof(*script.lines));
	compare_lines_of(&x, &y, &script);
	append_script(&script, out);
	free(script.marks);
	free(script.lines);
	free(x.items);
	free(y.items);
}
