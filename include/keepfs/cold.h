// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What has grown old is kept where it costs less: a thread moves artifacts into the storage class that class_after of their job has for their age (keepfs/artifact/class.h). One after the other, so that it
 * costs the store little, and it sleeps until the next is due. Each gets a line in the audit.
 */
#include <keepfs/artifact.h>

struct cold;
struct conf_live;

/** cold_new() - listens to @repo, before any thread uses that; @repo and @live are borrowed. Of a keepfs that writes. */
int cold_new(struct repository *repo, struct conf_live *live, struct cold **ret, struct error *err);
/** cold_start() - its thread begins. */
int cold_start(struct cold *c, struct error *err);
/** cold_look() - the configuration has changed. Any thread; does not block. NULL allowed. */
void cold_look(struct cold *c);
/** cold_free() - gives up what it is at, which a later one goes on with. NULL allowed; returns NULL. */
struct cold *cold_free(struct cold *c);
