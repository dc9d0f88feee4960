// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Names of files that stand for tables: "public.orders". Schema and table with a '.' between them; within both
 * '.', '/', '%' and control characters are written as "%XX" (hex, upper case), all other bytes as they are. So there is one
 * name for one table, and from a name its table can be told. A table without a schema is written without the
 * '.'. What would be longer than a file system takes is cut, and "%~" with a hash of the whole is put behind it: such
 * names have to be compared.
 */
#include <keepfs/codec/name.h>
#include <stdbool.h>

/** TABLE_NAME_CUT - of table_name_parse(): the name was cut, and does not say which table it is. */
#define TABLE_NAME_CUT 1

/** table_name_format() - the name of the file for a table (raw bytes; @schema may be ""), with @suffix (".tsv") behind it, at most
 * 32 bytes, which is never cut. Pure. */
void table_name_format(const char *schema, const char *table, const char *suffix,
                       char ret[static NAME_MAX_BYTES]);
/**
 * table_name_parse() - which table a name is of: the inverse
 * @ret_schema, @ret_table: heap
 * Return: 0; TABLE_NAME_CUT: compare it with table_name_format() of each table; -EINVAL: no table has this name, which includes
 * names that write a byte otherwise than table_name_format() does, or do not end with @suffix. Pure.
 */
int table_name_parse(const char *name, const char *suffix, char **ret_schema, char **ret_table);
