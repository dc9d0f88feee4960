// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The segment index of a dump that is restored: where the data of each table can be entered. */
#include "restore_toc.h"

/** restore_segments_read() - the index of a backup as it is in the store; nothing (count 0) when it has none. */
int restore_segments_read(struct backup *b, struct segment_index *ret, struct error *err);
/**
 * restore_segments_load() - read it from the store, and note with each entry which of its records are its own
 * @counts_later: what tables.csv says was not loaded; else records that do not agree with it are passed over
 * Return: 0, also when the backup has none; a failure: nothing is changed, and no entry has records.
 */
int restore_segments_load(struct restore_toc *t, struct backup *b, bool counts_later, struct error *err);
/** restore_segments_assign() - what it does with t->segments. Pure. */
void restore_segments_assign(struct restore_toc *t, bool counts_later);
