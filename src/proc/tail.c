// SPDX-License-Identifier: Apache-2.0
/* Bounded memory of an unbounded text: a head that is filled once, and behind it a window on the end. */
#include "tail.h"

#include <string.h>

static void tell_line(struct tail *t)
{
	if (t->line.len > 0 && t->on_line)
		t->on_line(t->arg, str_text(&t->line));
	str_clear(&t->line);
}

static void split_lines(struct tail *t, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n' || t->line.len >= TAIL_LINE_BYTES)
			tell_line(t);
		if (data[i] != '\n' && data[i] != '\r' && data[i] != '\0')
			str_append_char(&t->line, data[i]);
	}
}

void tail_add(struct tail *t, const char *data, size_t len)
{
	size_t to_head = TAIL_HEAD_BYTES - t->head.len;

	split_lines(t, data, len);
	if (to_head > len)
		to_head = len;
	str_append_bytes(&t->head, data, to_head);
	str_append_bytes(&t->end, data + to_head, len - to_head);
	if (t->end.len > 2 * TAIL_END_BYTES) {
		size_t drop = t->end.len - TAIL_END_BYTES;

		memmove(t->end.data, t->end.data + drop, TAIL_END_BYTES + 1);
		t->end.len = TAIL_END_BYTES;
		t->left_out += drop;
	}
}

void tail_end(struct tail *t)
{
	size_t drop = t->end.len > TAIL_END_BYTES ? t->end.len - TAIL_END_BYTES : 0;

	tell_line(t);
	str_append_bytes(&t->text, str_text(&t->head), t->head.len);
	if (t->left_out + drop > 0)
		str_appendf(&t->text, "\n[… %zu bytes left out …]\n", t->left_out + drop);
	if (t->end.len > 0)
		str_append_bytes(&t->text, t->end.data + drop, t->end.len - drop);
	/* It is handed out as C text. */
	for (size_t i = 0; i < t->text.len; i++) {
		if (t->text.data[i] == '\0')
			t->text.data[i] = ' ';
	}
}

void tail_finish(struct tail *t)
{
	str_finish(&t->head);
	str_finish(&t->end);
	str_finish(&t->line);
	str_finish(&t->text);
}
