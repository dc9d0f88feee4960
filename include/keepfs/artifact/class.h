// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Storage classes of artifacts: their large objects are moved into another one by the store itself, and thawed when they are frozen. What keepfs reads for itself (manifests, listings, counts,
 * what lies below state/, catalog/, chain/) is never moved. What is known of it is in the catalog (keepfs/catalog/classes.h); where that is wrong, since a lifecycle rule of the bucket or
 * somebody else has moved something, it is found out by whoever reads.
 */
#include <keepfs/artifact.h>
#include <keepfs/store.h>

struct catalog_class;

/** struct artifact_move - how one is moved; all borrowed. */
struct artifact_move {
	const char *class;   /* where to */
	uint64_t part_bytes; /* of what the store copies at once; more where an object is so large */
	unsigned max_parts;  /* 0: the store's */
	bool delete_versions; /* what was replaced is deleted, where the bucket keeps versions of it and it is not locked */
	int64_t now_us;
	struct cancel *cancel;
	/* Out: */
	unsigned objects, left; /* that were moved now; of which an earlier version is still stored */
	uint64_t bytes;         /* of those moved now */
	char locked_until[32];  /* the earlier versions stay as long; "": they are not locked */
};
/**
 * artifact_move() - have the store keep the large objects of the artifact @ino in @how->class from now on
 *
 * Each is copied by the store onto itself, in pieces, under the same key; it counts as moved when the store says that it is there, has its size and, where that is an MD5, the ETag that its
 * parts make. The lock of the artifact, its legal hold, too, is put onto what is new. Whoever has the artifact open reads on. One that is in an archive already stays there. A crash
 * leaves objects that were moved and objects that were not, which is no harm, and the next call goes on; an upload that was left open is aborted by it.
 *
 * Blocks on the store. Return: 0, and the catalog knows; -EBUSY: it is being removed or rewrapped, or somebody reads it, and could not from an archive; -ENOTSUP: its store has no classes, or does
 * not know this one; -EBADMSG (ERROR_CORRUPT): what the store has made of it is not what it was.
 */
int artifact_move(struct repository *repo, uint64_t ino, struct artifact_move *how, struct error *err);
/** artifact_end_move() - an earlier process was moving it when it ended: abort what it left open. */
int artifact_end_move(struct repository *repo, const struct catalog_class *row, struct cancel *cancel,
                      struct error *err);

/** struct artifact_thaw - how one is thawed. */
struct artifact_thaw {
	struct store_thaw how;
	bool plan; /* nothing is asked for: how much it would be is found out */
	struct cancel *cancel;
	/* Out: */
	unsigned objects;              /* that are frozen */
	uint64_t bytes;                /* of these */
	unsigned thawing, done;        /* of these: it was asked for before and is under way; it is thawed */
	char class[STORE_CLASS_BYTES]; /* of these; "": none is frozen */
};
/** artifact_thaw() - have all frozen objects of the artifact @ino thawed, as far as they are not; added to @io, so that several may be counted into one. Blocks on the store: a request or two for each
 * object. */
int artifact_thaw(struct repository *repo, uint64_t ino, struct artifact_thaw *io, struct error *err);

/** ARTIFACT_FROZEN - it cannot be read as it is. */
#define ARTIFACT_FROZEN 1
/**
 * artifact_look_frozen() - can @ino (an artifact, a part or a file of one) be read?
 * @ret: NULL, or how it stands
 *
 * Of one that is not known to be frozen nothing is asked. Of the others the store is, but once in ten minutes, and in a minute where thawing was asked for; what it says is kept in the catalog. Return: 0; ARTIFACT_FROZEN,
 * with what to do in @err; negative errno: the store does not answer.
 */
int artifact_look_frozen(struct repository *repo, uint64_t ino, struct cancel *cancel,
                         struct catalog_class *ret, struct error *err);
/** artifact_note_frozen() - a read of @ino (likewise) has failed since it is frozen (@why->storage_class): the catalog knows from now on. False: that is not why. Does not ask the store. */
bool artifact_note_frozen(struct repository *repo, uint64_t ino, const struct error *why);
/** artifact_is_moved() - is object @number of @m one that is moved: large, and nothing that keepfs reads for itself? Pure. */
bool artifact_is_moved(const struct manifest *m, size_t number);
