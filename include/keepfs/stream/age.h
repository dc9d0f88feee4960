// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Encrypting an object while it is written: a stage of stream.h that makes of the file's bytes an object of age. The header is made
 * beforehand, so that what can fail, or takes a second (a passphrase), happens before a byte of the backup was read.
 */
#include <keepfs/codec/age.h>
#include <keepfs/stream.h>

/** struct stream_age - what one object is encrypted with. Secret: stream_age_finish() wipes it. */
struct stream_age {
	struct str head;    /* header and nonce, with which the object begins */
	struct age_key key; /* also to read what was written */
};

/** stream_age_init() - for one object, with fresh keys; errors as of age_header_make(). @ret is untouched on failure. */
int stream_age_init(struct stream_age *ret, const struct age_recipients *r, struct error *err);
/** stream_age_finish() - of a zeroed one it does nothing. */
void stream_age_finish(struct stream_age *a);
/**
 * stream_age_stage() - the stage, for the options of one stream_object_new()
 * @a: borrowed by the stage until its object is freed; for one object only: a key never encrypts two.
 * It holds two cells, 128 KiB, in memory, whatever the size of the file; with a head (stream.h) three.
 */
struct stream_stage stream_age_stage(struct stream_age *a);
