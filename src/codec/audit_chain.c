// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/audit_chain.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/json.h>

struct expected_head {
	struct audit_head head;
	char *source;
};

struct audit_chain {
	void (*found)(void *arg, const char *text);
	void *arg;
	struct expected_head *expected;
	size_t expected_count, next;
	struct audit_chain_result result;
};

bool audit_head_parse(const char *text, struct audit_head *ret)
{
	char *end;

	errno = 0;
	*ret = (struct audit_head){.number = strtoll(text, &end, 10)};
	if (errno != 0 || *end != ':' || ret->number <= 0 || strlen(end + 1) != SHA256_HEX_BYTES - 1)
		return false;
	if (strspn(end + 1, "0123456789abcdef") != SHA256_HEX_BYTES - 1)
		return false;
	memcpy(ret->hash, end + 1, SHA256_HEX_BYTES);
	return true;
}

struct audit_chain *audit_chain_new(void (*found)(void *arg, const char *text), void *arg)
{
	struct audit_chain *c = mem_alloc(sizeof(*c));

	c->found = found;
	c->arg = arg;
	return c;
}

struct audit_chain *audit_chain_free(struct audit_chain *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->expected_count; i++)
		free(c->expected[i].source);
	free(c->expected);
	free(c);
	return NULL;
}

void audit_chain_expect(struct audit_chain *c, const struct audit_head *head, const char *source)
{
	c->expected = mem_resize(c->expected, c->expected_count + 1, sizeof(*c->expected));
	c->expected[c->expected_count++] =
	        (struct expected_head){.head = *head, .source = mem_strdup(source)};
}

static int compare_heads(const void *a, const void *b)
{
	const struct expected_head *x = a, *y = b;

	return (x->head.number > y->head.number) - (x->head.number < y->head.number);
}

static void tell_wrong(struct audit_chain *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void tell_wrong(struct audit_chain *c, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	c->result.wrong++;
	c->found(c->arg, str_text(&text));
}

static bool is_zeros(const char *hash)
{
	return strspn(hash, "0") == SHA256_HEX_BYTES - 1;
}

/* What a line says of its place; false: it has none. */
static bool read_place(const char *line, size_t len, struct audit_head *ret_previous)
{
	_cleanup(json) struct json *object = json_parse(line, len, NULL);
	const char *previous = object ? json_get_string(object, "previous") : NULL;

	if (!previous || !json_get_int(object, "number", &ret_previous->number) || ret_previous->number <= 0)
		return false;
	ret_previous->number--;
	str_copy(ret_previous->hash, sizeof(ret_previous->hash), previous);
	return true;
}

static void compare_place(struct audit_chain *c, const struct audit_head *previous)
{
	const struct audit_head *head = &c->result.head;
	int64_t number = previous->number + 1;

	if (number <= head->number)
		tell_wrong(c, "line %" PRId64 " comes after line %" PRId64, number, head->number);
	else if (number == head->number + 2)
		tell_wrong(c, "line %" PRId64 " is missing", head->number + 1);
	else if (number > head->number + 2)
		tell_wrong(c, "lines %" PRId64 " to %" PRId64 " are missing", head->number + 1, number - 1);
	else if (is_zeros(previous->hash))
		tell_wrong(c,
		           "the chain begins anew with line %" PRId64
		           ", which does not name the line before it",
		           number);
	else if (!str_equal(previous->hash, head->hash))
		tell_wrong(c,
		           "line %" PRId64 " is not the one that line %" PRId64
		           " names: one of them was changed",
		           head->number, number);
}

static void sort_expected(struct audit_chain *c)
{
	if (c->expected_count > 0)
		qsort(c->expected, c->expected_count, sizeof(*c->expected), compare_heads);
}

static void begin_chain(struct audit_chain *c, const struct audit_head *previous)
{
	c->result.first = previous->number + 1;
	c->result.whole = is_zeros(previous->hash);
	if (!c->result.whole && c->result.old > 0)
		tell_wrong(c, "line %" PRId64 " names a line before it that is missing", c->result.first);
	sort_expected(c);
	while (c->next < c->expected_count && c->expected[c->next].head.number < c->result.first)
		c->next++;
	c->result.before = c->next;
}

static void compare_expected_heads(struct audit_chain *c)
{
	const struct audit_head *head = &c->result.head;

	for (; c->next < c->expected_count && c->expected[c->next].head.number <= head->number; c->next++) {
		const struct expected_head *e = &c->expected[c->next];

		if (e->head.number < head->number)
			tell_wrong(c, "line %" PRId64 " is missing, of which %s tells", e->head.number,
			           e->source);
		else if (!str_equal(e->head.hash, head->hash))
			tell_wrong(c, "line %" PRId64 " is another one than %s tells of", head->number,
			           e->source);
		else
			c->result.expected++;
	}
}

void audit_chain_feed(struct audit_chain *c, const char *line, size_t len)
{
	struct audit_head previous = {0};
	uint8_t digest[SHA256_BYTES];

	if (!read_place(line, len, &previous)) {
		if (c->result.lines == 0)
			c->result.old++;
		else
			tell_wrong(c, "behind line %" PRId64 " there is one without a place in the chain",
			           c->result.head.number);
		return;
	}
	if (c->result.lines++ == 0)
		begin_chain(c, &previous);
	else
		compare_place(c, &previous);
	c->result.head.number = previous.number + 1;
	sha256_once(line, len, digest);
	hex_encode(digest, sizeof(digest), c->result.head.hash);
	compare_expected_heads(c);
}

void audit_chain_end(struct audit_chain *c, struct audit_chain_result *ret)
{
	if (c->result.lines == 0)
		sort_expected(c);
	for (; c->next < c->expected_count; c->next++)
		tell_wrong(c,
		           "there were lines up to %" PRId64 ", as %s says: what comes behind line %" PRId64
		           " was cut off",
		           c->expected[c->next].head.number, c->expected[c->next].source,
		           c->result.head.number);
	*ret = c->result;
}
