// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/variables.h>

#include <keepfs/base/mem.h>

#include <ctype.h>
#include <string.h>

struct variable { /* borrowed from the text */
	const char *name, *value;
	size_t name_bytes, value_bytes;
};

struct variables {
	struct variable *items;
	size_t count;
	bool any_value;
};

static struct variable *find_variable(const struct variables *v, const struct variable *wanted)
{
	for (size_t i = 0; i < v->count; i++)
		if (v->items[i].name_bytes == wanted->name_bytes &&
		    memcmp(v->items[i].name, wanted->name, wanted->name_bytes) == 0)
			return &v->items[i];
	return NULL;
}

static bool is_name_of_variable(const char *name, size_t len)
{
	bool is_small = len > 0 && islower((unsigned char)*name);

	if (len == 0 || len >= VARIABLE_NAME_BYTES || isdigit((unsigned char)*name))
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];
		bool fits = is_small ? islower(c) || c == '.' || c == '-' : isupper(c) != 0;

		if (!fits && !isdigit(c) && c != '_')
			return false;
	}
	return true;
}

static bool is_padding(const char *value, size_t len)
{
	return len > 0 && strspn(value, "=") >= len;
}

static void trim_line(const char **io_at, size_t *io_len)
{
	while (*io_len > 0 && isspace((unsigned char)**io_at)) {
		++*io_at;
		--*io_len;
	}
	while (*io_len > 0 && isspace((unsigned char)(*io_at)[*io_len - 1]))
		--*io_len;
}

static void skip_leading_word(const char **io_at, size_t *io_len, const char *word)
{
	size_t n = strlen(word);

	if (*io_len <= n || strncmp(*io_at, word, n) != 0)
		return;
	*io_at += n;
	*io_len -= n;
	trim_line(io_at, io_len);
}

/* Return: false: it is no line of such a text. */
static bool take_variable_line(struct variables *v, const char *at, size_t len)
{
	struct variable one, *old;
	const char *equals;

	trim_line(&at, &len);
	if (len == 0 || *at == '#')
		return true;
	skip_leading_word(&at, &len, "export ");
	equals = memchr(at, '=', len);
	if (!equals)
		return false;
	one = (struct variable){.name = at,
	                        .name_bytes = (size_t)(equals - at),
	                        .value = equals + 1,
	                        .value_bytes = len - (size_t)(equals + 1 - at)};
	if (!is_name_of_variable(one.name, one.name_bytes) || is_padding(one.value, one.value_bytes) ||
	    v->count == VARIABLES_MOST)
		return false;
	v->any_value |= one.value_bytes > 0;
	old = find_variable(v, &one);
	if (old)
		*old = one;
	else
		v->items[v->count++] = one;
	return true;
}

static bool take_variables(struct variables *v, const struct str *text)
{
	const char *at = str_text(text), *end = at + text->len;

	if (memchr(at, '\0', text->len))
		return false;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *stop = newline ? newline : end;

		if (!take_variable_line(v, at, (size_t)(stop - at)))
			return false;
		at = stop + 1;
	}
	return v->any_value || v->count == 0;
}

static void tell_variable(const struct variable *one, enum variable_difference what,
                          void (*each)(void *arg, const char *name, enum variable_difference what), void *arg)
{
	char name[VARIABLE_NAME_BYTES];

	memcpy(name, one->name, one->name_bytes);
	name[one->name_bytes] = '\0';
	each(arg, name, what);
}

static enum variable_difference difference_of(const struct variable *a, const struct variable *b)
{
	if (!b)
		return VARIABLE_ONLY_FIRST;
	return a->value_bytes == b->value_bytes && memcmp(a->value, b->value, a->value_bytes) == 0
	               ? VARIABLE_EQUAL
	               : VARIABLE_CHANGED;
}

bool variables_compare(const struct str *first, const struct str *second,
                       void (*each)(void *arg, const char *name, enum variable_difference what), void *arg)
{
	struct variables a = {.items = mem_array(VARIABLES_MOST, sizeof(*a.items))},
	                 b = {.items = mem_array(VARIABLES_MOST, sizeof(*b.items))};
	bool are = take_variables(&a, first) && take_variables(&b, second) && a.count + b.count > 0;

	for (size_t i = 0; are && i < a.count; i++)
		tell_variable(&a.items[i], difference_of(&a.items[i], find_variable(&b, &a.items[i])), each,
		              arg);
	for (size_t i = 0; are && i < b.count; i++)
		if (!find_variable(&a, &b.items[i]))
			tell_variable(&b.items[i], VARIABLE_ONLY_SECOND, each, arg);
	free(a.items);
	free(b.items);
	return are;
}
