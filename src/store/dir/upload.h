// SPDX-License-Identifier: Apache-2.0
#pragma once
/** An open upload of the dir: driver. */
#include "dir.h"

#define UPLOAD_BODY       "body"
#define UPLOAD_FILE_BYTES 48

struct dir_part {
	bool known;      /* it was announced, or a call for it began: slot_bytes is the length told then */
	bool slot_given; /* all smaller numbers are known, so its place in the body is */
	bool slot_used;  /* being written, or holds (held) the part */
	uint64_t slot_offset, slot_bytes;
	bool done;    /* what follows describes the part as it stands */
	bool in_slot; /* else in a file of its own, by number and generation */
	uint64_t bytes;
	uint64_t generation;
};

struct dir_upload {
	struct store_upload base;
	char id[DIR_ID_BYTES];
	int dir_fd;  /* .keepfs/uploads/<id> */
	int body_fd; /* the file "body" in it */
	pthread_mutex_t lock;
	struct dir_part *parts; /* lock; index is the number */
	unsigned part_cap;      /* lock */
	unsigned frontier;      /* lock; parts 1 to this have slots */
	uint64_t body_bytes;    /* lock; where the next slot begins */
	uint64_t generation;    /* lock; of the last call */
	unsigned running;       /* lock; part calls */
	bool closed;            /* lock; completed, or being completed: no part may begin */
};

static inline struct dir_upload *dir_upload_of(const struct store_upload *up)
{
	return (struct dir_upload *)up; /* `base` is the first member */
}

void dir_upload_part_file(char ret[static UPLOAD_FILE_BYTES], unsigned number, uint64_t generation);
void dir_upload_part_etag(char ret[static STORE_ETAG_BYTES], unsigned number, const struct dir_part *part);
/** dir_upload_error() - dir_error() for an upload: -ENOENT says that it is not open any more. */
int dir_upload_error(struct dir_upload *up, int r, struct error *err, const char *verb);
/** dir_upload_join() - give the file @ret_name in the upload's directory the bytes of @parts. */
int dir_upload_join(struct dir_upload *up, const struct store_call *call, const struct store_part *parts,
                    size_t count, const char **ret_name);
/** dir_upload_delete() - remove an upload's directory and key file; what is gone already is no error. */
int dir_upload_delete(struct dir_store *d, const char *id);
