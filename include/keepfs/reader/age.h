// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Reading what age encrypted, through the reader: each cell that somebody asks for is decrypted on its own, on the reader's threads.
 */
#include <keepfs/codec/age.h>
#include <keepfs/reader.h>

/** reader_age_layout() - how the object with these keys is read; @k is copied, and wiped when the reader frees the layout. Never NULL. */
struct reader_layout *reader_age_layout(const struct age_key *k);
