// SPDX-License-Identifier: Apache-2.0
/* One backup: what is wrong is marked, as when somebody reads it, and told; what is right is kept, too. */
#include "proving.h"

#include "copied.h"
#include "pace.h"

#include <keepfs/artifact/class.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/needs.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/keyring.h>

#include <errno.h>

/* Whoever asks again may have more luck. */
static void not_kept(struct proving *p, const struct backup *b, const char *what, const struct error *why)
{
	p->unkept++;
	make_warn(p->order, "that %s %s could not be kept: %s", b->path, what, why->message);
}

void proving_mark_damaged(struct proving *p, const struct backup *b, const struct error *why)
{
	struct catalog *catalog = p->ctx->repository->catalog;
	_cleanup(free) char *good = p->copy ? NULL : catalog_good_beside(catalog, b->ino);
	struct catalog_audit entry = {
	        .at_us = make_now_us(p->ctx), .uid = -1, .pid = -1, .command = "keepfs", .result = "ok"};
	struct error err = {0};
	int r;

	if (p->copy) {
		make_warn(p->order, "the copy of %s in %s is not right: %s", b->path, p->copy->store,
		          why->message);
		copied_found_wrong(p->copy, b->path, why->message);
		return;
	}
	make_warn(p->order, "%s is damaged: %s; %s%s", b->path, why->message,
	          good ? "the nearest good one is " : "there is no good one beside it", good ? good : "");
	if (b->damage)
		return;
	str_copy(entry.action, sizeof(entry.action), "damaged");
	str_cut(entry.object, sizeof(entry.object), b->path);
	str_cut(entry.detail, sizeof(entry.detail), why->message);
	r = b->is_unsound ? catalog_mark_unsound(catalog, b->ino, PROOF_STRUCTURE, why->message, &err)
	                  : catalog_mark_damaged(catalog, b->failed_ino ? b->failed_ino : b->ino,
	                                         why->message, &err);
	if (r == 0)
		r = catalog_add_audit(catalog, &entry, &err);
	if (r < 0)
		not_kept(p, b, "is damaged", &err);
}

static void note_not_right(struct proving *p, int r, const struct error *why)
{
	if (p->result < 0)
		return;
	p->result = r;
	p->first = *why;
}

static const char *why_not_looked_into(const struct proving *p)
{
	return keyring_can_read(p->ctx->repository->keyring)
	               ? "; it is encrypted, and none of the identities of this host opens it"
	               : "; it is encrypted, and this host has no identity to look into it";
}

static void note_right(struct proving *p, const struct backup *b, enum proof_level level, int64_t began_us)
{
	struct catalog *catalog = p->ctx->repository->catalog;
	struct error err = {0};
	char size[16];
	bool is_marked;

	p->right++;
	p->lowest += level < p->level;
	if (backup_set_proof(b, level, make_now_us(p->ctx), p->order->run_id, &err) < 0)
		not_kept(p, b, "is right", &err);
	else if (b->files_damage && catalog_mend_files(catalog, b->ino, b->files_damage, &err) < 0)
		not_kept(p, b, "is right in all its files", &err);
	/* One that was held back says nothing of how fast it is. */
	if (p->order->run_id != 0 && !p->rate && level == p->level)
		pace_note(b, pace_of_check(level), clock_mono_us() - began_us, 0);
	is_marked = catalog_is_damaged(catalog, b->ino);
	make_say(p->order, "%s%s%s is right: level %d, %s in %.1f s%s%s", b->path, p->copy ? " in " : "",
	         p->copy ? p->copy->store : "", level, str_format_bytes(size, sizeof(size), b->m.size_bytes),
	         (double)(clock_mono_us() - began_us) / (double)US_PER_S,
	         b->m.encrypted_to && b->as_stored && level < p->level ? why_not_looked_into(p) : "",
	         is_marked
	                 ? "; it stays marked as damaged, by what another level, or somebody else, has found"
	         : b->damage ? "; it was marked as damaged, and is not any more"
	                     : "");
}

/* What is wrong with a key names the backup already. */
static void name_backup(const struct backup *b, struct error *why)
{
	const char *path = b->path ? b->path : "a backup";

	if (!str_starts(why->message, path))
		error_prefix(why, "%s", path);
}

/* It can be restored as it is, so it is not marked. */
static void note_beside(struct proving *p, const struct backup *b)
{
	struct error why = b->beside;

	error_prefix(
	        &why,
	        "all files of %s are right, and a restore needs no more; but what is kept beside them is damaged, so that looking into it "
	        "is slow, or some facts of it are lost",
	        b->path);
	make_warn(p->order, "%s", why.message);
	note_not_right(p, -EBADMSG, &why);
}

/* What is frozen is read by nobody before somebody has paid for it. */
static bool note_skipped(struct proving *p, const struct backup *b, uint64_t ino, struct error *why)
{
	if (!artifact_note_frozen(p->ctx->repository, ino, why))
		return false;
	p->frozen++;
	if (b->path)
		name_backup(b, why);
	make_say(p->order, "skipped, and neither right nor wrong: %s", why->message);
	p->why_frozen = *why;
	return true;
}

static bool prove_kept(struct proving *p, uint64_t ino)
{
	_cleanup(backup) struct backup b = {.ctx = p->ctx,
	                                    .own_store = true,
	                                    .cancel = p->order->cancel,
	                                    .rate = p->rate,
	                                    .done_bytes = p->order->progress ? &p->order->progress->read_bytes
	                                                                     : NULL};
	int64_t began_us = clock_mono_us();
	enum proof_level level;
	struct error why = {0};
	int r = backup_open(&b, ino, &why);

	/* It was removed meanwhile. */
	if (r == -ENOENT)
		return true;
	if (r == 0)
		r = prove(&b, p->level, &level, &why);
	/* Meanwhile: what the store has no more of it is nothing wrong, and what it still has proves nothing. */
	if (b.path && backup_is_removed(&b)) {
		make_say(p->order, "%s was removed while it was looked at: nothing was proven", b.path);
		return !cancel_is_set(p->order->cancel);
	}
	if (r == 0) {
		note_right(p, &b, level, began_us);
		if (b.beside.class != ERROR_NONE)
			note_beside(p, &b);
		return true;
	}
	if (cancel_is_set(p->order->cancel))
		return false;
	if (note_skipped(p, &b, ino, &why))
		return true;
	if (backup_is_wrong(&why) && b.path) {
		p->damaged++;
		proving_mark_damaged(p, &b, &why);
	} else {
		p->unknown++;
		name_backup(&b, &why);
		make_say(p->order, "%s", why.message);
	}
	if (b.path && !str_equal(b.path, p->name))
		name_backup(&b, &why);
	note_not_right(p, r, &why);
	return true;
}

struct packs {
	uint64_t *inos;
	size_t count;
};

static void add_needed_pack(void *arg, uint64_t ino)
{
	struct packs *packs = arg;

	if ((packs->count & (packs->count - 1)) == 0)
		packs->inos = mem_resize(packs->inos, packs->count ? 2 * packs->count : 1, sizeof(ino));
	packs->inos[packs->count++] = ino;
}

/* What a state has is in its packs, which are artifacts of their own; the scrub comes to them by itself. */
static bool prove_needed_packs(struct proving *p, uint64_t ino)
{
	struct packs packs = {0};
	struct error why = {0};
	uint64_t missing = 0;
	bool goes_on = true;
	int r = catalog_each_needed_pack(p->ctx->repository->catalog, ino, add_needed_pack, &packs, &missing);

	if (r < 0)
		error_system(&why, -r, "the catalog cannot be read");
	else if (missing > 0)
		r = error_set(&why, ERROR_CORRUPT, EBADMSG, "%s: %llu packs that it needs are not there",
		              p->name, (unsigned long long)missing);
	if (r < 0) {
		p->unknown++;
		make_say(p->order, "%s", why.message);
		note_not_right(p, r, &why);
	}
	for (size_t i = 0; goes_on && i < packs.count; i++)
		goes_on = prove_kept(p, packs.inos[i]);
	free(packs.inos);
	return goes_on;
}

/* The scrub, which no run does, gives way: what it reads may be removed. */
bool proving_backup(struct proving *p, uint64_t ino)
{
	struct repository *repository = p->ctx->repository;
	int64_t run_id = p->order->run_id;
	uint64_t kept = ino;
	bool goes_on;

	if (run_id == 0)
		return prove_kept(p, ino);
	/* It goes at this moment, so nothing can be proven of it. */
	(void)catalog_artifact_of(repository->catalog, ino, &kept);
	if (artifact_keep(repository, kept, run_id, "checked", NULL) < 0)
		return true;
	goes_on = prove_kept(p, ino) && prove_needed_packs(p, ino);
	artifact_let_go(repository, kept, run_id);
	return goes_on;
}

int proving_copy(struct proving *p, uint64_t ino, struct error *err)
{
	struct catalog *catalog = p->ctx->repository->catalog;
	_cleanup(backup) struct backup b = {.ctx = p->ctx,
	                                    .cancel = p->order->cancel,
	                                    .rate = p->rate,
	                                    .done_bytes = p->order->progress ? &p->order->progress->read_bytes
	                                                                     : NULL};
	uint64_t copied = ino;
	int found = catalog_artifact_of(catalog, ino, &copied);
	_cleanup(free) char *path = found == 0 ? catalog_replicated_path(catalog, copied) : NULL;
	enum proof_level level;
	uint64_t store;
	int r = path ? catalog_whole_replica(catalog, path, 0, &store) : -ENOENT;

	if (r == 0)
		r = backup_open(&b, ino, err);
	return r < 0 ? r : prove(&b, p->level, &level, err);
}

void proving_again(const struct make_context *ctx, const struct make_order *order, const struct copied *copy,
                   uint64_t ino)
{
	_cleanup(backup) struct backup b = {.ctx = ctx, .own_store = true, .cancel = order->cancel};
	struct proving p = {.ctx = ctx, .order = order, .copy = copy, .level = PROOF_BYTES};

	if (backup_open(&b, ino, NULL) < 0)
		return;
	p.name = b.path;
	(void)proving_backup(&p, ino);
}
