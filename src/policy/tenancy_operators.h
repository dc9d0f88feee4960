// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Values of columns in SQL, and comparing them. */
#include "tenancy_private.h"

/** operators_append_column() - "t"."org_id"; the alias is a name that needs no quotes. */
void operators_append_column(struct str *s, const char *alias, const struct tenancy_table *t,
                             uint32_t column);
/** operators_append_literal() - a comparison of a column with a text, which becomes a value of the column's own type; @operator: "=", "<>" */
void operators_append_literal(struct str *s, const char *alias, const struct tenancy_table *t,
                              uint32_t column, const char *operator, const char * value);
/** operators_append_equal() - of two columns of a foreign key */
void operators_append_equal(struct str *s, const char *alias, const struct tenancy_table *t, uint32_t column,
                            const char *other_alias, const struct tenancy_table *other,
                            uint32_t other_column);
/** operators_append_soft() - both sides of a soft reference are equal. Of unlike types: compared so that no value makes it fail, and an index over a number or
 * a uuid can be used. */
void operators_append_soft(struct str *s, const char *from_alias, const struct tenancy_table *from,
                           const char *to_alias, const struct tenancy_table *to,
                           const struct tenancy_soft *soft);
/** operators_append_tests() - "AND" and each condition of a soft reference */
void operators_append_tests(struct str *s, const char *alias, const struct tenancy_table *from,
                            const struct tenancy_soft *soft);
/** operators_are_plain() - numbers or uuids: sets of them from several tables can be united. */
bool operators_are_plain(const struct tenancy_column *c);
