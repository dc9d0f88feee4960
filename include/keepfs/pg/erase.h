// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Rows that must not be there any more are deleted from a database that was just restored, and that nobody uses yet, together with those that cannot be without
 * them. The list is that of keepfs/pg/tenant_delete.h:
 *
 *   pg_erase_values()      which values does a column have? Outside of, or within, the transaction
 *   pg_delete_begin()
 *   pg_erase_add_values(), pg_erase_add_rows()
 *   pg_erase_rows()        what refers to them is added, and all of it is deleted
 *   pg_delete_commit()
 */
#include <keepfs/pg/tenant_delete.h>

/** struct pg_erase_column - whose values tell which rows; borrowed */
struct pg_erase_column {
	const char *schema, *table, *column;
};

/** pg_erase_values() - @take for each value but NULL, as text, once. 1: there is no such table or column. */
int pg_erase_values(struct pg_session *s, const struct pg_erase_column *of,
                    int (*take)(void *arg, const char *value, struct error *err), void *arg,
                    struct error *err);
/** pg_erase_add_values() - rows with one of @count values. */
int pg_erase_add_values(struct pg_session *s, const struct pg_erase_column *of, const char *const *values,
                        size_t count, struct error *err);
/** pg_erase_add_rows() - rows for which the condition of @rows is true. */
int pg_erase_add_rows(struct pg_session *s, const struct pg_tenant_rows *rows, struct error *err);
/**
 * pg_erase_rows() - delete the list
 * @take: for each table, how many rows were deleted, or (@emptied) had a reference set to NULL
 *
 * A row that refers to one of them by a foreign key: with ON DELETE CASCADE, and where the columns may not be NULL, it is deleted, too, and so on; else its
 * columns become NULL, or what ON DELETE says. Triggers fire.
 */
int pg_erase_rows(struct pg_session *s,
                  void (*take)(void *arg, const char *table, uint64_t rows, bool emptied), void *arg,
                  struct error *err);
/** pg_erase_schemas() - @take for each schema that is nobody's but the users'. */
int pg_erase_schemas(struct pg_session *s, int (*take)(void *arg, const char *schema, struct error *err),
                     void *arg, struct error *err);
/** pg_erase_canonical() - heap: @value as the server writes a value of that column: "4711", an uuid in lower case. Connects. -ENOENT: there is no such table or column
 * now. */
int pg_erase_canonical(const char *conninfo, const char *database, const struct pg_erase_column *of,
                       const char *value, struct cancel *cancel, char **ret, struct error *err);
