// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The fields of PostgreSQL's custom archive in the order of the file, and for each what kind it is, in which
 * versions it exists, and where its text goes.
 */
#include <stddef.h>

enum pg_archive_state {
	MAGIC,
	VERSION_MAJOR,
	VERSION_MINOR,
	VERSION_REV,
	INT_SIZE,
	OFFSET_SIZE,
	FORMAT,
	COMPRESSION_LEVEL,
	COMPRESSION_METHOD,
	DATE_SECOND,
	DATE_MINUTE,
	DATE_HOUR,
	DATE_DAY,
	DATE_MONTH,
	DATE_YEAR,
	DATE_DST,
	DATABASE,
	SERVER_VERSION,
	TOOL_VERSION,
	TOC_COUNT,
	DUMP_ID,
	HAD_DUMPER,
	TABLE_OID,
	OID,
	TAG,
	DESC,
	SECTION,
	DEFN,
	DROP_STMT,
	COPY_STMT,
	NAMESPACE,
	TABLESPACE,
	TABLE_AM,
	REL_KIND,
	OWNER,
	WITH_OIDS,
	DEPENDENCY, /* repeats until a NULL */
	DATA_STATE,
	DATA_OFFSET,
	FILE_NAME,  /* of the directory format, in the place of the two before */
	BLOCK_TYPE, /* the only place where an archive may end */
	BLOCK_ID,
	BLOB_OID,
	CHUNK /* repeats until an empty one */
};

enum pg_archive_kind { BYTES, INTEGER, TEXT };

enum pg_archive_text {
	TEXT_PASSED,
	TEXT_OID,
	TEXT_TAG,
	TEXT_DESC,
	TEXT_DEFN,
	TEXT_COPY_STMT,
	TEXT_NAMESPACE,
	TEXT_TABLESPACE,
	TEXT_OWNER,
	TEXT_DEPENDENCY,
	TEXT_FILE_NAME,
	TEXTS
};

struct pg_archive_field {
	const char *name;
	enum pg_archive_kind kind;
	size_t bytes;               /* BYTES: how many; 0: as the header says */
	unsigned from_minor, below; /* versions that have it; 0: no limit */
	size_t fact_at, fact_bytes; /* of the header's texts: the member of struct pg_archive_facts */
	enum pg_archive_text text;  /* of an entry's texts: which one it is of those that are told */
	int format;                 /* that has it: PG_ARCHIVE_CUSTOM or PG_ARCHIVE_DIRECTORY; 0: both */
};

extern const struct pg_archive_field pg_archive_fields[];
