// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A tenant's rows are to be deleted by somebody who brings others in their stead, in one transaction (keepfs/use/restore_tenant.h). What is deleted is what an export has, that
 * was read back before, and nothing else.
 */
#include <keepfs/make.h>
#include <keepfs/pg/session.h>

struct leaving;
/**
 * export_make_for_replacement() - as make() of export_kind, read back whatever the job says
 * @order: its shared ones stay as long as @ret_leaving is used
 * @ret_leaving: the caller's leaving_free(); set only on success
 */
int export_make_for_replacement(const struct make_context *ctx, const struct make_order *order,
                                struct manifest *ret, struct leaving **ret_leaving, struct error *err);
/**
 * leaving_delete_within() - delete them in the transaction of @s, READ COMMITTED, with an empty search_path and row_security off, which goes on
 * Return: 0; -EBUSY, -ESTALE (ERROR_CONFLICT): the tenant has other rows by now, or rows that are in no export refer to them; @err names the tables.
 */
int leaving_delete_within(struct leaving *l, struct pg_session *s, struct error *err);
struct leaving *leaving_free(struct leaving *l); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(leaving, struct leaving *, leaving_free)
