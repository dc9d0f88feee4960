// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Reading an object of an artifact whole: the listing of the state, or the base, before, from which the next one is made. */
#include <keepfs/make.h>

/** mirror_read_object() - all plain bytes of the object @o of the artifact @m, in order; blocks on the store. What @take returns but 0 ends it. Return: as sealed_read(). */
int mirror_read_object(const struct make_context *ctx, struct cancel *cancel, const struct manifest *m,
                       const struct manifest_object *o,
                       int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                       struct error *err);
