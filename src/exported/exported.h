// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * How an export is read back.
 *
 *   exported.c   opens the file, tells the format by what is in it, hands on to that format's reader
 *   head.c       what an export says of itself: freeing, finding
 *   describe.c   members of the document, as JSON, into the head
 *   batch.c      rows that were read and not asked for yet
 *   bytes.c      bytes of a file, of what is compressed in it
 *   rows_json.c  JSON into rows, by libyajl
 *   array.c      a JSON array into an array of PostgreSQL
 *   json.c       the reader of json
 */
#include <keepfs/base/str.h>
#include <keepfs/exported.h>

#include <sys/stat.h>

/** exported_head_finish() - free what it has. */
void exported_head_finish(struct exported_head *head);
