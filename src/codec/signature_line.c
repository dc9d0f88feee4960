// SPDX-License-Identifier: Apache-2.0
/* The last line of a signed text. There is one way to write it, so that nothing in it can be changed and still be taken. */
#include <keepfs/codec/sign.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>

#define HEAD   "\"signature\":{"
#define KEY    "\"key\":\""
#define MIDDLE "\",\"ed25519\":\""
#define SECOND "\",\"second\":{"
#define END    "\"}}"

/* 64 bytes in base64. */
#define ENCODED_CHARS 88

static void append_signature(struct str *out, const struct signature *s)
{
	_cleanup(free) char *text = base64_encode(s->bytes, sizeof(s->bytes));

	str_appendf(out, KEY "%s" MIDDLE "%s", s->key, text);
}

void sign_hash(const void *data, size_t len, char ret_hex[static SHA256_HEX_BYTES])
{
	uint8_t digest[SHA256_BYTES];

	sha256_once(data, len, digest);
	hex_encode(digest, sizeof(digest), ret_hex);
}

void signature_append(struct str *out, const struct signature *s, const struct signature *second)
{
	str_append(out, HEAD);
	append_signature(out, s);
	if (second && second->key[0]) {
		str_append(out, SECOND);
		append_signature(out, second);
		str_append(out, "\"}");
		str_append(out, "}}\n");
		return;
	}
	str_append(out, END "\n");
}

struct line {
	const char *at, *end;
};

static bool take_exactly(struct line *l, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(l->end - l->at) < len || memcmp(l->at, text, len) != 0)
		return false;
	l->at += len;
	return true;
}

static bool take_id(struct line *l, char ret[static SIGN_ID_BYTES])
{
	if (l->end - l->at < SIGN_ID_BYTES - 1)
		return false;
	for (size_t i = 0; i < SIGN_ID_BYTES - 1; i++)
		if (!strchr("0123456789abcdef", l->at[i]) || l->at[i] == '\0')
			return false;
	memcpy(ret, l->at, SIGN_ID_BYTES - 1);
	ret[SIGN_ID_BYTES - 1] = '\0';
	l->at += SIGN_ID_BYTES - 1;
	return true;
}

static bool take_bytes(struct line *l, uint8_t ret[static SIGN_SIGNATURE_BYTES])
{
	char text[ENCODED_CHARS + 1] = "";
	_cleanup(free) uint8_t *bytes = NULL;
	_cleanup(free) char *again = NULL;
	size_t len = 0;

	if (l->end - l->at < ENCODED_CHARS)
		return false;
	memcpy(text, l->at, ENCODED_CHARS);
	bytes = base64_decode(text, &len);
	if (!bytes || len != SIGN_SIGNATURE_BYTES)
		return false;
	/* The last digit has bits that mean nothing: only one way to write them is taken. */
	again = base64_encode(bytes, len);
	if (strcmp(text, again) != 0)
		return false;
	memcpy(ret, bytes, SIGN_SIGNATURE_BYTES);
	l->at += ENCODED_CHARS;
	return true;
}

static bool take_one(struct line *l, struct signature *ret)
{
	return take_exactly(l, KEY) && take_id(l, ret->key) && take_exactly(l, MIDDLE) &&
	       take_bytes(l, ret->bytes);
}

/* Where the last line begins; @text ends with a line end. */
static size_t last_line_of(const char *text, size_t len)
{
	size_t at = len - 1;

	while (at > 0 && text[at - 1] != '\n')
		at--;
	return at;
}

static bool take_signature_line(struct line *l, struct signature *ret, struct signature *ret_second)
{
	struct signature second = {0};

	if (!take_exactly(l, HEAD) || !take_one(l, ret))
		return false;
	if (ret_second && take_exactly(l, SECOND)) {
		if (!take_one(l, &second) || !take_exactly(l, "\"}"))
			return false;
		*ret_second = second;
		return take_exactly(l, "}}\n") && l->at == l->end;
	}
	return take_exactly(l, END "\n") && l->at == l->end;
}

int signature_find(const char *text, size_t len, size_t *ret_signed, struct signature *ret,
                   struct signature *ret_second, struct error *err)
{
	struct signature s = {0}, second = {0};
	struct line l;
	size_t begin;

	if (len == 0)
		return 0;
	begin = last_line_of(text, len);
	l = (struct line){text + begin, text + len};
	if (!take_exactly(&l, "\"signature\":"))
		return 0;
	l.at = text + begin;
	if (begin < 2 || text[begin - 2] != ',' || !take_signature_line(&l, &s, ret_second ? &second : NULL))
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "\"signature\" is not of the form that keepfs writes: a line with the name of a key and 64 bytes in base64");
	*ret_signed = begin;
	*ret = s;
	if (ret_second)
		*ret_second = second;
	return 1;
}
