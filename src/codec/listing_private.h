// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What writing and reading a listing share. */
#include <keepfs/codec/listing.h>

#define LISTING_FORMAT       "keepfs-mirror"
#define LISTING_INDEX_FORMAT "keepfs-mirror-index"
