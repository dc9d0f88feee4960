// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Is a backup what was sent (PROOF_BYTES), and sound in itself (PROOF_STRUCTURE)? By its kind and format: a row of the table in
 * prove.c for each. */
#include <keepfs/inside/backup.h>

#include <keepfs/catalog/proofs.h>

/**
 * prove() - read all of it
 * @ret: the level up to which it was found right: of a format that is not known here, and of some archives, PROOF_BYTES is all
 * that can be proven
 * Return: 0; a failure that backup_is_wrong(): it is damaged; another one: it could not be found out.
 */
int prove(struct backup *b, enum proof_level wanted, enum proof_level *ret, struct error *err);

/* How the structure of one format is proven. What these do not read is read by prove(). Return: 0; 1: it could not be looked at,
 * which is no failure; negative as prove(). */
int prove_custom(struct backup *b, struct error *err);
int prove_directory(struct backup *b, struct error *err);
int prove_sql(struct backup *b, struct error *err);
int prove_tar(struct backup *b, struct error *err);
int prove_listing(struct backup *b, struct error *err);
int prove_base(struct backup *b, struct error *err);
