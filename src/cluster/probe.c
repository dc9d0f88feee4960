// SPDX-License-Identifier: Apache-2.0
/* Would archiving work now, and a recovery from it? What the server says over a replication connection: that it may be opened at all takes REPLICATION, a line of pg_hba.conf and a WAL sender that is free, as pg_basebackup needs them, too. */
#include "cluster_private.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/replication.h>

#include <stdio.h>
#include <stdlib.h>

#define NAME_BYTES 240

static bool tell_cluster_refusal(const struct make_findings *findings, const char *name,
                                 const struct error *err)
{
	make_found_mendable(findings, name, NULL, "%s; correct [%s]", err->message, name);
	return false;
}

static bool check_cluster_setting(struct pg_replication *s, const struct make_findings *findings,
                                  const char *name, const char *setting, const char *wrong, const char *fix)
{
	_cleanup(free) char *value = NULL;
	struct error err = {0};

	if (pg_replication_setting(s, setting, &value, &err) < 0)
		return tell_cluster_refusal(findings, name, &err);
	if (!str_equal(value, wrong))
		return true;
	make_found_mendable(findings, name, fix, "%s is %s at the server: its WAL is not archived so",
	                    setting, value);
	return false;
}

static bool check_cluster_settings(struct pg_replication *s, const struct make_findings *findings,
                                   const struct conf_job *job, const char *name)
{
	if (!check_cluster_setting(s, findings, name, "wal_level", "minimal",
	                           "ALTER SYSTEM SET wal_level = 'replica'; restart the server"))
		return false;
	if (job->cluster.wal == CONF_WAL_STREAM)
		return true;
	return check_cluster_setting(s, findings, name, "archive_mode", "off",
	                             "ALTER SYSTEM SET archive_mode = 'on'; restart the server");
}

void cluster_check(const struct make_context *ctx, const struct conf_job *job,
                   const struct make_findings *findings)
{
	_cleanup(pg_replication) struct pg_replication *s = NULL;
	struct pg_replication_system is;
	struct error err = {0};
	char name[NAME_BYTES];

	(void)ctx;
	snprintf(name, sizeof(name), "cluster %s", job->name);
	if (pg_replication_open(job->cluster.database, "keepfs", NULL, &s, &err) < 0 ||
	    pg_replication_identify(s, &is, &err) < 0) {
		tell_cluster_refusal(findings, name, &err);
		return;
	}
	if (check_cluster_settings(s, findings, job, name))
		make_found(findings, true, name,
		           "PostgreSQL %d lets its files be read; its system identifier is %s",
		           is.version_num / 10000, is.system_identifier);
}
