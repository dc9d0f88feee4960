// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The names under which a mirror shows the objects of a bucket. A key is any bytes, a path of a file system is not: so what cannot be in a path is
 * escaped, in a way that is reversible, and of which there is exactly one for each key (docs/formats.md, "Shown names"):
 *
 *   %25                '%'
 *   %00 … %1F, %7F     control characters
 *   %80 … %FF          a byte that is no UTF-8
 *   %                  alone: an empty component ("a//b" is a/%/b, "dir/" is dir/%)
 *   %2E, %2E%2E        the components "." and ".."
 *   …%-                at the end of a component: it goes on in the next one, since the whole is longer than SHOWN_COMPONENT_MAX
 *   …%=                at the end of the last component: the object "a" where there is also an "a/b"; only where it is shown, never in a listing
 *
 * Pure.
 */
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stddef.h>

/** SHOWN_COMPONENT_MAX - no component of a shown name has more bytes, "%-" included. */
#define SHOWN_COMPONENT_MAX 200
/** SHOWN_KEY_MAX - how long a key can be, in bytes, without NUL: S3's limit; longer ones of a directory are refused. */
#define SHOWN_KEY_MAX 4096
/** SHOWN_OBJECT - the end of an object's name when other names begin with it and '/'. */
#define SHOWN_OBJECT "%="

/** shown_name() - append the name of @key, @len bytes without a NUL among them. An empty key is "%". */
void shown_name(const char *key, size_t len, struct str *out);
/**
 * shown_name_key() - append the key of @name to @ret_key
 *
 * Return: 0; -EINVAL: it is not what shown_name() makes of any key; nothing is appended then.
 */
int shown_name_key(const char *name, struct str *ret_key);
/**
 * shown_name_prefix() - append to @ret what the keys begin with of all objects that are shown in @directory ("a/b", without '/' at its end), and at any depth
 * below it
 *
 * Others may begin so, too: where @directory ends in "%-", those whose component is short enough to be shown in one. An object is in it when its shown name
 * begins with @directory and '/'. Return: 0; -EINVAL: no directory is called so; nothing is appended then.
 */
int shown_name_prefix(const char *directory, struct str *ret);
/** shown_name_goes_on() - does @name end in "%-": is it a directory that holds the rest of components that are too long for one? */
bool shown_name_goes_on(const char *name);
