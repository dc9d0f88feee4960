// SPDX-License-Identifier: Apache-2.0
/*
 * Is it JSON (RFC 8259), as PostgreSQL takes it? Without recursion: a bit for each level says whether it is an object. White space outside of strings
 * becomes blanks; all else is left as it is, so that no number loses a digit.
 */
#include "copy_json_private.h"

#define TOO_DEEP "has JSON that is nested more than 100000 levels deep"
_Static_assert(COPY_JSON_DEPTH_MAX == 100000, "the message says how many");

static inline bool is_json_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c)
{
	return is_json_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Behind a backslash; the NUL at the end is no part of any escape. */
static bool check_escape(struct json_check *c)
{
	char letter = *c->at++;

	if (letter == 'u') {
		for (int i = 0; i < 4; i++)
			if (!is_hex_digit(*c->at++))
				return false;
		return true;
	}
	return letter && strchr("\"\\/bfnrt", letter);
}

bool json_check_string(struct json_check *c)
{
	c->at++;
	for (;;) {
		unsigned bits = json_step_special(json_step_load(c->at));

		if (!bits) {
			c->at += JSON_STEP;
			continue;
		}
		c->at += __builtin_ctz(bits);
		if (*c->at == '"') {
			c->at++;
			return true;
		}
		if (*c->at++ != '\\' || !check_escape(c))
			return false;
	}
}

static inline bool check_digits(struct json_check *c)
{
	const char *start = c->at;

	while (is_json_digit(*c->at))
		c->at++;
	return c->at > start;
}

static bool check_number(struct json_check *c)
{
	const char *start;

	if (*c->at == '-')
		c->at++;
	start = c->at;
	if (!check_digits(c) || (*start == '0' && c->at - start > 1))
		return false;
	if (*c->at == '.') {
		c->at++;
		if (!check_digits(c))
			return false;
	}
	if (*c->at != 'e' && *c->at != 'E')
		return true;
	c->at++;
	if (*c->at == '+' || *c->at == '-')
		c->at++;
	return check_digits(c);
}

static bool check_word(struct json_check *c, const char *word, size_t len)
{
	/* A step can be read, and the NUL at the end ends the comparison. */
	if (strncmp(c->at, word, len) != 0)
		return false;
	c->at += len;
	return true;
}

static bool check_scalar(struct json_check *c)
{
	switch (*c->at) {
	case '"':
		return json_check_string(c);
	case 't':
		return check_word(c, "true", 4);
	case 'f':
		return check_word(c, "false", 5);
	case 'n':
		return check_word(c, "null", 4);
	default:
		return check_number(c);
	}
}

static inline bool in_object(const struct json_check *c)
{
	return c->is_object[(c->depth - 1) / 64] >> (c->depth - 1) % 64 & 1;
}

static inline bool enter_level(struct json_check *c, bool object)
{
	uint64_t *word = &c->is_object[c->depth / 64], bit = UINT64_C(1) << c->depth % 64;

	if (c->depth == COPY_JSON_DEPTH_MAX)
		return false;
	*word = object ? *word | bit : *word & ~bit;
	c->depth++;
	return true;
}

/* A key and its colon. */
static bool check_member_key(struct json_check *c)
{
	json_check_blanks(c);
	if (*c->at != '"' || !json_check_string(c))
		return false;
	json_check_blanks(c);
	return *c->at++ == ':';
}

enum check_step { CHECK_VALUE, CHECK_BEHIND, CHECK_DONE, CHECK_WRONG, CHECK_DEEP };

/* At a value: into it when there is one within, else behind it. */
static inline enum check_step check_begin(struct json_check *c)
{
	bool object;

	json_check_blanks(c);
	object = *c->at == '{';
	if (!object && *c->at != '[')
		return check_scalar(c) ? CHECK_BEHIND : CHECK_WRONG;
	if (!enter_level(c, object))
		return CHECK_DEEP;
	c->at++;
	json_check_blanks(c);
	if (*c->at == (object ? '}' : ']')) {
		c->at++;
		c->depth--;
		return CHECK_BEHIND;
	}
	return !object || check_member_key(c) ? CHECK_VALUE : CHECK_WRONG;
}

/* Behind a value: on to the next one, or out of the level. */
static inline enum check_step check_behind(struct json_check *c)
{
	bool object;

	if (c->depth == 0)
		return CHECK_DONE;
	object = in_object(c);
	json_check_blanks(c);
	if (*c->at == ',') {
		c->at++;
		return !object || check_member_key(c) ? CHECK_VALUE : CHECK_WRONG;
	}
	if (*c->at != (object ? '}' : ']'))
		return CHECK_WRONG;
	c->at++;
	c->depth--;
	return CHECK_BEHIND;
}

const char *json_check_value(struct json_check *c)
{
	enum check_step step = CHECK_VALUE;

	c->depth = 0;
	while (step == CHECK_VALUE || step == CHECK_BEHIND)
		step = step == CHECK_VALUE ? check_begin(c) : check_behind(c);
	if (step == CHECK_DEEP)
		return TOO_DEEP;
	return step == CHECK_DONE ? NULL : JSON_NO_JSON;
}

const char *json_check_text(struct json_check *c, char *text, size_t len)
{
	const char *wrong;

	c->at = text;
	wrong = json_check_value(c);
	json_check_blanks(c);
	return wrong || c->at == text + len ? wrong : JSON_NO_JSON;
}
