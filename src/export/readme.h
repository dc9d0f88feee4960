// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What every export says of itself to whoever opens it: what it is, of when, by whom, what is left out and why, how it is read. */
#include "document.h"

struct json;
/** readme_json() - its lines, as an array of strings: in a document that lists what is redacted and left out beside them. */
struct json *readme_json(const struct document_head *head);
/** readme_append() - append the same as text, with what is redacted and left out behind it. Each line ends with a line feed, and has none within, nor any
 * other control character, whatever is in names. */
void readme_append(const struct document_head *head, struct str *out);
/** readme_redacted() - of how many columns something is not as in the database. */
size_t readme_redacted(const struct decided *decided);
