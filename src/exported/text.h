// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Values that come as text. Pure; any thread. */
#include <stdbool.h>
#include <stddef.h>

/** exported_text_problem() - why PostgreSQL cannot hold @text: "is not UTF-8", "has a NUL…"; NULL: it can. Static. A byte behind it is read. */
const char *exported_text_problem(const char *text, size_t len);
/** exported_type_has_empty_text() - is the empty text a value of that type (its base), as far as anybody can tell? Not of numbers, times, json, arrays and the like. */
bool exported_type_has_empty_text(const char *base);
