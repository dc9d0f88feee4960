// SPDX-License-Identifier: Apache-2.0
/*
 * How something has come to its end. Health lists what is wrong, so what is not in the list any more may have been mended, or
 * may be gone: a database that left the registry is not well again, nor is a backup that was removed.
 */
#include "notify_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/members.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <string.h>

/* "tenants/acme": a member of a job that is gone, or was; "tenants" alone is a job. */
static bool is_gone_member(struct catalog *c, const char *subject)
{
	const char *slash = strchr(subject, '/');
	_cleanup(free) char *job = slash ? mem_printf("%.*s", (int)(slash - subject), subject) : NULL;
	struct catalog_member m;

	return slash && catalog_member(c, job, slash + 1, &m) == 0 && m.gone_since_us;
}

static bool is_gone_job(const struct conf *conf, const char *subject)
{
	_cleanup(free) char *job = mem_printf("%.*s", (int)strcspn(subject, "/"), subject);

	return !conf_find_job(conf, job);
}

static bool is_gone_backup(struct catalog *c, const char *path)
{
	struct catalog_entry entry;

	return catalog_entry_by_ino(c, ino_of_artifact(path), &entry) == -ENOENT;
}

/* Such an item stands for others, of which nothing is known: struct health_item, is_rest. */
static bool was_rest(const struct told *before)
{
	static const char *const checks[] = {"anomaly", "damaged", "unlisted", "prune"};

	if (strcmp(before->check, "registry") == 0)
		return str_ends(before->subject, " gone");
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if (strcmp(before->check, checks[i]) == 0)
			return !*before->subject;
	return false;
}

/* Who left a registry is told of for a day. When that is over he is still gone. */
static enum ending ending_of_registry(struct catalog *c, const struct conf *conf, const struct told *before)
{
	_cleanup(free) char *job = mem_printf("%.*s", (int)strcspn(before->subject, "/ "), before->subject);

	if (!conf_find_job(conf, job))
		return ENDING_UNTOLD;
	return is_gone_member(c, before->subject) ? ENDING_UNTOLD : ENDING_MENDED;
}

/* Without a backup since then, what was overdue is not expected any more: its database left the registry, or the job has
 * another schedule or another `expect`. */
static enum ending ending_of_overdue(struct catalog *c, const struct told *before)
{
	struct catalog_totals totals;

	if (catalog_totals(c, before->subject, &totals) < 0)
		return ENDING_MENDED;
	return totals.newest_whole_at_us > before->since_us ? ENDING_MENDED : ENDING_GONE;
}

enum ending ending_of(struct catalog *c, const struct conf *conf, const struct told *before)
{
	const char *check = before->check, *subject = before->subject;

	if (was_rest(before))
		return ENDING_UNTOLD;
	/* A job that is not configured any more is well for nobody. */
	if (strcmp(check, "job") == 0)
		return ENDING_UNTOLD;
	if ((strcmp(check, "failing") == 0 || strcmp(check, "overdue") == 0 || strcmp(check, "drill") == 0 ||
	     strcmp(check, "rto") == 0) &&
	    is_gone_job(conf, subject))
		return ENDING_UNTOLD;
	if (strcmp(check, "overdue") == 0)
		return ending_of_overdue(c, before);
	if (strcmp(check, "registry") == 0)
		return ending_of_registry(c, conf, before);
	if (strcmp(check, "anomaly") == 0 && is_gone_job(conf, subject))
		return ENDING_UNTOLD;
	if (strcmp(check, "anomaly") == 0 && is_gone_member(c, subject))
		return ENDING_GONE;
	if (strcmp(check, "damaged") == 0 && is_gone_backup(c, subject))
		return ENDING_GONE;
	return ENDING_MENDED;
}

/* What is said around the subject. */
static const struct {
	const char *check;
	enum ending ending;
	const char *before, *after;
} ending_words[] = {
        {"failing", ENDING_MENDED, "job ", " is well again"},
        {"overdue", ENDING_MENDED, "job ", ": its backups are not overdue any more"},
        {"overdue", ENDING_GONE, "job ",
         ": there is no new backup, but what was overdue is not expected any more"},
        {"anomaly", ENDING_MENDED, "", ": its newest backup is as usual again"},
        {"anomaly", ENDING_GONE, "", ": its backups were unusual, and it is not backed up any more"},
        {"damaged", ENDING_MENDED, "the backup ", " is not damaged any more"},
        {"damaged", ENDING_GONE, "the damaged backup ", " was removed"},
        {"registry", ENDING_MENDED, "registry: ", " is named as before again"},
        {"drill", ENDING_MENDED, "the drills of ", " are well again"},
        {"rto", ENDING_MENDED, "", ": a restore does not take longer than its goal (rto) any more"},
        {"restore", ENDING_MENDED, "what a restore had left in ", " is settled"},
        {"scrub", ENDING_MENDED, "every backup was read from the store in time", " again"},
        {"classes", ENDING_MENDED, "every backup is in the storage class of its age", " again"},
        {"notices", ENDING_MENDED, "notices to ", " arrive again"},
        {"prune", ENDING_MENDED, "", ": nothing keeps old backups from being removed any more"},
};

char *ending_title(const struct told *before, enum ending ending)
{
	for (size_t i = 0; i < ARRAY_SIZE(ending_words); i++)
		if (strcmp(ending_words[i].check, before->check) == 0 && ending_words[i].ending == ending)
			return mem_printf("%s%s%s", ending_words[i].before, before->subject,
			                  ending_words[i].after);
	return mem_printf("%s%s%s: is over", before->check, *before->subject ? " " : "", before->subject);
}
