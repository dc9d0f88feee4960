// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What is told of a base backup beyond what every backup has. */
struct catalog;
struct catalog_backup;
struct json;

/** backup_cluster_object() - of the row @b, whose facts are @facts: the caller's; NULL: it is no base backup, or says nothing of its WAL. Asks the catalog how much WAL there is behind it. */
struct json *backup_cluster_object(struct catalog *c, const struct catalog_backup *b, struct json *facts);
