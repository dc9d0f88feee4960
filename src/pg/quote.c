// SPDX-License-Identifier: Apache-2.0
#include "statement.h"

#include <keepfs/base/str.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/pg/manage.h>

char *pg_quote_literal(const char *text)
{
	struct str out = {0};

	sql_append_literal(&out, text);
	return str_take(&out);
}

char *pg_quote_name(const char *name)
{
	struct str out = {0};

	sql_append_name(&out, name);
	return str_take(&out);
}
