// SPDX-License-Identifier: Apache-2.0
/*
 * Copies that somebody orders: made at once, looked at, or the way back. It works as the threads do that make them by themselves
 * (keepfs/replica.h), but at any time of the day, and says what became of each.
 */
#include "proving.h"
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/name.h>
#include <keepfs/replica.h>
#include <keepfs/use.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ENTRIES 32

struct replicating {
	const struct make_context *ctx;
	const struct make_order *order;
	const struct conf *conf;
	const char *to, *from; /* stores by their names; NULL */
	bool verify, repair;
	struct replica_beside *beside; /* of each store of the configuration */
	uint64_t right, failed;
	int result;
	struct error first; /* failure */
};

/* The words. */

static bool replicate_says_yes(const struct command_line *line, const char *key)
{
	const char *value = words_pair(line, key);

	return value && str_equal(value, "yes");
}

static int check_yes(const struct command_line *line, const char *key, struct error *err)
{
	const char *value = words_pair(line, key);

	if (!value || str_equal(value, "yes") || str_equal(value, "no"))
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL, "%s=%.20s: allowed are yes and no", key, value);
}

static int check_store_of_copies(const struct conf *conf, const char *name, struct error *err)
{
	_cleanup(str) struct str have = {0};

	if (!name || conf_find_store(conf, name))
		return 0;
	for (size_t i = 0; i < conf->store_count; i++)
		str_appendf(&have, "%s%s", have.len > 0 ? ", " : "", conf->stores[i].name);
	return error_set(err, ERROR_USAGE, EINVAL, "there is no section [store %.100s]; allowed: %s", name,
	                 have.len > 0 ? str_text(&have) : "the name of one, of which there is none yet");
}

/* A backup has the rows of all tenants. */
static int check_no_tenants_store(const struct conf *conf, const char *name, struct error *err)
{
	const struct conf_named_store *named = conf_find_store(conf, name);
	const char *whose = named ? conf_whose_store(conf, named) : NULL;

	return whose ? error_set(err, ERROR_USAGE, EINVAL, "[store %.100s] cannot have copies of backups: %s",
	                         named->name, whose)
	             : 0;
}

static int check_replicate_words(const struct conf *conf, const struct command_line *line, struct error *err)
{
	static const char *const allowed[] = {"to", "from", "verify", "repair", "note", NULL};
	int r = words_check_pairs(line, allowed, err);

	if (r == 0 && line->word_count == 0)
		r = error_set(err, ERROR_USAGE, EINVAL, "name a backup, a job, or: all");
	if (r == 0)
		r = check_yes(line, "verify", err);
	if (r == 0)
		r = check_yes(line, "repair", err);
	if (r == 0)
		r = check_store_of_copies(conf, words_pair(line, "to"), err);
	if (r == 0)
		r = check_no_tenants_store(conf, words_pair(line, "to"), err);
	if (r == 0)
		r = check_store_of_copies(conf, words_pair(line, "from"), err);
	if (r == 0 && words_pair(line, "from") && words_pair(line, "to"))
		r = error_set(err, ERROR_USAGE, EINVAL,
		              "to= makes copies, and from= brings one back: give one of them");
	if (r == 0 && replicate_says_yes(line, "repair") && !words_pair(line, "from"))
		r = error_set(err, ERROR_USAGE, EINVAL,
		              "repair=yes takes the bytes from a copy: say which with from=STORE");
	if (r == 0 && replicate_says_yes(line, "verify") && words_pair(line, "from"))
		r = error_set(err, ERROR_USAGE, EINVAL,
		              "verify=yes looks at a copy: say which with to=STORE");
	return r;
}

/* What is brought back is not listed: it is known by its copy. */
static int add_removed_target(struct catalog *catalog, const char *word, struct make_targets *ret,
                              struct error *err)
{
	struct make_target *t;

	if (!*word || strlen(word) >= REPLICA_PATH_BYTES || !strchr(word, '/'))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "name the backups that are to come back one by one; 'keepfs replicate --list' shows them");
	t = make_targets_add(ret);
	t->name = mem_strdup(word);
	t->label = mem_strdup(word);
	t->directory = mem_strdup(word);
	return 0;
}

static int replicate_targets(const struct make_context *ctx, const struct conf_job *job,
                             const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	bool back = words_pair(wanted->line, "from") && !replicate_says_yes(wanted->line, "repair");
	struct catalog *catalog = ctx->repository->catalog;
	int r = 0;

	for (size_t i = 0; r == 0 && i < wanted->line->word_count; i++) {
		_cleanup(free) char *path = words_path(wanted->line->words[i]);

		r = back ? add_removed_target(catalog, path, ret, err)
		         : words_add_targets(catalog, path, ret, err);
	}
	return r;
}

static int replicate_accepts(const struct make_context *ctx, const struct conf_job *job,
                             const struct make_wanted *wanted, struct error *err)
{
	_cleanup(make_targets) struct make_targets targets = {0};
	const struct conf *conf = make_conf_ref(ctx);
	int r = check_replicate_words(conf, wanted->line, err);

	make_conf_unref(ctx, conf);
	return r < 0 ? r : replicate_targets(ctx, job, wanted, &targets, err);
}

/* The work. */

static int order_in(const struct replicating *p, const struct conf_named_store *named,
                    struct replica_order *ret, struct error *err)
{
	*ret = (struct replica_order){
	        .repository = p->ctx->repository,
	        .conf = p->conf,
	        .named = named,
	        .cancel = p->order->cancel,
	        .done_bytes = p->order->progress ? &p->order->progress->sent_bytes : NULL,
	};
	return replica_store(p->ctx->repository->catalog, named, &ret->store, err);
}

static void note_outcome(struct replicating *p, const char *path, const char *store, const char *done, int r,
                         const struct error *why)
{
	if (r == 0) {
		p->right++;
		make_say(p->order, "%s %s %s", path, done, store);
		return;
	}
	p->failed++;
	make_say(p->order, "%s, %s: %s", path, store, why->message);
	if (p->result == 0) {
		p->result = r > 0 ? -EEXIST : r;
		p->first = *why;
	}
}

/* What lies beside it comes first: then what the further store says of itself is never older than what it has. */
static int copy_with_beside(struct replicating *p, const struct replica_order *order, const char *path,
                            struct error *err)
{
	struct replica_beside *seen = &p->beside[order->named - p->conf->stores];
	int r = replica_make_beside(order, seen, false, NULL, err);

	if (r == 0)
		r = replica_make(order, path, NULL, err);
	return r != 0 ? r : replica_make_beside(order, seen, false, NULL, err);
}

static int verify_with_packs(const struct replica_order *order, const char *path, struct error *err)
{
	int r = replica_verify(order, path, err);

	return r != 0 ? r : replica_verify_packs(order, path, err);
}

static void replicate_in(struct replicating *p, const char *path, const struct conf_named_store *named)
{
	struct replica_order order;
	struct error why = {0};
	struct rate *rate = rate_new(named->rate_bytes);
	int r = order_in(p, named, &order, &why);

	order.rate = rate;
	if (r == 0)
		r = p->verify ? verify_with_packs(&order, path, &why)
		              : copy_with_beside(p, &order, path, &why);
	note_outcome(p, path, named->name, p->verify ? "is right in" : "is whole in", r, &why);
	rate_free(rate);
}

static const struct conf_job *job_of_path(const struct replicating *p, const char *path)
{
	_cleanup(free) char *name = tree_job_of(path);

	return name ? conf_find_job(p->conf, name) : NULL;
}

/* Where its job wants it, or where somebody wants it now. */
static void replicate_backup(struct replicating *p, const char *path)
{
	const struct conf_job *job = job_of_path(p, path);
	uint64_t before = p->right + p->failed;

	for (size_t i = 0; i < p->conf->store_count; i++) {
		const struct conf_named_store *named = &p->conf->stores[i];

		if (p->to ? str_equal(p->to, named->name) : job && conf_has_copies(job, named->name))
			replicate_in(p, path, named);
	}
	if (p->right + p->failed == before)
		make_say(p->order,
		         "%s: its job has no copies: set the key copies, or say where with to=STORE", path);
}

static void prove_repaired(struct replicating *p, const char *path)
{
	struct make_context own = *p->ctx;

	own.pool = pool_new(PROVING_POOL_BYTES);
	if (own.pool)
		proving_again(&own, p->order, NULL, ino_of_artifact(path));
	pool_free(own.pool);
}

static void fetch_back(struct replicating *p, const char *path)
{
	const struct conf_named_store *named = conf_find_store(p->conf, p->from);
	struct replica_order order;
	struct error why = {0};
	int r = order_in(p, named, &order, &why);

	if (r == 0)
		r = replica_bring_back(&order, path, p->repair, &why);
	note_outcome(p, path, p->from, p->repair ? "is repaired from" : "is brought back from", r, &why);
	if (r == 0 && p->repair)
		prove_repaired(p, path);
}

static void work_on(struct replicating *p, const char *path)
{
	if (p->from)
		fetch_back(p, path);
	else
		replicate_backup(p, path);
}

static int work_on_directory(struct replicating *p, const char *directory, struct error *err)
{
	_cleanup(free) struct catalog_entry *entries = mem_array(PAGE_ENTRIES, sizeof(*entries));
	struct catalog *catalog = p->ctx->repository->catalog;
	uint64_t ino = ino_of_directory(directory);
	int64_t after = -1;
	ssize_t count;

	while ((count = catalog_entries(catalog, ino, CATALOG_ARTIFACT, after, entries, PAGE_ENTRIES)) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			_cleanup(free) char *path = catalog_path(catalog, entries[i].ino);

			if (cancel_is_set(p->order->cancel))
				return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
			if (path)
				work_on(p, path);
		}
		after = entries[count - 1].sequence;
	}
	return count < 0 ? error_system(err, (int)-count, "the catalog cannot be read") : 0;
}

static int replicate_target(struct replicating *p, struct error *err)
{
	const char *name = p->order->target->name;
	struct catalog_entry entry;
	_cleanup(free) char *path = NULL;
	int r;

	if (p->from && !p->repair) {
		work_on(p, name);
		return 0;
	}
	r = words_find_backup(p->ctx->repository->catalog, name, &entry);
	if (r == -ENOENT)
		return work_on_directory(p, name, err);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	path = catalog_path(p->ctx->repository->catalog, entry.artifact_ino);
	work_on(p, path ? path : name);
	return 0;
}

static int replicate_make(const struct make_context *ctx, const struct make_order *order,
                          struct manifest *ret, struct error *err)
{
	const struct conf *conf = make_conf_ref(ctx);
	struct replicating p = {.ctx = ctx,
	                        .order = order,
	                        .conf = conf,
	                        .to = words_pair(order->line, "to"),
	                        .from = words_pair(order->line, "from"),
	                        .verify = replicate_says_yes(order->line, "verify"),
	                        .repair = replicate_says_yes(order->line, "repair"),
	                        .beside = mem_array(conf->store_count + 1, sizeof(*p.beside))};
	int r = check_replicate_words(conf, order->line, err);

	if (r == 0)
		r = replicate_target(&p, err);
	make_conf_unref(ctx, conf);
	free(p.beside);
	if (r < 0 || p.result == 0)
		return r;
	*err = p.first;
	if (p.failed > 1)
		error_prefix(err, "%" PRIu64 " of %" PRIu64 " copies failed; the first", p.failed,
		             p.right + p.failed);
	return p.result;
}

static enum make_lane replicate_lane(const struct command_line *line)
{
	return MAKE_LANE_VERIFY;
}

const struct make_kind use_replicate = {
        .name = "replicate",
        .targets_name = "places",
        .lane = replicate_lane,
        .accepts = replicate_accepts,
        .targets = replicate_targets,
        .make = replicate_make,
};
