// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Files of variables ("env files"): which of their names have other values, without saying what the values are. Such a file has on each line NAME=VALUE, "export
 * NAME=VALUE", a comment (#), or nothing. Pure.
 *
 * What is told is names alone, so a text that only looks like one must not be taken for one: a key in base32 or base64 may end in '='. Hence a name is written in capitals or in
 * small letters throughout, with digits and '_' (or, in small letters, '.' and '-'), and no value consists of '=' alone, or is missing everywhere.
 */
#include <keepfs/base/str.h>
#include <stdbool.h>

enum variable_difference {
	VARIABLE_EQUAL,
	VARIABLE_CHANGED,
	VARIABLE_ONLY_FIRST,
	VARIABLE_ONLY_SECOND,
};

/** VARIABLES_MOST - a text with more is none; VARIABLE_NAME_BYTES - nor one with a longer name, with NUL. */
#define VARIABLES_MOST      2000
#define VARIABLE_NAME_BYTES 100

/**
 * variables_compare() - call @each for every name of either, in the order of the first, and then of what only the second has
 * Of a name that comes twice the last value counts, as it does for a shell. Return: false, and nobody was called: one of them is no such text.
 */
bool variables_compare(const struct str *first, const struct str *second,
                       void (*each)(void *arg, const char *name, enum variable_difference what), void *arg);
