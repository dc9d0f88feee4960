// SPDX-License-Identifier: Apache-2.0
#include "values.h"

#include <keepfs/base/str.h>
#include <keepfs/codec/copy_text.h>

struct value_taking {
	int (*take)(void *arg, const char *value, struct error *err);
	void *arg;
	struct str value;
};

static int take_copied_value(void *arg, const void *data, size_t len, struct error *err)
{
	struct value_taking *t = arg;
	const char *at = data, *end = at + len;
	struct copy_field field;

	if (len > 0 && end[-1] == '\n')
		end--;
	if (!copy_field_next(&at, end, &field) || field.is_null)
		return 0;
	str_clear(&t->value);
	str_append_bytes(&t->value, field.text, field.len);
	t->value.len = copy_field_decode(&field, t->value.data);
	t->value.data[t->value.len] = '\0';
	return t->take(t->arg, str_text(&t->value), err);
}

int values_copy(struct pg_session *s, const char *sql,
                int (*take)(void *arg, const char *value, struct error *err), void *arg, struct error *err)
{
	struct value_taking taking = {.take = take, .arg = arg};
	int r;

	str_append_char(&taking.value, ' ');
	r = pg_session_copy(s, sql, take_copied_value, &taking, err);
	str_finish(&taking.value);
	return r;
}
