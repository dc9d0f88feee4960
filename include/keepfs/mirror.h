// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The kind of jobs that mirror a bucket, or a directory, that is somebody else's: [mirror NAME]. Each run makes a state, which has all objects as they were
 * then; only those are read and stored that the state before does not have. They are in packs, tars of 32 MiB that never change and that states share; what a state has is in its
 * listing (keepfs/codec/listing.h). docs/formats.md, "Mirrors and packs".
 *
 * A run reads the listing of the source and that of the state before side by side, both in the order of the keys. What is new is got over several
 * connections, in that order, within memory that is reserved before, and goes into one pack after the other; each is published, and durable, when it is full. What a run that broke off
 * has packed is found by the next one. Memory: what is on its way, the members of one pack, and some 50 bytes for each pack that is needed; the listings are in unlinked files of state_dir.
 */
#include <keepfs/make.h>

/** mirror_kind - the kind of jobs that mirror. */
extern const struct make_kind mirror_kind;
