// SPDX-License-Identifier: Apache-2.0
/*
 * The server has been given a condition, and keepfs does not take its word for it: each row comes with a proof, which is another
 * expression than the condition, and with what its tenant's column says.
 */
#include "isolation.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_text.h>

#include <errno.h>
#include <string.h>

static int refuse_tenant_row(const struct isolation *i, const char *what, struct error *err)
{
	return error_set(
	        err, ERROR_DENIED, EPERM,
	        "%s: %s, so nothing of this export is kept: see which rows the tables have in common (keepfs export --explain), or name such a table in shared, referred or exclude",
	        i->table, what);
}

/* Of some types equal values can be written in several ways; the query of the tenants may have written the id in another one. */
static bool is_caseless(const struct tenancy_column *c)
{
	return str_equal(c->base_type, "uuid") || str_ends(c->base_type, "citext");
}

static bool is_same_id(const struct isolation *i, const char *value, size_t len)
{
	if (strlen(i->tenant) != len)
		return false;
	return is_caseless(i->column) ? strncasecmp(i->tenant, value, len) == 0
	                              : memcmp(i->tenant, value, len) == 0;
}

/* Whose it is would tell who the other tenants are: messages go into histories and to whoever is notified. */
static int refuse_other(const struct isolation *i, struct error *err)
{
	_cleanup(free) char *what = mem_printf("a row has another tenant in %s", i->column->name);

	return refuse_tenant_row(i, what, err);
}

static int check_tenant_field(const struct isolation *i, const struct copy_field *field, struct error *err)
{
	_cleanup(free) char *value = NULL;
	size_t len;

	if (!i->column)
		return field->is_null
		               ? 0
		               : refuse_tenant_row(i, "a row came with a tenant that nobody asked for", err);
	if (field->is_null)
		return refuse_tenant_row(i, "a row has no tenant", err);
	/* As nearly all are: nothing of it is escaped. */
	if (!memchr(field->text, '\\', field->len))
		return is_same_id(i, field->text, field->len) ? 0 : refuse_other(i, err);
	value = mem_alloc(field->len + 1);
	len = copy_field_decode(field, value);
	return is_same_id(i, value, len) ? 0 : refuse_other(i, err);
}

int isolation_check(const struct isolation *i, const char **at, const char *end, struct error *err)
{
	struct copy_field proof, tenant;

	if (!copy_field_next(at, end, &proof) || !copy_field_next(at, end, &tenant))
		return error_set(err, ERROR_INTERNAL, EBADMSG, "%s: a row came without its proof", i->table);
	if (proof.is_null || proof.len != 1 || *proof.text != 't')
		return refuse_tenant_row(i, "a row also leads to another tenant, or to none", err);
	return check_tenant_field(i, &tenant, err);
}
