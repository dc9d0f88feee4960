// SPDX-License-Identifier: Apache-2.0
/*
 * What of a value of JSON is not given away. Only the levels that a path may still lead through are taken apart; all else is checked, and copied as the text that it
 * is. So the recursion is as deep as the longest path, whatever the value is. On each level there is a list of the paths whose keys have
 * been met so far. A key that comes twice is met twice.
 */
#include "copy_json_private.h"

#include <stdlib.h>

struct json_redactor {
	const struct copy_json_path *paths;
	size_t count;
	size_t levels; /* keys of the longest path */
	size_t *met; /* [level][place in the list]: the paths of which as many keys as the level says have been met */
	size_t *met_count;
	/* Of the present value. */
	struct json_check *check;
	struct json_pen *pen;
	struct hmac_key *key;
	struct str name; /* the present key, without escapes */
};

struct json_redactor *json_redactor_new(const struct copy_json_column *column)
{
	struct json_redactor *r = mem_alloc(sizeof(*r));

	r->paths = column->paths;
	r->count = column->path_count;
	for (size_t i = 0; i < r->count; i++)
		if (r->paths[i].key_count > r->levels)
			r->levels = r->paths[i].key_count;
	r->met = mem_array((r->levels + 1) * r->count, sizeof(*r->met));
	r->met_count = mem_array(r->levels + 1, sizeof(*r->met_count));
	for (size_t i = 0; i < r->count; i++)
		r->met[i] = i;
	r->met_count[0] = r->count;
	return r;
}

struct json_redactor *json_redactor_free(struct json_redactor *r)
{
	if (!r)
		return NULL;
	free(r->met);
	free(r->met_count);
	str_finish(&r->name);
	free(r);
	return NULL;
}

void json_put_mask(struct json_pen *pen)
{
	json_pen_literal(pen, "\"" JSON_MASK "\"");
}

void json_hash_text(struct hmac_key *key, const char *text, size_t len, char ret[static JSON_HASH_BYTES])
{
	static const char mark[] = "hash:";
	uint8_t mac[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	hmac_key_sha256(key, text, len, mac);
	hex_encode(mac, sizeof(mac), hex);
	memcpy(ret, mark, sizeof(mark) - 1);
	memcpy(ret + sizeof(mark) - 1, hex, JSON_HASH_BYTES - sizeof(mark));
	ret[JSON_HASH_BYTES - 1] = '\0';
}

void json_put_hash(struct json_pen *pen, struct hmac_key *key, const char *text, size_t len)
{
	char hash[JSON_HASH_BYTES];

	json_hash_text(key, text, len, hash);
	json_pen_char(pen, '"');
	json_pen_bytes(pen, hash, JSON_HASH_BYTES - 1);
	json_pen_char(pen, '"');
}

/* Four hexadecimal digits; they are some. */
static unsigned hex_of(const char *digits)
{
	unsigned value = 0;

	for (int i = 0; i < 4; i++) {
		unsigned c = (unsigned char)digits[i] | 0x20;

		value = value << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return value;
}

static char *put_character(char *out, unsigned code)
{
	if (code < 0x80) {
		*out++ = (char)code;
		return out;
	}
	if (code < 0x800) {
		*out++ = (char)(0xc0 | code >> 6);
	} else if (code < 0x10000) {
		*out++ = (char)(0xe0 | code >> 12);
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
	} else {
		*out++ = (char)(0xf0 | code >> 18);
		*out++ = (char)(0x80 | (code >> 12 & 0x3f));
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
	}
	*out++ = (char)(0x80 | (code & 0x3f));
	return out;
}

/* Behind "\u". A surrogate that is alone becomes three bytes, which are in no text of a server and so equal to no key. */
static const char *decode_code(const char *p, char **out)
{
	unsigned code = hex_of(p), low;

	p += 4;
	if ((code & 0xfc00) == 0xd800 && p[0] == '\\' && p[1] == 'u') {
		low = hex_of(p + 2);
		if ((low & 0xfc00) == 0xdc00) {
			code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
			p += 6;
		}
	}
	*out = put_character(*out, code);
	return p;
}

static char letter_value(char letter)
{
	static const char letters[] = "bfnrt", values[] = "\b\f\n\r\t";
	const char *at = strchr(letters, letter);

	return at ? values[at - letters] : letter;
}

/* The string in [@p, @end), without its quotes, which was checked, into @ret, which has as much room and may be where it is. Return: its length. */
static size_t decode_json_string(const char *p, const char *end, char *ret)
{
	char *out = ret;

	while (p < end) {
		if (*p != '\\') {
			*out++ = *p++;
		} else if (p[1] == 'u') {
			p = decode_code(p + 2, &out);
		} else {
			*out++ = letter_value(p[1]);
			p += 2;
		}
	}
	return (size_t)(out - ret);
}

static bool is_any_key(const char *key)
{
	return key[0] == '*' && !key[1];
}

static bool key_is(const char *key, const char *name, size_t len)
{
	return is_any_key(key) || (name && strlen(key) == len && memcmp(key, name, len) == 0);
}

static enum copy_json_redaction stronger(enum copy_json_redaction a, enum copy_json_redaction b)
{
	if (a == COPY_JSON_KEEP || b == COPY_JSON_KEEP)
		return a == COPY_JSON_KEEP ? b : a;
	return a < b ? a : b; /* omit, null, mask, hash */
}

/* Which paths lead on through @name (NULL: an element), which is on @level? Return: what the ones say that end there. */
static enum copy_json_redaction meet(struct json_redactor *r, size_t level, const char *name, size_t len)
{
	size_t *next = r->met + (level + 1) * r->count, *met = r->met + level * r->count, n = 0;
	enum copy_json_redaction how = COPY_JSON_KEEP;

	for (size_t i = 0; i < r->met_count[level]; i++) {
		const struct copy_json_path *path = &r->paths[met[i]];

		if (!key_is(path->keys[level], name, len))
			continue;
		if (path->key_count == level + 1)
			how = stronger(how, path->how);
		else
			next[n++] = met[i];
	}
	r->met_count[level + 1] = n;
	return how;
}

static enum copy_json_redaction meet_key(struct json_redactor *r, size_t level, const char *p,
                                         const char *end)
{
	size_t len = (size_t)(end - p);

	if (!memchr(p, '\\', len))
		return meet(r, level, p, len);
	str_clear(&r->name);
	str_append_bytes(&r->name, p, len);
	return meet(r, level, r->name.data, decode_json_string(p, end, r->name.data));
}

static const char *put_redacted(struct json_redactor *r, enum copy_json_redaction how)
{
	char *start = r->check->at;
	const char *wrong = json_check_value(r->check);
	size_t len = (size_t)(r->check->at - start);

	if (wrong)
		return wrong;
	json_pen_spend(r->pen, JSON_REDACTED_BYTES);
	if (how == COPY_JSON_NULL || *start == 'n')
		json_pen_literal(r->pen, "null");
	else if (how == COPY_JSON_MASK)
		json_put_mask(r->pen);
	else if (*start == '"')
		json_put_hash(r->pen, r->key, start, decode_json_string(start + 1, start + len - 1, start));
	else
		json_put_hash(r->pen, r->key, start, len);
	return NULL;
}

static const char *put_as_it_is(struct json_redactor *r)
{
	const char *start = r->check->at, *wrong = json_check_value(r->check);

	if (!wrong)
		json_pen_bytes(r->pen, start, (size_t)(r->check->at - start));
	return wrong;
}

static const char *put_json_level(struct json_redactor *r, size_t level);

/* The value of which @how was said; paths may lead on through it. */
static const char *put_within(struct json_redactor *r, size_t level, enum copy_json_redaction how)
{
	if (how != COPY_JSON_KEEP)
		return put_redacted(r, how);
	return r->met_count[level] > 0 ? put_json_level(r, level) : put_as_it_is(r);
}

static void put_comma(struct json_redactor *r, bool *first)
{
	if (!*first)
		json_pen_char(r->pen, ',');
	*first = false;
}

static const char *put_element_of(struct json_redactor *r, size_t level, bool *first)
{
	enum copy_json_redaction how = meet(r, level, NULL, 0);

	if (how == COPY_JSON_OMIT)
		return json_check_value(r->check);
	put_comma(r, first);
	return put_within(r, level + 1, how);
}

static const char *put_redacted_member(struct json_redactor *r, size_t level, bool *first)
{
	const char *key = r->check->at, *key_end;
	enum copy_json_redaction how;

	if (*key != '"' || !json_check_string(r->check))
		return JSON_NO_JSON;
	key_end = r->check->at;
	json_check_blanks(r->check);
	if (*r->check->at++ != ':')
		return JSON_NO_JSON;
	json_check_blanks(r->check);
	how = meet_key(r, level, key + 1, key_end - 1);
	if (how == COPY_JSON_OMIT)
		return json_check_value(r->check);
	put_comma(r, first);
	json_pen_bytes(r->pen, key, (size_t)(key_end - key));
	json_pen_char(r->pen, ':');
	return put_within(r, level + 1, how);
}

/* Behind a bracket: all up to the one that closes it. */
static const char *put_members(struct json_redactor *r, size_t level, bool object)
{
	char close = object ? '}' : ']';
	const char *wrong;
	bool first = true;

	json_check_blanks(r->check);
	if (*r->check->at == close)
		return NULL;
	for (;;) {
		json_check_blanks(r->check);
		wrong = object ? put_redacted_member(r, level, &first) : put_element_of(r, level, &first);
		if (wrong)
			return wrong;
		json_check_blanks(r->check);
		if (*r->check->at == close)
			return NULL;
		if (*r->check->at++ != ',')
			return JSON_NO_JSON;
	}
}

static const char *put_json_level(struct json_redactor *r, size_t level)
{
	char open = *r->check->at;
	const char *wrong;

	if (open != '{' && open != '[')
		return put_as_it_is(r);
	r->check->at++;
	json_pen_char(r->pen, open);
	wrong = put_members(r, level, open == '{');
	if (wrong)
		return wrong;
	json_pen_char(r->pen, *r->check->at++);
	return NULL;
}

const char *json_redact_text(struct json_redactor *r, struct json_check *c, struct hmac_key *key,
                             struct json_pen *pen, char *text, size_t len)
{
	const char *wrong;

	r->check = c;
	r->pen = pen;
	r->key = key;
	c->at = text;
	json_check_blanks(c);
	wrong = put_json_level(r, 0);
	json_check_blanks(c);
	return wrong || c->at == text + len ? wrong : JSON_NO_JSON;
}
