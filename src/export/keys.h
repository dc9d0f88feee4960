// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Foreign keys in formats that have keys of their own: an export has not all that its database has. */
#include "export.h"

/** export_key_problem() - why the foreign key @key of a table that is exported can be none of the export: static text; NULL: it can. */
const char *export_key_problem(const struct decided *d, const struct tenancy_key *key);
/** export_key_places() - heap: the places of @count columns of a table, given as in the model, among those that an export has of it: none of them is omitted. */
uint32_t *export_key_places(const struct decided *d, size_t decision, const uint32_t *columns, size_t count);
/** export_uniques() - heap: of the foreign keys that lead to the table @decision and can be of the export, one for each set of columns that is not its primary
 * key: these columns have to be unique. */
const struct tenancy_key **export_uniques(const struct decided *d, size_t decision, size_t *ret_count);
