/* Names and texts in statements, quoted so that neither a setting nor a reserved word changes what they say.
 */
#include <keepfs/base/str.h>
#include <keepfs/pg/session.h>

#include <string.h>

static void append_doubled(struct str *out, const char *text, const char *doubled)
{
	for (; *text; text++) {
		if (strchr(doubled, *text))
			str_append_char(out, *text);
		str_append_char(out, *text);
	}
}

char *pg_quote_identifier(const char *name)
{
	struct str out = {0};

	str_append_char(&out, '"');
	append_doubled(&out, name, "\"");
	str_append_char(&out, '"');
	return str_take(&out);
}

char *pg_quote_literal(const char *text)
{
	struct str out = {0};

	/* What a plain literal makes of a backslash depends on standard_conforming_strings. */
	str_append(&out, strchr(text, '\\') ? " E'" : "'");
	append_doubled(&out, text, "'\\");
	str_append_char(&out, '\'');
	return str_take(&out);
}
