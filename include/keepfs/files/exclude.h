// SPDX-License-Identifier: Apache-2.0
#pragma once
// Patterns that leave names of a directory out. Pure: no I/O, no locale; names are bytes, `?` and a bracket stand for one
// character of UTF-8, or for one byte where the name is not UTF-8.
//
//   *.tmp          no '/': every name at any depth that matches
//   cache/         a '/' at the end: only directories
//   /cache         a '/' in front or within: the whole path from the root, so only the one right below it
//   var/log/*.gz   `*` stands for any characters but '/', `?` for one, [a-z] and [!a-z] for one of these and none of these
//   srv/**         `**` as a whole name stands for any number of names; at the end for everything below
//   \*             `\` takes the meaning from what follows it
//
// What is below a directory that is left out is never looked at.
#include <keepfs/base/error.h>
#include <stdbool.h>

/** exclude_check() - 0 when @pattern can match something; otherwise -EINVAL and a text that says what is wrong with it. */
int exclude_check(const char *pattern, struct error *err);
/** exclude_match() - does @pattern (one that passed exclude_check()) match @path, which is relative to the root, without "./" and
 * without a '/' at its end? */
bool exclude_match(const char *pattern, const char *path, bool is_directory);
/** exclude_any() - does any of @patterns (ended by NULL; NULL: none) match? */
bool exclude_any(char *const *patterns, const char *path, bool is_directory);
