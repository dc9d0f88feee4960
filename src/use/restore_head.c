// SPDX-License-Identifier: Apache-2.0
#include "restore_head.h"

#include <stdio.h>
#include <string.h>

#define LINE_MOST 1000 /* a longer one is of no head */

const char *const restore_head_settings[] = {"transaction_timeout", "idle_in_transaction_session_timeout",
                                             NULL};

/* A word of "a, b". */
static bool server_lacks(const struct restore_head *h, const char *setting)
{
	size_t len = strlen(setting);

	for (const char *at = h->lacking; at && (at = strstr(at, setting)); at += len)
		if ((at == h->lacking || at[-1] == ' ') && (at[len] == '\0' || at[len] == ','))
			return true;
	return false;
}

static bool lacks_its_setting(const struct restore_head *h)
{
	char line[LINE_MOST];

	for (size_t i = 0; restore_head_settings[i]; i++) {
		snprintf(line, sizeof(line), "SET %s = 0;\n", restore_head_settings[i]);
		if (server_lacks(h, restore_head_settings[i]) && str_equal(str_text(&h->line), line))
			return true;
	}
	return false;
}

static bool line_starts(const struct restore_head *h, const char *text)
{
	return str_starts(str_text(&h->line), text);
}

/* Comments up to the one that announces the first object, and settings. */
static bool is_of_head(const struct restore_head *h)
{
	if (line_starts(h, "--"))
		return !line_starts(h, "-- Name: ") && !line_starts(h, "-- Data for ");
	return line_starts(h, "\n") || line_starts(h, "\\restrict ") || line_starts(h, "SET ") ||
	       strstr(str_text(&h->line), " pg_catalog.set_config('search_path', '', false);\n");
}

static int pass_line(struct restore_head *h, struct error *err)
{
	int r = h->write(h->arg, str_text(&h->line), h->line.len, err);

	str_clear(&h->line);
	return r;
}

static int end_line_of_head(struct restore_head *h, struct error *err)
{
	int r;

	if (lacks_its_setting(h)) {
		r = h->write(h->arg, "-- ", strlen("-- "), err);
		if (h->left_out)
			h->left_out(h->arg, str_text(&h->line));
		return r < 0 ? r : pass_line(h, err);
	}
	h->is_over = !is_of_head(h);
	return pass_line(h, err);
}

/* @ret_taken: so many bytes were. */
static int take_of_head(struct restore_head *h, const char *data, size_t len, size_t *ret_taken,
                        struct error *err)
{
	const char *end = memchr(data, '\n', len);
	size_t n = end ? (size_t)(end - data) + 1 : len;

	*ret_taken = n;
	str_append_bytes(&h->line, data, n);
	if (h->line.len > LINE_MOST) {
		h->is_over = true;
		return pass_line(h, err);
	}
	return end ? end_line_of_head(h, err) : 0;
}

int restore_head_feed(struct restore_head *h, const void *data, size_t len, struct error *err)
{
	const char *at = data;
	int r = 0;

	while (r == 0 && len > 0) {
		size_t n = len;

		r = h->is_over ? h->write(h->arg, at, len, err) : take_of_head(h, at, len, &n, err);
		at += n;
		len -= n;
	}
	return r;
}

int restore_head_end(struct restore_head *h, struct error *err)
{
	return h->line.len > 0 ? pass_line(h, err) : 0;
}
