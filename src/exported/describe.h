// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What an export says of itself, as JSON that somebody wrote, into the head. -EBADMSG (ERROR_CORRUPT): it does not say what it has to, or something that cannot be. */
#include <keepfs/codec/json.h>
#include <keepfs/exported.h>

/** describe_knows() - is it the key of a member of the document that describe_document() takes? */
bool describe_knows(const char *key);
/** describe_document() - a member of the document, of those that are known. @seen: bits, 0 at first: what has come already. */
int describe_document(struct exported_head *head, unsigned *seen, const char *key, const struct json *value,
                      struct error *err);
/** describe_document_check() - has all come that has to, before tables are read? */
int describe_document_check(unsigned seen, struct error *err);
/** describe_table() - a table without its rows into @ret, which is zero; freed by the head's end, whatever comes of it. Does not fill @ret->rows. */
int describe_table(struct exported_table *ret, const struct json *table, struct error *err);
