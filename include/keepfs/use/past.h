// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Yesterday's tenant: the export of one tenant out of a stored dump of a database, as the export would have been at the moment of the dump, though
 * the living data has changed, or has lost the tenant, since then.
 *
 * The tables of the dump are made in a throw-away server, without rows. What the configuration says of tenants is decided there. Then the rows
 * of those tables that matter pass by, from the dump, and those that may be the tenant's are loaded: keys tell which, and memory is the keys of one
 * tenant. At last the ordinary export reads the throw-away server, with all that it checks. The server, and what it holds, is removed.
 */
#include <keepfs/make.h>

struct past_order {         /* all borrowed */
	const char *tenant; /* its slug */
	/* Its id, as the column of the tenant has it. NULL: what the query of [export] tenants says of the slug now, else what the newest export of it says. */
	const char *tenant_id;
	/* "full/20261120T020000Z.dump", or without the suffix; or a directory ("full"): the newest good dump in it, or below it, of the database that
	 * [export] names. */
	const char *backup;
	const char *format; /* of an artifact: "csv"; NULL: as [export] says */
	/* A file that is made (mode 0600; it must not be there), with the document, compressed as an export is (.json.gz). NULL: an artifact of
	 * exports/ is published. */
	const char *path;
	bool is_unredacted; /* with @path: to bring the tenant back, with all values */
};

struct past_result {
	char *backup;          /* heap: "backups/full/20261120T020000Z.dump" */
	int64_t taken_at_us;   /* when the dump was taken */
	char *tenant_id;       /* heap */
	uint64_t rows, tables; /* in the document */
};
void past_result_finish(struct past_result *r);
static inline void cleanup_past_result(struct past_result *r)
{
	past_result_finish(r);
}

/**
 * past_export() - make it; blocks for as long as reading those tables takes
 * @order: whose run it is: its log, warnings, progress and cancel. Its job is not looked at: the one of [export] in force is
 * @ret: the artifact, the caller's manifest_finish(); zeroed with a path
 * @ret_result: past_result_finish(); NULL: not wanted. Set only on success
 *
 * Return: 0; -EINVAL (ERROR_USAGE): there is no [export], no such backup, it is none of that database, or a rule makes no sense in it, or the id
 * is, with an artifact, that of another tenant now, or the slug that of another id; -ENOENT
 * (ERROR_NOT_FOUND): nobody knows the tenant, or the dump has no row of it; -EPERM: as of an export, whose isolation is proven, or a schema or database of
 * that name was another tenant's then; -EBADMSG
 * (ERROR_CORRUPT): the dump is damaged; -EBUSY (ERROR_CONFLICT): a drill, or another one, has the throw-away server; -E2BIG (ERROR_USAGE): the keys
 * of the tenant need more memory than [export] keys_memory; -ECANCELED. Then no file stays, and nothing is listed.
 */
int past_export(const struct make_context *ctx, const struct make_order *order, const struct past_order *past,
                struct manifest *ret, struct past_result *ret_result, struct error *err);

/** use_past - the same as a work of runs: what "export acme from=full/latest.dump" in control/trigger, and keepfs export acme --from, order.
 * Words: the slug. Pairs: from=BACKUP, id=ID, format=FORMAT, note=TEXT. */
extern const struct make_kind use_past;
