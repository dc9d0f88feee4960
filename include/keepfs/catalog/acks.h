// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Acknowledged items of health: somebody knows of them, and has said until when they shall not count. Which item it is, check
 * and subject say (report/health.h). See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <stdint.h>

struct catalog;

struct catalog_ack {
	char check[64];
	char subject[1024];
	int level; /* enum report_health: how bad the item was; one that is worse now is not acknowledged */
	int64_t until_us;
	int64_t at_us;
	char said_by[128];
	char note[512]; /* "" */
};

/** catalog_set_ack() - in place of an older one of the same item. */
int catalog_set_ack(struct catalog *c, const struct catalog_ack *ack, struct error *err);
/** catalog_drop_ack() - -ENOENT when there is none. */
int catalog_drop_ack(struct catalog *c, const char *check, const char *subject, struct error *err);
/** catalog_each_ack() - call @row for each, those whose time is over among them. */
int catalog_each_ack(struct catalog *c, void (*row)(void *arg, const struct catalog_ack *ack), void *arg);
