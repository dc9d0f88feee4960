// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Which table of a dump is meant. */
#include <keepfs/inside.h>

/**
 * rescue_find_table() - the one that @word names: "public.orders", or "orders" when there is one in one schema
 * @word: in the dump's encoding
 * Return: 0; -EINVAL (ERROR_USAGE): there is none, @err names what is near, or there are several.
 */
int rescue_find_table(struct inside_dump *d, const char *word, uint32_t *ret_number, struct error *err);
