// SPDX-License-Identifier: Apache-2.0
#include <keepfs/checkpoint.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/chain.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/keyring/signing.h>
#include <keepfs/store/proof.h>

#include <config.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HOST_BYTES 256

static int64_t checkpoint_now_us(const struct checkpoint_context *ctx)
{
	return ctx->now_us ? ctx->now_us() : clock_now_us();
}

bool checkpoint_is_due(const struct checkpoint_context *ctx)
{
	int64_t now_us = checkpoint_now_us(ctx);
	struct catalog_checkpoint last;

	if (catalog_checkpoint(ctx->catalog, &last) < 0)
		return true;
	return now_us >= last.at_us + CHECKPOINT_INTERVAL_US || now_us < last.at_us - CHECKPOINT_INTERVAL_US;
}

static int gather_ends(const struct checkpoint_context *ctx, struct checkpoint *c)
{
	struct catalog_audit_head head;
	struct catalog_chain chain;
	int r = catalog_audit_head(ctx->catalog, &head);

	if (r < 0)
		return r;
	c->audit.number = head.number;
	memcpy(c->audit.hash, head.hash, sizeof(c->audit.hash));
	r = catalog_chain(ctx->catalog, CATALOG_MAIN_STORE, &chain);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	str_copy(c->end.id, sizeof(c->end.id), chain.id);
	c->end.sequence = chain.sequence;
	memcpy(c->end.hash, chain.hash, sizeof(c->end.hash));
	return 0;
}

static int begin_checkpoint(const struct checkpoint_context *ctx, struct checkpoint *c,
                            struct catalog_checkpoint *ret_last)
{
	char host[HOST_BYTES] = "";
	int r = gather_ends(ctx, c);

	if (r == 0)
		r = catalog_checkpoint(ctx->catalog, ret_last);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && ret_last->key[0]) {
		c->previous_key = mem_strdup(ret_last->key);
		memcpy(c->previous, ret_last->sha256, sizeof(c->previous));
	}
	(void)gethostname(host, sizeof(host) - 1);
	c->at_us = checkpoint_now_us(ctx);
	c->host = mem_strdup(host);
	c->keepfs_version = mem_strdup(KEEPFS_VERSION);
	return 0;
}

static int put_checkpoint(const struct checkpoint_context *ctx, const struct store_call *call,
                          const struct checkpoint *c, struct error *err)
{
	_cleanup(signing_ref) const struct signing_keys *keys =
	        ctx->signing ? signing_ref(ctx->signing) : NULL;
	_cleanup(free) char *key = checkpoint_key(c);
	_cleanup(str) struct str text = {0};
	struct store_proof proof = {.key = key};
	struct catalog_checkpoint made = {
	        .at_us = c->at_us, .number = c->audit.number, .sequence = c->end.sequence};
	int r = catalog_locked_until(ctx->catalog, CATALOG_MAIN_STORE, &proof.until_us);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	checkpoint_encode(c, keys ? keys->key : NULL, &text);
	proof.data = text.data;
	proof.len = text.len;
	r = store_put_proof(ctx->store, call, &proof, err);
	if (r == STORE_EXISTS)
		r = error_set(err, ERROR_USAGE, EEXIST,
		              "%s is there already, and was not written by this keepfs", key);
	if (r == 0 && proof.unlocked)
		r = catalog_proofs_unlocked(ctx->catalog, CATALOG_MAIN_STORE, err);
	if (r < 0)
		return r;
	str_copy(made.key, sizeof(made.key), key);
	sign_hash(text.data, text.len, made.sha256);
	if (ctx->put)
		ctx->put(ctx->put_arg);
	return catalog_set_checkpoint(ctx->catalog, &made, err);
}

int checkpoint_make(const struct checkpoint_context *ctx, const struct store_call *call, struct error *err)
{
	_cleanup(checkpoint) struct checkpoint c = {0};
	struct catalog_checkpoint last = {0};
	int r = begin_checkpoint(ctx, &c, &last);

	if (r < 0)
		return error_system(err, -r, "the end of the audit cannot be read from the catalog");
	if (last.number == c.audit.number && last.sequence == c.end.sequence) {
		last.at_us = c.at_us;
		r = catalog_set_checkpoint(ctx->catalog, &last, err);
		return r < 0 ? r : 1;
	}
	return put_checkpoint(ctx, call, &c, err);
}
