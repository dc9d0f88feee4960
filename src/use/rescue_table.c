// SPDX-License-Identifier: Apache-2.0
#include "rescue_table.h"

#include "table_names.h"

int rescue_find_table(struct inside_dump *d, const char *word, uint32_t *ret_number, struct error *err)
{
	_cleanup(table_names) struct table_names names = {.word = word};

	for (uint32_t number = 1; number <= inside_tables(d); number++) {
		_cleanup(inside_table) struct inside_table table = {0};
		int r = inside_table(d, number, &table, err);

		if (r < 0)
			return r;
		table_names_add(&names, number, table.schema, table.table);
	}
	return table_names_choose(&names, ret_number, err);
}
