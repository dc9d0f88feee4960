// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, written to a control file. What is refused has a reason; what is taken holds no
 * control characters, and is taken the same when it is written again with the shell's quotes.
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/command_line.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void must_be_printable(const char *text)
{
	for (size_t n; *text; text += n) {
		n = str_utf8_char(text);
		fuzz_must(n > 0, "what is taken is UTF-8", text);
		fuzz_must((unsigned char)*text >= 0x20 && *text != 0x7f,
		          "what is taken holds no control characters", text);
	}
}

static void must_be_sound(const struct command_line *c)
{
	for (size_t i = 0; i < c->word_count; i++)
		must_be_printable(c->words[i]);
	for (size_t i = 0; i < c->pair_count; i++) {
		const char *key = c->pairs[i].key;

		must_be_printable(c->pairs[i].value);
		fuzz_must(*key >= 'a' && *key <= 'z', "a key begins with a letter", key);
		fuzz_must(strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(key),
		          "a key is a key", key);
	}
}

/* A word that was quoted since it looks like key=value would be such a pair. */
static bool looks_like_pair(const char *word)
{
	return strchr(word, '=');
}

/* The words, then the pairs: false when they cannot be written as they were. */
static bool write_again(const struct command_line *c, struct str *out)
{
	for (size_t i = 0; i < c->word_count; i++) {
		if (looks_like_pair(c->words[i]))
			return false;
		command_line_append(out, c->words[i]);
	}
	for (size_t i = 0; i < c->pair_count; i++) {
		_cleanup(free) char *pair = mem_printf("%s=%s", c->pairs[i].key, c->pairs[i].value);

		command_line_append(out, pair);
	}
	return out->len <= COMMAND_LINE_MAX_BYTES;
}

static void must_be_same(const struct command_line *a, const struct command_line *b, const char *text)
{
	fuzz_must(a->word_count == b->word_count && a->pair_count == b->pair_count, "as many words and pairs",
	          text);
	for (size_t i = 0; i < a->word_count; i++)
		fuzz_must(str_equal(a->words[i], b->words[i]), "the same word", text);
	for (size_t i = 0; i < a->pair_count; i++) {
		fuzz_must(str_equal(a->pairs[i].key, b->pairs[i].key), "the same key", text);
		fuzz_must(str_equal(a->pairs[i].value, b->pairs[i].value), "the same value", text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(free) char *text = fuzz_text(data, size);
	_cleanup(command_line) struct command_line c = {0}, again = {0};
	_cleanup(str) struct str written = {0};
	struct error err = {0};
	int r = command_line_parse(text, &c, &err);

	if (r != 0) {
		fuzz_must_refuse(r, &err);
		fuzz_must(r == -EINVAL && !c.words && !c.pairs, "a refused command is none", err.message);
		must_be_printable(err.message);
		return 0;
	}
	must_be_sound(&c);
	if (!write_again(&c, &written))
		return 0;
	r = command_line_parse(str_text(&written), &again, &err);
	fuzz_must(r == 0, "what was taken is taken again", err.message);
	must_be_same(&c, &again, str_text(&written));
	return 0;
}
