// SPDX-License-Identifier: Apache-2.0
/* The one place that knows the layout of archives: what a new version of the format adds is a line here. */
#include "pg_archive_fields.h"

#include <keepfs/codec/pg_archive.h>

#define FACT(member)                                                                                         \
	.fact_at = offsetof(struct pg_archive_facts, member),                                                \
	.fact_bytes = sizeof(((struct pg_archive_facts *)NULL)->member)

const struct pg_archive_field pg_archive_fields[] = {
        [MAGIC] = {"signature", BYTES, 5, 0, 0},
        [VERSION_MAJOR] = {"major version", BYTES, 1, 0, 0},
        [VERSION_MINOR] = {"minor version", BYTES, 1, 0, 0},
        [VERSION_REV] = {"revision", BYTES, 1, 0, 0},
        [INT_SIZE] = {"size of integers", BYTES, 1, 0, 0},
        [OFFSET_SIZE] = {"size of offsets", BYTES, 1, 0, 0},
        [FORMAT] = {"format", BYTES, 1, 0, 0},
        [COMPRESSION_LEVEL] = {"compression level", INTEGER, 0, 0, 15},
        [COMPRESSION_METHOD] = {"compression method", BYTES, 1, 15, 0},
        [DATE_SECOND] = {"date", INTEGER, 0, 0, 0},
        [DATE_MINUTE] = {"date", INTEGER, 0, 0, 0},
        [DATE_HOUR] = {"date", INTEGER, 0, 0, 0},
        [DATE_DAY] = {"date", INTEGER, 0, 0, 0},
        [DATE_MONTH] = {"date", INTEGER, 0, 0, 0},
        [DATE_YEAR] = {"date", INTEGER, 0, 0, 0},
        [DATE_DST] = {"date", INTEGER, 0, 0, 0},
        [DATABASE] = {"database", TEXT, 0, 0, 0, FACT(database)},
        [SERVER_VERSION] = {"server version", TEXT, 0, 0, 0, FACT(server_version)},
        [TOOL_VERSION] = {"pg_dump version", TEXT, 0, 0, 0, FACT(tool_version)},
        [TOC_COUNT] = {"number of entries", INTEGER, 0, 0, 0},
        [DUMP_ID] = {"entry's number", INTEGER, 0, 0, 0},
        [HAD_DUMPER] = {"entry's data flag", INTEGER, 0, 0, 0},
        [TABLE_OID] = {"entry's catalog", TEXT, 0, 0, 0},
        [OID] = {"entry's oid", TEXT, 0, 0, 0, .text = TEXT_OID},
        [TAG] = {"entry's tag", TEXT, 0, 0, 0, .text = TEXT_TAG},
        [DESC] = {"entry's kind", TEXT, 0, 0, 0, .text = TEXT_DESC},
        [SECTION] = {"entry's section", INTEGER, 0, 0, 0},
        [DEFN] = {"entry's definition", TEXT, 0, 0, 0, .text = TEXT_DEFN},
        [DROP_STMT] = {"entry's drop statement", TEXT, 0, 0, 0},
        [COPY_STMT] = {"entry's copy statement", TEXT, 0, 0, 0, .text = TEXT_COPY_STMT},
        [NAMESPACE] = {"entry's schema", TEXT, 0, 0, 0, .text = TEXT_NAMESPACE},
        [TABLESPACE] = {"entry's tablespace", TEXT, 0, 0, 0, .text = TEXT_TABLESPACE},
        [TABLE_AM] = {"entry's access method", TEXT, 0, 14, 0},
        [REL_KIND] = {"entry's relation kind", INTEGER, 0, 16, 0},
        [OWNER] = {"entry's owner", TEXT, 0, 0, 0, .text = TEXT_OWNER},
        [WITH_OIDS] = {"entry's oids flag", TEXT, 0, 0, 0},
        [DEPENDENCY] = {"entry's dependency", TEXT, 0, 0, 0, .text = TEXT_DEPENDENCY},
        [DATA_STATE] = {"entry's offset state", BYTES, 1, 0, 0, .format = PG_ARCHIVE_CUSTOM},
        [DATA_OFFSET] = {"entry's offset", BYTES, 0, 0, 0, .format = PG_ARCHIVE_CUSTOM},
        [FILE_NAME] = {"entry's file", TEXT, 0, 0, 0, .text = TEXT_FILE_NAME, .format = PG_ARCHIVE_DIRECTORY},
        [BLOCK_TYPE] = {"data block's type", BYTES, 1, 0, 0},
        [BLOCK_ID] = {"data block's number", INTEGER, 0, 0, 0},
        [BLOB_OID] = {"large object's oid", INTEGER, 0, 0, 0},
        [CHUNK] = {"length of data", INTEGER, 0, 0, 0},
};
